//! Evaluation on held-out problems: pass@1 as the mean over k completions, pass@k, the majority's vote.

mod command;
mod evaluation;
pub mod pass_at;
mod sets;

use crate::config::DataConfig;
use rewards::RuleConfig;
use rollout::sampling::SamplingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use command::{config_for, run};
pub use evaluation::{Evaluation, Shown, table};
pub(crate) use sets::judge;
pub use sets::{EvalSets, evaluate};

/// The `[eval]` table.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// The held-out sets. The first gives `eval/pass@1`; others are named `eval/<name>/pass@1`.
    pub sets: Vec<EvalSet>,
    /// k: completions of a problem.
    #[serde(default = "eight")]
    pub samples: usize,
    /// Longest completion, in tokens; `rollout.max_tokens` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// How tokens are drawn. R1: temperature 0.6, top-p 0.95.
    #[serde(default = "r1_sampling")]
    pub sampling: SamplingConfig,
    /// Which completion is right; the run's own rules that say so where absent, each for rows of its `sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleConfig>,
}

impl EvalConfig {
    /// These sets under this rule, with the defaults for everything else.
    pub fn of(sets: Vec<EvalSet>, rule: RuleConfig) -> Self {
        Self { sets, samples: eight(), max_tokens: None, sampling: r1_sampling(), rule: Some(rule) }
    }
}

/// One held-out set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvalSet {
    /// Names the set in keys and tables.
    pub name: String,
    /// Its problems.
    pub data: DataConfig,
    /// Only this many problems, the first ones; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_problems: Option<usize>,
}

fn eight() -> usize {
    8
}

fn r1_sampling() -> SamplingConfig {
    SamplingConfig { temperature: 0.6, top_p: 0.95, ..SamplingConfig::default() }
}
