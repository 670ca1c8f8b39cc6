"""Grading answers as mathematics, beside Math-Verify on the same pairs of texts."""

import json
from statistics import median

from benchmarks.markdown import Goal, absent, at_least, at_most, number, percent, present, quietness, spread, table, times, when
from benchmarks.process import PEERS, PYTHON, WORK, bench, note, peer, run

TITLE = "Grading math"


def ours(*arguments):
    """What our benchmark prints last, with what others took meanwhile."""
    seen = bench("rewards", "math", *arguments)
    return json.loads(seen["out"].splitlines()[-1]) | {"others": seen["others"]}


def measure(setup):
    pairs = WORK / "math-pairs.jsonl"
    count = 200 if setup.quick else 2000
    run([PYTHON, PEERS / "math_verify_speed.py", "--pairs", count, "--dump-pairs", pairs], "math-pairs")
    bench("rewards", "math", pairs)
    turns = []
    # Ours and theirs by turns, one process of one thread at a time.
    for turn in range(1 if setup.quick else 3):
        mine = ours(pairs)
        arguments = ("--pairs", count, "--processes", 1, "--repeats", 1)
        theirs = peer("math_verify_speed.py", *arguments, name=f"math-{turn}", threads=1)
        cell = theirs["cells"][0]
        turns.append({
            "ours": mine,
            "theirs": {
                "verdicts_per_s": median(cell["verdicts_per_s"]["values"]) if "values" in cell["verdicts_per_s"]
                else cell["verdicts_per_s"]["median"],
                "p99_ms": cell["latency_ms"]["p99"], "max_ms": cell["latency_ms"]["max"],
                "agreement_with_intent": theirs["agreement_with_intent"], "others": max(cell["others_per_run"]),
            },
            "characters": theirs["mean_prediction_characters"], "versions": theirs["versions"],
        })
    note("math: done")
    return {"turns": turns, "pairs": count, "kinds": ours()}


def column(found, side, key):
    return [turn[side][key] for turn in found["turns"]]


def show(results, _):
    found = present(results, "math")
    if not found:
        return absent(results, "math")
    rows = []
    for name, side in (("grouper", "ours"), ("Math-Verify", "theirs")):
        rows.append([
            name, spread(column(found, side, "verdicts_per_s")), spread(column(found, side, "p99_ms")),
            number(max(column(found, side, "max_ms"))), percent(column(found, side, "agreement_with_intent")[-1]),
            quietness(max(column(found, side, "others"))),
        ])
    head = ["", "verdicts/s, one core", "p99, ms", "slowest, ms", "as intended", "others' cores"]
    kinds = [[name, number(found["kinds"][name])] for name in ("integers", "symbolic", "kinds")]
    versions = ", ".join(f"{name} {version}" for name, version in found["turns"][-1]["versions"].items() if version)
    return f"""\
{found['pairs']:,} generated pairs of an expected answer and a completion of {found['turns'][-1]['characters']:.0f} characters on average, half
of them right: finding the answer, reading both and comparing them. Ours with the options for evaluation, per second of
processor time; theirs ({versions}) per second on the clock, in a process of its own.
*As intended* is the share of verdicts that are those the generator meant.

{table(head, rows)}
Answers alone, without completions around them, with the options for training:

{table(["answers", "verdicts/s, one core"], kinds)}
{when(found)}"""


def goals(results):
    found = present(results, "math")
    ratio = found and median(turn["ours"]["verdicts_per_s"] / turn["theirs"]["verdicts_per_s"] for turn in found["turns"])
    others = max(column(found, "theirs", "others")) if found else 0
    beside = Goal("verdicts on mathematics, beside Math-Verify", "≥ 200×").part("", ratio, at_least(200), times, others)
    alone = Goal("verdicts a second and core: integers / symbolic", "≥ 50,000 / ≥ 5,000")
    for name, bar in (("integers", 50_000), ("symbolic", 5_000)):
        alone.part(name, found and found["kinds"][name], at_least(bar), number)
    slowest = found and max(column(found, "ours", "max_ms"))
    return [beside, alone, Goal("slowest verdict", "≤ 5 ms").part("", slowest, at_most(5), lambda ms: f"{number(ms)} ms")]
