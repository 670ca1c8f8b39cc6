//! `Engine`: one replica. Takes groups from a queue and decodes as many completions at once as fit.
//!
//! Sequences join and leave the batch as they start and finish (continuous batching, Orca, OSDI 2022). A group's prompt
//! is encoded once and its full pages are shared by its completions. A sequence is admitted only when the pages it may
//! come to need are free, so nothing is ever evicted. A sequence may be fed a draft of its next tokens; those that the
//! policy draws as well stand, and the others leave the cache again.

use crate::completion::{Completion, FinishReason};
use crate::draft::{DRAFT_ROWS, DraftTally, Drafts};
use crate::pool::{Drawn, Finished, PoolError, Request};
use crate::prompt::Prompt;
use crate::stopping::StopRules;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use model::attention::TILE;
use model::buffer::Buffer;
use model::decode::Feed;
use model::kernels;
use model::kv_cache::{KvCache, Sequence};
use model::philox::Stream;
use model::policy::Policy;
use model::team;
use model::tokenizer::{TextStream, Tokenizer};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use tracing::debug_span;

/// Prompts for each thread that are encoded before completions start, at most: enough to even out their lengths, and that
/// threads seldom wait for the last of them.
const JOBS: usize = 16;

/// What all replicas of a pool read.
pub(crate) struct Shared<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) stop: &'a StopRules,
    pub(crate) request: &'a Request<'a>,
    /// Completions that one replica decodes at once, at most.
    pub(crate) max_rows: usize,
    /// Tokens that are drafted for each of them in a step, at most.
    pub(crate) speculate: usize,
    /// Where drawn tokens are told at once.
    pub(crate) watch: Option<&'a Sender<Drawn>>,
}

impl Shared<'_> {
    pub(crate) fn tell(&self, prompt: &Prompt, sample: usize, token: u32) {
        if let Some(watch) = self.watch {
            // Whoever stopped listening wants no more.
            let _ = watch.send(Drawn { prompt: prompt.index, sample, token });
        }
    }

    /// Tokens a completion of `prompt` may have: the request's limit, or what the context leaves.
    pub(crate) fn limit(&self, prompt: &Prompt) -> usize {
        let context = self.policy.config().max_positions;
        self.request.max_tokens.min(context.saturating_sub(prompt.tokens.len())).max(1)
    }

    /// The text of a completion, its stop token left out.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        let stopped = tokens.last().is_some_and(|last| self.stop.ids.contains(last));
        self.tokenizer.decode(&tokens[..tokens.len() - usize::from(stopped)], false)
    }
}

/// A prompt whose group is to be sampled, and its place in the answer.
pub(crate) type Job<'a> = (usize, &'a Prompt);

/// One completion being decoded.
struct Active<'a> {
    group: usize,
    sample: usize,
    sequence: Sequence,
    pages: usize,
    stream: Stream,
    limit: usize,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    /// The text so far, kept only where stop strings are looked for.
    text: Option<Text<'a>>,
}

/// A completion's text as it grows, and where a stop string cuts it.
pub(crate) struct Text<'a> {
    stream: TextStream<'a>,
    so_far: String,
    cut: Option<usize>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Text<'a> {
        Text { stream: tokenizer.stream(false), so_far: String::new(), cut: None }
    }

    pub(crate) fn push(&mut self, token: u32, stop: &[String]) {
        let longest = stop.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.so_far.len().saturating_sub(longest);
        while !self.so_far.is_char_boundary(from) {
            from -= 1;
        }
        self.so_far += &self.stream.push(token);
        self.cut = stop.iter().filter_map(|s| self.so_far[from..].find(s.as_str())).min().map(|at| from + at);
    }
}

/// A group of which some completions are not finished.
struct Open<'a> {
    index: usize,
    prompt: &'a Prompt,
    /// How many are not.
    left: usize,
    /// Kept only where tokens are drafted.
    drafts: Option<Drafts>,
}

