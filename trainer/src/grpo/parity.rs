//! Whether the log-probabilities recorded when tokens were sampled are those of the training forward.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use model::policy::Policy;
use tch::Tensor;

use super::step::Step;
use crate::batch::Microbatch;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mismatch {
    /// Tokens compared.
    pub(super) n_tokens: usize,
    /// The largest absolute difference, in nats.
    pub(super) largest: f32,
    /// The first token that differs.
    pub(super) first: Option<Difference>,
}

/// A token whose two log-probabilities are not the same bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    target: usize,
    trained: f32,
    sampled: f32,
}

impl Mismatch {
    /// Compares the log-probabilities of targets from `start` on.
    pub(super) fn compare(&mut self, start: usize, trained: &[f32], sampled: &[f32]) {
        assert_eq!(trained.len(), sampled.len(), "two log-probabilities a token");
        self.n_tokens += trained.len();
        for (i, (&trained, &sampled)) in trained.iter().zip(sampled).enumerate() {
            if trained.to_bits() != sampled.to_bits() {
                // NaN counts as the largest difference there is.
                let difference = (trained - sampled).abs();
                self.largest = if difference.is_nan() { f32::INFINITY } else { self.largest.max(difference) };
                self.first.get_or_insert(Difference { target: start + i, trained, sampled });
            }
        }
    }
}

/// Names the token, the first layer whose output differs, and both values.
pub(super) fn explain(step: &Step<'_>, policy: &Policy, microbatch: &Microbatch, difference: &Difference) -> Error {
    let origin = microbatch.origin(difference.target);
    let token = microbatch.targets.tokens[difference.target];
    let row = microbatch.targets.rows[difference.target] as usize;
    let layer = match policy.first_difference(&microbatch.packed, row) {
        Some(layer) => format!("layer {layer} is the first that differs"),
        None => "decoded again, it agrees in every layer".to_owned(),
    };
    let problem = step.problems[origin.group].problem.index;
    anyhow!(
        "step {}: token {} (id {token}) of completion {} of problem {problem} was sampled with log-probability {}, the \
         training forward gives {}; {layer}\nhint: `run.exactness = \"measure\"` goes on with log-probabilities \
         computed again",
        step.number,
        origin.position,
        origin.completion,
        difference.sampled,
        difference.trained,
    )
}

/// Writes the microbatches of an update that was skipped to `dump/`, for a person to look into.
pub(super) fn dump(run: &Path, step: u64, update: usize, microbatches: &[Microbatch]) -> Result<PathBuf> {
    let folder = run.join("dump");
    std::fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    let path = folder.join(format!("step_{step:04}_update_{update}.safetensors"));
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (i, microbatch) in microbatches.iter().enumerate() {
        let Microbatch { packed, targets, old, advantages, weights, .. } = microbatch;
        let named = [
            ("tokens", Tensor::from_slice(&packed.tokens)),
            ("positions", Tensor::from_slice(&packed.positions)),
            ("target_rows", Tensor::from_slice(&targets.rows)),
            ("target_tokens", Tensor::from_slice(&targets.tokens)),
            ("old_logprobs", Tensor::from_slice(old)),
            ("advantages", Tensor::from_slice(advantages)),
            ("weights", Tensor::from_slice(weights)),
        ];
        tensors.extend(named.map(|(name, tensor)| (format!("microbatch.{i}.{name}"), tensor)));
    }
    Tensor::write_safetensors(&tensors, &path).with_context(|| format!("write `{}`", path.display()))?;
    Ok(path)
}
