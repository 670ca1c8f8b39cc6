//! `Completion`: what the policy sampled after a prompt.

use serde::{Deserialize, Serialize};

/// One sampled completion. The token ids are the record; nothing is tokenised a second time.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Sampled ids, the stop token included.
    pub tokens: Vec<u32>,
    /// `rollout_logprobs`: natural log, of softmax(logits / temperature), one for each of `tokens`.
    pub logprobs: Vec<f32>,
    /// The text that rewards see: without the stop token, cut before a stop string.
    pub text: String,
    /// Why sampling ended.
    pub finish: FinishReason,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// A stop token or a stop string.
    Stop,
    /// The token limit.
    Length,
}
