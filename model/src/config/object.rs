//! A JSON object of a checkpoint, and how to complain about what it holds.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `model_type` may say.
pub(super) const SUPPORTED: &str =
    "qwen2, qwen3, qwen3_moe, llama, mixtral, gemma3_text, gemma3, deepseek_v2, deepseek_v3";

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

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

/// A JSON object of a file, and how to complain about it.
pub(super) struct Object<'a> {
    pub(super) file: &'a Path,
    pub(super) value: &'a Value,
    /// Dotted path of the object within the file, "" for the file itself.
    pub(super) at: &'a str,
}

impl<'a> Object<'a> {
    /// The value under `key`; absent and null are the same.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn error(&self, key: &str, expected: impl Into<String>) -> ConfigError {
        let key_path = if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) };
        let found = match self.value.get(key) {
            None => "missing".to_owned(),
            Some(v) => shorten(&v.to_string()),
        };
        ConfigError::Key { file: self.file.into(), key: key_path, found, expected: expected.into() }
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        self.get(key)
            .map(|v| match v.as_u64() {
                Some(n) if n > 0 && n <= LARGEST => Ok(n as usize),
                _ => Err(self.error(key, format!("a whole number from 1 to {LARGEST}"))),
            })
            .transpose()
    }

    pub(super) fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.error(key, "a positive whole number"))
    }

    /// A whole number, zero among them.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            Some(v) if v.as_u64() == Some(0) => Ok(Some(0)),
            _ => self.optional_size(key),
        }
    }

    /// A list of whole numbers, empty where there is none.
    pub(super) fn indices(&self, key: &str) -> Result<Vec<usize>> {
        let error = || self.error(key, "a list of whole numbers");
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(error)?;
        list.iter().map(|v| v.as_u64().map(|n| n as usize).ok_or_else(error)).collect()
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|v| v.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.error(key, "a number")))
            .transpose()
    }

    /// A number above zero.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(n) if n <= 0.0 => Err(self.error(key, "a number above 0")),
            n => Ok(n),
        }
    }

    pub(super) fn required_positive(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.error(key, "a number above 0"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|v| v.as_bool().ok_or_else(|| self.error(key, "true or false"))).transpose()
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| self.error(key, "a string"))).transpose()
    }

    /// A token id or a list of them; `default` where the key is absent (null is none).
    pub(super) fn ids(&self, key: &str, default: &[u32]) -> Result<Vec<u32>> {
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
    pub(super) fn must_be_false(&self, key: &str, why: &str) -> Result<()> {
        if self.flag(key)? == Some(true) {
            return Err(self.error(key, format!("false ({why})")));
        }
        Ok(())
    }
}

pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 80 {
        return text.to_owned();
    }
    text.chars().take(79).chain(['…']).collect()
}

pub(super) fn read_json(file: &Path) -> Result<Value> {
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
