"""What the machine can do: products at the shapes of a step, by whoever is fastest, and copies of memory."""

import functools
import json
from statistics import median

from benchmarks.inputs import GROUP, NEW_TOKENS, PROMPTS, fields, prompt_lengths, prompts
from benchmarks.markdown import absent, number, present, quietness, table, when
from benchmarks.process import QUIET, bench, note

TITLE = "Limits of the machine"

SIZES = ("tiny", "small", "base")
BATCHES = (1, 8, 32, 128)
KINDS = ("forward", "input_gradient", "weight_gradient")

# Bytes that a chunk of logits may take, and rows it has at most.
CHUNK_BYTES, CHUNK_ROWS = 64 << 20, 1024

WAYS = {
    "libtorch_together": "libtorch, one with all threads", "libtorch_apart": "libtorch, one a thread",
    "grouper_together": "grouper, one with all threads", "grouper_apart": "grouper, one a thread",
}


def shapes(network):
    """Name, rows and columns of each weight matrix, and how many the network has of it."""
    d, f, blocks = network["d"], network["f"], network["blocks"]
    return [
        ("qkv", network["q"] + 2 * network["kv"], d, blocks), ("output", d, network["q"], blocks),
        ("gate_up", 2 * f, d, blocks), ("down", d, f, blocks), ("head", network["v"], d, 1),
    ]


