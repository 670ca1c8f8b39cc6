"""Write tests/golden/<family>/ for the families beyond the plain dense ones: tiny random checkpoints and what transformers
computes with them. reference.py says what each folder holds.

Usage: python scripts/golden/families.py [family ...]   (needs torch and transformers 5; from the repository root)
"""

import subprocess
import sys

import torch
from reference import EAGER, ROOT, seeds, write
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 24,
    "initializer_range": 0.02,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "torch_dtype": "float32",
    "use_cache": True,
    "vocab_size": 64,
}
# Sequences are 40 long and greedy ones 76: beyond the original 16 positions, and beyond the window of Gemma's 16.
YARN = {
    "type": "yarn",
    "factor": 8,
    "original_max_position_embeddings": 16,
    "beta_fast": 2,
    "beta_slow": 0.25,
    "mscale": 1.0,
    "mscale_all_dim": 0.707,
}
LATENT = {
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "rope_theta": 1000.0,
    "rope_scaling": YARN,
    "hidden_act": "silu",
    "intermediate_size": 32,
    "moe_intermediate_size": 8,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 1,
    "num_hidden_layers": 3,
    "tie_word_embeddings": False,
}
V3 = COMMON | LATENT | {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "q_lora_rank": 20,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "num_nextn_predict_layers": 0,
}
V2 = COMMON | LATENT | {
    "architectures": ["DeepseekV2ForCausalLM"],
    "aux_loss_alpha": 0.001,
    "model_type": "deepseek_v2",
    "q_lora_rank": 20,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": False,
    "routed_scaling_factor": 4.0,
    "scoring_func": "softmax",
    "seq_aux": True,
    "topk_method": "group_limited_greedy",
    "rope_scaling": YARN | {"mscale": 0.707, "mscale_all_dim": 0.707},
}
GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3, "rope_theta": 1000000.0}
FAMILIES = {
    "deepseek_v3": V3,
    "deepseek_v3_direct": V3 | {"q_lora_rank": None, "n_group": 1, "topk_group": 1, "rope_scaling": None},
    "deepseek_v2": V2,
    "deepseek_v2_lite": V2 | {
        "q_lora_rank": None,
        "n_group": 1,
        "topk_group": 1,
        "routed_scaling_factor": 1.0,
        "topk_method": "greedy",
    },
    "qwen3_moe": COMMON | GROUPED | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "decoder_sparse_step": 1,
        "head_dim": 12,
        "hidden_act": "silu",
        "intermediate_size": 32,
        "max_window_layers": 3,
        "mlp_only_layers": [1],
        "moe_intermediate_size": 8,
        "norm_topk_prob": True,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "output_router_logits": False,
        "rope_scaling": None,
        "router_aux_loss_coef": 0.001,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
    },
    "mixtral": COMMON | GROUPED | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "hidden_act": "silu",
        "intermediate_size": 24,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 2,
        "num_local_experts": 6,
        "output_router_logits": False,
        "rms_norm_eps": 1e-5,
        "router_aux_loss_coef": 0.02,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
    "gemma3": COMMON | GROUPED | {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "attn_logit_softcapping": None,
        "cache_implementation": "hybrid",
        "final_logit_softcapping": None,
        "head_dim": 12,
        "hidden_activation": "gelu_pytorch_tanh",
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "query_pre_attn_scalar": 10,
        "rope_local_base_freq": 10000,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 16,
        "sliding_window_pattern": 3,
    },
}


def verify(name):
    """The files alone give the logits again, whichever way the config is spelt."""
    folder = ROOT / name
    golden = load_file(folder / "golden.safetensors")
    differences = []
    for spelling in ["config.json", "config_v5.json"]:
        config = AutoConfig.from_pretrained(folder / spelling)
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32, **EAGER).eval()
        with torch.no_grad():
            differences.append((model(input_ids=golden["ids"]).logits - golden["logits"]).abs().max().item())
    assert max(differences) <= 1e-5, f"{name}: read again, logits differ by {differences}"
    return max(differences)


def main(names):
    for name in names or FAMILIES:
        fields = FAMILIES[name]
        write(name, fields, *next(seeds(fields)))
        subprocess.run([sys.executable, __file__, "--verify", name], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verify"]:
        print(f"    read again: {verify(sys.argv[2]):.1e}")
    else:
        main(sys.argv[1:])
