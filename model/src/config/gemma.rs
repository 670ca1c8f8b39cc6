//! Gemma 3, its text part: norms on both sides of attention and feed-forward, windows on five layers in six.

use super::object::{Object, Result};
use super::parse::{Defaults, common, grouped};
use super::{Activation, AttentionConfig, Family, ModelConfig, RopeConfig, rope};
use serde_json::{Value, json};

/// What transformers assumes where a config is silent, as those of the larger checkpoints are.
const ASSUMED: [(&str, u64); 5] = [
    ("vocab_size", 262_208),
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("head_dim", 256),
    ("max_position_embeddings", 131_072),
];

pub(super) fn config(c: &Object) -> Result<ModelConfig> {
    // A checkpoint that sees has its text part under a key of its own; ids stand beside it.
    let (text, at) = match c.get("text_config") {
        Some(text) => (text, "text_config"),
        None => (c.value, c.at),
    };
    let mut value = text.clone();
    let Some(keys) = value.as_object_mut() else { return Err(c.error("text_config", "an object")) };
    for (key, assumed) in ASSUMED {
        keys.entry(key).or_insert_with(|| json!(assumed));
    }
    for key in ["bos_token_id", "eos_token_id", "tie_word_embeddings"] {
        if let Some(outer) = c.value.get(key) {
            keys.entry(key).or_insert_with(|| outer.clone());
        }
    }
    read(&Object { file: c.file, value: &value, at })
}

fn read(c: &Object) -> Result<ModelConfig> {
    match c.string("hidden_activation")?.or(c.string("hidden_act")?) {
        None | Some("gelu_pytorch_tanh") => {}
        Some(_) => return Err(c.error("hidden_activation", "\"gelu_pytorch_tanh\"")),
    }
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if c.get(key).is_some() {
            return Err(c.error(key, "null (soft caps are not supported)"));
        }
    }
    c.must_be_false("use_bidirectional_attention", "rows attend to those before them")?;
    let mut attention = grouped(c, None, None)?;
    attention.head_norms = true;
    attention.scale = (1.0 / c.positive("query_pre_attn_scalar")?.unwrap_or(256.0).sqrt()) as f32;
    let defaults = Defaults { bos: &[2], eos: &[1], norm_eps: 1e-6, tied_head: true };
    let mut config = common(c, Family::Gemma3, AttentionConfig::Grouped(attention), ropes(c)?, &defaults)?;
    config.activation = Activation::GeluTanh;
    config.norm.offset = 1.0;
    config.norm.after = true;
    config.embedding_scale = (config.hidden_dim as f64).sqrt() as f32;
    let window = c.optional_size("sliding_window")?.unwrap_or(4096);
    let local = local_layers(c, config.n_layers)?;
    for (block, local) in config.blocks.iter_mut().zip(local) {
        (block.window, block.rope) = if local { (Some(window), LOCAL) } else { (None, GLOBAL) };
    }
    Ok(config)
}

/// Of [`ModelConfig::ropes`] that of the layers without a window, and that of those with one.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

fn ropes(c: &Object) -> Result<Vec<RopeConfig>> {
    let max_positions = c.size("max_position_embeddings")?;
    let table = rope::table(c)?;
    let layer_type = |key: &'static str, theta| {
        let value = table.get(key).expect("the caller saw both");
        if !value.is_object() {
            return Err(table.error(key, "an object"));
        }
        let empty = Value::Null;
        let silent = Object { file: c.file, value: &empty, at: "" };
        rope::rope(&silent, &Object { file: c.file, value, at: &format!("{}.{key}", table.at) }, theta, max_positions)
    };
    if table.get("full_attention").is_some() && table.get("sliding_attention").is_some() {
        return Ok(vec![layer_type("full_attention", 1e6)?, layer_type("sliding_attention", 10_000.0)?]);
    }
    let local = c.positive("rope_local_base_freq")?.unwrap_or(10_000.0);
    let global = rope::rope(c, &table, 1e6, max_positions)?;
    Ok(vec![global, RopeConfig { theta: local, scaling: super::RopeScaling::Default }])
}

/// Which layers have a window: `layer_types`, or all but each sixth.
fn local_layers(c: &Object, n_layers: usize) -> Result<Vec<bool>> {
    let Some(types) = c.get("layer_types") else {
        let pattern = c.optional_size("sliding_window_pattern")?.unwrap_or(6);
        return Ok((1..=n_layers).map(|layer| layer % pattern != 0).collect());
    };
    let expected = || c.error("layer_types", format!("{n_layers} of \"sliding_attention\" and \"full_attention\""));
    let types = types.as_array().filter(|types| types.len() == n_layers).ok_or_else(expected)?;
    let local = |value: &Value| match value.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(expected()),
    };
    types.iter().map(local).collect()
}
