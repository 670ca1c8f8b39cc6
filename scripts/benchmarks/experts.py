"""Draws the runs of the tiny mixture of experts into docs: `python3 -m benchmarks.experts SFT_RUN GRPO_RUN`, in scripts/."""

import json
import sys
from pathlib import Path

from benchmarks.plot import lines

DOCS = Path(__file__).parents[2] / "docs"


def column(run, key, window=1):
    """A key's numbers by step, each the mean of as many as `window`."""
    rows = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    found = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    parts = [found[i : i + window] for i in range(0, len(found), window)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def main(sft, grpo):
    blocks = [1, 2]
    names = {**{block: f"block {block}" for block in blocks}, 3: "module of multi-token prediction"}
    load = {name: column(sft, f"router/max_violation/{block}", 20) for block, name in names.items()}
    lines(DOCS / "moe-load.svg", "moe_tiny: load of experts in pre-training", "step", "busiest ÷ mean − 1", load)
    lines(
        DOCS / "moe-grpo.svg",
        "r1_zero_moe_tiny",
        "step",
        "share, load",
        {
            "accuracy of completions": column(grpo, "accuracy"),
            "held-out pass@1": column(grpo, "eval/pass@1"),
            **{f"load of block {block}": column(grpo, f"router/max_violation/{block}") for block in blocks},
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
