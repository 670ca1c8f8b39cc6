"""What is measured. Each function runs ours and theirs in turns and returns plain numbers."""

import json
import os
import re
import shutil
import statistics

from benchmarks.page import SHAPES
from benchmarks.process import PEERS, PYTHON, QUIET, ROOT, WORK, grouper, helper, note, peer, run

BATCHES = (1, 8, 32, 128)
SFT_LENGTHS = (512, 2048)
NEW_TOKENS = 128


def endless(checkpoint):
    """A copy of a checkpoint whose end token cannot be drawn, as TRL's `suppress_tokens` does it: the tokenizer does
    not know the token, so its id is left out of the softmax. Weights, config and work are the same.

    Its decoder also spells the first letter of a text as `\\boxed{1}` where it is a space or one of a to m: so the
    accuracy rule tells the random completions of a group apart, and few groups are left out of the update."""
    copy = WORK / "checkpoints" / checkpoint.name
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        os.symlink((checkpoint / name).resolve(), copy / name)
    end = json.loads((checkpoint / "config.json").read_text())["eos_token_id"]
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] != end]
    mark = {"type": "Replace", "pattern": {"Regex": r"\A[ a-m]"}, "content": r"\boxed{1}"}
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], mark]}
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    settings = {k: v for k, v in settings.items() if k not in ("eos_token", "chat_template", "added_tokens_decoder")}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    return copy


def prompts(shots, name):
    """The peers' prompts as our data set."""
    dumped, data = WORK / f"{name}-dump.jsonl", WORK / f"{name}.jsonl"
    run([PYTHON, PEERS / "trl_grpo.py", "none", "--steps", "16", "--shots", shots, "--dump-data", dumped], name)
    rows = [json.loads(line) for line in dumped.read_text().splitlines()]
    data.write_text("".join(json.dumps({"prompt": row["prompt"], "answer": "1"}) + "\n" for row in rows))
    return data


GRPO = """\
[model]
checkpoint = "{checkpoint}"
dtype = "f32"
device = "cpu"
[data]
template = "plain"
source.files = {{ paths = ["{data}"] }}
[rollout]
max_tokens = {new_tokens}
max_batch = 128
[[rewards]]
accuracy = {{ weight = 1.0, kind = "exact", extract = "boxed" }}
[grpo]
steps = {steps}
prompts_per_step = {prompts}
group_size = {group}
microbatch_tokens = 1280
eval_every = {eval_every}
[grpo.objective]
normalize = "token"
[optimizer]
lr = 1e-6
max_grad_norm = 1.0
[run]
workers = {threads}
save_every = 0
"""

EVAL = """\
[eval]
samples = 1
max_tokens = {new_tokens}
sampling = {{ temperature = 1.0, top_p = 1.0 }}
[[eval.sets]]
name = "batch"
n_problems = {batch}
data = {{ template = "plain", source.files = {{ paths = ["{data}"] }} }}
"""


def ours_grpo(size, checkpoint, data, steps, threads, turn):
    config = GRPO.format(
        checkpoint=checkpoint, data=data, new_tokens=NEW_TOKENS, steps=steps, prompts=4, group=8, eval_every=0,
        threads=threads,
    )
    metrics, seen = grouper("grpo", config, f"grpo-{size}-ours-{turn}", mark=r"^step +1/")
    whole = 4 * 8 * NEW_TOKENS
    full = [m for m in metrics if m["tokens"] == whole and m["groups_all_right"] + m["groups_all_wrong"] == 0]
    return {
        "steps": [
            {"seconds": m["perf/seconds"], "sample": m["perf/seconds/sample"], "update": m["perf/seconds/update"]}
            for m in full if m["step"] > 1
        ],
        "left_out": len(metrics) - len(full),
        "mismatch_max": max(m["mismatch_max"] for m in metrics),
        "first_step": seen["marked"], "rss_mib": seen["rss_mib"], "others": seen["others"],
    }


def theirs_grpo(size, checkpoint, steps, threads, turn):
    shape = ["--prompts-per-step", 4, "--generations", 8, "--max-completion-length", NEW_TOKENS, "--steps", steps]
    result = peer("trl_grpo.py", checkpoint, *shape, name=f"grpo-{size}-theirs-{turn}", threads=threads)
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


