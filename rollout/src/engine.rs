//! `Engine`: one replica. Takes groups from a queue and decodes as many completions at once as fit.
//!
//! Sequences join and leave the batch as they start and finish (continuous batching, Orca, OSDI 2022). A group's prompt
//! is encoded once and its full pages are shared by its completions. A sequence is admitted only when the pages it may
//! come to need are free, so nothing is ever evicted. A sequence may be fed a draft of its next tokens; those that the
//! policy draws as well stand, and the others leave the cache again.

use crate::completion::{Completion, FinishReason};
use crate::draft::mtp::{Ahead, Asking, Guesses, MtpDrafts, MtpPrompt};
use crate::draft::{DRAFT_ROWS, DraftTally, Drafts};
use crate::ending::{Text, finish};
use crate::pool::{Finished, PoolError};
use crate::prompt::Prompt;
use crate::sampling::SamplingConfig;
use crate::shared::{Job, Shared};
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
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use tracing::debug_span;

/// Prompts for each thread that are encoded before completions start, at most: enough to even out their lengths, and that
/// threads seldom wait for the last of them.
const JOBS: usize = 16;

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
    /// Kept only where the block of multi-token prediction drafts.
    ahead: Option<Ahead>,
}

/// A group of which some completions are not finished.
struct Open<'a> {
    index: usize,
    prompt: &'a Prompt,
    /// How many are not.
    left: usize,
    /// Kept only where n-grams draft.
    drafts: Option<Drafts>,
}

/// A prompt that is encoded and of whose completions some have not started.
struct Starting {
    group: usize,
    next_sample: usize,
    prompt: Sequence,
    logits: Buffer,
    mtp: Option<MtpPrompt>,
}

