//! The `[grpo]` table.

use crate::objective::ObjectiveConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Group-relative policy optimisation (DeepSeekMath, arXiv 2402.03300; DeepSeek-R1, arXiv 2501.12948).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpoConfig {
    /// Rounds of sampling and learning.
    pub steps: u64,
    /// P: problems in a step.
    pub prompts_per_step: usize,
    /// G: completions of a problem, at least 2.
    pub group_size: usize,
    /// Optimizer moves in a step: its groups are split evenly, in order. R1-Zero makes 16.
    #[serde(default = "one")]
    pub updates_per_step: usize,
    /// Times a step's completions are learned from. R1-Zero learns once.
    #[serde(default = "one")]
    pub epochs_per_step: usize,
    /// How the rules' values become one advantage.
    #[serde(default)]
    pub combine_rewards: CombineRewards,
    /// Divide advantages by the group's standard deviation; off is Dr. GRPO (arXiv 2503.20783).
    #[serde(default = "yes")]
    pub std: bool,
    /// Added to the standard deviation. TRL takes 1e-4.
    #[serde(default = "std_epsilon")]
    pub std_epsilon: f64,
    /// Leave completions that met the token limit out of the loss (DAPO's overlong filtering, arXiv 2503.14476).
    #[serde(default)]
    pub mask_truncated: bool,
    /// Steps after which the reference becomes the policy; 0 never. R1-Zero: 400 updates, 25 of its steps.
    #[serde(default)]
    pub reference_every: u64,
    /// Rows of a microbatch, in tokens, prompts counted once.
    #[serde(default = "microbatch_tokens")]
    pub microbatch_tokens: usize,
    /// Keep only each block's input for the backward pass and compute the rest again; no bit of a run depends on it.
    /// Chosen by the memory plan where absent: only where an update does not fit into memory without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_checkpointing: Option<bool>,
    /// What the mean loss of the policy's modules of multi-token prediction, on the completions that teach, is multiplied
    /// with; 0 leaves the modules as they are. Their gradient reaches the policy as well.
    #[serde(default)]
    pub mtp_weight: f64,
    /// Steps between evaluations; 0 evaluates at the start and the end only.
    #[serde(default)]
    pub eval_every: u64,
    /// From `step` on, completions may have `max_tokens`; before the first entry `rollout.max_tokens` holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub max_tokens_schedule: Vec<LengthChange>,
    /// The objective.
    #[serde(default)]
    pub objective: ObjectiveConfig,
}

/// How the rules' values become one advantage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CombineRewards {
    /// Weighted and summed, then compared within the group.
    #[default]
    SumThenNormalize,
    /// Each rule's values are compared within the group, then weighted, summed and divided by their standard deviation
    /// over the step, so that no rule is drowned by one with a larger range (GDPO, arXiv 2601.05242).
    NormalizeThenSum,
}

/// A change of the completion limit. R1-Zero went from 32,768 to 65,536 tokens at update 8,200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthChange {
    /// First step with the new limit.
    pub step: u64,
    /// The limit, in tokens.
    pub max_tokens: usize,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn std_epsilon() -> f64 {
    1e-4
}

fn microbatch_tokens() -> usize {
    4096
}
