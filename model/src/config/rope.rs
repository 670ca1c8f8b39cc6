//! The rotary embedding of a `config.json`, in the spelling of transformers 4 and of 5.

use super::object::{Object, Result};
use super::{RopeConfig, RopeScaling};
use crate::rope::yarn_attention_factor;
use serde_json::{Map, Value};
#[cfg(test)]
use std::path::Path;
use std::sync::LazyLock;

/// What an absent object says.
static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// The one rotary embedding of a `config.json`: `rope_theta` and `rope_scaling`, or the newer `rope_parameters`.
#[cfg(test)]
pub(crate) fn parse_rope(file: &Path, value: &Value, max_positions: usize) -> Result<RopeConfig> {
    let c = Object { file, value, at: "" };
    rope(&c, &table(&c)?, 10_000.0, max_positions)
}

/// The object that says how the embedding is stretched, empty where there is none.
pub(super) fn table<'a>(c: &Object<'a>) -> Result<Object<'a>> {
    let at = if c.get("rope_scaling").is_some() { "rope_scaling" } else { "rope_parameters" };
    let value = c.get(at).unwrap_or(&EMPTY);
    if !value.is_object() {
        return Err(c.error(at, "an object or null"));
    }
    Ok(Object { file: c.file, value, at })
}

/// The rotary embedding that `r` describes, and `c` where `r` is silent.
pub(super) fn rope(c: &Object, r: &Object, default_theta: f64, max_positions: usize) -> Result<RopeConfig> {
    let theta = match r.positive("rope_theta")? {
        Some(theta) => theta,
        None => c.positive("rope_theta")?.unwrap_or(default_theta),
    };
    for o in [r, c] {
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
