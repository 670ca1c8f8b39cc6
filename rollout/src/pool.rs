//! `RolloutPool`: replicas that sample the completions of many prompts side by side.
//!
//! A replica is a team of threads with a key-value cache of its own; all of them read one policy. The threads live for
//! one call of [`RolloutPool::sample`], so the borrow checker holds the invariant that weights move only when no replica
//! runs.

use crate::completion::Completion;
use crate::device_engine::DeviceEngine;
use crate::draft::{DraftTally, Drafting};
use crate::engine::Engine;
use crate::group::Group;
use crate::prompt::Prompt;
use crate::sampling::SamplingConfig;
use crate::shared::{Job, Shared};
use crate::stopping::StopRules;
use crossbeam_channel::Sender;
use model::config::ModelConfig;
use model::kv_cache::{KvArena, KvCache};
use model::layout::Layout;
use model::philox::Purpose;
use model::policy::Policy;
use model::team::{Door, Team};
use model::tokenizer::Tokenizer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Completions that are worth a replica of its own: with fewer rows than a tile of a product has, its threads would read
/// all weights for little work, and are faster in another's team.
pub(crate) const REPLICA_ROWS: usize = 8;

/// Bytes of weights that cores may share in a cache. Of more, each replica brings its own from memory.
const SHARED_BYTES: usize = 16 << 20;

/// Completions that are worth bringing weights from memory for one thread alone.
const LARGE_REPLICA_ROWS: usize = 2 * REPLICA_ROWS;

/// The `[rollout]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutConfig {
    /// Longest completion, in tokens, the stop token included.
    pub max_tokens: usize,
    /// Completions decoded at once, at most, for each of `run.workers`; on a GPU, in all.
    pub max_batch: usize,
    /// Bytes of keys and values, over all replicas.
    pub kv_bytes: u64,
    /// Replicas that sample side by side, each with its share of `run.workers`; fewer where there are fewer prompts.
    /// Where absent a GRPO run measures which number is fastest when it first starts, and keeps to it; elsewhere one for
    /// each thread, but no more than one for eight completions. Of weights that take more than 16 MiB, which each
    /// replica reads for itself, it is one for each thread where each has sixteen completions and the cache holds them
    /// all, and else a single one. Changes speed and no completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
    /// Tokens drafted for each completion in a decoding step, at most; those that the policy draws as well need no step of
    /// their own. 0 drafts none; nor does a replica that decodes more than
    /// three completions at once, or a device: there a draft costs more than it spares. Changes speed and no completion.
    pub speculate: usize,
    /// Who drafts them: `ngram`, from the completion's prompt and its group, or `mtp`, the policy's block of multi-token
    /// prediction, which has a share of `kv_bytes`.
    pub draft: Drafting,
    /// Texts that end a completion and are cut from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        RolloutConfig {
            max_tokens: 1024,
            max_batch: 64,
            kv_bytes: 1 << 30,
            replicas: None,
            speculate: 0,
            draft: Drafting::default(),
            stop: Vec::new(),
            sampling: SamplingConfig::default(),
        }
    }
}

/// Why groups were not sampled.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A replica panicked: a shape, or memory that could not be had.
    #[error("replica {replica} died: {message}")]
    WorkerDied {
        /// Which one, from 0.
        replica: usize,
        /// What it said.
        message: String,
    },
    /// The cache cannot hold even one completion.
    #[error(
        "the cache of a replica has {pages} pages of {tile} positions, a completion of prompt {prompt} may need {needed}",
        tile = model::attention::TILE
    )]
    KvBudget {
        /// The prompt's index.
        prompt: u64,
        /// Pages it may need.
        needed: usize,
        /// Pages there are.
        pages: usize,
    },
    /// The caller asked to stop.
    #[error("sampling was cancelled")]
    Cancelled,
}

/// What to sample: `n` completions of each prompt, with draws keyed by `seed`, `purpose` and `step`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The run's seed.
    pub seed: u64,
    /// What the draws are for.
    pub purpose: Purpose,
    /// The step they belong to.
    pub step: u64,
    /// G: completions of each prompt.
    pub n: usize,
    /// Longest completion, in tokens.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: &'a SamplingConfig,
    /// Set by anyone who wants sampling to end early.
    pub cancel: &'a AtomicBool,
}

/// A token, told when it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The prompt's index.
    pub prompt: u64,
    /// Which of its completions, from 0.
    pub sample: usize,
    /// The id; the stop token is told too.
    pub token: u32,
}

/// A completion, told when it is finished.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Its prompt's place among those asked for.
    pub place: usize,
    /// Which of the prompt's completions, from 0.
    pub sample: usize,
    /// What was sampled.
    pub completion: Completion,
}

