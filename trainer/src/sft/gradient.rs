//! The loss of an update and its gradient.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::kernels::TokenLogprobs;
use model::policy::Policy;
use tracing::debug_span;

use super::batches::{cut, pack};
use super::{Sequence, SftConfig};
use crate::gradient::Gradient;

/// The mean negative log-likelihood of an update's learned tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// −Σ log p / `n_learned`, natural logarithm.
    pub loss: f64,
    /// Tokens that were learned.
    pub n_learned: usize,
    /// All tokens, prompts included.
    pub n_tokens: usize,
}

/// Computes the loss of an update, and its gradient into `gradient`; `None` where `cancel`
/// was set on the way. With `checkpointing` activations are computed again, which changes no bit.
pub fn learn(
    policy: &Policy,
    batch: &[&Sequence],
    config: &SftConfig,
    checkpointing: bool,
    cancel: &AtomicBool,
    gradient: &mut Gradient,
) -> Option<Learned> {
    let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.tokens.len()).collect();
    let n_learned: usize = batch.iter().map(|sequence| sequence.n_learned()).sum();
    // Of the whole update, not of a microbatch: cutting a batch to fit in memory must not change a token's weight.
    let weight = 1.0 / n_learned.max(1) as f64;
    let losses = gradient.sum(&cut(&lengths, config.microbatch_tokens), cancel, |places, own, hand| {
        let (packed, targets) = pack(batch[places.clone()].iter().copied());
        let _span = debug_span!("microbatch", rows = packed.len(), tokens = targets.tokens.len()).entered();
        let mut loss = 0.0;
        let mut objective = |range: Range<usize>, found: &TokenLogprobs| {
            loss -= found.logprobs.iter().map(|&logprob| f64::from(logprob)).sum::<f64>() * weight;
            vec![-weight as f32; range.len()]
        };
        policy.backward_in_parts(&packed, &targets, 1.0, checkpointing, own, &mut objective, hand);
        loss
    })?;
    Some(Learned { loss: losses.iter().sum(), n_learned, n_tokens: lengths.iter().sum() })
}

#[cfg(test)]
mod tests;