def grpo(args, checkpoints):
    data, found = prompts(2, "grpo-prompts"), {}
    for size in ("tiny", "small"):
        checkpoint = checkpoints / f"qwen2-{size}"
        copy = endless(checkpoint)
        ours, theirs = [], []
        for turn in range(args.rounds):
            pair = [
                lambda: ours.append(ours_grpo(size, copy, data, 9, args.threads, turn)),
                lambda: theirs.append(theirs_grpo(size, checkpoint, 4, args.threads, turn)),
            ]
            for measure in pair if turn % 2 == 0 else reversed(pair):
                measure()
        # The peer tells of each step what others took of the cores; of ours that is known for a process.
        left = undisturbed([step for run in theirs for step in run["steps"]])
        for run in theirs:
            run["steps"] = [step for step in run["steps"] if step in left]
            run["others"] = max((step["others"] for step in run["steps"]), default=0)
        quiet = [run for run in ours if run["others"] <= QUIET]
        found[size] = {"ours": quiet or ours, "theirs": theirs}
        note(f"grpo {size}: {statistics.median(s['seconds'] for r in ours for s in r['steps']):.3f} s ours, "
             f"{statistics.median(s['seconds'] for r in theirs for s in r['steps']):.3f} s theirs")
    return found


LENGTHS = """
import json, sys, statistics
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
rows = [json.loads(line) for line in open(sys.argv[2])]
print(json.dumps([len(tokenizer.encode(row["prompt"]).ids) for row in rows]))
"""


def ours_sample(copy, data, threads, turn):
    cells = {}
    for batch in BATCHES:
        name = f"sample-{batch}-ours-{turn}"
        settings = {"checkpoint": copy, "data": data, "new_tokens": NEW_TOKENS, "threads": threads}
        config = GRPO.format(steps=3, prompts=1, group=2, eval_every=1, **settings)
        config = config.replace(f"max_tokens = {NEW_TOKENS}", "max_tokens = 4", 1)
        config += EVAL.format(batch=batch, **settings)
        metrics, seen = grouper("grpo", config, name)
        evals = [m for m in metrics if "perf/seconds/eval" in m]
        if any(m["eval/len"] != NEW_TOKENS for m in metrics if "eval/len" in m):
            raise RuntimeError(f"{name}: a completion ended early")
        # The first evaluation warms up.
        rates = [batch * NEW_TOKENS / m["perf/seconds/eval"] for m in evals[1:]]
        cells[batch] = {"rates": rates, "others": seen["others"]}
    return cells


def sample(args, checkpoints):
    checkpoint = checkpoints / "qwen2-small"
    copy, data = endless(checkpoint), prompts(1, "sample-prompts")
    lengths = helper(LENGTHS, copy / "tokenizer.json", data, name="lengths")
    length = round(statistics.mean(lengths))
    ours = [ours_sample(copy, data, args.threads, 0)]
    theirs = peer(
        "hf_generate.py", checkpoint, "--dtype", "float32", "--batch", *BATCHES, "--prompt-tokens", length,
        "--new-tokens", NEW_TOKENS, name="sample-theirs", threads=args.threads,
    )
    ours.append(ours_sample(copy, data, args.threads, 1))
    note("sample: done")
    return {
        "prompt_tokens": length,
        "ours": {b: {"rates": [r for turn in ours for r in turn[b]["rates"]],
                     "others": max(turn[b]["others"] for turn in ours)} for b in BATCHES},
        "theirs": {cell["batch"]: {"overall": cell["overall_tokens_per_s"], "decode": cell["decode_tokens_per_s"],
                                   "others": max(cell["others_per_run"])} for cell in theirs["cells"]},
    }


SFT = """\
[model]
checkpoint = "{checkpoint}"
dtype = "f32"
device = "cpu"
[data]
template = "plain"
source.files = {{ paths = ["{data}"] }}
[sft]
steps = {steps}
batch_tokens = {batch_tokens}
max_tokens = {length}
microbatch_tokens = {microbatch_tokens}
loss_on = "everything"
[optimizer]
lr = 1e-5
max_grad_norm = 1.0
[run]
workers = {threads}
save_every = 0
"""

