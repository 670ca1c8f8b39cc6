"""Write tests/golden/<family>/fp8.safetensors: log-probabilities and gradients of a policy whose linear layers multiply in
FP8, as docs/fp8.md defines it, in all three products of each. transformers computes everything else.

ids [B, T] i64 · logprobs [B, T-1] of each next token · error [1], how far the gradients are from those below where what is
quantised is off by about f32's rounding: the largest difference, as a share of a tensor's largest number · and under
their names the gradients of the mean negative log-probability, of tensors with more than SOME rows each STEP-th row alone

Numbers are float64, but for what is rounded: the quotients by a scale, in float32, to E4M3. An E4M3 number is an eighth
from the next, so ids are passed over where any number hangs on the last bits of what is quantised.

Usage: python scripts/golden/fp8_training.py [family ...]   (needs torch and transformers 5; from the repository root)
"""

import copy
import json
import sys

import torch
from fp8 import QUANTIZATION, dequantise, read
from reference import EAGER, ROOT, farthest, gradients, logits_of, next_logprobs, save
from safetensors.torch import load_file
from torch.autograd import Function
from transformers import AutoModelForCausalLM

FAMILIES = ["qwen3", "qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v3"]
BATCH, LENGTH = 2, 9
TILE, BLOCK, COLUMN = (1, 128), (128, 128), (128, 1)
SOME, STEP = 4, 5
# Of a tile's largest number: what is quantised is off by as much, at random, where ids are tried.
NOISE, DRAWS, STEADY = 2e-7, 12, 1e-5


class Noise:
    """What is added to numbers before they are quantised."""

    share = 0.0


def quantised(x, tile, powers=False):
    """The numbers that x [M, K] is multiplied as: E4M3 values times the scales of tiles, the last ones smaller."""
    (m, k), (rows, columns) = x.shape, tile
    padded = torch.nn.functional.pad(x, (0, -k % columns, 0, -m % rows))
    tiles = padded.unflatten(1, (-1, columns)).unflatten(0, (-1, rows))
    largest = lambda x: x.abs().amax((1, 3), keepdim=True)
    if tile != BLOCK:
        tiles = tiles + Noise.share * largest(tiles) * (2 * torch.rand(tiles.shape) - 1)
    tiles = tiles.float()
    scale = largest(tiles) / 448
    scale = torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)
    if powers:
        mantissa, exponent = scale.frexp()
        scale = torch.ldexp(torch.ones_like(scale), exponent - (mantissa == 0.5).int())
    values = (tiles / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
    return (values.to(x.dtype) * scale.to(x.dtype)).flatten(2, 3).flatten(0, 1)[:m, :k]


class Linear(Function):
    """y = x · Wᵀ for rows x [M, K]; powers of two are the scales of x where `powers` says so."""

    @staticmethod
    def forward(ctx, x, weight, powers):
        ctx.save_for_backward(x, weight)
        ctx.powers = powers
        return quantised(x, TILE, powers) @ quantised(weight, BLOCK).T

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dx = quantised(dy, TILE) @ quantised(weight, BLOCK)
        return dx, quantised(dy, COLUMN).T @ quantised(x, COLUMN, ctx.powers), None


class Down(Function):
    """y = s · (x · Wᵀ) for rows x [M, K] and their weights s [M, 1] in a mixture. Of the weight of an expert the gradient is
    that of the rows s · x."""

    @staticmethod
    def forward(ctx, x, weight, s):
        ctx.save_for_backward(x, weight, s)
        return s * (quantised(x, TILE) @ quantised(weight, BLOCK).T)

    @staticmethod
    def backward(ctx, dy):
        x, weight, s = ctx.saved_tensors
        dx = quantised(dy, TILE) @ quantised(weight, BLOCK)
        return s * dx, quantised(dy, COLUMN).T @ quantised(s * x, COLUMN), (dx * x).sum(-1, keepdim=True)


def linear(module, name):
    """What stands for a linear layer."""
    powers = name.endswith("o_proj")

    def forward(x):
        y = Linear.apply(x.flatten(0, -2), module.weight, powers).unflatten(0, x.shape[:-1])
        return y if module.bias is None else y + module.bias

    return forward


def experts(module):
    """What stands for a stack of experts."""

    def forward(x, chosen, weights):
        out = torch.zeros_like(x)
        for expert in range(module.gate_up_proj.shape[0]):
            rows, place = torch.where(chosen == expert)
            if len(rows) == 0:
                continue
            gate, up = (Linear.apply(x[rows], part, False) for part in module.gate_up_proj[expert].chunk(2))
            s = weights[rows, place, None].to(x.dtype)
            y = Down.apply(module.act_fn(gate) * up, module.down_proj[expert], s)
            out = out.index_add(0, rows, y)
        return out

    return forward


def in_fp8(model):
    """The model in float64, its blocks' linear layers in FP8. What makes keys and values of latents belongs to attention."""
    model = copy.deepcopy(model).double()
    for name, module in model.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("kv_b_proj"):
            module.forward = linear(module, name)
        elif hasattr(module, "gate_up_proj") and isinstance(module.gate_up_proj, torch.nn.Parameter):
            module.forward = experts(module)
    return model


def learn(model, ids, noise, seed=0):
    """Log-probabilities, and the gradients of their negated mean."""
    Noise.share = noise
    torch.manual_seed(seed)
    model.zero_grad()
    logprobs = next_logprobs(logits_of(model, ids), ids)
    (-logprobs.mean()).backward()
    return logprobs.detach(), gradients(model)


def load(name):
    """A golden model as it is read."""
    folder = ROOT / name
    if name.endswith("_fp8"):
        fields = json.loads((folder / "config.json").read_text())
        assert fields.pop("quantization_config") == QUANTIZATION
        return read(fields, dequantise(load_file(folder / "model.safetensors")))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **EAGER).eval()


def main(names):
    for name in names or FAMILIES:
        model = in_fp8(load(name))
        for seed in range(2000):
            generator = torch.Generator().manual_seed(9000 + seed)
            ids = torch.randint(3, model.config.vocab_size, (BATCH, LENGTH), generator=generator)
            logprobs, exact = learn(model, ids, 0.0)
            error = 0.0
            for draw in range(DRAWS):
                error = max(error, farthest(learn(model, ids, NOISE, draw)[1], exact).item())
                if error > STEADY:
                    break
            else:
                break
        else:
            sys.exit(f"{name}: no ids whose numbers hang on no last bits")
        kept = {k: v[::STEP] if len(v) > SOME else v for k, v in exact.items()}
        golden = {"ids": ids, "logprobs": logprobs.float(), "error": torch.tensor([error]), **kept}
        save(ROOT / name, "fp8", golden)
        size = (ROOT / name / "fp8.safetensors").stat().st_size
        print(f"{name}: ids {seed}, mean log-probability {logprobs.mean().item():.4f}, error {error:.1e}, {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
