"""From the start of the process to the end of the first optimizer step."""

import gzip
import json
import shutil
from statistics import median

from benchmarks.inputs import endless, first_line, grpo_config, prompts
from benchmarks.markdown import Goal, absent, at_most, number, present, quietness, spread, table, when
from benchmarks.process import CACHE, PEERS, grouper, helper, note

TITLE = "From nothing to the first step"

COMPLETIONS, TOKENS = 8, 4

# The shape of a published half-billion model (Qwen2.5-0.5B's config.json).
HALF_BILLION = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
    "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936,
    "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu",
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "bos_token_id": 151643, "eos_token_id": 151643,
}

# Random weights under the names that a checkpoint of this family has, in bf16.
WEIGHTS = """
import json, sys, torch
from safetensors.torch import save_file
config, out = json.loads(sys.argv[1]), sys.argv[2]
d, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
head = d // config["num_attention_heads"]
kv = head * config["num_key_value_heads"]
torch.manual_seed(0)
noise = lambda *shape: torch.empty(shape, dtype=torch.float32).normal_(0, 0.02).bfloat16()
ones = lambda: torch.ones(d, dtype=torch.bfloat16)
weights = {"model.embed_tokens.weight": noise(v, d), "model.norm.weight": ones()}
for layer in range(config["num_hidden_layers"]):
    at = f"model.layers.{layer}."
    weights |= {at + "input_layernorm.weight": ones(), at + "post_attention_layernorm.weight": ones()}
    for name, rows in (("q", d), ("k", kv), ("v", kv)):
        weights[at + f"self_attn.{name}_proj.weight"] = noise(rows, d)
        weights[at + f"self_attn.{name}_proj.bias"] = noise(rows)
    weights[at + "self_attn.o_proj.weight"] = noise(d, d)
    weights[at + "mlp.gate_proj.weight"], weights[at + "mlp.up_proj.weight"] = noise(f, d), noise(f, d)
    weights[at + "mlp.down_proj.weight"] = noise(d, f)
save_file(weights, out, metadata={"format": "pt"})
print(sum(w.numel() for w in weights.values()))
"""


def half_billion(setup):
    """A checkpoint of half a billion random weights, made once; its tokenizer is the model's own where it lies beside the
    peers, else that of `small`, which is read faster."""
    folder = CACHE / "checkpoints" / "qwen2-half-billion"
    if not (folder / "model.safetensors").exists():
        note("making a checkpoint of half a billion weights in the cache folder")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        published = PEERS.parent / "data" / "tokenizers" / "qwen2.5"
        if (published / "tokenizer.json.gz").exists():
            (folder / "tokenizer.json").write_bytes(gzip.decompress((published / "tokenizer.json.gz").read_bytes()))
            shutil.copyfile(published / "tokenizer_config.json", folder / "tokenizer_config.json")
        else:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copyfile(setup.checkpoints / "qwen2-small" / name, folder / name)
        (folder / "config.json").write_text(json.dumps(HALF_BILLION))
        helper(WEIGHTS, json.dumps(HALF_BILLION), folder / "part.safetensors", name="half-billion")
        (folder / "part.safetensors").rename(folder / "model.safetensors")
    return folder


def measure(setup):
    data, found = prompts(1, "sample-prompts"), {}
    checkpoints = {"tiny": lambda: setup.checkpoints / "qwen2-tiny", "half a billion": lambda: half_billion(setup)}
    for (name, checkpoint), times in zip(checkpoints.items(), (1, 1) if setup.quick else (7, 3)):
        try:
            copy = endless(checkpoint())
            config = grpo_config(copy, data, setup.threads, steps=1, prompts=1, group=COMPLETIONS, new_tokens=TOKENS)
            # Nothing is evaluated or saved before the first step's line, and the process ends with it.
            runs = []
            # The first process reads the files from the disk, the others find them in memory.
            for turn in range(times + 1):
                process = f"start-{name.replace(' ', '-')}-{turn}"
                metrics, seen = grouper("grpo", config, process, mark=r"^step +1/", stop=True)
                runs.append({"seconds": seen["marked"], "rss_mib": seen["rss_mib"], "others": seen["others"],
                             "step": metrics[0]["perf/seconds"], "learned": bool(metrics[0].get("grad"))})
            if not all(run["learned"] for run in runs):
                raise RuntimeError("the first step taught nothing, and moved no weights")
            found[name] = {"runs": runs[1:], "bytes": (copy / "model.safetensors").stat().st_size}
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            note(f"start, {name}: {error}")
            found[name] = {"failed": first_line(error)}
    note("start: done")
    return {"checkpoints": found}


def show(results, _):
    found = present(results, "start")
    if not found:
        return absent(results, "start")
    rows = []
    for name, one in found["checkpoints"].items():
        if "failed" in one:
            rows.append([f"`{name}`", f"failed: {one['failed']}", "", "", "", ""])
            continue
        values = {key: [run[key] for run in one["runs"]] for key in ("seconds", "step", "rss_mib", "others")}
        rows.append([
            f"`{name}`", number(one["bytes"] / 1e6), spread(values["seconds"]), spread(values["step"]),
            number(max(values["rss_mib"])), quietness(max(values["others"])),
        ])
    copy = present(results, "limits")
    limit = ""
    if copy and "failed" not in found["checkpoints"]["half a billion"]:
        # Weights are read in bf16, and written in f32 twice: as masters and as the copy that products read.
        moved = 5 * found["checkpoints"]["half a billion"]["bytes"] / 1e9
        limit = (f"At the measured speed of a copy with all threads, reading the half billion weights and writing them as\n"
                 f"masters and for products ({number(moved)} GB) takes {number(moved / copy['copy_gb']['all'])} s: "
                 "the least that a start can cost.\n")
    head = ["checkpoint", "weights, MB", "process start to the end of step 1, s", "of it the step, s", "peak memory, MiB",
            "others' cores"]
    return f"""\
`grouper grpo` with one prompt × {COMPLETIONS} completions × {TOKENS} tokens and one AdamW update, in float32: from the
start of the process to the line that reports the step. `half a billion` has the shape of Qwen2.5-0.5B with random
weights in bfloat16. The checkpoint's files are in the system's cache: a process before the measured ones has read them.

{table(head, rows)}
{limit}{when(found)}"""


def goals(results):
    found = present(results, "start")
    goal = Goal("start of the process to the end of the first step", "< 1 s / < 10 s")
    for name, bar in (("tiny", 1), ("half a billion", 10)):
        one = found and found["checkpoints"][name]
        one = None if not one or "failed" in one else one
        seconds = one and median(run["seconds"] for run in one["runs"])
        goal.part(name, seconds, lambda value, bar=bar: value < bar, lambda value: f"{number(value)} s",
                  max(run["others"] for run in one["runs"]) if one else 0)
    return [goal]
