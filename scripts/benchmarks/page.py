"""docs/benchmarks.md and its plots, from the numbers of a run."""

from statistics import median

from benchmarks.process import QUIET

# Name, rows and columns of each product of a block, and of the head, of qwen2-small.
SHAPES = [["qkv", 640, 384], ["output", 384, 384], ["gate_up", 2048, 384], ["down", 384, 1024], ["head", 4096, 384]]
BLOCKS = 8

COLOURS = {"sample": "#4c78a8", "update": "#f58518", "other": "#bab0ac", "ours": "#4c78a8", "theirs": "#bab0ac"}


def number(value):
    """Three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))}, n = {len(values)})"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def quietness(others):
    return f"{others:.1f}" + (" **disturbed**" if others > QUIET else "")


def header(found):
    """Nothing where the measure ran; else why there is no table."""
    if not found:
        return "Not measured yet.\n"
    if "failed" in found:
        return f"The measurement failed on {found['date']}: `{found['failed']}`\n"
    return None


def load(found):
    before, after = found["load"]
    return f"Measured {found['date']}; load average {before:.1f} before, {after:.1f} after.\n"


# ---- sections -------------------------------------------------------------------------------------------------------


def grpo_steps(found, whose):
    return [step for run in found[whose] for step in run["steps"]]


def grpo(results):
    found = results.get("grpo")
    missing = header(found)
    if missing:
        return missing
    rows = []
    for size in ("tiny", "small"):
        one = found[size]
        ours, theirs = grpo_steps(one, "ours"), grpo_steps(one, "theirs")
        for label, key in (("step, s", "seconds"), ("– sampling, s", "sample"), ("– update, s", "update")):
            a, b = [s[key] for s in ours], [s[key] for s in theirs]
            rows.append([f"`{size}` {label}", spread(a), spread(b), f"{median(b) / median(a):.2f}×"])
        tokens = 4 * 8 * 128
        a, b = tokens / median(s["seconds"] for s in ours), tokens / median(s["seconds"] for s in theirs)
        rows.append([f"`{size}` sampled tokens a second of the step †", number(a), number(b), f"{a / b:.2f}×"])
        for label, key in (("peak memory, MiB", "rss_mib"), ("start to the end of step 1, s", "first_step")):
            a, b = [run[key] for run in one["ours"]], [run[key] for run in one["theirs"]]
            rows.append([f"`{size}` {label}", spread(a), spread(b), f"{median(b) / median(a):.2f}×"])
        a, b = (max(run["others"] for run in one[whose]) for whose in ("ours", "theirs"))
        rows.append([f"`{size}` cores taken by others", quietness(a), quietness(b), ""])
    text = table(["", "grouper", "TRL", "TRL ÷ grouper"], rows)
    left_out = sum(run["left_out"] for size in ("tiny", "small") for run in found[size]["ours"])
    mismatch = max(run["mismatch_max"] for size in ("tiny", "small") for run in found[size]["ours"])
    text += f"""
