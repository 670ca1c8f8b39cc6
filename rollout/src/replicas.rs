//! How many replicas to sample with: few with teams of many threads, or many with one thread each.
//!
//! Which is faster depends on the policy, the number of completions and the machine: a team reads the weights once for
//! all rows and has no idle thread while one completion is left, replicas of one thread never wait for each other. What
//! is sampled does not depend on it, so it is measured.

use crate::pool::{PoolError, REPLICA_ROWS, Request, RolloutPool};
use crate::prompt::Prompt;
use crate::sampling::SamplingConfig;
use model::philox::Purpose;
use model::policy::Policy;
use std::mem;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How fast so many replicas sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Replicas side by side.
    pub replicas: usize,
    /// Threads of each.
    pub threads: usize,
    /// Tokens a second, of the faster of two tries.
    pub tokens_per_second: f64,
}

/// Multiply-adds that one try may cost, so that a large policy starts in time.
const BUDGET: usize = 5_000_000_000;

/// Tokens of a completion in a try: the first comes from the prompt, so that three are two decoding steps.
const TOKENS: std::ops::RangeInclusive<usize> = 3..=16;

/// Tokens of a prompt in a try.
const PROMPT: usize = 8;

/// A try this long is not repeated.
const LONG: Duration = Duration::from_millis(500);

impl RolloutPool {
    /// Samples some tokens of `n` completions of each of `n_prompts` prompts with every number of replicas that shares
    /// the threads evenly, and goes on with the fastest. Returns what was tried: nothing where there is no choice.
    ///
    /// # Errors
    /// When `cancel` is set or a replica dies. A number of replicas whose share of the cache is too small is left out.
    pub fn try_replicas(
        &mut self,
        policy: &Policy,
        n_prompts: usize,
        n: usize,
        cancel: &AtomicBool,
    ) -> Result<Vec<Trial>, PoolError> {
        let threads = self.threads();
        let choices: Vec<usize> = (1..=threads.min(n_prompts).min(n_prompts * n / REPLICA_ROWS))
            .filter(|n| threads.is_multiple_of(*n))
            .collect();
        if choices.len() < 2 {
            return Ok(Vec::new());
        }
        let length = BUDGET / (policy.n_parameters() * n_prompts * n).max(1);
        let sampling = SamplingConfig::default();
        let request = Request {
            seed: 0,
            purpose: Purpose::Sample,
            step: 0,
            n,
            max_tokens: length.clamp(*TOKENS.start(), *TOKENS.end()),
            sampling: &sampling,
            cancel,
        };
        let vocabulary = policy.vocabulary();
        let tokens = |i: usize| (0..PROMPT).map(|p| ((i * PROMPT + p) % vocabulary) as u32).collect();
        let prompts: Vec<Prompt> = (0..n_prompts).map(|i| Prompt { index: i as u64, tokens: tokens(i) }).collect();

        // Nothing that is tried ends early, or is told to anyone.
        let stop = mem::take(self.stop_mut());
        let watch = self.watch_mut().take();
        let mut best: Vec<Option<Duration>> = vec![None; choices.len()];
        let mut run = || {
            for _ in 0..2 {
                for (&replicas, best) in choices.iter().zip(&mut best) {
                    if best.is_some_and(|time| time > LONG) {
                        continue;
                    }
                    self.set_replicas(replicas);
                    let (sender, _groups) = crossbeam_channel::unbounded();
                    let since = Instant::now();
                    match self.sample(policy, &request, &prompts, &sender) {
                        Ok(()) => *best = Some(best.map_or(since.elapsed(), |time| time.min(since.elapsed()))),
                        Err(PoolError::KvBudget { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(())
        };
        let done = run();
        self.forget_lengths();
        self.take_tally();
        *self.stop_mut() = stop;
        *self.watch_mut() = watch;
        done?;

        let drawn = (n_prompts * n * request.max_tokens) as f64;
        let trial = |(&replicas, time): (&usize, Option<Duration>)| {
            Some(Trial { replicas, threads: threads / replicas, tokens_per_second: drawn / time?.as_secs_f64() })
        };
        let trials: Vec<Trial> = choices.iter().zip(best).filter_map(trial).collect();
        let fastest = trials.iter().max_by(|a, b| a.tokens_per_second.total_cmp(&b.tokens_per_second));
        self.set_replicas(fastest.map_or(1, |trial| trial.replicas));
        Ok(trials)
    }
}
