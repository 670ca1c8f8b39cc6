"""Sampling beside transformers' generate() and llama.cpp, by completions at once."""

import shutil
from statistics import median

from benchmarks import limits
from benchmarks.inputs import EVAL, NEW_TOKENS, endless, first_line, grpo_config, prompt_lengths, prompts
from benchmarks.markdown import Goal, absent, at_least, number, percent, present, quietness, spread, table, times, when
from benchmarks.plot import COLOURS, PLAIN, bars
from benchmarks.process import WORK, grouper, llama_missing, note, peer

TITLE = "Sampling"

BATCHES = limits.BATCHES


def ours(copy, data, setup, most, turn):
    """Rates by completions at once, the limit in `most` measured before and after each process."""
    cells = {}
    for batch, limit in most.items():
        name = f"sample-{batch}-ours-{turn}"
        config = grpo_config(copy, data, setup.threads, steps=3, prompts=1, group=2, eval_every=1, new_tokens=4)
        config += EVAL.format(batch=batch, data=data, new_tokens=NEW_TOKENS)
        limit.measure()
        metrics, seen = grouper("grpo", config, name)
        limit.measure()
        evals = [m for m in metrics if "perf/seconds/eval" in m]
        if any(m["eval/len"] != NEW_TOKENS for m in metrics if "eval/len" in m):
            raise RuntimeError(f"{name}: a completion ended early")
        # The first evaluation warms up.
        rates = [batch * NEW_TOKENS / m["perf/seconds/eval"] for m in evals[1:]]
        cells[batch] = {"rates": rates, "others": seen["others"]}
    return cells


def cells(result):
    return {
        str(cell["batch"]): {
            "overall": cell["overall_tokens_per_s"], "decode": cell["decode_tokens_per_s"],
            "others": max(cell["others_per_run"]),
        }
        for cell in result["cells"]
    }


def llama(checkpoint, length, setup, batches, repeats):
    """llama.cpp's rates, or why there are none."""
    missing = llama_missing()
    if missing:
        return {"missing": missing}
    try:
        result = peer(
            "llamacpp_generate.py", checkpoint, "--type", "f32", "--batch", *batches, "--prompt-tokens", length,
            "--new-tokens", NEW_TOKENS, "--repeats", repeats, "--gguf-dir", WORK / "gguf", name="sample-llama",
            threads=setup.threads,
        )
    except (RuntimeError, OSError, ValueError) as error:
        # A conversion that was cut off must not be taken for a whole one.
        shutil.rmtree(WORK / "gguf", ignore_errors=True)
        return {"missing": first_line(error)}
    return {"cells": cells(result), "versions": result["versions"]}


def measure(setup):
    checkpoint = setup.checkpoints / "qwen2-small"
    copy, data = endless(checkpoint), prompts(1, "sample-prompts")
    length = round(prompt_lengths(data, [checkpoint])[0])
    repeats, batches = (1, BATCHES[:2]) if setup.quick else (3, BATCHES)
    most = {batch: limits.InTurns(setup, "small", (str(batch), "sampled_prompt")) for batch in batches}
    turns = []

    def our_turn():
        turns.append(ours(copy, data, setup, most, len(turns)))

    our_turn()
    generate = peer(
        "hf_generate.py", checkpoint, "--dtype", "float32", "--batch", *batches, "--prompt-tokens", length,
        "--new-tokens", NEW_TOKENS, "--repeats", repeats, name="sample-theirs", threads=setup.threads,
    )
    if not setup.quick:
        our_turn()
    beside = llama(checkpoint, length, setup, batches, repeats)
    if not setup.quick:
        our_turn()
    note("sampling: done")
    return {
        "prompt_tokens": length,
        "ours": {
            str(b): {"rates": [rate for turn in turns for rate in turn[b]["rates"]],
                     "others": max(turn[b]["others"] for turn in turns)}
            for b in batches
        },
        "generate": cells(generate), "llama": beside,
        "limits": {str(batch): limit.result() for batch, limit in most.items()},
    }


def of(summary):
    """A peer's median with its spread."""
    if summary["n"] == 1:
        return f"{number(summary['median'])} (n = 1)"
    return f"{number(summary['median'])} ({number(summary['min'])} to {number(summary['max'])}, n = {summary['n']})"


