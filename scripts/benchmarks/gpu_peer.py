"""transformers' speeds for the measures of scripts/gpu_check, on the same device and checkpoint.

Takes the measures' keys (`gradient 16 1024 again`, `sampling 32 128 128`, `adamw`) and prints JSON: versions, and tokens or
numbers a second for each key it knows. Weights, gradients and cache are bfloat16.
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


def seconds(device, work, repeats):
    """The median of a few runs, after one that warms up."""

    def timed():
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed()
    return statistics.median(timed() for _ in range(repeats))


def gradient(model, device, repeats, sequences, length, kept):
    tokens = torch.randint(0, model.config.vocab_size, (int(sequences), int(length)), device=device)
    model.train()
    if kept == "again":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_disable()

    def work():
        model.zero_grad(set_to_none=True)
        model(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()

    return tokens.numel() / seconds(device, work, repeats)


def sampling(model, device, repeats, batch, prompt, n_tokens):
    model.eval()
    model.gradient_checkpointing_disable()
    tokens = torch.randint(0, model.config.vocab_size, (1, int(prompt)), device=device).expand(int(batch), -1)
    options = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0, "use_cache": True}
    lengths = {"min_new_tokens": int(n_tokens), "max_new_tokens": int(n_tokens), "pad_token_id": 0}

    def work():
        with torch.no_grad():
            model.generate(tokens, attention_mask=torch.ones_like(tokens), **options, **lengths)

    return int(batch) * int(n_tokens) / seconds(device, work, repeats)


def adamw(model, device, repeats):
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-6, fused=True)
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 1e-3)
    return sum(p.numel() for p in parameters) / seconds(device, optimizer.step, repeats)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("keys", nargs="+")
    arguments = parser.parse_args()
    device, repeats = arguments.device, 5 if arguments.device == "cuda" else 3
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.bfloat16).to(device)
    known = {"gradient": gradient, "sampling": sampling, "adamw": adamw}
    speeds = {}
    for key in arguments.keys:
        name, *numbers = key.split()
        if name in known:
            speeds[key] = known[name](model, device, repeats, *numbers)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, both sides in bfloat16"
    print(json.dumps({"versions": versions, "speeds": speeds}))


if __name__ == "__main__":
    main()
