//! The clipped objective of GRPO and its kin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which objective an update follows, with its constants.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// The ratio is clipped below at 1 − this (PPO, arXiv 1707.06347: 0.2).
    pub clip_low: f64,
    /// The ratio is clipped above at 1 + this. DAPO takes 0.28 (arXiv 2503.14476), R1's first RL stage 10.
    pub clip_high: f64,
    /// For negative advantages the term is bounded by this times the advantage (dual clip, arXiv 1912.09729: 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual_clip: Option<f64>,
    /// What the terms of tokens are divided by.
    pub normalize: Normalize,
    /// β, the weight of the KL to the reference. R1-Zero takes 0.001; 0 holds no reference.
    pub kl_coef: f64,
    /// Which estimator of the KL.
    pub kl: KlEstimator,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        ObjectiveConfig {
            clip_low: 0.2,
            clip_high: 0.2,
            dual_clip: None,
            normalize: Normalize::Completion,
            kl_coef: 0.0,
            kl: KlEstimator::K3,
        }
    }
}

/// What the terms of tokens are divided by. Counts are those of the whole update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// Mean over the tokens of each completion, then over completions (GRPO, arXiv 2402.03300).
    #[default]
    Completion,
    /// Mean over all tokens (DAPO, arXiv 2503.14476).
    Token,
    /// Sum over tokens ÷ (completions × this many tokens) (Dr. GRPO, arXiv 2503.20783).
    Constant(f64),
}

/// Estimators of the KL from the policy to the reference; d = log π_ref − log π.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KlEstimator {
    /// −d, as a term of the reward: its gradient as a loss is zero in expectation.
    K1,
    /// d² / 2, as a loss: follows KL(π‖ref).
    K2,
    /// e^d − d − 1, as a loss: follows KL(ref‖π) (DeepSeekMath, arXiv 2402.03300).
    #[default]
    K3,
}
