"""Write tests/golden/optimizer.json: 20 moves of torch.optim.AdamW in f64, with clipping, decay and a schedule.

Usage: python scripts/golden/optimizer.py   (needs torch; from the repository root)

Gradients and first weights are f32 numbers, so that both sides start from the same; torch then computes in f64, which
leaves f32 rounding as the only difference. Weights begin at 0.5 or more in size and stay away from zero, so a relative
difference means something for each.
"""

import json
import math
from pathlib import Path

import torch

STEPS, WARMUP, FLOOR = 20, 5, 0.1
CONFIG = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1, "max_grad_norm": 1.0}


def learning_rate(step):
    if step < WARMUP:
        return CONFIG["lr"] * step / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return CONFIG["lr"] * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress)))


def main():
    torch.manual_seed(1)
    random = lambda n: torch.randn(n, dtype=torch.float32)
    start = [torch.sign(x) * (0.5 + x.abs()) for x in (random(19), random(7))]  # a matrix and a bias, as vectors
    matrix, bias = (torch.nn.Parameter(x.double()) for x in start)
    groups = [{"params": [matrix], "weight_decay": CONFIG["weight_decay"]}, {"params": [bias], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1.0, betas=(CONFIG["beta1"], CONFIG["beta2"]), eps=CONFIG["epsilon"])
    steps = []
    for step in range(1, STEPS + 1):
        # Norms from well below the limit to well above it.
        size = 10 ** (-3 + 4 * (step * 7 % STEPS) / STEPS)
        gradients = [random(19) * size, random(7) * size]
        matrix.grad, bias.grad = (g.double() for g in gradients)
        norm = torch.nn.utils.clip_grad_norm_([matrix, bias], CONFIG["max_grad_norm"])
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step)
        adamw.step()
        steps.append({
            "gradient": torch.cat(gradients).tolist(),
            "grad_norm": norm.item(),
            "lr": learning_rate(step),
            "weights": torch.cat([matrix, bias]).tolist(),
        })
    golden = {
        "torch": torch.__version__,
        "config": CONFIG,
        "schedule": {"warmup_steps": WARMUP, "decay": "cosine", "floor": FLOOR},
        "decayed": 19,
        "start": torch.cat(start).tolist(),
        "steps": steps,
    }
    Path("tests/golden/optimizer.json").write_text(json.dumps(golden) + "\n")


main()
