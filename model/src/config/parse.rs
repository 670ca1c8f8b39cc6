//! Reading `config.json` and `generation_config.json`, in the spelling of transformers 4 and of 5.

use super::{Family, ModelConfig, RopeConfig, RopeScaling};
use crate::rope::yarn_attention_factor;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `model_type` may say.
const SUPPORTED: &str = "qwen2, qwen3, llama";

/// Largest dimension believed; keeps products of four of them inside u128.
const LARGEST: u64 = 1 << 31;

/// Why a checkpoint's configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{}: not JSON: {source}", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A key is absent or holds something else than it should.
    #[error("{}: `{key}` is {found}, expected {expected}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key, dotted where nested.
        key: String,
        /// What it holds ("missing" where absent).
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// The architecture is not one this crate knows.
    #[error("{}: `{key}` {found} is not supported; supported model types are {SUPPORTED}, as …ForCausalLM", file.display())]
    Family {
        /// The file.
        file: PathBuf,
        /// `model_type` or `architectures`.
        key: &'static str,
        /// What the file says.
        found: String,
    },
}

type Result<T> = std::result::Result<T, ConfigError>;

/// A JSON object of a file, and how to complain about it.
struct Object<'a> {
    file: &'a Path,
    value: &'a Value,
    /// Dotted path of the object within the file, "" for the file itself.
    at: &'a str,
}

impl<'a> Object<'a> {
    /// The value under `key`; absent and null are the same.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    fn error(&self, key: &str, expected: impl Into<String>) -> ConfigError {
        let key_path = if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) };
        let found = match self.value.get(key) {
            None => "missing".to_owned(),
            Some(v) => shorten(&v.to_string()),
        };
        ConfigError::Key { file: self.file.into(), key: key_path, found, expected: expected.into() }
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        self.get(key)
            .map(|v| match v.as_u64() {
                Some(n) if n > 0 && n <= LARGEST => Ok(n as usize),
                _ => Err(self.error(key, format!("a whole number from 1 to {LARGEST}"))),
            })
            .transpose()
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.error(key, "a positive whole number"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|v| v.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.error(key, "a number")))
            .transpose()
    }

    /// A number above zero.
    fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(n) if n <= 0.0 => Err(self.error(key, "a number above 0")),
            n => Ok(n),
        }
    }

    fn required_positive(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.error(key, "a number above 0"))
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|v| v.as_bool().ok_or_else(|| self.error(key, "true or false"))).transpose()
    }

    fn string(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| self.error(key, "a string"))).transpose()
    }

    /// A token id or a list of them; `default` where the key is absent (null is none).
    fn ids(&self, key: &str, default: &[u32]) -> Result<Vec<u32>> {
        let id = |v: &Value| {
            v.as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| self.error(key, "a token id or a list of token ids"))
        };
        match self.value.get(key) {
            None => Ok(default.to_vec()),
            Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(v) => Ok(vec![id(v)?]),
        }
    }

    /// Errs where `key` is true: this crate has no such thing.
    fn must_be_false(&self, key: &str, why: &str) -> Result<()> {
        if self.flag(key)? == Some(true) {
            return Err(self.error(key, format!("false ({why})")));
        }
        Ok(())
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 80 {
        return text.to_owned();
    }
    text.chars().take(79).chain(['…']).collect()
}

