//! `samples.jsonl`: completions to read. Reading them is how reinforcement learning is debugged.

use rewards::{Part, Score};
use rollout::completion::{Completion, FinishReason};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Problem;
use crate::prompting::PreparedProblem;

/// The file's name inside a run folder.
pub const SAMPLES: &str = "samples.jsonl";

/// Bytes of JSON up to which a data row is kept: some rows of programs have tests of many megabytes.
const COLUMNS: usize = 64 << 10;

/// One completion with its score, and what rules read to score it again: one line of `samples.jsonl`.
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
    /// The prompt's messages as the data has them; absent where it is plain text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Value>,
    /// The reference answer; absent where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// The data row, for rules that read more of it; absent where its JSON has more than 64 KiB.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub columns: Map<String, Value>,
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
    pub fn new(step: u64, problem: &PreparedProblem, completion: &Completion, score: &Score) -> Self {
        let Problem { index, prompt, expected, columns } = &problem.problem;
        let length = serde_json::to_string(columns).map_or(usize::MAX, |text| text.len());
        Self {
            step,
            set: None,
            index: *index,
            prompt: problem.text.clone(),
            messages: prompt.messages().to_vec(),
            expected: expected.clone(),
            columns: if length > COLUMNS { Map::new() } else { columns.clone() },
            completion: completion.text.clone(),
            n_tokens: completion.tokens.len(),
            finish: completion.finish,
            advantage: None,
            total: score.total,
            parts: score.parts.clone(),
        }
    }
}
