//! The loss of multi-token prediction, beside that of a stage (DeepSeek-V3, arXiv 2412.19437, section 2.2):
//!
//! ```text
//! L = L_main + λ/K · Σ_k −Σ log p_k / n_k
//! ```
//!
//! over K modules, the k-th of which predicts n_k of an update's learned tokens. All n are counted over the whole update, so
//! that cutting it into microbatches changes no token's weight. The gradient reaches the policy through the modules, as in
//! the paper.

use model::backward::Targets;
use model::config::ModelConfig;
use model::layout::Layout;
use model::mtp::{MtpFound, n_targets};
use model::packed::Packed;
use model::policy::Policy;
use rollout::draft::Drafting;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

use crate::config::{RunConfig, Stage};
use crate::preflight::Finding;
use crate::step_log::StepLog;

/// Multi-token prediction beside next-token training. Without the table blocks of multi-token prediction stay as they are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MtpConfig {
    /// λ: what the modules' mean loss is multiplied with. DeepSeek-V3 begins with 0.3.
    #[serde(default = "first_weight")]
    pub weight: f64,
    /// From `step` on another weight. DeepSeek-V3: 0.1 after 10 of 14.8 trillion tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_schedule: Vec<WeightChange>,
}

/// A change of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightChange {
    /// First step with the new weight.
    pub step: u64,
    /// The weight; at 0 modules are not computed.
    pub weight: f64,
}

fn first_weight() -> f64 {
    0.3
}

impl MtpConfig {
    /// λ of a step, counted from 1.
    pub fn weight(&self, step: u64) -> f64 {
        let mut changes = self.weight_schedule.iter().filter(|change| change.step <= step);
        changes.next_back().map_or(self.weight, |change| change.weight)
    }
}

/// Whether some step of a run teaches its policy's modules.
pub fn learns(run: &RunConfig) -> bool {
    let sft = run.sft.iter().filter_map(|sft| sft.mtp.as_ref());
    let weights = sft.flat_map(|mtp| mtp.weight_schedule.iter().map(|change| change.weight).chain([mtp.weight]));
    weights.chain(run.grpo.iter().map(|grpo| grpo.mtp_weight)).any(|weight| weight > 0.0)
}

/// Where weights lie that a run does not teach, of which none decays.
pub fn spared(run: &RunConfig, layout: &Layout) -> Vec<Range<usize>> {
    if learns(run) { Vec::new() } else { layout.mtp_ranges() }
}

/// What speaks against a run's keys on multi-token prediction, given its policy.
pub(crate) fn check(run: &RunConfig, stage: Stage, model: &ModelConfig) -> Vec<Finding> {
    let mut keys = Vec::new();
    if stage == Stage::Sft && run.sft.as_ref().is_some_and(|sft| sft.mtp.is_some()) {
        keys.push("sft.mtp");
    }
    if stage == Stage::Grpo && run.grpo.as_ref().is_some_and(|grpo| grpo.mtp_weight > 0.0) {
        keys.push("grpo.mtp_weight");
    }
    if run.rollout.draft == Drafting::Mtp {
        keys.push("rollout.draft");
    }
    let refusal = |key: &str| {
        let finding = Finding::error(key, "needs a block of multi-token prediction, and the policy has none");
        finding.hint("`num_nextn_predict_layers` in the checkpoint's config.json says how many there are")
    };
    keys.into_iter().filter(|_| model.n_mtp == 0).map(refusal).collect()
}

/// What the modules are to learn in an update.
#[derive(Clone, Debug, PartialEq)]
pub struct MtpLesson {
    /// λ / K / n_k of each module.
    weights: Vec<f64>,
}

/// What modules found of a microbatch, or of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MtpTally {
    /// Of the update's loss, λ in it.
    pub loss: f64,
    /// Tokens that modules predicted.
    pub n_tokens: usize,
    /// Of them, those that were the module's likeliest.
    pub n_likeliest: usize,
}

impl MtpLesson {
    /// The lesson of an update whose microbatches are `rows`, with weight λ; `None` where nothing is to be learned.
    pub fn new<'a>(
        lambda: f64,
        policy: &Policy,
        rows: impl Iterator<Item = (&'a Packed, &'a Targets)> + Clone,
    ) -> Option<MtpLesson> {
        let modules = policy.config().n_mtp;
        let weight = |module| {
            let n: usize = rows.clone().map(|(packed, targets)| n_targets(packed, targets, module)).sum();
            lambda / (modules * n.max(1)) as f64
        };
        (lambda > 0.0 && modules > 0).then(|| MtpLesson { weights: (0..modules).map(weight).collect() })
    }

    /// What a backward pass asks of the lesson; what it finds is added to `tally`.
    pub fn objective(&self, tally: &mut MtpTally) -> impl FnMut(&MtpFound<'_>) -> f32 {
        |found| {
            let weight = self.weights[found.module];
            let logprobs = &found.tokens.logprobs;
            tally.loss -= logprobs.iter().map(|&logprob| f64::from(logprob)).sum::<f64>() * weight;
            tally.n_tokens += logprobs.len();
            tally.n_likeliest += found.n_likeliest;
            -weight as f32
        }
    }
}

impl std::ops::AddAssign for MtpTally {
    fn add_assign(&mut self, other: MtpTally) {
        self.loss += other.loss;
        self.n_tokens += other.n_tokens;
        self.n_likeliest += other.n_likeliest;
    }
}

impl MtpTally {
    /// Logs the modules' mean loss, without its weight `lambda`, and how often they were right.
    pub fn log(&self, lambda: f64, log: &mut StepLog) {
        if self.n_tokens > 0 {
            let n = self.n_tokens as f64;
            log.mean("mtp/loss", self.loss / lambda, 1.0);
            log.mean("mtp/accuracy", self.n_likeliest as f64 / n, n);
        }
    }
}

#[cfg(test)]
mod tests;
