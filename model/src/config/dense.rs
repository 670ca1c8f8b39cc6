//! Qwen2, Qwen3 and Llama 3: grouped-query attention and a gated feed-forward.

use super::object::{Object, Result};
use super::parse::{Defaults, common, grouped};
use super::{AttentionConfig, Family, ModelConfig, rope};

pub(super) fn config(c: &Object, family: Family) -> Result<ModelConfig> {
    let llama = family == Family::Llama;
    let n_heads = c.size("num_attention_heads")?;
    // What transformers' Qwen3Config assumes for an absent head width, whatever the model's.
    let mut attention = grouped(c, llama.then_some(n_heads), (family == Family::Qwen3).then_some(128))?;
    attention.bias = family == Family::Qwen2;
    attention.head_norms = family == Family::Qwen3;
    let rope = rope::rope(c, &rope::table(c)?, 10_000.0, c.size("max_position_embeddings")?)?;
    let (bos, eos): (&[u32], &[u32]) = if llama { (&[1], &[2]) } else { (&[], &[]) };
    let defaults = Defaults { bos, eos, norm_eps: 1e-6, tied_head: false };
    let config = common(c, family, AttentionConfig::Grouped(attention), vec![rope], &defaults)?;
    if !llama {
        refuse_sliding_window(c, config.n_layers)?;
    }
    Ok(config)
}

/// Qwen's sliding window: in use where switched on and some layer is past `max_window_layers`.
pub(super) fn refuse_sliding_window(c: &Object, n_layers: usize) -> Result<()> {
    if let Some(types) = c.get("layer_types") {
        let all_full = types.as_array().is_some_and(|l| l.iter().all(|t| t == "full_attention"));
        if !all_full {
            return Err(c.error("layer_types", "\"full_attention\" for every layer"));
        }
        return Ok(());
    }
    let on = c.flag("use_sliding_window")? == Some(true) && c.value.get("sliding_window").is_none_or(|w| !w.is_null());
    let first = match c.get("max_window_layers") {
        None => 28,
        Some(v) => v.as_u64().ok_or_else(|| c.error("max_window_layers", "a whole number"))? as usize,
    };
    if on && first < n_layers {
        return Err(c.error("use_sliding_window", "false (sliding windows are not supported)"));
    }
    Ok(())
}
