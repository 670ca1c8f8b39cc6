"""Write tests/golden/rope.json: inverse frequencies and attention factors as transformers computes them.

Usage: python scripts/golden/rope.py   (needs torch and transformers 5; from the repository root)
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

LLAMA3 = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
CASES = [
    ("default, Llama 2", 128, {"rope_type": "default", "rope_theta": 10000.0}),
    ("default, Qwen2.5", 64, {"rope_type": "default", "rope_theta": 1e6}),
    ("linear", 64, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}),
    ("llama3, Llama 3.1", 128, {**LLAMA3, "rope_theta": 5e5, "factor": 8.0}),
    ("llama3, Llama 3.2", 64, {**LLAMA3, "rope_theta": 5e5, "factor": 32.0}),
    ("yarn, Qwen", 128, {**YARN, "rope_theta": 1e6}),
    ("yarn, not truncated", 128, {**YARN, "rope_theta": 1e6, "truncate": False}),
    ("yarn, betas", 64, {**YARN, "rope_theta": 150000.0, "beta_fast": 24.0, "beta_slow": 2.0}),
    ("yarn, attention_factor", 64, {**YARN, "rope_theta": 10000.0, "attention_factor": 1.25}),
    ("yarn, mscale alone", 64, {**YARN, "rope_theta": 10000.0, "mscale": 0.707}),
    (
        "yarn, both mscales",
        64,
        {**YARN, "rope_theta": 10000.0, "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.707},
    ),
    (
        "yarn, factor below one",
        16,
        {**YARN, "rope_theta": 10000.0, "factor": 0.5, "original_max_position_embeddings": 64},
    ),
    (
        "yarn, range of one dimension",
        8,
        {**YARN, "rope_theta": 10000.0, "original_max_position_embeddings": 4},
    ),
]


def case(name, head_dim, rope):
    """One entry: the parameters as config.json spells them, and what transformers makes of them."""
    config = LlamaConfig(
        hidden_size=4 * head_dim,
        num_attention_heads=4,
        head_dim=head_dim,
        max_position_embeddings=131072,
        rope_parameters=dict(rope),
    )
    if rope["rope_type"] == "default":
        inv_freq, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        inv_freq, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, device="cpu")
    return {
        "name": name,
        "head_dim": head_dim,
        "rope_parameters": rope,
        "attention_factor": float(factor),
        "inverse_frequencies": inv_freq.to(torch.float64).tolist(),
    }


if __name__ == "__main__":
    out = Path(__file__).resolve().parents[2] / "tests" / "golden" / "rope.json"
    cases = [json.dumps(case(*c)) for c in CASES]
    made_by = json.dumps(f"transformers {transformers.__version__}, scripts/golden/rope.py")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text('{"made_by": ' + made_by + ',\n"cases": [\n' + ",\n".join(cases) + "\n]}\n")