# The peers' documents put one after the other and cut into texts that fill a sequence with its end token.
DOCUMENTS = """
import json, sys, peerlib
from tokenizers import Tokenizer
tokenizer, length, count, out = Tokenizer.from_file(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
text = "\\n".join(row["text"] for row in peerlib.sft_documents(count=900, seed=0))
encoded, texts, lengths, at = tokenizer.encode(text), [], [], 0
while len(texts) < count and at + length < len(encoded.ids):
    piece = text[encoded.offsets[at][0] : encoded.offsets[at + length - 4][0]]
    at += length - 4
    n = len(tokenizer.encode(piece).ids) + 1
    if n <= length:
        texts.append(piece)
        lengths.append(n)
with open(out, "w") as file:
    file.writelines(json.dumps({"text": piece}) + "\\n" for piece in texts)
print(json.dumps(lengths))
"""


def sft(args, checkpoints):
    checkpoint, found = checkpoints / "qwen2-small", {}
    per_step, steps = 4096, 5
    for length in SFT_LENGTHS:
        data = WORK / f"sft-{length}.jsonl"
        helper(DOCUMENTS, checkpoint / "tokenizer.json", length, per_step // length * steps, data, name=f"sft-{length}")
        config = SFT.format(
            checkpoint=checkpoint, data=data, steps=steps, batch_tokens=per_step - length // 2, length=length,
            microbatch_tokens=max(length, per_step // args.threads), threads=args.threads,
        )
        ours, theirs = [], {}
        for turn, way in enumerate(("trl", "plain")):
            metrics, seen = grouper("sft", config, f"sft-{length}-ours-{turn}")
            rates = [m["tokens"] / m["perf/seconds/update"] for m in metrics if m["step"] > 1]
            ours.append({"rates": rates, "others": seen["others"], "rss_mib": seen["rss_mib"]})
            result = peer(
                "hf_sft.py", checkpoint, "--way", way, "--seq-len", length, "--tokens-per-step", per_step, "--steps", 4,
                name=f"sft-{length}-{way}", threads=args.threads,
            )
            cell = result["cells"][0]
            theirs[way] = {
                "rates": [step["tokens"] / step["seconds"] for step in undisturbed(cell["steps"][1:])],
                "others": max(step["others"] for step in undisturbed(cell["steps"][1:])), "rss_mib": result["seen"]["rss_mib"],
            }
        found[length] = {"ours": ours, "theirs": theirs}
    note("sft: done")
    return found


# Rates of libtorch's products, and of a copy, with a given number of threads.
LIMITS = """
import json, sys, time, torch
threads = int(sys.argv[1])
torch.set_num_threads(threads)
def best(work, cost):
    work()
    times = []
    end = time.perf_counter() + 0.25
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    times.sort()
    return cost / times[len(times) // 2] / 1e9
rates = {}
for name, n, k in json.loads(sys.argv[2]):
    w = torch.rand(n, k) - 0.5
    for m in (1, 8, 32, 1156):
        x = torch.rand(m, k) - 0.5
        rates[f"{name}/forward/{m}"] = best(lambda: torch.nn.functional.linear(x, w), 2 * m * n * k)
    dy = torch.rand(m, n) - 0.5
    gradient = torch.zeros(n, k)
    rates[f"{name}/input_gradient/{m}"] = best(lambda: dy @ w, 2 * m * n * k)
    rates[f"{name}/weight_gradient/{m}"] = best(lambda: gradient.addmm_(dy.T, x), 2 * m * n * k)
a, b = torch.zeros(1 << 26), torch.zeros(1 << 26)
print(json.dumps({"gflops": rates, "copy_gb": best(lambda: b.copy_(a), 2 * a.numel() * 4)}))
"""


def limits(args, _):
    shapes = json.dumps(SHAPES)
    torch = {threads: helper(LIMITS, threads, shapes, name=f"limits-{threads}") for threads in (1, args.threads)}
    for old in (ROOT / "target/criterion").glob("product_*"):
        shutil.rmtree(old)
    command = ["cargo", "bench", "--locked", "-p", "model", "--bench", "product", "--", "--noplot"]
    seen = run(command, "products")
    ours, route = {}, "unknown"
    for path in (ROOT / "target/criterion").glob("product_*/**/new/benchmark.json"):
        made = json.loads(path.read_text())
        nanoseconds = json.loads((path.parent / "estimates.json").read_text())["median"]["point_estimate"]
        ours[made["function_id"]] = made["throughput"]["Elements"] / nanoseconds
        route = made["group_id"].removeprefix("product_")
    note("limits: done")
    return {"torch": torch, "ours": ours, "route": route, "others": seen["others"]}
