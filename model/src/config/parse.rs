//! Reading `config.json` and `generation_config.json`: which family, and what all families have in common.

use super::object::{Object, Result, SUPPORTED, read_json, shorten};
use super::{
    Activation, AttentionConfig, BlockConfig, ConfigError, Family, GroupedAttention, ModelConfig, NormConfig,
    RopeConfig, deepseek, dense, gemma, native, sparse,
};
use crate::fp8::BLOCK;
use serde_json::{Value, json};
use std::path::Path;

impl ModelConfig {
    /// Reads `config.json` and, where there is one, `generation_config.json` in `folder`.
    pub fn from_folder(folder: &Path) -> Result<ModelConfig> {
        let file = folder.join("config.json");
        let mut config = Self::from_json(&file, &read_json(&file)?)?;
        let file = folder.join("generation_config.json");
        if file.exists() {
            let value = read_json(&file)?;
            let ids = Object { file: &file, value: &value, at: "" }.ids("eos_token_id", &[])?;
            add_each_once(&mut config.eos_token_ids, ids);
        }
        Ok(config)
    }

    /// Resolves a parsed `config.json`, or a `config_….json` of DeepSeek's own inference code; `file` is for messages.
    pub fn from_json(file: &Path, value: &Value) -> Result<ModelConfig> {
        if let Some(translated) = native::translated(value) {
            return Self::from_json(file, &translated);
        }
        let c = Object { file, value, at: "" };
        let mut config = match family(&c)? {
            family @ (Family::Qwen2 | Family::Qwen3 | Family::Llama) => dense::config(&c, family)?,
            family @ (Family::Qwen3Moe | Family::Mixtral) => sparse::config(&c, family)?,
            Family::Gemma3 => gemma::config(&c)?,
            family @ (Family::DeepseekV2 | Family::DeepseekV3) => return deepseek::config(&c, family),
        };
        // DeepSeek-V3's key. Published policies of other families have no such blocks; here any may.
        config.n_mtp = c.whole("num_nextn_predict_layers")?.unwrap_or(0);
        let last = config.blocks[config.n_layers - 1].clone();
        config.blocks.resize(config.n_layers + config.n_mtp, last);
        Ok(config)
    }
}

/// What a family says where a file is silent.
pub(super) struct Defaults {
    pub(super) bos: &'static [u32],
    pub(super) eos: &'static [u32],
    pub(super) norm_eps: f64,
    pub(super) tied_head: bool,
}

/// What every family reads alike; the feed-forward is without experts, and all blocks are alike.
pub(super) fn common(
    c: &Object,
    family: Family,
    attention: AttentionConfig,
    ropes: Vec<RopeConfig>,
    defaults: &Defaults,
) -> Result<ModelConfig> {
    refuse_what_is_not_computed(c, family)?;
    let n_layers = c.size("num_hidden_layers")?;
    let mut eos_token_ids = Vec::new();
    add_each_once(&mut eos_token_ids, c.ids("eos_token_id", defaults.eos)?);
    Ok(ModelConfig {
        family,
        vocab_size: c.size("vocab_size")?,
        hidden_dim: c.size("hidden_size")?,
        n_layers,
        attention,
        ffn_dim: c.size("intermediate_size")?,
        experts: None,
        activation: Activation::Silu,
        blocks: vec![BlockConfig { sparse: false, window: None, rope: 0 }; n_layers],
        norm: NormConfig { eps: c.positive("rms_norm_eps")?.unwrap_or(defaults.norm_eps), offset: 0.0, after: false },
        embedding_scale: 1.0,
        ropes,
        max_positions: c.size("max_position_embeddings")?,
        tied_head: c.flag("tie_word_embeddings")?.unwrap_or(defaults.tied_head),
        initial_std: c.positive("initializer_range")?.unwrap_or(0.02) as f32,
        n_mtp: 0,
        bos_token_id: c.ids("bos_token_id", defaults.bos)?.first().copied(),
        eos_token_ids,
    })
}