/// Replicas that sample from one policy.
pub struct RolloutPool {
    arena: KvArena,
    /// Of as many pages, where the block of multi-token prediction drafts.
    mtp_arena: Option<KvArena>,
    kv_bytes: usize,
    threads: usize,
    /// Where it was said or measured.
    replicas: Option<usize>,
    /// Whether the configuration says how many replicas there are, however few the rows.
    fixed: bool,
    /// Whether each replica brings the weights from memory.
    large: bool,
    max_batch: usize,
    speculate: usize,
    tally: DraftTally,
    tokenizer: Arc<Tokenizer>,
    stop: StopRules,
    /// Tokens of the longest completion seen of each prompt.
    longest: HashMap<u64, usize>,
    watch: Option<Sender<Drawn>>,
}

impl RolloutPool {
    /// Replicas on `threads` threads that share `config.kv_bytes`.
    ///
    /// # Panics
    /// Where a block of multi-token prediction shall draft and the architecture has none.
    pub fn new(
        config: &RolloutConfig,
        threads: usize,
        architecture: &ModelConfig,
        tokenizer: Arc<Tokenizer>,
        stop: StopRules,
    ) -> RolloutPool {
        assert!(threads > 0, "a pool has a thread");
        let by_mtp = config.speculate > 0 && config.draft == Drafting::Mtp;
        assert!(!by_mtp || architecture.n_mtp > 0, "the policy has a block of multi-token prediction");
        let pages = config.kv_bytes as usize / page_bytes(config, architecture);
        RolloutPool {
            arena: KvArena::new(architecture, pages),
            mtp_arena: by_mtp.then(|| KvArena::of_mtp(architecture, pages)),
            kv_bytes: config.kv_bytes as usize,
            threads,
            replicas: config.replicas.map(|n| n.clamp(1, threads)),
            fixed: config.replicas.is_some(),
            large: 4 * Layout::new(architecture).len() > SHARED_BYTES,
            max_batch: config.max_batch,
            speculate: config.speculate,
            tally: DraftTally::default(),
            tokenizer,
            stop,
            longest: HashMap::new(),
            watch: None,
        }
    }

    /// Threads of all replicas.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Replicas that sample side by side where there are prompts for all of them, and completions enough.
    pub fn replicas(&self) -> usize {
        self.replicas.unwrap_or(self.threads)
    }

    /// Replicas for a request. Which number is fastest depends on the machine; this is what nobody measured.
    fn replicas_for(&self, request: &Request<'_>, prompts: &[Prompt]) -> usize {
        let rows = prompts.len() * request.n;
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let held = rows * KvCache::pages_for(longest + request.max_tokens) <= self.arena.n_pages();
        let worth = match self.replicas {
            Some(n) if self.fixed => n,
            None if self.large && (rows < self.threads * LARGE_REPLICA_ROWS || !held) => 1,
            n => n.unwrap_or(self.threads).min(rows / REPLICA_ROWS),
        };
        worth.min(prompts.len()).max(1)
    }

    /// Samples with so many replicas from now on, each with its share of the threads. No completion depends on it.
    pub fn set_replicas(&mut self, replicas: usize) {
        self.replicas = Some(replicas.clamp(1, self.threads));
    }

    /// What drafts came to since this was last asked; `None` where none are made.
    pub fn take_tally(&mut self) -> Option<DraftTally> {
        let tally = std::mem::take(&mut self.tally);
        (self.speculate > 0).then_some(tally)
    }

    pub(crate) fn stop_mut(&mut self) -> &mut StopRules {
        &mut self.stop
    }

    pub(crate) fn watch_mut(&mut self) -> &mut Option<Sender<Drawn>> {
        &mut self.watch
    }

    /// Forgets how long completions were.
    pub(crate) fn forget_lengths(&mut self) {
        self.longest.clear();
    }

    /// Tells every token to `drawn` from now on, as it is drawn; of one completion in order. The pool keeps the
    /// channel open as long as it lives.
    pub fn watch(&mut self, drawn: Sender<Drawn>) {
        self.watch = Some(drawn);
    }

    /// Samples a group for each prompt and sends it, with its place in `prompts`, as soon as it is complete. See
    /// [`RolloutPool::sample_each`].
    pub fn sample(
        &mut self,
        policy: &Policy,
        request: &Request<'_>,
        prompts: &[Prompt],
        results: &Sender<(usize, Group)>,
    ) -> Result<(), PoolError> {
        let mut open: Vec<Vec<Option<Completion>>> = vec![vec![None; request.n]; prompts.len()];
        self.sample_each(policy, request, prompts, |Finished { place, sample, completion }| {
            open[place][sample] = Some(completion);
            if open[place].iter().all(Option::is_some) {
                let completions = std::mem::take(&mut open[place]).into_iter().flatten().collect();
                // The receiver is gone only where the caller gave up, which the replicas learn from `cancel`.
                let _ = results.send((place, Group { prompt: prompts[place].clone(), completions }));
            }
        })
    }

