"""A GRPO step beside TRL's: time, memory, start, share of the machine's limit, rewards behind sampling."""

from statistics import median

from benchmarks import limits
from benchmarks.inputs import GROUP, NEW_TOKENS, PROMPTS, endless, first_line, grpo_config, prompts, taught, update_seconds
from benchmarks.markdown import (
    Goal, absent, at_least, at_most, number, percent, present, quietness, spread, table, times, when,
)
from benchmarks.plot import COLOURS, PLAIN, bars
from benchmarks.process import QUIET, grouper, note, peer

TITLE = "A GRPO step"

# Of each size: turns, steps of ours in a turn, steps of theirs. The first step of a process is left out; the less time one
# takes, the more of them there are.
SIZES = {"tiny": (8, 21, 3), "small": (3, 7, 3), "base": (1, 6, 3)}
PARAMETERS = {"tiny": "1M", "small": "15M", "base": "121M"}


def ours(size, copy, data, steps, threads, turn):
    config = grpo_config(copy, data, threads, steps=steps)
    metrics, seen = grouper("grpo", config, f"grpo-{size}-ours-{turn}", mark=r"^step +1/")
    full = taught(metrics, PROMPTS * GROUP, NEW_TOKENS)
    return {
        "steps": [
            {"seconds": m["perf/seconds"], "sample": m["perf/seconds/sample"], "update": update_seconds(m)}
            for m in full if m["step"] > 1
        ],
        "left_out": len(metrics) - len(full),
        "mismatch_max": max(m["mismatch_max"] for m in metrics if "mismatch_max" in m),
        "score_hidden": [m["perf/score_hidden"] for m in full if "perf/score_hidden" in m],
        "first_step": seen["marked"], "rss_mib": seen["rss_mib"], "others": seen["others"],
    }


def theirs(size, checkpoint, steps, threads, turn):
    shape = ["--prompts-per-step", PROMPTS, "--generations", GROUP, "--max-completion-length", NEW_TOKENS]
    result = peer("trl_grpo.py", checkpoint, *shape, "--steps", steps, name=f"grpo-{size}-theirs-{turn}",
                  threads=threads)
    return {
        "steps": [
            {"seconds": s["seconds"], "sample": s["generation"], "update": s["forward_backward"] + s["optimizer"],
             "others": s["others"]}
            for s in result["steps"][1:]
        ],
        "prompt_tokens": result["shape"]["mean_prompt_tokens"],
        "first_step": result["startup_seconds"]["until_first_step_ends"],
        "rss_mib": result["seen"]["rss_mib"], "others": result["seen"]["others"], "versions": result["versions"],
    }


def undisturbed(steps):
    """The steps that other processes left alone, where there are any."""
    return [step for step in steps if step["others"] <= QUIET] or steps


def one_size(size, setup, data):
    turns, own_steps, their_steps = (1, 3, 2) if setup.quick else SIZES[size]
    checkpoint = setup.checkpoints / f"qwen2-{size}"
    copy, own, peers = endless(checkpoint), [], []
    limit = limits.InTurns(setup, size, limits.STEP)

    def our_turn(turn):
        limit.measure()
        own.append(ours(size, copy, data, own_steps, setup.threads, turn))

    def their_turn(turn):
        peers.append(theirs(size, checkpoint, their_steps, setup.threads, turn))

    for turn in range(turns):
        for measure in (our_turn, their_turn) if turn % 2 == 0 else (their_turn, our_turn):
            measure(turn)
    limit.measure()
    # The peer tells of each step what others took of the cores; of ours that is known for a process.
    left = undisturbed([step for run in peers for step in run["steps"]])
    for run in peers:
        run["steps"] = [step for step in run["steps"] if step in left]
        run["others"] = max((step["others"] for step in run["steps"]), default=0)
    quiet = [run for run in own if run["others"] <= QUIET]
    note(f"grpo {size}: {median(s['seconds'] for r in own for s in r['steps']):.3f} s ours, "
         f"{median(s['seconds'] for r in peers for s in r['steps']):.3f} s theirs")
    return {"ours": quiet or own, "theirs": peers, "limits": limit.result()}


def measure(setup):
    data, found = prompts(2, "grpo-prompts"), {}
    for size in ("tiny",) if setup.quick else SIZES:
        try:
            found[size] = one_size(size, setup, data)
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            note(f"grpo {size} failed: {error}")
            found[size] = {"failed": first_line(error)}
    return {"sizes": found}


def sizes(results):
    """The sizes that were measured."""
    found = present(results, "grpo")
    return {size: one for size, one in found["sizes"].items() if "failed" not in one} if found else {}


def steps(one, whose):
    return [step for run in one[whose] for step in run["steps"]]


def middle(one, whose, key):
    return median(step[key] for step in steps(one, whose))


