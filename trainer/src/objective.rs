//! The clipped objective of GRPO and its kin: mathematics on slices, without a model.
//!
//! With ratio r = π / π_old of a token, advantage A, d = log π_ref − log π and the token's weight w, what is minimised
//! is the sum over tokens of
//!
//! ```text
//! w · ( −min(r·A, clip(r, 1 − clip_low, 1 + clip_high)·A) + β·k(d) )     k2 = d² / 2     k3 = e^d − d − 1
//! ```
//!
//! with the first part bounded by −dual_clip·A where A < 0. Weights come from [`completion_weights`] over the whole
//! update, so a sum over microbatches is the update's loss however they were cut.

use std::ops::AddAssign;

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

impl ObjectiveConfig {
    /// Whether the policy is held to a reference.
    pub fn has_reference(&self) -> bool {
        self.kl_coef != 0.0
    }

    /// Whether the KL to the reference is a term of the loss, so that a token without advantage still has a gradient.
    pub fn kl_in_loss(&self) -> bool {
        self.has_reference() && self.kl != KlEstimator::K1
    }

    /// Whether the KL to the reference is a term of the reward, by [`kl_reward`].
    pub fn kl_in_reward(&self) -> bool {
        self.has_reference() && self.kl == KlEstimator::K1
    }
}

/// Sampled tokens of one microbatch, or some of them.
///
/// # Shapes
/// All `[N]`; log-probabilities are natural, each that of the token it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct TokenBatch<'a> {
    /// By the policy that is being trained.
    pub new: &'a [f32],
    /// By the policy that sampled, `old_logprobs`.
    pub old: &'a [f32],
    /// By the reference. Needed where the KL is a term of the loss, else only measured.
    pub reference: Option<&'a [f32]>,
    /// The advantage of each token's completion.
    pub advantages: &'a [f32],
    /// The share of each token in the whole update, from [`completion_weights`].
    pub weights: &'a [f64],
}

/// Sums over tokens, to be added up over the microbatches of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// The weighted loss.
    pub loss: f64,
    /// Tokens.
    pub n_tokens: usize,
    /// Tokens whose policy gradient a clip cut off.
    pub clipped: usize,
    /// k3 of the policy to the reference, in nats, unweighted; 0 without a reference.
    pub kl: f64,
    /// The largest ratio.
    pub ratio_max: f64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.loss += other.loss;
        self.n_tokens += other.n_tokens;
        self.clipped += other.clipped;
        self.kl += other.kl;
        self.ratio_max = self.ratio_max.max(other.ratio_max);
    }
}

/// The loss of some tokens and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What metrics are made of.
    pub tally: Tally,
    /// d(loss) / d(new), `[N]`.
    pub d_logprob: Vec<f32>,
}

/// The clipped objective with a KL penalty towards the reference, to be minimised. Computed in f64.
///
/// A token's gradient depends on that token alone, so batches may be cut anywhere. The KL estimators follow their KL
/// in expectation over tokens that the current policy sampled; after the first update of a step that is approximate.
pub fn clipped_objective(tokens: &TokenBatch, config: &ObjectiveConfig) -> Objective {
    let n = tokens.new.len();
    assert_eq!(
        [tokens.old.len(), tokens.advantages.len(), tokens.weights.len(), tokens.reference.map_or(n, <[f32]>::len)],
        [n; 4],
        "old, advantages, weights and reference are [N], as new is"
    );
    assert!(tokens.reference.is_some() || !config.kl_in_loss(), "a KL loss needs the reference's log-probabilities");

    let mut tally = Tally { n_tokens: n, ..Tally::default() };
    let mut d_logprob = Vec::with_capacity(n);
    for i in 0..n {
        let (new, weight) = (f64::from(tokens.new[i]), tokens.weights[i]);
        let surrogate = surrogate(new - f64::from(tokens.old[i]), f64::from(tokens.advantages[i]), config);
        let penalty = tokens.reference.map(|r| penalty(f64::from(r[i]) - new, config)).unwrap_or_default();

        tally.loss += weight * (surrogate.loss + penalty.loss);
        tally.clipped += usize::from(surrogate.clipped);
        tally.kl += penalty.k3;
        tally.ratio_max = tally.ratio_max.max(surrogate.ratio);
        d_logprob.push((weight * (surrogate.gradient + penalty.gradient)) as f32);
    }
    Objective { tally, d_logprob }
}

struct Surrogate {
    loss: f64,
    gradient: f64,
    clipped: bool,
    ratio: f64,
}

/// The policy's part of one token, from log π − log π_old.
fn surrogate(log_ratio: f64, advantage: f64, config: &ObjectiveConfig) -> Surrogate {
    let ratio = log_ratio.exp();
    // Apart, because an infinite ratio times zero is not a number.
    if advantage == 0.0 {
        return Surrogate { loss: 0.0, gradient: 0.0, clipped: false, ratio };
    }
    // The least and the largest ratio that still count: min(…) binds above for A > 0 and below for A < 0.
    let (floor, ceiling) = if advantage > 0.0 {
        (0.0, 1.0 + config.clip_high)
    } else {
        (1.0 - config.clip_low, config.dual_clip.unwrap_or(f64::INFINITY))
    };
    let clipped = ratio < floor || ratio > ceiling;
    let counted = match ratio {
        _ if ratio < floor => floor,
        _ if ratio > ceiling => ceiling,
        _ => ratio,
    };
    let gradient = if clipped { 0.0 } else { -advantage * ratio };
    Surrogate { loss: -advantage * counted, gradient, clipped, ratio }
}

#[derive(Default)]
struct Penalty {
    loss: f64,
    gradient: f64,
    k3: f64,
}

/// The reference's part of one token, from d = log π_ref − log π.
fn penalty(d: f64, config: &ObjectiveConfig) -> Penalty {
    let excess = d.exp_m1();
    let k3 = excess - d;
    let (loss, gradient) = match config.kl {
        KlEstimator::K1 => (0.0, 0.0),
        KlEstimator::K2 => (d * d / 2.0, -d),
        KlEstimator::K3 => (k3, -excess),
    };
    Penalty { loss: config.kl_coef * loss, gradient: config.kl_coef * gradient, k3 }
}

/// −β·Σ k1 over a completion, to be added to its reward: Σ (log π − log π_ref) is its share of KL(π‖ref).
///
/// # Shapes
/// `rollout_logprobs` and `reference`: `[T]`, the completion's tokens.
pub fn kl_reward(rollout_logprobs: &[f32], reference: &[f32], kl_coef: f64) -> f64 {
    assert_eq!(rollout_logprobs.len(), reference.len(), "one log-probability of each for every token");
    let k1 =
        rollout_logprobs.iter().zip(reference).map(|(&policy, &reference)| f64::from(policy) - f64::from(reference));
    -kl_coef * k1.sum::<f64>()
}

/// The weight that each token of a completion has in its update's loss, one for each completion.
///
/// `lengths` are those of all completions that count in the update, in tokens; those without a score or masked as
/// truncated are not among them, those with zero advantage are.
pub fn completion_weights(normalize: Normalize, lengths: &[usize]) -> Vec<f64> {
    let n_completions = lengths.len() as f64;
    let n_tokens = lengths.iter().sum::<usize>() as f64;
    let weight = |&length: &usize| match normalize {
        Normalize::Completion => 1.0 / (n_completions * length as f64),
        Normalize::Token => 1.0 / n_tokens,
        Normalize::Constant(tokens) => 1.0 / (n_completions * tokens),
    };
    lengths.iter().map(weight).collect()
}

#[cfg(test)]
mod tests;
