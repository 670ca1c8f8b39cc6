//! The gradient of an update, over worker threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use model::buffer::Buffer;
use model::policy::Policy;

use super::batches::{cut, pack};
use super::{Sequence, SftConfig};

/// The mean negative log-likelihood of an update's learned tokens, and its gradient.
#[derive(Debug)]
pub struct Learned {
    /// −Σ log p / `n_learned`, natural logarithm.
    pub loss: f64,
    /// Tokens that were learned.
    pub n_learned: usize,
    /// All tokens, prompts included.
    pub n_tokens: usize,
    /// As the policy's layout orders it.
    pub gradient: Buffer,
}

/// Computes the gradient of an update on up to `workers` threads.
///
/// Microbatches are added up in their order, so the sum does not depend on the number of workers.
pub fn learn(policy: &Policy, batch: &[&Sequence], config: &SftConfig, workers: usize) -> Learned {
    let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.tokens.len()).collect();
    let n_learned: usize = batch.iter().map(|sequence| sequence.n_learned()).sum();
    let runs = cut(&lengths, config.microbatch_tokens);
    // Of the whole update, not of a microbatch: cutting a batch to fit in memory must not change a token's weight.
    let weight = 1.0 / n_learned.max(1) as f64;

    let microbatch = |run: usize| {
        let (packed, targets) = pack(batch[runs[run].clone()].iter().copied());
        let mut gradient = Buffer::zeros(policy.layout().len());
        let mut loss = 0.0;
        let checkpointing = config.activation_checkpointing;
        policy.backward(&packed, &targets, 1.0, checkpointing, &mut gradient, &mut |range, found| {
            loss -= found.logprobs.iter().map(|&logprob| f64::from(logprob)).sum::<f64>() * weight;
            vec![-weight as f32; range.len()]
        });
        (loss, gradient)
    };

    let mut learned = Learned {
        loss: 0.0,
        n_learned,
        n_tokens: lengths.iter().sum(),
        gradient: Buffer::zeros(policy.layout().len()),
    };
    let next = AtomicUsize::new(0);
    let (sender, receiver) = crossbeam_channel::unbounded();
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, runs.len()) {
            let (sender, next, microbatch, runs) = (sender.clone(), &next, &microbatch, &runs);
            scope.spawn(move || {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    // A closed channel means that the sum was given up.
                    if run >= runs.len() || sender.send((run, microbatch(run))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (run, part) in receiver {
            waiting.insert(run, part);
            while let Some((loss, gradient)) = waiting.remove(&due) {
                learned.loss += loss;
                learned.gradient.add(&gradient);
                due += 1;
            }
        }
    });
    learned
}

#[cfg(test)]
mod tests;
