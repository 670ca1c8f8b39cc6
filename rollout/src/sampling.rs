//! How a token is drawn: temperature, top-k, top-p, min-p and keyed Gumbel noise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a draw. Log-probabilities are those of softmax(logits / temperature) before any truncation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Divides the logits. 0 is greedy. R1-Zero trains at 1.
    pub temperature: f64,
    /// Keep the smallest set of tokens whose probability reaches this (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f64,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep tokens at least this share of the likeliest one's probability (Nguyen et al. 2024); 0 keeps all.
    pub min_p: f64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0 }
    }
}
