"""Write tests/golden/deepseek_v3_fp8/: a tiny DeepSeek-V3 with weights in FP8, as the published one has them. The folder
holds what reference.py says, computed by transformers with the weights dequantised, and

model.safetensors      the weights of linear layers as E4M3 under their names, with the factors of their blocks of 128 x 128,
                       the last ones of a row or a column smaller, under weight_scale_inv; embedding, head, routers and
                       norms float32
gradients.safetensors  without the routed experts and the dense layer, to keep it small

transformers itself does not read matrices whose sides its blocks do not divide, so the dequantising is this file's:
E4M3 value x weight_scale_inv, in float32.

Usage: python scripts/golden/fp8.py   (needs torch and transformers 5; from the repository root)
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from families import V3
from reference import EAGER, ROOT, build, fill, layout, logits_of, save, seeds, write
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

NAME = "deepseek_v3_fp8"
BLOCK = 128
FIELDS = V3 | {
    "hidden_size": 136,
    "intermediate_size": 132,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 48,
}
QUANTIZATION = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [BLOCK, BLOCK],
}


def is_quantised(name):
    return name.endswith(("_proj.weight", "_proj_with_mqa.weight")) and "eh_proj" not in name


def spread(factors, shape):
    """A factor for every number of a matrix."""
    wide = factors.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return wide[: shape[0], : shape[1]]


def quantise(weights):
    """A checkpoint with its linear layers in E4M3."""
    found = {}
    for name, weight in weights.items():
        if not is_quantised(name):
            found[name] = weight
            continue
        blocks = [-(-side // BLOCK) for side in weight.shape]
        factors = torch.empty(blocks)
        for i in range(blocks[0]):
            for j in range(blocks[1]):
                part = weight[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK]
                factors[i, j] = part.abs().max() / 448
        scaled = (weight / spread(factors, weight.shape)).clamp(-448, 448)
        found[name] = scaled.to(torch.float8_e4m3fn)
        found[f"{name}_scale_inv"] = factors
    return found


def dequantise(weights):
    """The float32 checkpoint of a quantised one."""
    return {
        name: weight.float() * spread(weights[f"{name}_scale_inv"], weight.shape) if is_quantised(name) else weight
        for name, weight in weights.items()
        if not name.endswith("_scale_inv")
    }


def read(fields, weights):
    """The model of a config and of a float32 checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(fields))
        save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **EAGER).eval()


def main():
    seed, model, ids, continuation = next(seeds(FIELDS, lambda m: read(FIELDS, dequantise(quantise(layout(m))))))
    folder, _ = write(NAME, FIELDS, seed, model, ids, continuation)
    drawn = build(FIELDS)
    fill(drawn, seed)
    save(folder, "model", quantise(layout(drawn)))
    for spelling in ["config.json", "config_v5.json"]:
        fields = json.loads((folder / spelling).read_text())
        (folder / spelling).write_text(json.dumps(fields | {"quantization_config": QUANTIZATION}, indent=2) + "\n")
    kept = load_file(folder / "gradients.safetensors")
    save(folder, "gradients", {k: v for k, v in kept.items() if ".experts." not in k and ".0.mlp." not in k})
    subprocess.run([sys.executable, __file__, "--verify"], check=True)


def verify():
    """The files alone give the logits again."""
    folder = ROOT / NAME
    fields = json.loads((folder / "config.json").read_text())
    assert fields.pop("quantization_config") == QUANTIZATION
    model = read(fields, dequantise(load_file(folder / "model.safetensors")))
    golden = load_file(folder / "golden.safetensors")
    with torch.no_grad():
        difference = (logits_of(model, golden["ids"]) - golden["logits"]).abs().max().item()
    assert difference <= 1e-5, f"read again, logits differ by {difference}"
    return difference


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verify"]:
        print(f"    read again: {verify():.1e}, {sum(p.stat().st_size for p in (ROOT / NAME).iterdir())} bytes")
    else:
        main()