def cells_of(size, network, prompt, sampled_prompt, threads):
    """The products to be measured for a size: name, kind, rows of W, columns, rows of x in one product with all threads,
    how many stand side by side otherwise, rows of each of them, and how many matrices take turns. A place that ends in
    `cached` has one; elsewhere they are as large as the network together, so that they come from where its weights do."""
    for cell in streamed(size, network, prompt, sampled_prompt, threads):
        name, kind, n, k = cell[:4]
        whole = sum(count * rows * columns for _, rows, columns, count in shapes(network))
        yield *cell, 1 if kind == "weight_gradient" else -(-whole // (n * k))
        if kind == "forward" and not name.endswith(("prompt", "update")):
            yield f"{name}/cached", *cell[1:], 1


def streamed(size, network, prompt, sampled_prompt, threads):
    """The same without the number of matrices."""
    chunk = min(CHUNK_ROWS, CHUNK_BYTES // (4 * network["v"]))
    for name, n, k, _ in shapes(network):
        trained = chunk if name == "head" else prompt + GROUP * (NEW_TOKENS - 1)
        for kind in KINDS:
            yield f"{size}/{name}/{kind}/update", kind, n, k, trained, threads, trained
        for batch in BATCHES if size == "small" else (PROMPTS * GROUP,):
            copies = min(threads, batch)
            yield f"{size}/{name}/forward/{batch}", "forward", n, k, batch, copies, batch // copies
        if name != "head":
            yield f"{size}/{name}/forward/prompt", "forward", n, k, prompt, threads, prompt
            if size == "small":
                yield f"{size}/{name}/forward/sampled_prompt", "forward", n, k, sampled_prompt, threads, sampled_prompt


@functools.cache
def lengths(checkpoints):
    """Mean tokens of a GRPO step's prompts by size, and of those that `small` samples after."""
    folders = {size: checkpoints / f"qwen2-{size}" for size in SIZES}
    steps = prompt_lengths(prompts(2, "grpo-prompts"), folders.values())
    return dict(zip(SIZES, steps)), prompt_lengths(prompts(1, "sample-prompts"), [folders["small"]])[0]


def about(setup, sizes):
    """What limits are taken of: networks, tokens of a prompt, and the cells of each size."""
    networks = {size: fields(setup.checkpoints / f"qwen2-{size}") for size in sizes}
    prompt, sampled = lengths(setup.checkpoints)
    cells = [
        cell for size in sizes
        for cell in cells_of(size, networks[size], round(prompt[size]), round(sampled), setup.threads)
    ]
    return {
        "networks": networks, "prompt": prompt, "sampled_prompt": sampled, "threads": setup.threads,
        "cells": {cell[0]: cell[1:] for cell in cells},
    }


def rates(found, slices, seconds, copy=False):
    """The rates of all cells, each the best of so many slices of so many seconds."""
    cells = [(name, *cell) for name, cell in found["cells"].items()]
    asked = {"threads": found["threads"], "slices": slices, "seconds": seconds, "copy": copy, "cells": cells}
    seen = bench("model", "limits", json.dumps(asked))
    return json.loads(seen["out"]) | {"others": seen["others"]}


def measure(setup):
    found = about(setup, SIZES)
    found |= rates(found, 5, 0.004 if setup.quick else 0.02, copy=True)
    note("limits: done")
    return found


class InTurns:
    """The limit of what is done at some places of a size, measured in turns with doing it: the speed of a virtual machine
    moves within minutes."""

    def __init__(self, setup, size, places):
        self.found, self.turns = about(setup, (size,)), []
        cells = self.found["cells"]
        self.found["cells"] = {name: cell for name, cell in cells.items() if name.split("/")[3] in places}
        self.effort = (1, 0.004) if setup.quick else (6, 0.01)

    def measure(self):
        """Once more, for some seconds."""
        seen = rates(self.found, *self.effort)
        self.turns.append({key: seen[key] for key in ("gflops", "others")})

    def result(self):
        return self.found | {"turns": self.turns}


# Places of a GRPO step's products.
STEP = ("prompt", str(PROMPTS * GROUP), "update")


def middle(found):
    """Of a limit that was measured in turns, the median of each way of each shape, of the turns that other processes left
    alone, where there are any."""
    turns = [turn for turn in found["turns"] if turn["others"] <= QUIET] or found["turns"]
    first = turns[0]["gflops"]
    gflops = {
        cell: {way: median(turn["gflops"][cell][way] for turn in turns) for way in ways} for cell, ways in first.items()
    }
    return found | {"gflops": gflops, "others": max(turn["others"] for turn in turns)}


def in_turns(results, size):
    """The limit that was measured in turns with a size's GRPO steps, where it was."""
    one = (present(results, "grpo") or {"sizes": {}})["sizes"].get(size, {})
    return middle(one["limits"]) if "limits" in one else None


def of_step(results, size):
    """The limit that a size's GRPO step is compared to: in turns with it, or else by itself."""
    found = in_turns(results, size) or present(results, "limits")
    return found if found and size in found["networks"] else None


def of_sampling(results, batch):
    """The limit that sampling with `batch` completions is compared to: in turns with it, or else by itself."""
    own = (present(results, "sampling") or {}).get("limits")
    return middle(own[str(batch)]) if own else present(results, "limits")


def seconds(found, cell, rows):
    """The least time for a cell's product with `rows` rows in all."""
    _, n, k, *_ = found["cells"][cell]
    return 2 * rows * n * k / max(found["gflops"][cell].values()) / 1e9


def weights_mib(results, size):
    """Size of all matrices of a network in float32."""
    found = of_step(results, size)
    return sum(4 * count * n * k for _, n, k, count in shapes(found["networks"][size])) / 2**20 if found else 0.0


def forward(found, size, place, rows, head_rows, where=""):
    """The least time for all weights' products with `rows` rows, the head's with `head_rows`. `where` is `/cached` for
    weights that are in the cache."""
    total = 0.0
    for name, _, _, count in shapes(found["networks"][size]):
        many = head_rows if name == "head" else rows
        if many:
            total += count * seconds(found, f"{size}/{name}/forward/{place}{where}", many)
    return total


def update(found, size, rows, head_rows):
    """The least time for all products of a forward and backward pass."""
    return sum(
        count * seconds(found, f"{size}/{name}/{kind}/update", head_rows if name == "head" else rows)
        for name, _, _, count in shapes(found["networks"][size]) for kind in KINDS
    )


def grpo_step(results, size):
    """The least time of sampling, update and the whole of a GRPO step, and the cores that others took while it was
    measured: a share of a disturbed limit says too much. Nothing where limits were not measured."""
    found = of_step(results, size)
    if not found:
        return None
    prompt, completions = found["prompt"][size], PROMPTS * GROUP
    decoded = completions * (NEW_TOKENS - 1)
    sample = forward(found, size, completions, decoded, decoded) + forward(found, size, "prompt", PROMPTS * prompt, 0)
    learn = update(found, size, PROMPTS * prompt + decoded, completions * NEW_TOKENS)
    return {"sample": sample, "update": learn, "seconds": sample + learn, "others": found["others"]}


def sampling_rate(results, batch, where=""):
    """The most tokens a second that products allow when `small` samples with `batch` completions of own prompts."""
    found = of_sampling(results, batch)
    if not found:
        return None
    decoded = batch * (NEW_TOKENS - 1)
    least = forward(found, "small", batch, decoded, decoded, where)
    least += forward(found, "small", "sampled_prompt", batch * found["sampled_prompt"], 0)
    return batch * NEW_TOKENS / least


def sft_rate(results):
    """The most tokens a second that products allow when `small` learns from every token."""
    found = present(results, "limits")
    return found and 1 / update(found, "small", 1, 1)


def disturbance(results, batch):
    """Cores that others took while the limit of sampling was measured."""
    return (of_sampling(results, batch) or {"others": 0.0})["others"]


def show(results, _):
    found = present(results, "limits")
    if not found:
        return absent(results, "limits")
    rows = []
    for size in SIZES:
        completions = PROMPTS * GROUP
        places = [(f"decoding, {completions} rows", "forward", completions)]
        places += [("the same, weights in the cache", "forward", f"{completions}/cached")]
        places += [(f"update, {kind.replace('_', ' ')}", kind, "update") for kind in KINDS]
        for label, kind, place in places:
            cells = [f"{size}/{name}/{kind}/{place}" for name, *_ in shapes(found["networks"][size])]
            counts = [count for *_, count in shapes(found["networks"][size])]
            flops = [count * found["cells"][cell][1] * found["cells"][cell][2] for cell, count in zip(cells, counts)]
            # The rate of all weights one after the other: the mean, weighted by the operations.
            mean = lambda rate: sum(flops) / sum(f / rate(cell) for f, cell in zip(flops, cells))
            line = [number(mean(lambda cell: found["gflops"][cell][way])) for way in WAYS]
            for limit in (found, in_turns(results, size)):
                best = limit and mean(lambda cell: max(limit["gflops"][cell].values()))
                line.append(number(best) if best else "–")
            rows.append([f"`{size}` {label}", *line])
    copied = found["copy_gb"]
    return f"""\
The products of a step in GFLOP/s (a multiply-add is two), over all weights of the network: each with all rows and all
{found['threads']} threads, or one on each thread, with the rows that a replica or worker has. What counts as the limit is
the best way of each single shape. Matrices take turns in the forward product and the input's gradient, as many as make up
the size of the network's: weights come from where they come from in a step, which is memory wherever a network is larger
than the caches. The rates of the single shapes are in `benchmarks.json`.

The table was measured at once, but for its last column: the same products in turns with GRPO steps. That is what the
steps' shares are of, where it was measured; sampling has such a limit of its own.

{table(["", *WAYS.values(), "best of each shape", "in turns with GRPO steps"], rows)}
Copying memory (bytes read and written): {number(copied['one'])} GB/s with 1 thread, {number(copied['all'])} GB/s with
{found['threads']}. grouper's products took the `{found['route']}` route. Cores taken by others: {quietness(found['others'])}.
{when(found)}"""


def goals(_):
    return []
