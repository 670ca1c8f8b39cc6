//! The loss of an update and its gradient.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::backward::{Beside, Lesson};
use model::kernels::TokenLogprobs;
use model::policy::Policy;
use model::router::Routed;
use tracing::debug_span;

use super::batches::{cut, pack};
use super::{Sequence, SftConfig};
use crate::gradient::Gradient;
use crate::mtp::{MtpLesson, MtpTally};
use crate::router::RouterConfig;

/// The mean negative log-likelihood of an update's learned tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// −Σ log p / `n_learned`, natural logarithm.
    pub loss: f64,
    /// Tokens that were learned.
    pub n_learned: usize,
    /// All tokens, prompts included.
    pub n_tokens: usize,
    /// What routers did.
    pub routed: Routed,
    /// What modules of multi-token prediction found, where they learn.
    pub mtp: MtpTally,
}

/// Computes the loss of an update, and its gradient into `gradient`; `None` where `cancel`
/// was set on the way. With `checkpointing` activations are computed again, which changes no bit.
pub fn learn(
    policy: &Policy,
    batch: &[&Sequence],
    (config, router): (&SftConfig, &RouterConfig),
    mtp_weight: f64,
    checkpointing: bool,
    cancel: &AtomicBool,
    gradient: &mut Gradient,
) -> Option<Learned> {
    let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.tokens.len()).collect();
    let n_learned: usize = batch.iter().map(|sequence| sequence.n_learned()).sum();
    // Of the whole update, not of a microbatch: cutting a batch to fit in memory must not change a token's weight.
    let weight = 1.0 / n_learned.max(1) as f64;
    let microbatches: Vec<_> = cut(&lengths, config.microbatch_tokens)
        .into_iter()
        .map(|places| pack(batch[places].iter().copied()))
        .map(|(packed, targets)| (packed.rows_of_segments(), packed, targets))
        .collect();
    let rows = microbatches.iter().map(|(sequences, packed, _)| (packed, &sequences[..]));
    let balance = &router.balance(policy, &rows.collect::<Vec<_>>(), gradient.threads());
    let rows = microbatches.iter().map(|(_, packed, targets)| (packed, targets));
    let mtp = MtpLesson::new(mtp_weight, policy, rows);
    let found = gradient.sum(&microbatches, cancel, |(sequences, packed, targets), own, hand| {
        let _span = debug_span!("microbatch", rows = packed.len(), tokens = targets.tokens.len()).entered();
        let mut loss = 0.0;
        let mut objective = |range: Range<usize>, found: &TokenLogprobs| {
            loss -= found.logprobs.iter().map(|&logprob| f64::from(logprob)).sum::<f64>() * weight;
            vec![-weight as f32; range.len()]
        };
        let lesson = Lesson { packed, targets, temperature: 1.0, checkpointing, balance, sequences };
        let mut tally = MtpTally::default();
        let mut learn_mtp = mtp.as_ref().map(|mtp| mtp.objective(&mut tally));
        let beside = Beside { mtp: learn_mtp.as_mut().map(|learn| learn as _) };
        let routed = policy.backward_beside(&lesson, own, &mut objective, beside, hand);
        drop(learn_mtp);
        (loss, routed, tally)
    })?;
    let (mut routed, mut mtp) = (Routed::default(), MtpTally::default());
    for (_, more, tally) in &found {
        routed.add(more);
        mtp += *tally;
    }
    let loss = found.iter().map(|(loss, ..)| loss).sum();
    Some(Learned { loss, n_learned, n_tokens: lengths.iter().sum(), routed, mtp })
}

#[cfg(test)]
mod tests;
