//! `RunConfig`: what a run's TOML file says.
//!
//! Plain values as they were written: nothing here opens a path or chooses a device. Each crate owns the tables it
//! reads; this file only composes them.

use std::num::NonZero;
use std::path::PathBuf;

use model::config::PolicyConfig;
use rewards::RuleConfig;
use rollout::pool::RolloutConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{Effort, Source, Template};
use crate::eval::EvalConfig;
use crate::grpo::GrpoConfig;
use crate::optimizer::OptimizerConfig;
use crate::router::RouterConfig;
use crate::sft::SftConfig;

mod load;
mod places;
mod reference;
mod validate;

pub use load::rewards;
pub use places::Places;
pub use validate::Stage;

/// One run: a TOML file, with `--set` applied.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Names the run's folder, `runs/<name>/<n>`. The config file's own name where it is absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Every draw of the run follows from it.
    #[serde(default)]
    pub seed: u64,
    /// The policy to start from.
    pub model: PolicyConfig,
    /// The problems or texts to train on.
    pub data: DataConfig,
    /// How completions are sampled while training.
    #[serde(default)]
    pub rollout: RolloutConfig,
    /// The rules a completion is scored by; their weighted values are added up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewards: Vec<RuleConfig>,
    /// Reinforcement learning, for `grouper grpo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpo: Option<GrpoConfig>,
    /// Supervised fine-tuning, for `grouper sft`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sft: Option<SftConfig>,
    /// How the policy moves.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The routers of a mixture of experts.
    #[serde(default)]
    pub router: RouterConfig,
    /// Held-out sets and how they are sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval: Option<EvalConfig>,
    /// Checkpoints, threads, logs.
    #[serde(default)]
    pub run: RunSettings,
    /// Where its keys stand, for findings about them.
    #[serde(skip)]
    pub places: Places,
}

impl RunConfig {
    /// The JSON schema of a run's file: every key with its type, default and description.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(RunConfig).to_value()
    }

    /// docs/configuration.md: every key as a page of Markdown.
    pub fn reference_page() -> String {
        reference::page()
    }

    /// A TOML file with every key in it, commented, that loads.
    pub fn example() -> String {
        reference::example()
    }
}

/// The `[data]` table.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where problems or texts come from.
    pub source: Source,
    /// How a problem is put to the policy. R1-Zero's prompt where nothing else is asked for.
    #[serde(default = "r1_zero")]
    pub template: Template,
    /// Put before every conversation as a system message (chat) or a paragraph (text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The reasoning effort that prompts ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// Longer prompts are left out, counted and reported, in tokens.
    #[serde(default = "default_max_prompt_tokens")]
    pub max_prompt_tokens: usize,
}

fn r1_zero() -> Template {
    Template::R1Zero
}

fn default_max_prompt_tokens() -> usize {
    1024
}

/// The `[run]` table: what changes neither the task nor the update.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Steps between checkpoints; 0 keeps only the last.
    pub save_every: u64,
    /// Checkpoints kept beside the best; older ones are removed.
    pub keep_last: usize,
    /// Threads that compute; as many as there are cores where absent. Part of what a resumed run must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Microbatches whose gradients are computed side by side, at most, by all threads together. Each takes activations
    /// and a chunk of logits of its own; fewer need less memory and are as fast where products are long. Chosen by the
    /// memory plan where absent: one for each worker, else 2, where that takes at most 256 MiB more than 1 and fits into
    /// memory, else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_microbatches: Option<usize>,
    /// Number format of saved weights; `f32` loses nothing.
    pub save_dtype: SaveDtype,
    /// Completions of each step that go to samples.jsonl.
    pub samples_per_step: usize,
    /// Whether the sampler's log-probabilities must be those of the training forward, bit for bit.
    pub exactness: Exactness,
    /// Updates in a row that may be skipped for a loss or gradient that is not finite before the run stops.
    pub max_skipped_updates: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            save_every: 50,
            keep_last: 2,
            workers: None,
            parallel_microbatches: None,
            save_dtype: SaveDtype::F32,
            samples_per_step: 4,
            exactness: Exactness::Auto,
            max_skipped_updates: 3,
        }
    }
}

/// Number format of saved weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SaveDtype {
    /// 32-bit float, as trained.
    #[default]
    F32,
    /// bfloat16, rounded to nearest.
    Bf16,
    /// Weights of the blocks' linear layers in E4M3 with a scale for each 128 × 128, as DeepSeek-V3 is published; the
    /// others in bfloat16.
    Fp8,
}

/// What happens when a rollout's log-probability is not that of the training forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exactness {
    /// `require` where the probe at the start can promise it, else `measure`.
    #[default]
    Auto,
    /// A difference stops the run and names the token.
    Require,
    /// Old log-probabilities are computed again by the training forward; the difference is a metric.
    Measure,
}

/// How a command carries out its run: what the command line says beside the config.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    /// Folder that holds the folders of runs: a run lives in `<root>/<name>/<n>`.
    pub root: PathBuf,
    /// Go on with a run: its folder, or an empty path for the newest of this name.
    pub resume: Option<PathBuf>,
    /// Resume although something that results follow from is another than before.
    pub allow_inexact: bool,
    /// Stop with a checkpoint after so many hours.
    pub max_hours: Option<f64>,
    /// Steps to trace into [`crate::profile::PROFILE`], from the first that is taken.
    pub profile: Option<NonZero<u64>>,
    /// Console lines: -1 says only what is wrong, 0 a line a step, 1 and above adds detail.
    pub verbosity: i8,
}

/// How a stage that did not fail came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step was done.
    Finished,
    /// A signal or `max_hours` stopped it early, with a checkpoint to resume from.
    Stopped,
}