† grouper ÷ TRL. Largest difference between a sampled and a trained log-probability in grouper's runs: {mismatch:g}.
Steps of grouper in which a group taught nothing, left out because they are less work: {left_out}. TRL's sampling is the
time in `generate()`; what it does around it (padding, decoding, rewards, its loop) is in the step alone.
"""
    share = limit_share(results)
    return text + share + "\n" + load(found)


def limit_share(results):
    """How long the products of a `small` step take at the best rate measured for each of them, beside the step."""
    found, limits = results["grpo"], results.get("limits")
    if header(limits):
        return ""
    threads = str(results["machine"]["threads"])
    torch, ours = limits["torch"][threads]["gflops"], limits["ours"]

    def seconds(name, kind, rows, at, own):
        _, n, k = next(shape for shape in SHAPES if shape[0] == name)
        rates = (torch[f"{name}/{kind}/{at}"], ours.get(f"{name}/{kind}/{own}/{threads}", 0))
        return 2 * rows * n * k / max(rates) / 1e9

    prompt = found["small"]["theirs"][0]["prompt_tokens"]
    trained = 4 * prompt + 32 * 127
    kinds = ("forward", "input_gradient", "weight_gradient")
    blocks = [name for name, _, _ in SHAPES[:-1]]
    sampling = sum(BLOCKS * seconds(name, "forward", 127 * 32, 32, 8) for name in blocks)
    sampling += seconds("head", "forward", 127 * 32, 32, 8)
    sampling += sum(BLOCKS * seconds(name, "forward", 4 * prompt, 1156, 1156) for name in blocks)
    update = sum(BLOCKS * seconds(name, kind, trained, 1156, 1156) for name in blocks for kind in kinds)
    update += sum(seconds("head", kind, 32 * 128, 1156, 1156) for kind in kinds)
    steps = grpo_steps(found["small"], "ours")
    lines = []
    for label, least, key in (
        ("sampling", sampling, "sample"), ("update", update, "update"), ("step", sampling + update, "seconds")
    ):
        taken = median(step[key] for step in steps)
        lines.append([label, number(least), number(taken), f"{100 * least / taken:.0f} %"])
    text = table(["`small`", "products alone at their best rate, s", "grouper, s", "share"], lines)
    return "\nThe machine's limit for the same step (see *Limits of the machine*; weights were in the cache there, so it is a bound\nthat decoding cannot quite reach):\n\n" + text


def sampling(results):
    found = results.get("sample")
    missing = header(found)
    if missing:
        return missing
    rows = []
    for batch in map(str, (1, 8, 32, 128)):
        ours, theirs = found["ours"][batch], found["theirs"][batch]
        rate, overall = median(ours["rates"]), theirs["overall"]
        rows.append([
            batch, spread(ours["rates"]),
            f"{number(overall['median'])} ({number(overall['min'])} to {number(overall['max'])}, n = {overall['n']})",
            f"{rate / overall['median']:.2f}×", number(theirs["decode"]["median"]),
            quietness(ours["others"]), quietness(theirs["others"]),
        ])
    head = ["completions", "grouper, tokens/s", "`generate()`, tokens/s", "grouper ÷ theirs"]
    head += ["theirs, decoding steps only", "others' cores, ours", "others' cores, theirs"]
    return table(head, rows) + f"\nPrompts of {found['prompt_tokens']} tokens (mean). " + load(found)


def sft(results):
    found = results.get("sft")
    missing = header(found)
    if missing:
        return missing
    rows = []
    for length in ("512", "2048"):
        one = found[length]
        ours = [rate for run in one["ours"] for rate in run["rates"]]
        cells = [length, spread(ours)]
        for way in ("trl", "plain"):
            rates = one["theirs"][way]["rates"]
            cells += [spread(rates), f"{median(ours) / median(rates):.2f}×"]
        others = [run["others"] for run in one["ours"]] + [one["theirs"][way]["others"] for way in ("trl", "plain")]
        memory = [max(run["rss_mib"] for run in one["ours"]), one["theirs"]["trl"]["rss_mib"]]
        rows.append([*cells, " / ".join(map(number, memory)), quietness(max(others))])
    head = ["sequence", "grouper, tokens/s", "TRL packed, tokens/s", "ratio", "plain loop, tokens/s", "ratio"]
    return table(head + ["peak MiB, grouper / TRL", "others' cores, at most"], rows) + "\n" + load(found)


def limits(results):
    found = results.get("limits")
    missing = header(found)
    if missing:
        return missing
    threads = str(results["machine"]["threads"])
    one, all_threads, ours = found["torch"]["1"], found["torch"][threads], found["ours"]
    rows = []
    for name, n, k in SHAPES:
        products = [("forward", 1), ("forward", 8), ("forward", 32), ("forward", 1156)]
        for kind, m in [*products, ("input_gradient", 1156), ("weight_gradient", 1156)]:
            key = f"{name}/{kind}/{m}"
            cells = [one["gflops"][key], all_threads["gflops"][key], ours.get(f"{key}/1"), ours.get(f"{key}/{threads}")]
            label = f"`{name}` [{n}, {k}] {kind.replace('_', ' ')}, {m} row" + ("s" if m > 1 else "")
            rows.append([label, *(number(cell) if cell else "–" for cell in cells)])
    text = table(
        ["product, GFLOP/s", "libtorch, 1 thread", f"libtorch, {threads} threads", "grouper, 1 thread",
         f"grouper, {threads} threads, a product each"], rows,
    )
    text += f"\nCopying memory (bytes read and written): {number(one['copy_gb'])} GB/s with 1 thread, "
    text += f"{number(all_threads['copy_gb'])} GB/s with {threads}.\ngrouper's products took the `{found['route']}` route. "
    text += f"Cores taken by others while grouper's ran: {quietness(found['others'])}. "
    return text + load(found)


# ---- plots ----------------------------------------------------------------------------------------------------------


def bars(path, title, unit, rows):
    """Horizontal bars; each row is a label and parts (name, value) that lie end to end."""
    largest = max(sum(value for _, value in parts) for _, parts in rows)
    scale, height, top = 400 / largest, 22, 56
    names = list(dict.fromkeys(name for _, parts in rows for name, _ in parts))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{top + len(rows) * (height + 6) + 8}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="18" font-size="14" font-weight="bold">{title}</text>',
    ]
    for i, name in enumerate(names):
        out.append(f'<rect x="{8 + 90 * i}" y="30" width="12" height="12" fill="{COLOURS[name]}"/>')
        out.append(f'<text x="{24 + 90 * i}" y="40">{name}</text>')
    for i, (label, parts) in enumerate(rows):
        x, y = 140.0, top + i * (height + 6)
        out.append(f'<text x="132" y="{y + 15}" text-anchor="end">{label}</text>')
        for name, value in parts:
            width = value * scale
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{COLOURS[name]}"/>')
            x += width
        out.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{number(sum(value for _, value in parts))} {unit}</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def plots(results, docs):
    """Draws what was measured; the page's lines that show it."""
    shown = {}
    found = results.get("grpo")
    if not header(found):
        for size in ("tiny", "small"):
            rows = []
            for label, whose in (("grouper", "ours"), ("TRL", "theirs")):
                steps = grpo_steps(found[size], whose)
                sample, update, whole = (median(s[key] for s in steps) for key in ("sample", "update", "seconds"))
                parts = [("sample", sample), ("update", update), ("other", max(whole - sample - update, 0))]
                rows.append((label, parts))
            name = f"benchmarks-grpo-{size}.svg"
            bars(docs / name, f"qwen2-{size}: a GRPO step", "s", rows)
            shown["grpo"] = shown.get("grpo", "") + f"\n![A GRPO step of qwen2-{size}]({name})\n"
    found = results.get("sample")
    if not header(found):
        rows = []
        for batch in map(str, (1, 8, 32, 128)):
            rows.append((f"grouper, {batch}", [("ours", median(found["ours"][batch]["rates"]))]))
            rows.append((f"generate(), {batch}", [("theirs", found["theirs"][batch]["overall"]["median"])]))
        bars(docs / "benchmarks-sample.svg", "qwen2-small: sampling, by completions at once", "tokens/s", rows)
        shown["sample"] = "\n![Sampling of qwen2-small](benchmarks-sample.svg)\n"
    return shown


