//! Qwen3-MoE and Mixtral: grouped-query attention and experts that a softmax chooses.

use super::dense::refuse_sliding_window;
use super::experts::{ExpertsConfig, Scoring};
use super::object::{Object, Result};
use super::parse::{Defaults, common, grouped};
use super::{AttentionConfig, Family, ModelConfig, rope};

pub(super) fn config(c: &Object, family: Family) -> Result<ModelConfig> {
    let qwen = family == Family::Qwen3Moe;
    let mut attention = grouped(c, Some(if qwen { 4 } else { 8 }), None)?;
    attention.head_norms = qwen;
    let theta = if qwen { 10_000.0 } else { 1e6 };
    let rope = rope::rope(c, &rope::table(c)?, theta, c.size("max_position_embeddings")?)?;
    let (bos, eos): (&[u32], &[u32]) = if qwen { (&[], &[]) } else { (&[1], &[2]) };
    let defaults = Defaults { bos, eos, norm_eps: if qwen { 1e-6 } else { 1e-5 }, tied_head: false };
    let mut config = common(c, family, AttentionConfig::Grouped(attention), vec![rope], &defaults)?;
    if qwen {
        refuse_sliding_window(c, config.n_layers)?;
        config.experts = Some(experts(c, "moe_intermediate_size", c.flag("norm_topk_prob")?.unwrap_or(false))?);
        let step = c.optional_size("decoder_sparse_step")?.unwrap_or(1);
        let dense = c.indices("mlp_only_layers")?;
        for (layer, block) in config.blocks.iter_mut().enumerate() {
            block.sparse = !dense.contains(&layer) && (layer + 1) % step == 0;
        }
    } else {
        if c.get("sliding_window").is_some() {
            return Err(c.error("sliding_window", "null (Mixtral's sliding window is not supported)"));
        }
        config.experts = Some(experts(c, "intermediate_size", true)?);
        config.blocks.iter_mut().for_each(|block| block.sparse = true);
    }
    Ok(config)
}

fn experts(c: &Object, width: &str, normalise: bool) -> Result<ExpertsConfig> {
    // Transformers 5 writes either family's number of experts under the one name or the other.
    let key = if c.get("num_experts").is_some() { "num_experts" } else { "num_local_experts" };
    let experts = ExpertsConfig {
        n_experts: c.size(key)?,
        n_chosen: c.size("num_experts_per_tok")?,
        width: c.size(width)?,
        shared_width: None,
        scoring: Scoring::Softmax,
        groups: None,
        normalise,
        scaling: 1.0,
        correction_bias: false,
    };
    if experts.n_chosen > experts.n_experts {
        return Err(c.error("num_experts_per_tok", format!("at most the {} experts", experts.n_experts)));
    }
    Ok(experts)
}