    /// Samples `request.n` completions of each prompt and gives each to `finished`, on the calling thread, as soon as
    /// it is.
    ///
    /// What is sampled depends on policy, request and prompts alone: not on the number of replicas, the batches they
    /// form, or the order in which groups are taken up. Those are chosen for speed: prompts whose completions were
    /// longest so far go first, so that no replica is left with a long one at the end.
    pub fn sample_each(
        &mut self,
        policy: &Policy,
        request: &Request<'_>,
        prompts: &[Prompt],
        mut finished: impl FnMut(Finished),
    ) -> Result<(), PoolError> {
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        let seen = |i: &usize| self.longest.get(&prompts[*i].index).copied().unwrap_or(usize::MAX);
        order.sort_by_key(|i| std::cmp::Reverse(seen(i)));
        let jobs_in_order = order.into_iter().map(|i| (i, &prompts[i]));
        if let Some(twin) = policy.on_device() {
            let (max_rows, speculate, watch) = (self.max_batch, 0, self.watch.as_ref());
            let (tokenizer, stop) = (&*self.tokenizer, &self.stop);
            let shared = Shared { policy, tokenizer, stop, request, max_rows, speculate, watch };
            let jobs: Vec<Job<'_>> = jobs_in_order.collect();
            let run = || DeviceEngine::new(shared, &twin, self.kv_bytes, &jobs)?.run(&jobs, &mut finished);
            let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            return end.unwrap_or_else(|panic| Err(PoolError::WorkerDied { replica: 0, message: message(&*panic) }));
        }
        let (jobs, queue) = crossbeam_channel::unbounded::<Job<'_>>();
        for job in jobs_in_order {
            jobs.send(job).expect("the queue is open");
        }
        drop(jobs);
        let rows = prompts.len() * request.n;
        let replicas = self.replicas_for(request, prompts);
        let share = rows.div_ceil(replicas).max(1);
        let threads = |replica: usize| self.threads / replicas + usize::from(replica < self.threads % replicas);
        let (sender, completions) = crossbeam_channel::unbounded();
        let (tokenizer, stop, longest) = (&*self.tokenizer, &self.stop, &mut self.longest);
        let (watch, max_batch, speculate) = (self.watch.as_ref(), self.max_batch, self.speculate);
        let tally = &mut self.tally;
        let teams: Vec<Team> = (0..replicas).map(|i| Team::new(threads(i))).collect();
        let doors: Vec<Door> = teams.iter().map(Team::door).collect();
        let doors = &doors[..];
        std::thread::scope(|scope| {
            let mtp_caches = self.mtp_arena.as_mut().map(|arena| arena.split(replicas));
            let mut mtp_caches = mtp_caches.into_iter().flatten();
            let caches = self.arena.split(replicas).into_iter().enumerate();
            let replicas: Vec<_> = caches
                .zip(teams)
                .map(|((i, cache), mut team)| {
                    let mtp_cache = mtp_caches.next();
                    let (queue, sender) = (queue.clone(), sender.clone());
                    let max_rows = share.min(max_batch.saturating_mul(team.threads()));
                    let shared = Shared { policy, tokenizer, stop, request, max_rows, speculate, watch };
                    let run = move || Engine::new(shared, cache, mtp_cache).run(&queue, &sender);
                    let replica = std::thread::Builder::new().name(format!("replica {i}"));
                    let sample = move || {
                        let tally = team.lead(run);
                        // Others may have longer completions, or a slower core.
                        Door::help_all(doors);
                        tally
                    };
                    replica.spawn_scoped(scope, sample).expect("a thread can be started")
                })
                .collect();
            drop(sender);
            for one in completions {
                let known = longest.entry(prompts[one.place].index).or_default();
                *known = one.completion.tokens.len().max(*known);
                finished(one);
            }
            let ended: Vec<_> = replicas.into_iter().map(|replica| replica.join()).collect();
            for (replica, end) in ended.into_iter().enumerate() {
                *tally +=
                    end.unwrap_or_else(|panic| Err(PoolError::WorkerDied { replica, message: message(&*panic) }))?;
            }
            Ok(())
        })
    }
}

/// Bytes of 32 positions of a completion, where the block of multi-token prediction drafts with its own.
pub fn page_bytes(config: &RolloutConfig, architecture: &ModelConfig) -> usize {
    let by_mtp = config.speculate > 0 && config.draft == Drafting::Mtp;
    KvCache::page_bytes(architecture) + if by_mtp { KvCache::mtp_page_bytes(architecture) } else { 0 }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests;