def show(results, docs):
    found = present(results, "sampling")
    if not found:
        return absent(results, "sampling")
    llama_cells = found["llama"].get("cells", {})
    rates, shares = [], []
    for batch in found["ours"]:
        own, theirs, beside = found["ours"][batch], found["generate"][batch], llama_cells.get(batch)
        rate, overall = median(own["rates"]), theirs["overall"]
        line = [batch, spread(own["rates"]), of(overall), times(rate / overall["median"])]
        line += [of(beside["overall"]), times(rate / beside["overall"]["median"])] if beside else ["not measured", "–"]
        for where in ("", "/cached"):
            most = limits.sampling_rate(results, int(batch), where)
            line += [number(most), percent(rate / most)] if most else ["–", "–"]
        rates.append(line)
        shares.append([
            batch, number(theirs["decode"]["median"]), number(beside["decode"]["median"]) if beside else "–",
            quietness(own["others"]), quietness(theirs["others"]), quietness(beside["others"]) if beside else "–",
        ])
    head = ["completions", "grouper, tokens/s", "`generate()`, tokens/s", "ratio", "llama.cpp, tokens/s", "ratio",
            "limit of the products, tokens/s", "our share", "with weights in the cache", "our share"]
    missing = found["llama"].get("missing")
    why = f"llama.cpp was not measured: {missing}.\n\n" if missing else ""
    more = ["completions", "`generate()`, decoding steps only", "llama.cpp, decoding steps only",
            "others' cores, ours", "others' cores, `generate()`", "others' cores, llama.cpp"]
    return f"""\
{NEW_TOKENS} tokens after each prompt of {found['prompt_tokens']} (mean) at temperature 1, `small` in float32: the
evaluation of a run (each completion has a prompt of its own) beside transformers' `generate()` and llama.cpp (weights,
keys and values in float32, its own sampler, driven in lockstep). All rates count the new tokens over the whole call,
prompts included. The limit is that of the products alone, at that many rows, with weights that come from where a policy's
do: {number(limits.weights_mib(results, "small"))} MiB do not fit into the caches of the benchmark's machine, and each decoding step reads them all. The
column beside it is what no policy of this size can reach: the same product again and again, its weights in the cache.
{"Both are medians of measurements before and after each process of ours." if "limits" in found else ""}

{table(head, rates)}
{why}{table(more, shares)}
{when(found)}{plot(found, docs)}"""


def plot(found, docs):
    colours = {"grouper": COLOURS[0], "generate()": PLAIN, "llama.cpp": COLOURS[2]}
    rows = []
    for batch in found["ours"]:
        rows.append((f"grouper, {batch}", [("grouper", median(found["ours"][batch]["rates"]))]))
        rows.append((f"generate(), {batch}", [("generate()", found["generate"][batch]["overall"]["median"])]))
        beside = found["llama"].get("cells", {}).get(batch)
        if beside:
            rows.append((f"llama.cpp, {batch}", [("llama.cpp", beside["overall"]["median"])]))
    bars(docs / "benchmarks-sample.svg", "qwen2-small: sampling, by completions at once", "tokens/s", rows, colours)
    return "\n![Sampling of qwen2-small](benchmarks-sample.svg)\n"


def goals(results):
    found = present(results, "sampling")
    generate = Goal("sampling ÷ `generate()`, by completions at once", "≥ 5× / 2.5× / 2× / 2×")
    llama_goal = Goal("sampling ÷ llama.cpp", "≥ 1× / 1.2× / 1.2× / 1.2×")
    share = Goal("sampling, share of the products' limit", "≥ 60 %")
    for batch, bar, other in ((1, 5, 1), (8, 2.5, 1.2), (32, 2, 1.2), (128, 2, 1.2)):
        label = f"{batch}:"
        if not found or str(batch) not in found["ours"]:
            for goal in (generate, llama_goal, share):
                goal.part(label, None, None, None)
            continue
        own, theirs = found["ours"][str(batch)], found["generate"][str(batch)]
        beside = found["llama"].get("cells", {}).get(str(batch))
        rate, most = median(own["rates"]), limits.sampling_rate(results, batch)
        generate.part(label, rate / theirs["overall"]["median"], at_least(bar), times,
                      max(own["others"], theirs["others"]))
        llama_goal.part(label, beside and rate / beside["overall"]["median"], at_least(other), times,
                        max(own["others"], beside["others"]) if beside else 0)
        share.part(label, most and rate / most, at_least(0.6), percent, max(own["others"], limits.disturbance(results, batch)))
    return [generate, llama_goal, share]