/// A prompt that is encoded and of whose completions some have not started.
struct Starting {
    group: usize,
    next_sample: usize,
    prompt: Sequence,
    logits: Buffer,
}

pub(crate) struct Engine<'a> {
    shared: Shared<'a>,
    cache: KvCache<'a>,
    /// Pages that admitted sequences hold or may come to need.
    committed: usize,
    n_pages: usize,
    open: Vec<Open<'a>>,
    starting: VecDeque<Starting>,
    active: Vec<Active<'a>>,
    waiting: Option<Job<'a>>,
    tally: DraftTally,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(shared: Shared<'a>, cache: KvCache<'a>) -> Engine<'a> {
        let n_pages = cache.n_free();
        Engine {
            shared,
            cache,
            committed: 0,
            n_pages,
            open: Vec::new(),
            starting: VecDeque::new(),
            active: Vec::new(),
            waiting: None,
            tally: DraftTally::default(),
        }
    }

    /// Samples groups until the queue is empty, sending each completion as it is finished; returns what drafts came to.
    pub(crate) fn run(
        mut self,
        queue: &Receiver<Job<'a>>,
        results: &Sender<Finished>,
    ) -> Result<DraftTally, PoolError> {
        loop {
            if self.shared.request.cancel.load(Ordering::Relaxed) {
                return Err(PoolError::Cancelled);
            }
            self.admit(queue)?;
            if self.active.is_empty() && self.starting.is_empty() && self.waiting.is_none() {
                return Ok(self.tally);
            }
            self.decode();
            self.collect(results);
        }
    }

    /// Starts completions while there are rows and pages for them.
    fn admit(&mut self, queue: &Receiver<Job<'a>>) -> Result<(), PoolError> {
        while self.active.len() < self.shared.max_rows {
            if let Some(starting) = self.starting.front() {
                let prompt = self.open[starting.group].prompt;
                let pages = self.own_pages(prompt);
                if self.committed + pages > self.n_pages {
                    return Ok(());
                }
                self.start(pages);
                continue;
            }
            let jobs = self.take_jobs(queue)?;
            if jobs.is_empty() {
                return Ok(());
            }
            self.open_groups(&jobs);
        }
        Ok(())
    }

    /// Jobs for which there are rows and pages, no more than a few for each thread that encodes their prompts.
    fn take_jobs(&mut self, queue: &Receiver<Job<'a>>) -> Result<Vec<Job<'a>>, PoolError> {
        let (mut jobs, mut wanted) = (Vec::new(), 0);
        let free = self.shared.max_rows - self.active.len();
        while jobs.len() < JOBS * team::threads() && jobs.len() * self.shared.request.n < free {
            let job = match self.waiting.take() {
                Some(job) => job,
                None => match queue.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                },
            };
            let needed = KvCache::pages_for(job.1.tokens.len()) + self.own_pages(job.1);
            if self.committed + wanted + needed > self.n_pages {
                if self.active.is_empty() && jobs.is_empty() {
                    return Err(PoolError::KvBudget { prompt: job.1.index, needed, pages: self.n_pages });
                }
                self.waiting = Some(job);
                break;
            }
            wanted += needed;
            jobs.push(job);
        }
        Ok(jobs)
    }

    /// Pages a completion of `prompt` may need beside the full ones it shares.
    fn own_pages(&self, prompt: &Prompt) -> usize {
        let shared = prompt.tokens.len() / TILE;
        KvCache::pages_for(prompt.tokens.len() + self.shared.limit(prompt)) - shared
    }

    fn open_groups(&mut self, jobs: &[Job<'a>]) {
        let ids = |job: &Job<'a>| job.1.tokens.iter().map(|&id| i64::from(id)).collect();
        let ids: Vec<Vec<i64>> = jobs.iter().map(ids).collect();
        let prompts: Vec<&[i64]> = ids.iter().map(Vec::as_slice).collect();
        let rows: usize = prompts.iter().map(|ids| ids.len()).sum();
        let span = debug_span!("prefill", prompts = prompts.len(), rows).entered();
        let encoded = self.shared.policy.prefill_all(&mut self.cache, &prompts);
        drop(span);
        for (&(index, prompt), (sequence, logits)) in jobs.iter().zip(encoded) {
            self.committed += KvCache::pages_for(prompt.tokens.len());
            // A group's slot in `open` stays its own until all groups are done: slots are few, and indices stay true.
            let n = self.shared.request.n;
            let drafts = (self.shared.speculate > 0).then(|| Drafts::new(&prompt.tokens, n));
            self.open.push(Open { index, prompt, left: n, drafts });
            let group = self.open.len() - 1;
            self.starting.push_back(Starting { group, next_sample: 0, prompt: sequence, logits });
        }
    }

    /// Starts the next completion of the group in front: its first token is drawn from the prompt's last row.
    fn start(&mut self, pages: usize) {
        let request = self.shared.request;
        let starting = self.starting.front_mut().expect("a group in front");
        let (group, sample) = (starting.group, starting.next_sample);
        starting.next_sample += 1;
        let prompt = self.open[group].prompt;
        let sequence = self.cache.fork(&starting.prompt);
        let stream = Stream::new(request.seed, request.purpose, request.step, prompt.index, sample as u64);
        let vocabulary = self.shared.policy.vocabulary();
        let token = request.sampling.draw(&starting.logits[..vocabulary], &stream, 0);
        let temperature = request.sampling.logprob_temperature();
        let logprob = kernels::token_logprob(&starting.logits, token, temperature, vocabulary);
        if starting.next_sample == request.n
            && let Some(started) = self.starting.pop_front()
        {
            // Its full pages live on in the completions, and stay committed until the group is complete.
            self.cache.release(started.prompt);
        }
        self.committed += pages;
        let text = (!self.shared.stop.strings.is_empty()).then(|| Text::new(self.shared.tokenizer));
        let limit = self.shared.limit(prompt);
        let mut active =
            Active { group, sample, sequence, pages, stream, limit, tokens: Vec::new(), logprobs: Vec::new(), text };
        active.push(token, logprob, &mut self.open, &self.shared);
        self.active.push(active);
    }

    /// One token for every active completion that is not finished, and as many more as its draft foretold.
    fn decode(&mut self) {
        let Shared { policy, request, stop, speculate, .. } = self.shared;
        let mut going: Vec<&mut Active<'a>> = self.active.iter_mut().filter(|a| a.finish(stop).is_none()).collect();
        if going.is_empty() {
            return;
        }
        // Rows of a completion: its last token, then its draft; the last token that its limit allows is not fed.
        let each = speculate.min(DRAFT_ROWS.saturating_sub(going.len()) / going.len());
        let (mut input, mut starts) = (Vec::with_capacity(going.len()), Vec::with_capacity(going.len() + 1));
        for active in &going {
            starts.push(input.len());
            input.push(i64::from(*active.tokens.last().expect("a first token")));
            let most = each.min(active.limit - active.tokens.len() - 1);
            let drafts = self.open[active.group].drafts.iter();
            input.extend(drafts.flat_map(|drafts| drafts.draft(active.sample)).take(most).map(i64::from));
        }
        starts.push(input.len());
        let rows = |i: usize| starts[i]..starts[i + 1];
        let mut feeds: Vec<Feed<'_>> = going
            .iter_mut()
            .enumerate()
            .map(|(i, active)| Feed { sequence: &mut active.sequence, tokens: &input[rows(i)] })
            .collect();
        let positions: usize = feeds.iter().map(|feed| feed.sequence.len()).sum();
        let span = debug_span!("decode", rows = input.len(), positions).entered();
        let logits = policy.decode(&mut self.cache, &mut feeds);
        let drawing = debug_span!("draw").entered();
        let (v, vocabulary) = (policy.config().vocab_size, policy.vocabulary());
        let temperature = request.sampling.logprob_temperature();
        let mut drawn = vec![(0, 0.0); input.len()];
        team::fill(&mut drawn, 1, |row| {
            let i = starts.partition_point(|&start| start <= row) - 1;
            let (active, logits) = (&going[i], &logits[row * v..][..v]);
            let position = active.tokens.len() + row - starts[i];
            let token = request.sampling.draw(&logits[..vocabulary], &active.stream, position as u32);
            (token, kernels::token_logprob(logits, token, temperature, vocabulary))
        });
        drop(drawing);
        drop(span);
        for (i, active) in going.into_iter().enumerate() {
            let rows = rows(i);
            let mut row = rows.start;
            // What is drawn behind a draft that did not stand is drawn behind something else than the completion.
            loop {
                let (token, logprob) = drawn[row];
                active.push(token, logprob, &mut self.open, &self.shared);
                row += 1;
                if row == rows.end || input[row] != i64::from(token) || active.finish(stop).is_some() {
                    break;
                }
            }
            self.cache.truncate(&mut active.sequence, rows.end - row);
            self.tally += DraftTally { drafted: rows.len() as u64 - 1, stood: (row - rows.start) as u64 - 1, steps: 1 };
        }
    }

    /// Takes finished completions out of the batch, and sends them.
    fn collect(&mut self, results: &Sender<Finished>) {
        let mut at = 0;
        while at < self.active.len() {
            let Some((finish, cut)) = self.active[at].finish(self.shared.stop) else {
                at += 1;
                continue;
            };
            let active = self.active.swap_remove(at);
            self.cache.release(active.sequence);
            self.committed -= active.pages;
            let text = cut.unwrap_or_else(|| self.shared.text(&active.tokens));
            let Active { group, sample, tokens, logprobs, .. } = active;
            let open = &mut self.open[group];
            open.left -= 1;
            if open.left == 0 {
                self.committed -= KvCache::pages_for(open.prompt.tokens.len());
                open.drafts = None;
            }
            let completion = Completion { tokens, logprobs, text, finish };
            // The receiver is gone only where the caller gave up; the pool then reports its error.
            let _ = results.send(Finished { place: open.index, sample, completion });
        }
    }
}

