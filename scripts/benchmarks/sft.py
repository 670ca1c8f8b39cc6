"""Supervised fine-tuning beside TRL's packed trainer and a plain loop."""

from statistics import median

from benchmarks import limits
from benchmarks.grpo import undisturbed
from benchmarks.inputs import SFT, documents, update_seconds
from benchmarks.markdown import Goal, absent, at_least, number, percent, present, quietness, spread, table, times, when
from benchmarks.process import grouper, note, peer

TITLE = "Supervised fine-tuning"

LENGTHS = (512, 2048)
TOKENS = 4096


def measure(setup):
    checkpoint, found = setup.checkpoints / "qwen2-small", {}
    steps, their_steps = (2, 2) if setup.quick else (5, 4)
    for length in LENGTHS:
        data = documents(checkpoint, length, TOKENS // length * steps)
        config = SFT.format(
            checkpoint=checkpoint, data=data, steps=steps, batch_tokens=TOKENS - length // 2, length=length,
            microbatch_tokens=max(length, TOKENS // setup.threads), threads=setup.threads,
        )
        ours, theirs = [], {}
        for turn, way in enumerate(("trl",) if setup.quick else ("trl", "plain")):
            metrics, seen = grouper("sft", config, f"sft-{length}-ours-{turn}")
            rates = [m["tokens"] / update_seconds(m) for m in metrics if m["step"] > 1]
            ours.append({"rates": rates, "others": seen["others"], "rss_mib": seen["rss_mib"]})
            result = peer(
                "hf_sft.py", checkpoint, "--way", way, "--seq-len", length, "--tokens-per-step", TOKENS,
                "--steps", their_steps, name=f"sft-{length}-{way}", threads=setup.threads,
            )
            left = undisturbed(result["cells"][0]["steps"][1:])
            theirs[way] = {
                "rates": [step["tokens"] / step["seconds"] for step in left],
                "others": max(step["others"] for step in left), "rss_mib": result["seen"]["rss_mib"],
            }
        found[str(length)] = {"ours": ours, "theirs": theirs}
    note("sft: done")
    return {"lengths": found}


def rates(one):
    return [rate for run in one["ours"] for rate in run["rates"]]


def disturbance(one):
    return max([run["others"] for run in one["ours"]] + [way["others"] for way in one["theirs"].values()])


def show(results, _):
    found = present(results, "sft")
    if not found:
        return absent(results, "sft")
    rows, most = [], limits.sft_rate(results)
    for length, one in found["lengths"].items():
        cells = [length, spread(rates(one))]
        for way in ("trl", "plain"):
            theirs = one["theirs"].get(way)
            cells += [spread(theirs["rates"]), times(median(rates(one)) / median(theirs["rates"]))] if theirs else ["–", "–"]
        memory = [max(run["rss_mib"] for run in one["ours"]), one["theirs"]["trl"]["rss_mib"]]
        cells.append(percent(median(rates(one)) / most) if most else "–")
        rows.append([*cells, " / ".join(map(number, memory)), quietness(disturbance(one))])
    head = ["sequence", "grouper, tokens/s", "TRL packed, tokens/s", "ratio", "plain loop, tokens/s", "ratio",
            "our share of the products' limit", "peak MiB, grouper / TRL", "others' cores, at most"]
    return f"""\
`small`, {TOKENS:,} tokens a step, every token in the loss: `grouper sft` beside TRL's packed `SFTTrainer` and a plain
PyTorch loop. Our texts are the same documents, joined and cut to fill a sequence. The limit is that of the products
alone, at the rows of a GRPO microbatch: attention, whose share grows with the length, is not in it.

{table(head, rows)}
{when(found)}"""


def goals(results):
    found = present(results, "sft")
    goal = Goal("fine-tuning, tokens a second ÷ TRL's, by length", "≥ 1.2× / 1.5×")
    for length, bar in (("512", 1.2), ("2048", 1.5)):
        one = found and found["lengths"][length]
        ratio = one and median(rates(one)) / median(one["theirs"]["trl"]["rates"])
        goal.part(f"{length}:", ratio, at_least(bar), times, disturbance(one) if one else 0)
    return [goal]