def versions(results):
    found = results.get("grpo") or {}
    known = (found.get("tiny") or {}).get("theirs", [{}])[0].get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


def write(results, docs):
    """Rewrites the page and its plots."""
    machine, shown = results["machine"], plots(results, docs)
    text = f"""# Benchmarks

<!-- Written by scripts/bench. -->

{machine['date']}, commit {machine['commit']}. {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB.
Both sides had {machine['threads']} threads, float32, the same checkpoints and the same amount of work. Peers:
{versions(results) or 'versions not noted'}.

`scripts/bench` measures all of this again and rewrites the page; `scripts/bench --only sft` measures one part. It takes
about ten minutes on an idle machine. Ours and theirs run in turns, one process at a time. Raw numbers are left in
`target/bench/results.json`.

## How to read this

- A cell is a median, with the smallest and largest of n measurements. Each process's first step or call is left out.
- Checkpoints have random weights: `tiny` has about 1M parameters (vocabulary 1,024), `small` 15M (4,096), both of the
  Qwen2 architecture. Speed does not depend on what the weights are; what is learned is not looked at.
- *Others' cores* is the CPU time other processes took, in cores: while a process of ours ran, while a step or call of
  theirs did; the largest of those that count. Above {QUIET} a row is marked as disturbed; where some steps or processes
  were not, the disturbed ones are left out. A program of OpenMP barriers, which PyTorch is, suffers more from a
  neighbour than threads that never wait for each other, which ours are: a disturbed row's ratio flatters us.
- Parts may have been measured at different times: each table says when, and how busy the machine was. The start of a
  process and its peak memory are those of n processes, not of n steps.
- Peak memory is the largest resident set of the whole process.

## A GRPO step

4 prompts × 8 completions × 128 tokens, then one AdamW update on all of them: `grouper grpo` beside TRL's `GRPOTrainer`
(`dapo` loss, micro-batches of 8 completions, no gradient checkpointing). The prompts are the same. Completions never
end early: TRL suppresses the end token; ours get a copy of the checkpoint whose tokenizer does not know it. The rewards
are rules on both sides (not the same one), and take no time to speak of. Ours cuts the update into one microbatch for each group.

{grpo(results)}{shown.get('grpo', '')}
## Sampling

128 tokens after each prompt at temperature 1, `small`: the evaluation of a run (each completion has a prompt of its
own, {machine['threads']} replicas of one thread) beside transformers' `generate()`. Both rates count the new tokens over
the whole call, prompts included.

{sampling(results)}{shown.get('sample', '')}
## Supervised fine-tuning

`small`, 4,096 tokens a step, every token in the loss: `grouper sft` beside TRL's packed `SFTTrainer` and a plain PyTorch
loop. Our texts are the same documents, joined and cut to fill a sequence. Threads of ours take a microbatch each, and a
sequence is never cut: two sequences of 2,048 keep two threads busy.

{sft(results)}
## Limits of the machine

The products of `small` at the rows they have in a step: a decode step of one replica (1, 8, 32) and a microbatch (1,156).

{limits(results)}
## Not measured yet

- Sizes beyond `small`; checkpoints of other architectures; bfloat16.
- llama.cpp on the same weights.
- The start with a checkpoint of half a billion parameters; the growth of time and memory with length, group size,
  batch and threads.
- What exactness costs, operation by operation; the share of scoring hidden behind sampling when rewards are slow.
- Anything on a GPU.
"""
    (docs / "benchmarks.md").write_text(text)
