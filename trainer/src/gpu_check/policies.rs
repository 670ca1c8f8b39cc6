//! The policies that are checked and measured: shapes written here, weights drawn by a seed.

use std::path::Path;

use anyhow::{Context, Result};
use model::config::{Dtype, PolicyConfig};
use model::policy::Policy;
use serde_json::{Value, json};

/// Each family with what is its own: biases on q, k and v and the head of its own; norms of heads wider than D / H;
/// stretched rotations and a tied head; windows, norms behind and gates by GELU; experts by softmax and sigmoid, in groups
/// and not; latents of queries and without, and behind one a module of multi-token prediction.
pub(super) fn families() -> Vec<(&'static str, Value)> {
    let with = |shared: &Value, own: Value| {
        let mut config = shared.clone();
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        config
    };
    let tiny = json!({
        "vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 160, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true,
    });
    let yarn = json!({
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 32, "beta_slow": 1,
        "mscale": 1.0, "mscale_all_dim": 0.707,
    });
    let latent = with(
        &tiny,
        json!({
            "num_key_value_heads": 4, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
            "v_head_dim": 24, "moe_intermediate_size": 48, "moe_layer_freq": 1, "first_k_dense_replace": 1,
            "n_routed_experts": 8, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2, "rope_scaling": yarn,
            "tie_word_embeddings": false, "attention_bias": false,
        }),
    );
    vec![
        ("qwen2", with(&tiny, json!({ "model_type": "qwen2", "tie_word_embeddings": false }))),
        ("qwen3", with(&tiny, json!({ "model_type": "qwen3", "head_dim": 32, "attention_bias": false }))),
        (
            "llama",
            with(
                &tiny,
                json!({ "model_type": "llama", "head_dim": 16, "rope_scaling": {
                    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                } }),
            ),
        ),
        (
            "gemma3",
            with(
                &tiny,
                json!({
                    "model_type": "gemma3_text", "head_dim": 32, "hidden_activation": "gelu_pytorch_tanh",
                    "query_pre_attn_scalar": 24, "rope_local_base_freq": 1000.0, "sliding_window": 16,
                    "sliding_window_pattern": 3, "attention_bias": false,
                }),
            ),
        ),
        (
            "qwen3_moe",
            with(
                &tiny,
                json!({
                    "model_type": "qwen3_moe", "head_dim": 32, "attention_bias": false, "num_experts": 8,
                    "num_experts_per_tok": 3, "moe_intermediate_size": 48, "norm_topk_prob": true,
                    "decoder_sparse_step": 1, "mlp_only_layers": [1], "tie_word_embeddings": false,
                }),
            ),
        ),
        (
            "mixtral",
            with(
                &tiny,
                json!({
                    "model_type": "mixtral", "num_local_experts": 6, "num_experts_per_tok": 2,
                    "tie_word_embeddings": false,
                }),
            ),
        ),
        (
            "deepseek_v2",
            with(
                &latent,
                json!({
                    "model_type": "deepseek_v2", "q_lora_rank": null, "n_shared_experts": 2, "scoring_func": "softmax",
                    "topk_method": "group_limited_greedy", "norm_topk_prob": false, "routed_scaling_factor": 4.0,
                }),
            ),
        ),
        (
            "deepseek_v3",
            with(
                &latent,
                json!({
                    "model_type": "deepseek_v3", "q_lora_rank": 40, "n_shared_experts": 1, "scoring_func": "sigmoid",
                    "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
                    "num_nextn_predict_layers": 1,
                }),
            ),
        ),
    ]
}

/// The pieces of DeepSeek-V3 in 1.4 billion parameters, a fifth of them active: what a GPU is measured with for experts.
pub(super) fn experts() -> Value {
    json!({
        "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 32000, "hidden_size": 1024,
        "num_hidden_layers": 12, "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 4096,
        "q_lora_rank": 768, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "moe_intermediate_size": 512, "moe_layer_freq": 1, "first_k_dense_replace": 1, "n_routed_experts": 64,
        "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "norm_topk_prob": true,
        "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "hidden_act": "silu",
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "attention_bias": false, "torch_dtype": "bfloat16",
    })
}

/// The shape of Qwen2.5-0.5B, which a GPU is measured with.
pub(super) fn half_a_billion() -> Value {
    json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 151936, "hidden_size": 896,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864,
        "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "use_sliding_window": false, "torch_dtype": "bfloat16",
    })
}

/// A policy of the shape in `config`, with drawn weights; `folder` gets its config.json.
pub(super) fn draw(folder: &Path, config: &Value, dtype: Dtype) -> Result<Policy> {
    let path = folder.join("config.json");
    std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    std::fs::write(&path, format!("{config:#}\n")).with_context(|| format!("write `{}`", path.display()))?;
    load(folder, dtype, true)
}

/// The policy in `folder`.
pub(super) fn load(folder: &Path, dtype: Dtype, random_init: bool) -> Result<Policy> {
    let config = PolicyConfig { dtype, random_init, ..PolicyConfig::new(folder) };
    Policy::load(folder, &config, 1).with_context(|| format!("load policy `{}`", folder.display()))
}
