//! The `[sft]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mtp::MtpConfig;

/// Next-token training on texts or conversations.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SftConfig {
    /// Updates of the weights.
    pub steps: u64,
    /// Tokens of an update, prompts included: documents are taken in order until it is reached.
    pub batch_tokens: usize,
    /// Longest document; longer ones are left out and counted, in tokens.
    pub max_tokens: usize,
    /// Rows of a microbatch, in tokens.
    #[serde(default = "microbatch_tokens")]
    pub microbatch_tokens: usize,
    /// Which tokens are learned.
    #[serde(default)]
    pub loss_on: LossOn,
    /// Keep only each block's input for the backward pass and compute the rest again; no bit of a run depends on it.
    /// Chosen by the memory plan where absent: only where an update does not fit into memory without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_checkpointing: Option<bool>,
    /// The loss of multi-token prediction, beside the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtp: Option<MtpConfig>,
    /// Steps between evaluations; 0 evaluates at the start and the end only.
    #[serde(default)]
    pub eval_every: u64,
}

/// Which tokens of a document are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// What the assistant says, its stop token included.
    #[default]
    Assistant,
    /// Every token after the first.
    Everything,
}

fn microbatch_tokens() -> usize {
    4096
}