fn read_json(file: &Path) -> Result<Value> {
    let text = std::fs::read(file).map_err(|source| ConfigError::Io { file: file.into(), source })?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|source| ConfigError::Json { file: file.into(), source })?;
    if !value.is_object() {
        return Err(ConfigError::Key {
            file: file.into(),
            key: "the file".into(),
            found: shorten(&value.to_string()),
            expected: "a JSON object".into(),
        });
    }
    Ok(value)
}

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

    /// Resolves a parsed `config.json`; `file` is for messages.
    pub fn from_json(file: &Path, value: &Value) -> Result<ModelConfig> {
        let c = Object { file, value, at: "" };
        let family = family(&c)?;
        refuse_what_is_not_computed(&c, family)?;

        let hidden_dim = c.size("hidden_size")?;
        let n_layers = c.size("num_hidden_layers")?;
        refuse_sliding_window(&c, family, n_layers)?;
        let n_heads = c.size("num_attention_heads")?;
        let n_kv_heads = match c.optional_size("num_key_value_heads")? {
            Some(n) => n,
            None if family == Family::Llama || value.get("num_key_value_heads").is_some() => n_heads,
            None => return Err(c.error("num_key_value_heads", "a positive whole number")),
        };
        if n_heads % n_kv_heads != 0 {
            return Err(c.error("num_key_value_heads", format!("a divisor of the {n_heads} query heads")));
        }
        let head_dim = match c.optional_size("head_dim")? {
            Some(n) => n,
            // What transformers' Qwen3Config assumes for an absent key, whatever the width.
            None if family == Family::Qwen3 && value.get("head_dim").is_none() => 128,
            None if hidden_dim % n_heads == 0 => hidden_dim / n_heads,
            None => {
                let expected = format!("a multiple of the {n_heads} heads, or `head_dim` beside it");
                return Err(c.error("hidden_size", expected));
            }
        };
        if head_dim % 2 != 0 {
            return Err(c.error("head_dim", format!("an even number (it is {head_dim})")));
        }
        let max_positions = c.size("max_position_embeddings")?;
        let (bos, eos): (&[u32], &[u32]) = if family == Family::Llama { (&[1], &[2]) } else { (&[], &[]) };
        let mut eos_token_ids = Vec::new();
        add_each_once(&mut eos_token_ids, c.ids("eos_token_id", eos)?);
        Ok(ModelConfig {
            family,
            vocab_size: c.size("vocab_size")?,
            hidden_dim,
            n_layers,
            n_heads,
            n_kv_heads,
            head_dim,
            ffn_dim: c.size("intermediate_size")?,
            norm_eps: c.positive("rms_norm_eps")?.unwrap_or(1e-6),
            rope: parse_rope(file, value, max_positions)?,
            max_positions,
            // All three families say false where the key is absent.
            tied_head: c.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: family == Family::Qwen2,
            qk_norm: family == Family::Qwen3,
            bos_token_id: c.ids("bos_token_id", bos)?.first().copied(),
            eos_token_ids,
        })
    }

    /// Number of trained parameters; a tied head counts once.
    pub fn n_parameters(&self) -> u64 {
        let wide = |n: usize| n as u128;
        let (d, f, k) = (wide(self.hidden_dim), wide(self.ffn_dim), wide(self.head_dim));
        let (q, kv) = (wide(self.n_heads) * k, wide(self.n_kv_heads) * k);
        let mut block = 2 * d * q + 2 * d * kv + 3 * d * f + 2 * d;
        if self.qkv_bias {
            block += q + 2 * kv;
        }
        if self.qk_norm {
            block += 2 * k;
        }
        let tables = if self.tied_head { 1 } else { 2 };
        let total = tables * wide(self.vocab_size) * d + wide(self.n_layers) * block + d;
        u64::try_from(total).unwrap_or(u64::MAX)
    }
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
    let (family, class) = match c.string("model_type")? {
        Some("qwen2") => (Family::Qwen2, "Qwen2ForCausalLM"),
        Some("qwen3") => (Family::Qwen3, "Qwen3ForCausalLM"),
        Some("llama") => (Family::Llama, "LlamaForCausalLM"),
        Some(other) => return Err(unsupported("model_type", format!("{other:?}"))),
        None => return Err(c.error("model_type", format!("one of {SUPPORTED}"))),
    };
    match c.get("architectures") {
        None => Ok(family),
        Some(Value::Array(list)) if list.is_empty() || list.iter().any(|a| a == class) => Ok(family),
        Some(other) => Err(unsupported("architectures", shorten(&other.to_string()))),
    }
}

