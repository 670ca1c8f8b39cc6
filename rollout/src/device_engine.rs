//! The engine of a policy that computes on a device: one replica, whose rows are as many as fit.
//!
//! As on the host, sequences join and leave the batch as they start and finish, and a group's prompt is encoded once.
//! Every row has room for the longest completion, so nothing is ever evicted.

use crate::completion::Completion;
use crate::ending::{Text, finish};
use crate::pool::{Finished, PoolError};
use crate::prompt::Prompt;
use crate::shared::{Job, Shared};
use model::device::{DeviceCache, DevicePolicy, Encoded};
use model::kv_cache::KvCache;
use model::philox::Stream;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// One completion being decoded; its place among others is its row in the cache.
struct Active<'a> {
    job: Job<'a>,
    sample: usize,
    stream: Stream,
    limit: usize,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    text: Option<Text<'a>>,
}

/// A prompt that is encoded, and the completions that wait for a row, each with its first token.
struct Starting<'a> {
    prompt: Encoded,
    waiting: VecDeque<Active<'a>>,
}

/// Samples on a device.
pub(crate) struct DeviceEngine<'a> {
    shared: Shared<'a>,
    policy: &'a DevicePolicy,
    cache: DeviceCache,
    rows: usize,
    starting: Option<Starting<'a>>,
    active: Vec<Active<'a>>,
}

impl<'a> DeviceEngine<'a> {
    /// An engine for `jobs`, with at most `kv_bytes` of keys and values.
    pub(crate) fn new(
        shared: Shared<'a>,
        policy: &'a DevicePolicy,
        kv_bytes: usize,
        jobs: &[Job<'a>],
    ) -> Result<DeviceEngine<'a>, PoolError> {
        let positions = |prompt: &Prompt| prompt.tokens.len() + shared.limit(prompt);
        let longest = jobs.iter().max_by_key(|(_, prompt)| positions(prompt));
        let capacity = longest.map_or(0, |(_, prompt)| positions(prompt));
        let rows = (kv_bytes / DeviceCache::bytes(policy, 1, capacity).max(1)).min(shared.max_rows);
        if let (Some((_, prompt)), 0) = (longest, rows) {
            let pages = kv_bytes / KvCache::page_bytes(policy.config());
            return Err(PoolError::KvBudget { prompt: prompt.index, needed: KvCache::pages_for(capacity), pages });
        }
        let cache = DeviceCache::new(policy, rows, capacity);
        Ok(DeviceEngine { shared, policy, cache, rows, starting: None, active: Vec::new() })
    }

    /// Samples the completions of all jobs, giving each to `finished` as soon as it is.
    pub(crate) fn run(mut self, jobs: &[Job<'a>], finished: &mut dyn FnMut(Finished)) -> Result<(), PoolError> {
        let mut jobs = jobs.iter().copied();
        loop {
            if self.shared.request.cancel.load(Ordering::Relaxed) {
                return Err(PoolError::Cancelled);
            }
            self.admit(&mut jobs);
            if self.active.is_empty() {
                return Ok(());
            }
            self.collect(finished);
            self.decode();
            self.collect(finished);
        }
    }

    /// Starts completions while there are rows for them.
    fn admit(&mut self, jobs: &mut impl Iterator<Item = Job<'a>>) {
        while self.active.len() < self.rows {
            let Some(starting) = &mut self.starting else {
                let Some(job) = jobs.next() else { return };
                self.starting = Some(self.encode(job));
                continue;
            };
            match starting.waiting.pop_front() {
                Some(active) => {
                    self.cache.start(&starting.prompt);
                    self.active.push(active);
                }
                None => self.starting = None,
            }
        }
    }

    /// Encodes a prompt and draws the first token of each of its completions.
    fn encode(&self, job: Job<'a>) -> Starting<'a> {
        let prompt = job.1;
        let request = self.shared.request;
        let ids: Vec<i64> = prompt.tokens.iter().map(|&id| i64::from(id)).collect();
        let encoded = self.policy.encode(&ids);
        let stop_strings = !self.shared.stop.strings.is_empty();
        let mut waiting: VecDeque<Active<'a>> = (0..request.n)
            .map(|sample| Active {
                job,
                sample,
                stream: Stream::new(request.seed, request.purpose, request.step, prompt.index, sample as u64),
                limit: self.shared.limit(prompt),
                tokens: Vec::new(),
                logprobs: Vec::new(),
                text: stop_strings.then(|| Text::new(self.shared.tokenizer)),
            })
            .collect();
        let logits = encoded.logits.expand([request.n as i64, -1], false);
        draw(&self.shared, self.policy, &logits, waiting.make_contiguous());
        Starting { prompt: encoded, waiting }
    }

    /// One token for every active completion.
    fn decode(&mut self) {
        if self.active.is_empty() {
            return;
        }
        let last: Vec<i64> = self.active.iter().filter_map(|a| a.tokens.last().map(|&id| i64::from(id))).collect();
        let logits = self.policy.decode(&mut self.cache, &last);
        draw(&self.shared, self.policy, &logits, &mut self.active);
    }

    /// Takes finished completions out of the batch, and gives them away.
    fn collect(&mut self, finished: &mut dyn FnMut(Finished)) {
        let mut row = 0;
        while row < self.active.len() {
            let Active { tokens, limit, text, .. } = &self.active[row];
            let Some((reason, cut)) = finish(tokens, *limit, text.as_ref(), self.shared.stop) else {
                row += 1;
                continue;
            };
            let Active { job, sample, tokens, logprobs, .. } = self.active.swap_remove(row);
            self.cache.swap_remove(row);
            let text = cut.unwrap_or_else(|| self.shared.text(&tokens));
            let completion = Completion { tokens, logprobs, text, finish: reason };
            finished(Finished { place: job.0, sample, completion });
        }
    }
}

/// The next token of each completion, one a row of `logits`.
fn draw(shared: &Shared<'_>, policy: &DevicePolicy, logits: &tch::Tensor, active: &mut [Active<'_>]) {
    let sampling = shared.request.sampling;
    let draws: Vec<(Stream, u32)> = active.iter().map(|a| (a.stream, a.tokens.len() as u32)).collect();
    let drawn = sampling.draw_rows(logits, policy.vocabulary(), &draws);
    let ids: Vec<i64> = drawn.iter().map(|&id| i64::from(id)).collect();
    let found = policy.token_logprobs(logits, &ids, sampling.logprob_temperature());
    for ((active, token), logprob) in active.iter_mut().zip(drawn).zip(found.logprobs) {
        active.tokens.push(token);
        active.logprobs.push(logprob);
        if let Some(text) = &mut active.text {
            text.push(token, &shared.stop.strings);
        }
        shared.tell(active.job.1, active.sample, token);
    }
}
