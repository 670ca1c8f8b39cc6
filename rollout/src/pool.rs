//! The rollout pool.

use crate::sampling::SamplingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[rollout]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutConfig {
    /// Longest completion, in tokens, the stop token included.
    pub max_tokens: usize,
    /// Completions a replica decodes at once, at most.
    pub max_batch: usize,
    /// Bytes of keys and values, over all replicas.
    pub kv_bytes: u64,
    /// Texts that end a completion and are cut from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        RolloutConfig {
            max_tokens: 1024,
            max_batch: 64,
            kv_bytes: 1 << 30,
            stop: Vec::new(),
            sampling: SamplingConfig::default(),
        }
    }
}