def show(results, docs):
    if not present(results, "grpo"):
        return absent(results, "grpo")
    rows = []
    for size, one in sizes(results).items():
        for label, key in (("step, s", "seconds"), ("– sampling, s", "sample"), ("– update, s", "update")):
            a, b = ([s[key] for s in steps(one, whose)] for whose in ("ours", "theirs"))
            rows.append([f"`{size}` {label}", spread(a), spread(b), times(median(b) / median(a))])
        tokens = PROMPTS * GROUP * NEW_TOKENS
        a, b = (tokens / middle(one, whose, "seconds") for whose in ("ours", "theirs"))
        rows.append([f"`{size}` sampled tokens a second of the step †", number(a), number(b), times(a / b)])
        for label, key in (("peak memory, MiB", "rss_mib"), ("start to the end of step 1, s", "first_step")):
            a, b = ([run[key] for run in one[whose]] for whose in ("ours", "theirs"))
            rows.append([f"`{size}` {label}", spread(a), spread(b), times(median(b) / median(a))])
        hidden = [share for run in one["ours"] for share in run["score_hidden"]]
        rows.append([f"`{size}` share of scoring behind sampling", percent(median(hidden)) if hidden else "–", "", ""])
        a, b = (max(run["others"] for run in one[whose]) for whose in ("ours", "theirs"))
        rows.append([f"`{size}` cores taken by others", quietness(a), quietness(b), ""])
    runs = [run for one in sizes(results).values() for run in one["ours"]]
    failed = [f"`{size}` failed: {one['failed']}." for size, one in results["grpo"]["sizes"].items() if "failed" in one]
    text = f"""\
{PROMPTS} prompts × {GROUP} completions × {NEW_TOKENS} tokens, then one AdamW update on all of them: `grouper grpo`
beside TRL's `GRPOTrainer` (`dapo` loss, micro-batches of 8 completions, no gradient checkpointing). The prompts are the
same. Completions never end early: TRL suppresses the end token; ours get a copy of the checkpoint whose tokenizer does
not know it. The rewards are rules on both sides (not the same one), and take no time to speak of. Ours cuts the update
into one microbatch for each group.

{table(["", "grouper", "TRL", "TRL ÷ grouper"], rows)}
† grouper ÷ TRL. Largest difference between a sampled and a trained log-probability in grouper's runs:
{max((run['mismatch_max'] for run in runs), default=0):g}. Steps of grouper in which a group taught nothing, left out
because they are less work: {sum(run['left_out'] for run in runs)}. TRL's sampling is the time in `generate()`; what it
does around it (padding, decoding, rewards, its loop) is in the step alone. {' '.join(failed)}
"""
    shares = share_rows(results)
    if shares:
        head = ["", "products alone at their best rate, s", "grouper, s", "share"]
        text += f"""
The machine's limit for the same step: every product of it at the best rate that was measured for that shape, whoever's
code it was, with weights that come from where the policy's do (see *Limits of the machine*). {limit_text(results)}

{table(head, shares)}"""
    return text + "\n" + when(results["grpo"]) + plots(results, docs)


def limit_text(results):
    """How often the limits were measured."""
    often = {size: len(one["limits"]["turns"]) for size, one in sizes(results).items() if "limits" in one}
    if not often:
        return "The rates were measured by themselves."
    times = ", ".join(f"{many} (`{size}`)" for size, many in often.items())
    return f"""Each rate is the median of
{times} measurements in turns with the steps: one before each process of ours, and one after the last."""


def share_rows(results):
    rows = []
    for size, one in sizes(results).items():
        least = limits.grpo_step(results, size)
        if least:
            for label, key in (("sampling", "sample"), ("update", "update"), ("step", "seconds")):
                taken = middle(one, "ours", key)
                rows.append([f"`{size}` {label}", number(least[key]), number(taken), percent(least[key] / taken)])
    return rows


def plots(results, docs):
    colours = {"sampling": COLOURS[0], "update": COLOURS[1], "rest": PLAIN}
    text = ""
    for size, one in sizes(results).items():
        rows = []
        for label, whose in (("grouper", "ours"), ("TRL", "theirs")):
            sample, update, whole = (middle(one, whose, key) for key in ("sample", "update", "seconds"))
            rest = max(whole - sample - update, 0)
            rows.append((label, [("sampling", sample), ("update", update), ("rest", rest)]))
        name = f"benchmarks-grpo-{size}.svg"
        bars(docs / name, f"qwen2-{size} ({PARAMETERS[size]} parameters): a GRPO step", "s", rows, colours)
        text += f"\n![A GRPO step of qwen2-{size}]({name})\n"
    return text


def goals(results):
    found = sizes(results)
    others = {size: max(run["others"] for whose in ("ours", "theirs") for run in one[whose]) for size, one in found.items()}
    step = Goal("GRPO step, TRL's time ÷ ours", "≥ 5× / 2.5× / 2×")
    share = Goal("GRPO step, share of the products' limit", "≥ 50 %")
    memory = Goal("GRPO step, our peak memory ÷ TRL's", "≤ 0.5")
    hidden = Goal("scoring by rules hidden behind sampling", "≥ 95 %")
    exact = Goal("largest difference of a sampled and a trained log-probability", "0")
    for size, bar in (("tiny", 5), ("small", 2.5), ("base", 2)):
        one, least = found.get(size), limits.grpo_step(results, size)
        ratio = one and middle(one, "theirs", "seconds") / middle(one, "ours", "seconds")
        step.part(size, ratio, at_least(bar), times, others.get(size, 0))
        of_limit = one and least and least["seconds"] / middle(one, "ours", "seconds")
        disturbed = max(others.get(size, 0), least["others"] if least else 0)
        share.part(size, of_limit or None, at_least(0.5), percent, disturbed)
        rss = one and [median(run["rss_mib"] for run in one[whose]) for whose in ("ours", "theirs")]
        memory.part(size, rss and rss[0] / rss[1], at_most(0.5), number)
        shares = [share for run in one["ours"] for share in run["score_hidden"]] if one else []
        hidden.part(size, median(shares) if shares else None, at_least(0.95), percent)
        mismatch = one and max(run["mismatch_max"] for run in one["ours"])
        exact.part(size, mismatch, lambda value: value == 0, lambda value: f"{value:g}")
    return [exact, step, share, memory, hidden]
