"""How time and memory grow with length, group size, prompts, model size and threads."""

import math
from statistics import median

from benchmarks import grpo
from benchmarks.inputs import SFT, documents, endless, grpo_config, prompts, taught, update_seconds
from benchmarks.markdown import absent, number, present, quietness, table, when
from benchmarks.plot import curves
from benchmarks.process import grouper, note

TITLE = "How cost grows"

LENGTHS = (128, 512, 2048, 4096, 8192, 16384)
TOKENS = 16384
GROUPS = (8, 16, 32)
PROMPTS = (2, 4, 8)
NEW_TOKENS = 64
WEIGHTS = {"tiny": 0.9e6, "small": 14.6e6, "base": 121e6}


def long_sequences(checkpoint, length, tokens, setup, name):
    """A step of fine-tuning on `tokens` tokens in sequences of `length`: the last of a few."""
    steps = 2 if setup.quick or tokens == TOKENS else 3
    data = documents(checkpoint, length, tokens // length * steps)
    config = SFT.format(
        checkpoint=checkpoint, data=data, steps=steps, batch_tokens=tokens - length // 2, length=length,
        microbatch_tokens=max(length, tokens // setup.threads), threads=setup.threads,
    )
    metrics, seen = grouper("sft", config, name)
    return {
        "seconds": median(update_seconds(m) for m in metrics[1:]),
        "tokens": median(m["tokens"] for m in metrics[1:]), "rss_mib": seen["rss_mib"], "others": seen["others"],
    }


def step(copy, data, setup, name, *, threads=None, group=8, count=4):
    """A GRPO step: the median of those after the first."""
    config = grpo_config(
        copy, data, threads or setup.threads, steps=3 if setup.quick else 4, prompts=count, group=group,
        new_tokens=NEW_TOKENS,
    )
    metrics, seen = grouper("grpo", config, name, cores=threads)
    full = [m for m in taught(metrics, count * group, NEW_TOKENS) if m["step"] > 1]
    return {
        "seconds": median(m["perf/seconds"] for m in full), "sample": median(m["perf/seconds/sample"] for m in full),
        "update": median(update_seconds(m) for m in full), "rss_mib": seen["rss_mib"], "others": seen["others"],
    }


def measure(setup):
    tiny, small = (setup.checkpoints / f"qwen2-{size}" for size in ("tiny", "small"))
    copy, data = endless(small), prompts(2, "grpo-prompts")
    lengths, alone = {}, {}
    for length in LENGTHS:
        lengths[str(length)] = long_sequences(tiny, length, TOKENS, setup, f"growth-length-{length}")
        whole = length == TOKENS
        alone[str(length)] = lengths[str(length)] if whole else long_sequences(
            tiny, length, length, setup, f"growth-sequence-{length}")
    note("growth: lengths done")
    groups = {str(g): step(copy, data, setup, f"growth-group-{g}", group=g) for g in GROUPS}
    batches = {str(p): step(copy, data, setup, f"growth-prompts-{p}", count=p) for p in PROMPTS}
    threads = {
        str(n): step(copy, data, setup, f"growth-threads-{n}", threads=n) for n in (1, 2, 4) if n <= setup.threads
    }
    note("growth: done")
    return {"lengths": lengths, "alone": alone, "groups": groups, "prompts": batches, "threads": threads}


def exponents(points, key):
    """Of each point the exponent of the growth since the one before: 1 is proportional, 0 is none."""
    shown, last = [], None
    for x, one in points.items():
        if last is None:
            shown.append("")
        else:
            shown.append(f"{math.log(one[key] / last[1][key]) / math.log(int(x) / int(last[0])):.2f}")
        last = (x, one)
    return shown


def grown(points, label, keys):
    """A table of points: of each key what was measured and its exponent."""
    rows = []
    columns = {key: exponents(points, key) for key, _ in keys}
    for i, (x, one) in enumerate(points.items()):
        cells = [f"{int(x):,}"]
        for key, _ in keys:
            cells += [number(one[key]), columns[key][i]]
        rows.append([*cells, quietness(one["others"])])
    head = [label]
    for _, name in keys:
        head += [name, "exponent"]
    return table([*head, "others' cores"], rows)


def show(results, docs):
    found = present(results, "growth")
    if not found:
        return absent(results, "growth")
    seconds, memory = ("seconds", "step, s"), ("rss_mib", "peak memory, MiB")
    parts = (("sample", "sampling, s"), ("update", "update, s"))
    long = {x: one for x, one in found["alone"].items()}
    floor = min(one["rss_mib"] for one in long.values())
    last = list(long.values())[-1]["rss_mib"]
    text = f"""\
An exponent is that of the growth since the line above: 1 is proportional, 2 quadratic, 0 no growth.

**Sequence length, time.** `tiny`, fine-tuning on {TOKENS:,} tokens a step, whatever the length. Products cost the same for
every token, attention as much as there are positions before it: the exponent should go from 0 towards 1, never beyond.

{grown(found["lengths"], "tokens of a sequence", (seconds,))}
**Sequence length, memory.** `tiny`, one sequence a step. Attention keeps no probabilities and logits exist in chunks, so
what is kept is rows: beside the {number(floor)} MiB of the shortest, memory should grow in proportion, which is an exponent
that comes from 0 and stays at or below 1. From {LENGTHS[0]} to {LENGTHS[-1]:,} tokens it came to {number(last)} MiB,
{number((last - floor) * 1024 / (LENGTHS[-1] - LENGTHS[0]))} KiB a token.

{grown(long, "tokens of the sequence", (seconds, memory))}
**Group size.** `small`, 4 prompts, {NEW_TOKENS} tokens. A prompt is encoded once however many completions follow, so time
should grow a little less than in proportion; sampling less than that, since products with more rows are faster.

{grown(found["groups"], "completions of a prompt", (seconds, *parts, memory))}
**Prompts of a step.** `small`, 8 completions, {NEW_TOKENS} tokens. Every group is the same work: the update in proportion,
sampling less while there are few rows; memory is that of the microbatches in flight and of the key cache, and
should stand still once every thread has one.

{grown(found["prompts"], "prompts", (seconds, *parts, memory))}
**Threads.** `small`, 4 prompts × 8 completions, {NEW_TOKENS} tokens, on as many cores. −1 would be a perfect share.

{grown(found["threads"], "threads", (seconds, *parts, memory))}
"""
    return text + sizes(results) + when(found) + plots(found, docs)


def sizes(results):
    """Growth with the number of weights, from the GRPO measure."""
    rows, last = [], None
    for size, one in grpo.sizes(results).items():
        time, rss = grpo.middle(one, "ours", "seconds"), median(run["rss_mib"] for run in one["ours"])
        grown = lambda now, before: f"{math.log(now / before) / math.log(WEIGHTS[size] / WEIGHTS[last[0]]):.2f}"
        rows.append([f"`{size}`, {number(WEIGHTS[size] / 1e6)}M", number(time), grown(time, last[1]) if last else "",
                     number(rss), grown(rss, last[2]) if last else ""])
        last = (size, time, rss)
    if not rows:
        return ""
    return f"""**Weights.** The GRPO step of above. Products grow with the weights, attention and what is done row by row with
the width: time should grow a little less than in proportion, memory by 16 bytes a weight (weights, gradient, two moments)
and 4 for the copy that products read, on top of the rows.

{table(["weights", "step, s", "exponent", "peak memory, MiB", "exponent"], rows)}
"""


def plots(found, docs):
    def line(points, key):
        return [(int(x), one[key]) for x, one in points.items()]

    curves(docs / "benchmarks-growth-length.svg", "qwen2-tiny: fine-tuning, by sequence length", "tokens of a sequence",
           "seconds a step", {f"{TOKENS:,} tokens a step": line(found["lengths"], "seconds"),
                              "one sequence a step": line(found["alone"], "seconds")})
    curves(docs / "benchmarks-growth-memory.svg", "qwen2-tiny: peak memory, one sequence a step",
           "tokens of the sequence", "MiB", {"peak memory": line(found["alone"], "rss_mib")})
    curves(docs / "benchmarks-growth-step.svg", "qwen2-small: a GRPO step", "completions of a prompt, prompts, threads",
           "seconds", {"group size": line(found["groups"], "seconds"), "prompts": line(found["prompts"], "seconds"),
                       "threads": line(found["threads"], "seconds")})
    names = {"length": "Time by sequence length", "memory": "Memory by sequence length", "step": "Time of a GRPO step"}
    return "".join(f"\n![{title}](benchmarks-growth-{name}.svg)\n" for name, title in names.items())


def goals(_):
    return []