impl Active<'_> {
    /// Adds a token that was drawn, and tells it to the group and to whoever watches.
    fn push(&mut self, token: u32, logprob: f32, open: &mut [Open<'_>], shared: &Shared<'_>) {
        self.tokens.push(token);
        self.logprobs.push(logprob);
        if let Some(text) = &mut self.text {
            text.push(token, &shared.stop.strings);
        }
        let group = &mut open[self.group];
        if let Some(drafts) = &mut group.drafts {
            drafts.push(self.sample, token);
        }
        shared.tell(group.prompt, self.sample, token);
    }

    /// Why it is finished, if it is, with its text where a stop string cut it.
    fn finish(&self, stop: &StopRules) -> Option<(FinishReason, Option<String>)> {
        finish(&self.tokens, self.limit, self.text.as_ref(), stop)
    }
}

/// Why a completion of `tokens` is finished, if it is, with its text where a stop string cut it.
pub(crate) fn finish(
    tokens: &[u32],
    limit: usize,
    text: Option<&Text<'_>>,
    stop: &StopRules,
) -> Option<(FinishReason, Option<String>)> {
    if tokens.last().is_some_and(|last| stop.ids.contains(last)) {
        return Some((FinishReason::Stop, None));
    }
    if let Some(Text { so_far, cut: Some(cut), .. }) = text {
        return Some((FinishReason::Stop, Some(so_far[..*cut].to_owned())));
    }
    (tokens.len() >= limit).then_some((FinishReason::Length, None))
}
