//! DeepSeek-V2, V2-Lite, V3 and R1: latent attention, dense layers first, then shared and routed experts.

use super::experts::{ExpertGroups, ExpertsConfig, GroupScore, Scoring};
use super::object::{Object, Result};
use super::parse::{Defaults, common};
use super::{AttentionConfig, BlockConfig, Family, LatentAttention, ModelConfig, rope};
use crate::rope::yarn_magnitude;
use serde_json::json;

/// What transformers assumes of V3 where a config is silent and the weights' shapes would not tell.
const ASSUMED_V3: [(&str, u64); 4] =
    [("n_group", 8), ("topk_group", 4), ("n_shared_experts", 1), ("q_lora_rank", 1536)];

/// The same of V2.
const ASSUMED_V2: [(&str, u64); 2] = [("n_shared_experts", 2), ("q_lora_rank", 1536)];

pub(super) fn config(c: &Object, family: Family) -> Result<ModelConfig> {
    let mut value = c.value.clone();
    let assumed = if family == Family::DeepseekV3 { &ASSUMED_V3[..] } else { &ASSUMED_V2 };
    for (key, assumed) in assumed {
        if c.value.get(key).is_none() {
            value[key] = json!(assumed);
        }
    }
    read(&Object { value: &value, ..*c }, family)
}

fn read(c: &Object, family: Family) -> Result<ModelConfig> {
    let v3 = family == Family::DeepseekV3;
    let attention = AttentionConfig::Latent(attention(c)?);
    let rope = rope::rope(c, &rope::table(c)?, 10_000.0, c.size("max_position_embeddings")?)?;
    let (bos, eos): (&[u32], &[u32]) = if v3 { (&[0], &[1]) } else { (&[1], &[2]) };
    let defaults = Defaults { bos, eos, norm_eps: 1e-6, tied_head: false };
    let mut config = common(c, family, attention, vec![rope], &defaults)?;
    let dense = c.whole("first_k_dense_replace")?.unwrap_or(if v3 { 3 } else { 0 });
    if c.optional_size("moe_layer_freq")?.is_some_and(|every| every != 1) {
        return Err(c.error("moe_layer_freq", "1 (every layer behind the dense ones has experts)"));
    }
    let published = c.whole("num_nextn_predict_layers")?;
    let n_mtp = published.map_or_else(|| c.whole("num_mtp_layers"), |n| Ok(Some(n)))?.unwrap_or(0);
    if n_mtp > 0 && !v3 {
        return Err(c.error("num_nextn_predict_layers", "0 (DeepSeek-V2 predicts one token)"));
    }
    config.experts = Some(if v3 { experts_v3(c)? } else { experts_v2(c)? });
    config.n_mtp = n_mtp;
    let block = |layer| BlockConfig { sparse: layer >= dense, window: None, rope: 0 };
    config.blocks = (0..config.n_layers + n_mtp).map(block).collect();
    Ok(config)
}

fn attention(c: &Object) -> Result<LatentAttention> {
    let (nope_dim, rope_dim) = (c.size("qk_nope_head_dim")?, c.size("qk_rope_head_dim")?);
    if rope_dim % 2 != 0 {
        return Err(c.error("qk_rope_head_dim", "an even number"));
    }
    let table = rope::table(c)?;
    // YaRN makes scores larger, twice over: once for the queries, once for the keys.
    let magnitude = match table.number("mscale_all_dim")?.filter(|m| *m != 0.0) {
        Some(mscale) => yarn_magnitude(table.required_positive("factor")?, mscale),
        None => 1.0,
    };
    Ok(LatentAttention {
        n_heads: c.size("num_attention_heads")?,
        query_rank: c.optional_size("q_lora_rank")?,
        rank: c.size("kv_lora_rank")?,
        nope_dim,
        rope_dim,
        value_dim: c.size("v_head_dim")?,
        interleaved: c.flag("rope_interleave")?.unwrap_or(true),
        scale: (magnitude * magnitude / ((nope_dim + rope_dim) as f64).sqrt()) as f32,
    })
}

fn experts_v3(c: &Object) -> Result<ExpertsConfig> {
    require(c, "scoring_func", "sigmoid")?;
    require(c, "topk_method", "noaux_tc")?;
    let groups = groups(c, GroupScore::TopTwo)?;
    Ok(ExpertsConfig {
        scoring: Scoring::Sigmoid,
        groups,
        // As transformers has it, null is no.
        normalise: c.flag("norm_topk_prob")?.unwrap_or(c.value.get("norm_topk_prob").is_none()),
        correction_bias: true,
        ..experts(c, 2.5)?
    })
}

fn experts_v2(c: &Object) -> Result<ExpertsConfig> {
    require(c, "scoring_func", "softmax")?;
    c.must_be_false("norm_topk_prob", "DeepSeek-V2 leaves the weights of the chosen as they are")?;
    let groups = match c.string("topk_method")?.unwrap_or("greedy") {
        "greedy" => None,
        "group_limited_greedy" => groups(c, GroupScore::Max)?,
        _ => return Err(c.error("topk_method", "\"greedy\" or \"group_limited_greedy\"")),
    };
    Ok(ExpertsConfig { groups, ..experts(c, 1.0)? })
}

fn experts(c: &Object, scaling: f64) -> Result<ExpertsConfig> {
    let width = c.size("moe_intermediate_size")?;
    let n_experts = match c.optional_size("n_routed_experts")? {
        Some(n) => n,
        None if c.get("num_local_experts").is_some() => c.size("num_local_experts")?,
        None => c.size("n_routed_experts")?,
    };
    let n_chosen = c.size("num_experts_per_tok")?;
    if n_chosen > n_experts {
        return Err(c.error("num_experts_per_tok", format!("at most the {n_experts} experts")));
    }
    Ok(ExpertsConfig {
        n_experts,
        n_chosen,
        width,
        shared_width: c.whole("n_shared_experts")?.filter(|n| *n > 0).map(|n| n * width),
        scoring: Scoring::Softmax,
        groups: None,
        normalise: false,
        scaling: c.positive("routed_scaling_factor")?.unwrap_or(scaling),
        correction_bias: false,
    })
}

/// Groups of which a token may use only some; none where it may use all.
fn groups(c: &Object, by: GroupScore) -> Result<Option<ExpertGroups>> {
    let (Some(n), Some(n_chosen)) = (c.optional_size("n_group")?, c.optional_size("topk_group")?) else {
        return Ok(None);
    };
    let experts = experts(c, 1.0)?;
    if experts.n_experts % n != 0 {
        return Err(c.error("n_group", format!("a divisor of the {} experts", experts.n_experts)));
    }
    let size = experts.n_experts / n;
    if n_chosen > n || n_chosen * size < experts.n_chosen || (by == GroupScore::TopTwo && size < 2) {
        let expected = format!("groups of {size} experts, enough for {} of them and at most {n}", experts.n_chosen);
        return Err(c.error("topk_group", expected));
    }
    Ok((n_chosen < n).then_some(ExpertGroups { n, n_chosen, by }))
}

fn require(c: &Object, key: &str, value: &str) -> Result<()> {
    match c.string(key)? {
        Some(found) if found != value => Err(c.error(key, format!("{value:?}"))),
        _ => Ok(()),
    }
}