/// Settings under which the forward pass here would silently differ.
fn refuse_what_is_not_computed(c: &Object, family: Family) -> Result<()> {
    match c.string("hidden_act")? {
        None | Some("silu" | "swish") => {}
        Some(_) => return Err(c.error("hidden_act", "\"silu\"")),
    }
    c.must_be_false("mlp_bias", "biases in the feed-forward are not supported")?;
    if family != Family::Qwen2 {
        c.must_be_false("attention_bias", "it would put a bias on o_proj, which is not supported")?;
    }
    c.must_be_false("use_mrope", "multimodal positions are not supported")?;
    if c.get("quantization_config").is_some() {
        return Err(c.error("quantization_config", "none (quantized weights are not supported)"));
    }
    Ok(())
}

/// Qwen's sliding window: in use where switched on and some layer is past `max_window_layers`.
fn refuse_sliding_window(c: &Object, family: Family, n_layers: usize) -> Result<()> {
    if family == Family::Llama {
        return Ok(());
    }
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

/// The rotary embedding of a `config.json`: `rope_theta` and `rope_scaling`, or the newer `rope_parameters`.
pub(crate) fn parse_rope(file: &Path, value: &Value, max_positions: usize) -> Result<RopeConfig> {
    let c = Object { file, value, at: "" };
    let empty = Value::Object(serde_json::Map::new());
    let at = if c.get("rope_scaling").is_some() { "rope_scaling" } else { "rope_parameters" };
    let table = c.get(at).unwrap_or(&empty);
    if !table.is_object() {
        return Err(c.error(at, "an object or null"));
    }
    let r = Object { file, value: table, at };
    let theta = match r.positive("rope_theta")? {
        Some(theta) => theta,
        None => c.positive("rope_theta")?.unwrap_or(10_000.0),
    };
    for o in [&r, &c] {
        if o.number("partial_rotary_factor")?.is_some_and(|p| p != 1.0) {
            return Err(o.error("partial_rotary_factor", "1 (partial rotation is not supported)"));
        }
    }
    let kind_key = if r.get("rope_type").is_some() { "rope_type" } else { "type" };
    let original = || match c.optional_size("original_max_position_embeddings")? {
        Some(n) => Ok(n),
        None => Ok(r.optional_size("original_max_position_embeddings")?.unwrap_or(max_positions)),
    };
    let scaling = match r.string(kind_key)?.unwrap_or("default") {
        "default" => RopeScaling::Default,
        "linear" => RopeScaling::Linear { factor: r.required_positive("factor")? },
        "llama3" => {
            let low_freq_factor = r.required_positive("low_freq_factor")?;
            let high_freq_factor = r.required_positive("high_freq_factor")?;
            if high_freq_factor <= low_freq_factor {
                return Err(r.error("high_freq_factor", "a number above `low_freq_factor`"));
            }
            RopeScaling::Llama3 {
                factor: r.required_positive("factor")?,
                low_freq_factor,
                high_freq_factor,
                original_max_positions: original()?,
            }
        }
        "yarn" => {
            if theta == 1.0 {
                return Err(r.error("rope_theta", "a number other than 1"));
            }
            let original_max_positions = original()?;
            let factor = r.positive("factor")?.unwrap_or(max_positions as f64 / original_max_positions as f64);
            let attention_factor = match r.positive("attention_factor")? {
                Some(a) => a,
                None => yarn_attention_factor(factor, r.number("mscale")?, r.number("mscale_all_dim")?),
            };
            // Zero counts as absent there, as transformers has it.
            let beta = |key, default| match r.number(key)? {
                Some(b) if b < 0.0 => Err(r.error(key, "a number above 0")),
                b => Ok(b.filter(|b| *b != 0.0).unwrap_or(default)),
            };
            RopeScaling::Yarn {
                factor,
                beta_fast: beta("beta_fast", 32.0)?,
                beta_slow: beta("beta_slow", 1.0)?,
                original_max_positions,
                attention_factor,
                truncate: r.flag("truncate")?.unwrap_or(true),
            }
        }
        _ => return Err(r.error(kind_key, "one of default, linear, llama3, yarn")),
    };
    Ok(RopeConfig { theta, scaling })
}
