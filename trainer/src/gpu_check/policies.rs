//! The policies that are checked and measured: shapes written here, weights drawn by a seed.

use std::path::Path;

use anyhow::{Context, Result};
use model::config::{Dtype, PolicyConfig};
use model::policy::Policy;
use serde_json::{Value, json};

/// Each family with what is its own: biases on q, k and v and the head of its own; norms of heads wider than D / H;
/// stretched rotations and a tied head.
pub(super) fn families() -> [(&'static str, Value); 3] {
    let tiny = |own: Value| {
        let mut config = json!({
            "vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 160, "max_position_embeddings": 256,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true,
        });
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        config
    };
    [
        ("qwen2", tiny(json!({ "model_type": "qwen2", "tie_word_embeddings": false }))),
        ("qwen3", tiny(json!({ "model_type": "qwen3", "head_dim": 32, "attention_bias": false }))),
        (
            "llama",
            tiny(json!({ "model_type": "llama", "head_dim": 16, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        } })),
        ),
    ]
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