/// Query heads that share key and value heads. `assumed_heads` is the number of the latter, and `assumed_dim` the width
/// of a head, that the family assumes where the key is absent.
pub(super) fn grouped(
    c: &Object,
    assumed_heads: Option<usize>,
    assumed_dim: Option<usize>,
) -> Result<GroupedAttention> {
    let (hidden_dim, n_heads) = (c.size("hidden_size")?, c.size("num_attention_heads")?);
    let n_kv_heads = match c.optional_size("num_key_value_heads")? {
        Some(n) => n,
        // Null stands for as many as there are query heads, in every family.
        None if c.value.get("num_key_value_heads").is_some() => n_heads,
        None => assumed_heads.ok_or_else(|| c.error("num_key_value_heads", "a positive whole number"))?,
    };
    if n_heads % n_kv_heads != 0 {
        return Err(c.error("num_key_value_heads", format!("a divisor of the {n_heads} query heads")));
    }
    let head_dim = match (c.optional_size("head_dim")?, assumed_dim) {
        (Some(n), _) => n,
        (None, Some(n)) if c.value.get("head_dim").is_none() => n,
        _ if hidden_dim % n_heads == 0 => hidden_dim / n_heads,
        _ => {
            let expected = format!("a multiple of the {n_heads} heads, or `head_dim` beside it");
            return Err(c.error("hidden_size", expected));
        }
    };
    if head_dim % 2 != 0 {
        return Err(c.error("head_dim", format!("an even number (it is {head_dim})")));
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    Ok(GroupedAttention { n_heads, n_kv_heads, head_dim, bias: false, head_norms: false, scale })
}

fn add_each_once(ids: &mut Vec<u32>, more: Vec<u32>) {
    for id in more {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

fn family(c: &Object) -> Result<Family> {
    let unsupported = |key, found: String| ConfigError::Family { file: c.file.into(), key, found };
    let (family, classes): (_, &[&str]) = match c.string("model_type")? {
        Some("qwen2") => (Family::Qwen2, &["Qwen2ForCausalLM"]),
        Some("qwen3") => (Family::Qwen3, &["Qwen3ForCausalLM"]),
        Some("qwen3_moe") => (Family::Qwen3Moe, &["Qwen3MoeForCausalLM"]),
        Some("llama") => (Family::Llama, &["LlamaForCausalLM"]),
        Some("mixtral") => (Family::Mixtral, &["MixtralForCausalLM"]),
        Some("gemma3" | "gemma3_text") => (Family::Gemma3, &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"]),
        Some("deepseek_v2") => (Family::DeepseekV2, &["DeepseekV2ForCausalLM"]),
        Some("deepseek_v3") => (Family::DeepseekV3, &["DeepseekV3ForCausalLM"]),
        Some(other) => return Err(unsupported("model_type", format!("{other:?}"))),
        None => return Err(c.error("model_type", format!("one of {SUPPORTED}"))),
    };
    match c.get("architectures") {
        None => Ok(family),
        Some(Value::Array(list))
            if list.is_empty() || list.iter().filter_map(Value::as_str).any(|a| classes.contains(&a)) =>
        {
            Ok(family)
        }
        Some(other) => Err(unsupported("architectures", shorten(&other.to_string()))),
    }
}

/// Settings under which the forward pass here would silently differ.
fn refuse_what_is_not_computed(c: &Object, family: Family) -> Result<()> {
    match c.string("hidden_act")? {
        None | Some("silu" | "swish") => {}
        // Gemma's key is another, and of this one it says what earlier readers did.
        Some(_) if family == Family::Gemma3 => {}
        Some(_) => return Err(c.error("hidden_act", "\"silu\"")),
    }
    c.must_be_false("mlp_bias", "biases in the feed-forward are not supported")?;
    if family != Family::Qwen2 {
        c.must_be_false("attention_bias", "it would put a bias on o_proj, which is not supported")?;
    }
    c.must_be_false("use_mrope", "multimodal positions are not supported")?;
    c.get("quantization_config").map_or(Ok(()), |value| quantization(c.file, value))
}

/// Accepts what published FP8 checkpoints say of their weights: E4M3 with a scale for each block of 128 × 128.
fn quantization(file: &Path, value: &Value) -> Result<()> {
    let q = Object { file, value, at: "quantization_config" };
    for (key, expected) in [("quant_method", "fp8"), ("fmt", "e4m3"), ("activation_scheme", "dynamic")] {
        if q.string(key)?.is_some_and(|found| found != expected) {
            return Err(q.error(key, format!("{expected:?}")));
        }
    }
    match q.get("weight_block_size") {
        Some(size) if *size == json!([BLOCK, BLOCK]) => Ok(()),
        _ => Err(q.error("weight_block_size", format!("[{BLOCK}, {BLOCK}]"))),
    }
}
