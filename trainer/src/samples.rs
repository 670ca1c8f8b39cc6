//! `samples.jsonl`: completions to read. Reading them is how reinforcement learning is debugged.

use rewards::{Part, Score};
use rollout::completion::{Completion, FinishReason};
use serde::{Deserialize, Serialize};

/// The file's name inside a run folder.
pub const SAMPLES: &str = "samples.jsonl";

/// One completion with its score: one line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The step it was sampled in; 0 is before the first update.
    pub step: u64,
    /// The held-out set it was evaluated on; absent for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The problem's index in its data set.
    pub index: u64,
    /// The prompt as the policy saw it, template included.
    pub prompt: String,
    /// The text that rewards saw, without the stop token.
    pub completion: String,
    /// Length of the completion, in tokens.
    pub n_tokens: usize,
    /// Why sampling ended.
    pub finish: FinishReason,
    /// Reward relative to the group; absent where the completion taught nothing or was not for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantage: Option<f64>,
    /// The reward; `null` where it could not be computed.
    pub total: Option<f64>,
    /// What each rule gave.
    pub parts: Vec<Part>,
}

impl SampleRecord {
    /// A record of a training completion. Held-out ones set [`Self::set`] too.
    pub fn new(step: u64, index: u64, prompt: &str, completion: &Completion, score: &Score) -> Self {
        Self {
            step,
            set: None,
            index,
            prompt: prompt.to_owned(),
            completion: completion.text.clone(),
            n_tokens: completion.tokens.len(),
            finish: completion.finish,
            advantage: None,
            total: score.total,
            parts: score.parts.clone(),
        }
    }
}
