"""What the measured programs are given: checkpoints, prompts, documents, configurations."""

import json
import os
import re
import shutil

from benchmarks.process import PEERS, PYTHON, WORK, helper, run

# Prompts and completions of a GRPO step, and tokens of a completion.
PROMPTS, GROUP, NEW_TOKENS = 4, 8, 128


def endless(checkpoint):
    """A copy of a checkpoint whose end token cannot be drawn, as TRL's `suppress_tokens` does it: the tokenizer does
    not know the token, so its id is left out of the softmax. Weights, config and work are the same.

    Its decoder also spells the first letter of a text as `\\boxed{1}` where it is a space or one of a to m: so the
    accuracy rule tells the random completions of a group apart, and few groups are left out of the update."""
    copy = WORK / "checkpoints" / checkpoint.name
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        if (checkpoint / name).exists():
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


LENGTHS = """
import json, sys, statistics
from tokenizers import Tokenizer
rows = [json.loads(line) for line in open(sys.argv[1])]
means = []
for path in sys.argv[2:]:
    tokenizer = Tokenizer.from_file(path)
    means.append(statistics.mean(len(tokenizer.encode(row["prompt"]).ids) for row in rows))
print(json.dumps(means))
"""


def prompt_lengths(data, checkpoints):
    """Mean tokens of the prompts in `data`, by the tokenizer of each checkpoint."""
    return helper(LENGTHS, data, *(checkpoint / "tokenizer.json" for checkpoint in checkpoints), name="lengths")


# The peers' documents put one after the other and cut into texts that fill a sequence with its end token.
DOCUMENTS = """
import json, sys, peerlib
from tokenizers import Tokenizer
tokenizer, length, count = Tokenizer.from_file(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
texts_of, out = int(sys.argv[4]), sys.argv[5]
text = "\\n".join(row["text"] for row in peerlib.sft_documents(count=texts_of, seed=0))
encoded, texts, at = tokenizer.encode(text), [], 0
while len(texts) < count and at + length < len(encoded.ids):
    piece = text[encoded.offsets[at][0] : encoded.offsets[at + length - 4][0]]
    at += length - 4
    if len(tokenizer.encode(piece).ids) + 1 <= length:
        texts.append(piece)
with open(out, "w") as file:
    file.writelines(json.dumps({"text": piece}) + "\\n" for piece in texts)
print(json.dumps(len(texts)))
"""


def documents(checkpoint, length, count):
    """`count` texts that fill a sequence of `length` tokens each, as a data set."""
    data = WORK / f"{checkpoint.name}-documents-{length}-{count}.jsonl"
    if data.exists():
        return data
    # Half as much text again as is needed: a document has some 400 tokens.
    found = helper(
        DOCUMENTS, checkpoint / "tokenizer.json", length, count, max(20, length * count // 250), data,
        name=f"documents-{length}",
    )
    if found < count:
        data.unlink()
        raise RuntimeError(f"the documents fill {found} sequences of {length} tokens, {count} are needed")
    return data


HEAD = """\
[model]
checkpoint = "{checkpoint}"
dtype = "f32"
device = "cpu"
[data]
template = "plain"
source.files = {{ paths = ["{data}"] }}
"""

TAIL = """\
[run]
workers = {threads}
save_every = 0
"""

GRPO = HEAD + """\
[rollout]
max_tokens = {new_tokens}
max_batch = 128
[[rewards]]
accuracy = {{ weight = 1.0, kind = "exact", extract = "boxed" }}
[grpo]
steps = {steps}
prompts_per_step = {prompts}
group_size = {group}
microbatch_tokens = {microbatch_tokens}
eval_every = {eval_every}
[grpo.objective]
normalize = "token"
[optimizer]
lr = 1e-6
max_grad_norm = 1.0
""" + TAIL

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

SFT = HEAD + """\
[sft]
steps = {steps}
batch_tokens = {batch_tokens}
max_tokens = {length}
microbatch_tokens = {microbatch_tokens}
loss_on = "everything"
[optimizer]
lr = 1e-5
max_grad_norm = 1.0
""" + TAIL


def grpo_config(checkpoint, data, threads, **changed):
    """A GRPO run's configuration: the peers' shape where nothing else is said."""
    usual = {"steps": 1, "prompts": PROMPTS, "group": GROUP, "new_tokens": NEW_TOKENS, "eval_every": 0,
             "microbatch_tokens": 1280}
    return GRPO.format(checkpoint=checkpoint, data=data, threads=threads, **usual | changed)


def taught(metrics, completions, new_tokens):
    """The steps in which every completion had its full length and every group taught something."""
    def whole(step):
        return step["tokens"] == completions * new_tokens and not step["groups_all_right"] + step["groups_all_wrong"]
    steps = [step for step in metrics if "tokens" in step and whole(step)]
    if not any(step["step"] > 1 for step in steps):
        raise RuntimeError("there was no step after the first in which every group taught")
    return steps


def update_seconds(step):
    """Forward, backward and the move of the weights, as a peer's update has them."""
    return step["perf/seconds/update"] + step.get("perf/seconds/optimizer", 0.0)


def fields(config):
    """Widths of a network: D, F, columns of queries, keys and heads, V and its blocks."""
    found = json.loads((config / "config.json").read_text())
    heads, width = found["num_attention_heads"], found["hidden_size"]
    head = found.get("head_dim") or width // heads
    return {
        "d": width, "f": found["intermediate_size"], "q": heads * head, "kv": found["num_key_value_heads"] * head,
        "v": found["vocab_size"], "blocks": found["num_hidden_layers"],
    }


def first_line(error):
    """The first line of what went wrong, for a table."""
    return re.sub(r"\s+", " ", str(error).strip().splitlines()[0])[:160] if str(error).strip() else "no reason given"
