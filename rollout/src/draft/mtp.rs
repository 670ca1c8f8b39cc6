//! Drafts by the policy's first module of multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2).
//!
//! For every token that was drawn the module has a row: of that token, and of the final norm's row that it was drawn from.
//! The last of them expects the next token, and drafts it as the policy draws: by the same rule, with the noise of that
//! token's position. So a draft is the policy's token wherever the two agree which is best once the noise is added, and
//! further tokens are drafted from the module's own rows, which leave its cache again.

use model::attention::TILE;
use model::buffer::Buffer;
use model::decode::Feed;
use model::kv_cache::{KvCache, Sequence};
use model::mtp::Expected;
use model::philox::Stream;
use model::policy::Policy;

use crate::sampling::SamplingConfig;

/// The module's cache in one replica.
pub(crate) struct MtpDrafts<'a> {
    cache: KvCache<'a>,
}

/// The module's rows of a prompt, and the policy's last.
pub(crate) struct MtpPrompt {
    sequence: Sequence,
    last: Vec<f32>,
}

/// The module's rows of one completion.
pub(crate) struct Ahead {
    sequence: Sequence,
    /// Tokens that were drawn and have no row in the cache yet.
    tokens: Vec<i64>,
    /// The rows that they were drawn from.
    before: Vec<f32>,
}

/// A completion that may be drafted for.
pub(crate) struct Asking<'a> {
    pub(crate) ahead: &'a mut Ahead,
    pub(crate) stream: &'a Stream,
    /// Of the first token to draft.
    pub(crate) position: usize,
    /// Tokens to draft, at most.
    pub(crate) most: usize,
}

/// Tokens that were drafted, and what they were drawn from.
#[derive(Default)]
pub(crate) struct Guesses {
    /// Of each completion the tokens, with their rows among the logits of their place in the draft.
    of: Vec<Vec<(u32, usize)>>,
    logits: Vec<Buffer>,
}

impl Ahead {
    /// Notes a token that was drawn from a row of the final norm.
    pub(crate) fn push(&mut self, token: u32, row: &[f32]) {
        self.tokens.push(token.into());
        self.before.extend_from_slice(row);
    }

    /// Its tokens have their rows in the cache.
    fn clear(&mut self) {
        self.tokens.clear();
        self.before.clear();
    }
}

impl Guesses {
    /// The draft of completion `i`.
    pub(crate) fn tokens(&self, i: usize) -> impl Iterator<Item = u32> {
        self.of.get(i).into_iter().flatten().map(|(token, _)| *token)
    }

    /// The logits, `[V]`, from which token `place` of completion `i`'s draft was drawn.
    pub(crate) fn logits(&self, i: usize, place: usize, v: usize) -> Option<&[f32]> {
        let &(_, row) = self.of.get(i)?.get(place)?;
        Some(&self.logits[place][row * v..][..v])
    }
}

impl<'a> MtpDrafts<'a> {
    pub(crate) fn new(cache: KvCache<'a>) -> MtpDrafts<'a> {
        MtpDrafts { cache }
    }

    /// Pages that a completion of `prompt` tokens and at most `limit` more needs beside those its siblings share.
    pub(crate) fn own_pages(prompt: usize, limit: usize) -> usize {
        KvCache::pages_for(prompt + limit) - (prompt - 1) / TILE
    }

    /// Encodes a prompt, given its rows of the final norm.
    pub(crate) fn open(&mut self, policy: &Policy, prompt: &[i64], rows: &[f32]) -> MtpPrompt {
        let (d, n) = (policy.config().hidden_dim, prompt.len() - 1);
        let mut sequence = Sequence::default();
        if n > 0 {
            let mut feeds = [Feed { sequence: &mut sequence, tokens: &prompt[1..] }];
            policy.mtp_extend(&mut self.cache, &mut feeds, &rows[..n * d]);
        }
        MtpPrompt { sequence, last: rows[n * d..][..d].to_vec() }
    }

    /// A completion whose first token is drawn from the prompt's last row.
    pub(crate) fn start(&mut self, prompt: &MtpPrompt, token: u32) -> Ahead {
        let mut ahead = Ahead { sequence: self.cache.fork(&prompt.sequence), tokens: Vec::new(), before: Vec::new() };
        ahead.push(token, &prompt.last);
        ahead
    }

    /// All completions of the prompt are started.
    pub(crate) fn close(&mut self, prompt: MtpPrompt) {
        self.cache.release(prompt.sequence);
    }

    /// The completion is finished.
    pub(crate) fn release(&mut self, ahead: Ahead) {
        self.cache.release(ahead.sequence);
    }

    /// Drafts tokens for each completion that asks for some. Rows of the others wait until they are a page's.
    pub(crate) fn guess(&mut self, policy: &Policy, sampling: &SamplingConfig, mut asking: Vec<Asking<'_>>) -> Guesses {
        let (d, v, vocabulary) = (policy.config().hidden_dim, policy.config().vocab_size, policy.vocabulary());
        let mut guesses = Guesses { of: asking.iter().map(|_| Vec::new()).collect(), logits: Vec::new() };
        for Asking { ahead, .. } in asking.iter_mut().filter(|a| a.most == 0 && a.ahead.tokens.len() >= TILE) {
            let mut feeds = [Feed { sequence: &mut ahead.sequence, tokens: &ahead.tokens }];
            policy.mtp_extend(&mut self.cache, &mut feeds, &ahead.before);
            ahead.clear();
        }
        let longest = asking.iter().map(|asking| asking.most).max().unwrap_or(0);
        for place in 0..longest {
            let mut going: Vec<(usize, &mut Asking<'_>)> =
                asking.iter_mut().enumerate().filter(|(_, asking)| asking.most > place).collect();
            let before: Vec<f32> = going.iter().flat_map(|(_, asking)| asking.ahead.before.iter().copied()).collect();
            let mut feeds: Vec<Feed<'_>> = going
                .iter_mut()
                .map(|(_, asking)| {
                    let Ahead { sequence, tokens, .. } = &mut *asking.ahead;
                    Feed { sequence, tokens }
                })
                .collect();
            let Expected { rows, logits } = policy.mtp_decode(&mut self.cache, &mut feeds, &before);
            for (row, (i, Asking { ahead, stream, position, most })) in going.into_iter().enumerate() {
                let token = sampling.draw(&logits[row * v..][..vocabulary], stream, (*position + place) as u32);
                guesses.of[i].push((token, row));
                ahead.clear();
                if place + 1 < *most {
                    ahead.push(token, &rows[row * d..][..d]);
                } else {
                    // Rows of what was drafted: the policy may draw something else.
                    self.cache.truncate(&mut ahead.sequence, place);
                }
            }
            guesses.logits.push(logits);
        }
        guesses
    }
}
