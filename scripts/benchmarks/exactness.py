"""What exactness costs: our kernels beside libtorch's fastest way, weighted by their share of a step."""

import json

from benchmarks.markdown import Goal, absent, at_most, number, present, quietness, table, when
from benchmarks.process import bench, note

TITLE = "The price of exactness"


def measure(setup):
    runs = [bench("model", "exactness") for _ in range(1 if setup.quick else 3)]
    found = [json.loads(run["out"]) for run in runs]
    operations = []
    for same in zip(*(one["operations"] for one in found)):
        # The least disturbed of the processes, for either side.
        theirs = min(same, key=lambda one: one["theirs"])
        operations.append(same[0] | {"ours": min(one["ours"] for one in same), "theirs": theirs["theirs"],
                                     "way": theirs["way"]})
    note("exactness: done")
    return {
        "operations": operations, "pack": min(one["pack"] for one in found), "route": found[0]["route"],
        "others": max(run["others"] for run in runs),
    }


def families(found):
    """Operations by what they are, over all places of a step: seconds of ours and of theirs, and their ways."""
    by_name = {}
    for one in found["operations"]:
        gradient = one["name"].endswith("gradient")
        name = one["name"].split(",")[0]
        if name.startswith("product"):
            name = "products"
        name += ", gradient" if gradient else ""
        place = "" if gradient else f", {one['place']}"
        sums = by_name.setdefault(name + place, {"ours": 0.0, "theirs": 0.0, "ways": []})
        for whose in ("ours", "theirs"):
            sums[whose] += one["calls"] * one[whose]
        if one["way"] not in sums["ways"]:
            sums["ways"].append(one["way"])
    by_name["weights laid out for products"] = {"ours": found["pack"], "theirs": 0.0, "ways": ["needs none"]}
    return by_name


def price(found):
    """Σ share of our step × (ours ÷ theirs), and Σ ours ÷ Σ theirs. Laying out weights belongs to the products."""
    by_name = families(found)
    packed = by_name.pop("weights laid out for products")
    by_name["products, training"]["ours"] += packed["ours"]
    ours = sum(one["ours"] for one in by_name.values())
    weighted = sum(one["ours"] / ours * one["ours"] / one["theirs"] for one in by_name.values())
    return weighted, ours / sum(one["theirs"] for one in by_name.values())


def show(results, _):
    found = present(results, "exactness")
    if not found:
        return absent(results, "exactness")
    by_name = families(found)
    total = sum(one["ours"] for one in by_name.values())
    rows = []
    for name, one in by_name.items():
        rows.append([
            name, number(one["ours"]), number(one["theirs"]), number(one["ours"] / one["theirs"]) if one["theirs"] else "–",
            f"{100 * one['ours'] / total:.1f} %", "; ".join(one["ways"]),
        ])
    weighted, whole = price(found)
    head = ["operation", "grouper, s", "libtorch, s", "ours ÷ theirs", "share of ours", "libtorch's way"]
    return f"""\
Every kernel that sampler and trainer share does its work in one fixed order. Beside each stands the fastest way found in
libtorch to compute the same at the same shapes, with no order promised: one thread each, all calls of a GRPO step of
`small`. Rows are padded to multiples of 8 on our side alone, and counted. libtorch gets its inputs in the layout that it
likes, at no cost; our log-probabilities come with the entropy, its own without. A decoding step of ours reads keys in
pages; libtorch gets those of each completion in one piece.

{table(head, rows)}
Weighted by the share that each operation has of our step, ours ÷ theirs comes to **{number(weighted)}**; all of ours ÷ all
of theirs is {number(whole)}. Below 1 exactness costs nothing: the products of our own are the faster ones here
(`{found['route']}` route). Cores taken by others: {quietness(found['others'])}.
{when(found)}"""


def goals(results):
    found = present(results, "exactness")
    goal = Goal("price of exactness, ours ÷ libtorch's fastest by share of the step", "≤ 1.05")
    return [goal.part("", found and price(found)[0], at_most(1.05), number, found["others"] if found else 0)]