pub(crate) struct Engine<'a> {
    shared: Shared<'a>,
    cache: KvCache<'a>,
    /// Where the block of multi-token prediction drafts.
    mtp: Option<MtpDrafts<'a>>,
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
    /// A replica with `cache`, and with a cache of as many pages for the block of multi-token prediction if that drafts.
    pub(crate) fn new(shared: Shared<'a>, cache: KvCache<'a>, mtp: Option<KvCache<'a>>) -> Engine<'a> {
        let n_pages = cache.n_free();
        Engine {
            shared,
            cache,
            mtp: mtp.map(MtpDrafts::new),
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
        let (length, limit) = (prompt.tokens.len(), self.shared.limit(prompt));
        match &self.mtp {
            Some(_) => MtpDrafts::own_pages(length, limit),
            None => KvCache::pages_for(length + limit) - length / TILE,
        }
    }

    fn open_groups(&mut self, jobs: &[Job<'a>]) {
        let ids = |job: &Job<'a>| job.1.tokens.iter().map(|&id| i64::from(id)).collect();
        let ids: Vec<Vec<i64>> = jobs.iter().map(ids).collect();
        let prompts: Vec<&[i64]> = ids.iter().map(Vec::as_slice).collect();
        let rows: usize = prompts.iter().map(|ids| ids.len()).sum();
        let span = debug_span!("prefill", prompts = prompts.len(), rows).entered();
        let policy = self.shared.policy;
        let encoded: Vec<_> = match &mut self.mtp {
            Some(mtp) => {
                let encoded = policy.prefill_with_rows(&mut self.cache, &prompts).into_iter().zip(&prompts);
                encoded.map(|((s, logits, rows), ids)| (s, logits, Some(mtp.open(policy, ids, &rows)))).collect()
            }
            None => {
                let encoded = policy.prefill_all(&mut self.cache, &prompts).into_iter();
                encoded.map(|(sequence, logits)| (sequence, logits, None)).collect()
            }
        };
        drop(span);
        for (&(index, prompt), (sequence, logits, mtp)) in jobs.iter().zip(encoded) {
            self.committed += KvCache::pages_for(prompt.tokens.len());
            // A group's slot in `open` stays its own until all groups are done: slots are few, and indices stay true.
            let n = self.shared.request.n;
            let drafts = (self.shared.speculate > 0 && self.mtp.is_none()).then(|| Drafts::new(&prompt.tokens, n));
            self.open.push(Open { index, prompt, left: n, drafts });
            let group = self.open.len() - 1;
            self.starting.push_back(Starting { group, next_sample: 0, prompt: sequence, logits, mtp });
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
        let mtp = self.mtp.as_mut().zip(starting.mtp.as_ref());
        let ahead = mtp.map(|(mtp, prompt)| mtp.start(prompt, token));
        if starting.next_sample == request.n
            && let Some(started) = self.starting.pop_front()
        {
            if let Some((mtp, prompt)) = self.mtp.as_mut().zip(started.mtp) {
                mtp.close(prompt);
            }
            // Its full pages live on in the completions, and stay committed until the group is complete.
            self.cache.release(started.prompt);
        }
        self.committed += pages;
        let text = (!self.shared.stop.strings.is_empty()).then(|| Text::new(self.shared.tokenizer));
        let limit = self.shared.limit(prompt);
        let (tokens, logprobs) = (Vec::new(), Vec::new());
        let mut active = Active { group, sample, sequence, pages, stream, limit, tokens, logprobs, text, ahead };
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
        let most = |active: &Active<'_>| each.min(active.limit - active.tokens.len() - 1);
        let guesses = match &mut self.mtp {
            Some(mtp) => guess(mtp, policy, request.sampling, &mut going, most),
            None => Guesses::default(),
        };
        let (mut input, mut starts) = (Vec::with_capacity(going.len()), Vec::with_capacity(going.len() + 1));
        for (i, active) in going.iter().enumerate() {
            starts.push(input.len());
            input.push(i64::from(*active.tokens.last().expect("a first token")));
            let ngrams = self.open[active.group].drafts.iter();
            input.extend(ngrams.flat_map(|drafts| drafts.draft(active.sample)).take(most(active)).map(i64::from));
            input.extend(guesses.tokens(i).map(i64::from));
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
        let (normed, logits) = policy.decode_with_rows(&mut self.cache, &mut feeds);
        let drawing = debug_span!("draw").entered();
        let (d, v, vocabulary) = (policy.config().hidden_dim, policy.config().vocab_size, policy.vocabulary());
        let temperature = request.sampling.logprob_temperature();
        let mut drawn = vec![(0, 0.0, 0.0); input.len()];
        team::fill(&mut drawn, 1, |row| {
            let i = starts.partition_point(|&start| start <= row) - 1;
            let (active, logits) = (&going[i], &logits[row * v..][..v]);
            let position = active.tokens.len() + row - starts[i];
            let token = request.sampling.draw(&logits[..vocabulary], &active.stream, position as u32);
            let guessed = guesses.logits(i, row - starts[i], v);
            let overlap = guessed.map_or(0.0, |q| request.sampling.overlap(&logits[..vocabulary], &q[..vocabulary]));
            (token, kernels::token_logprob(logits, token, temperature, vocabulary), overlap)
        });
        drop(drawing);
        drop(span);
        for (i, active) in going.into_iter().enumerate() {
            let rows = rows(i);
            let mut row = rows.start;
            // What is drawn behind a draft that did not stand is drawn behind something else than the completion.
            loop {
                let (token, logprob, overlap) = drawn[row];
                active.push(token, logprob, &mut self.open, &self.shared);
                if let Some(ahead) = &mut active.ahead {
                    ahead.push(token, &normed[row * d..][..d]);
                    self.tally.overlap += overlap;
                    self.tally.judged += u64::from(row + 1 < rows.end);
                }
                row += 1;
                if row == rows.end || input[row] != i64::from(token) || active.finish(stop).is_some() {
                    break;
                }
            }
            self.cache.truncate(&mut active.sequence, rows.end - row);
            self.tally.drafted += rows.len() as u64 - 1;
            self.tally.stood += (row - rows.start) as u64 - 1;
            self.tally.steps += 1;
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
            if let Some((mtp, ahead)) = self.mtp.as_mut().zip(active.ahead) {
                mtp.release(ahead);
            }
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

/// What the block of multi-token prediction drafts, for each completion at most as many tokens as `most` says.
fn guess(
    mtp: &mut MtpDrafts<'_>,
    policy: &Policy,
    sampling: &SamplingConfig,
    going: &mut [&mut Active<'_>],
    most: impl Fn(&Active<'_>) -> usize,
) -> Guesses {
    let _span = debug_span!("draft").entered();
    let asking = going.iter_mut().filter_map(|active| {
        let (most, position) = (most(active), active.tokens.len());
        let Active { ahead, stream, .. } = &mut **active;
        Some(Asking { ahead: ahead.as_mut()?, stream, position, most })
    });
    mtp.guess(policy, sampling, asking.collect())
}
