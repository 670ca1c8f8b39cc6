//! The configs of DeepSeek's own inference code, in the words of a `config.json`.

use serde_json::{Map, Value, json};

/// Native keys, those of a `config.json`, and what the inference code assumes where they are absent.
const KEYS: [(&str, &str, Option<f64>); 17] = [
    ("vocab_size", "vocab_size", None),
    ("dim", "hidden_size", None),
    ("inter_dim", "intermediate_size", None),
    ("moe_inter_dim", "moe_intermediate_size", None),
    ("n_layers", "num_hidden_layers", None),
    ("n_dense_layers", "first_k_dense_replace", Some(1.0)),
    ("n_heads", "num_attention_heads", None),
    ("n_routed_experts", "n_routed_experts", None),
    ("n_shared_experts", "n_shared_experts", Some(2.0)),
    ("n_activated_experts", "num_experts_per_tok", None),
    ("n_expert_groups", "n_group", Some(1.0)),
    ("n_limited_groups", "topk_group", Some(1.0)),
    ("route_scale", "routed_scaling_factor", Some(1.0)),
    ("kv_lora_rank", "kv_lora_rank", Some(512.0)),
    ("qk_nope_head_dim", "qk_nope_head_dim", Some(128.0)),
    ("qk_rope_head_dim", "qk_rope_head_dim", Some(64.0)),
    ("v_head_dim", "v_head_dim", Some(128.0)),
];

/// `value` as a `config.json`, where it is a native config: one with `dim` and without `model_type`.
pub(super) fn translated(value: &Value) -> Option<Value> {
    let native = value.as_object()?;
    if native.contains_key("model_type") || !native.contains_key("dim") {
        return None;
    }
    let mut config = Map::new();
    for (from, to, assumed) in KEYS {
        let assumed = || assumed.map(|n| if n.fract() == 0.0 { json!(n as u64) } else { json!(n) });
        if let Some(value) = native.get(from).cloned().or_else(assumed) {
            config.insert(to.into(), value);
        }
    }
    let sigmoid = native.get("score_func").and_then(Value::as_str) == Some("sigmoid");
    let grouped = native.get("n_expert_groups").and_then(Value::as_u64).is_some_and(|n| n > 1);
    let number = |key: &str, assumed: f64| native.get(key).and_then(Value::as_f64).unwrap_or(assumed);
    let method = match (sigmoid, grouped) {
        (true, _) => "noaux_tc",
        (false, true) => "group_limited_greedy",
        (false, false) => "greedy",
    };
    let mscale = number("mscale", 1.0);
    let more = json!({
        "model_type": if sigmoid { "deepseek_v3" } else { "deepseek_v2" },
        "q_lora_rank": native.get("q_lora_rank").filter(|rank| rank.as_u64() != Some(0)),
        "scoring_func": if sigmoid { "sigmoid" } else { "softmax" },
        "topk_method": method,
        "norm_topk_prob": sigmoid,
        "rms_norm_eps": 1e-6,
        "rope_theta": number("rope_theta", 10_000.0),
        "max_position_embeddings": number("max_seq_len", 16_384.0) as u64,
        "rope_scaling": {
            "type": "yarn", "factor": number("rope_factor", 40.0), "beta_fast": number("beta_fast", 32.0),
            "beta_slow": number("beta_slow", 1.0), "mscale": mscale, "mscale_all_dim": mscale,
            "original_max_position_embeddings": number("original_seq_len", 4096.0) as u64,
        },
    });
    config.extend(more.as_object().cloned().unwrap_or_default());
    Some(Value::Object(config))
}
