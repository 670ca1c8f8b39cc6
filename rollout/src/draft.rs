//! `Drafts`: how a completion may go on, guessed from what its group has said so far.
//!
//! They are guessed by n-grams (this file) or by the policy's block of multi-token prediction (`draft/mtp.rs`).
//!
//! A draft of n-grams repeats, token after token, what mostly followed the last tokens where they stood before: in the
//! prompt, in the completion itself or in one of its siblings (prompt lookup, Saxena 2023). Where the policy's own draws are
//! the same, one step of decoding gives several tokens (speculative decoding, Leviathan et al. 2022): with noise keyed by
//! position what is drawn does not depend on what was guessed.

pub(crate) mod mtp;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::iter;

/// Rows up to which a replica's decoding step is filled with drafts: a product's weights are read once for all of them.
/// With more rows each has its price, and a draft stands too seldom to be worth it (docs/performance.md).
pub const DRAFT_ROWS: usize = 6;

/// Who drafts tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Drafting {
    /// N-grams of a completion's prompt and its group (prompt lookup, Saxena 2023).
    #[default]
    Ngram,
    /// The policy's block of multi-token prediction (DeepSeek-V3, arXiv 2412.19437), from its own argmax with the noise by
    /// which the policy draws.
    Mtp,
}

/// Lengths of the n-grams that are looked up, the longest first.
const LENGTHS: [usize; 2] = [3, 2];

/// The last tokens of a text, with [`NONE`] in front where there are fewer, or where fewer are looked up.
type Ngram = [u32; LENGTHS[0]];

/// No token's id.
const NONE: u32 = u32::MAX;

/// What followed the n-grams of a group's texts.
pub(crate) struct Drafts {
    /// The token that followed most, and by how many votes it leads (majority vote, Boyer & Moore 1981).
    after: HashMap<Ngram, (u32, u32)>,
    /// How each completion ends now; before its first token as the prompt does.
    ends: Vec<Ngram>,
}

impl Drafts {
    /// Of a group of `n` completions that have no token yet.
    pub(crate) fn new(prompt: &[u32], n: usize) -> Drafts {
        let mut drafts = Drafts { after: HashMap::new(), ends: Vec::new() };
        let end = prompt.iter().fold([NONE; LENGTHS[0]], |end, &token| {
            drafts.note(end, token);
            moved(end, token)
        });
        drafts.ends = vec![end; n];
        drafts
    }

    /// Notes the next token of completion `sample`.
    pub(crate) fn push(&mut self, sample: usize, token: u32) {
        let end = self.ends[sample];
        self.note(end, token);
        self.ends[sample] = moved(end, token);
    }

    /// Tokens with which completion `sample` may go on, one after the other.
    pub(crate) fn draft(&self, sample: usize) -> impl Iterator<Item = u32> {
        let mut end = self.ends[sample];
        iter::from_fn(move || {
            let &(token, _) = LENGTHS.iter().find_map(|&n| self.after.get(&last(end, n)?))?;
            end = moved(end, token);
            Some(token)
        })
    }

    fn note(&mut self, end: Ngram, token: u32) {
        for ngram in LENGTHS.iter().filter_map(|&n| last(end, n)) {
            match self.after.entry(ngram) {
                Entry::Vacant(new) => _ = new.insert((token, 1)),
                Entry::Occupied(mut known) => match known.get_mut() {
                    (first, votes) if *first == token => *votes += 1,
                    (_, votes @ 2..) => *votes -= 1,
                    other => *other = (token, 1),
                },
            }
        }
    }
}

/// The end of a text that goes on with `token`.
fn moved(mut end: Ngram, token: u32) -> Ngram {
    end.rotate_left(1);
    end[LENGTHS[0] - 1] = token;
    end
}

/// The last `n` tokens, if there are so many.
fn last(mut end: Ngram, n: usize) -> Option<Ngram> {
    end[..LENGTHS[0] - n].fill(NONE);
    (end[LENGTHS[0] - n] != NONE).then_some(end)
}

/// What drafts came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DraftTally {
    /// Tokens that were proposed.
    pub drafted: u64,
    /// Of them, those that the policy drew as well, with a further token behind them.
    pub stood: u64,
    /// Steps of decoding, counted for each completion that took part.
    pub steps: u64,
    /// Drafts of the block of multi-token prediction that were behind no other that had not stood.
    pub judged: u64,
    /// Of them the sum of Σ min(p, q) over the vocabulary, p as the policy draws and q as the block does.
    pub overlap: f64,
}

impl DraftTally {
    /// Share of the proposed tokens that stood, 0 to 1; `None` where none was proposed.
    pub fn accepted(&self) -> Option<f64> {
        (self.drafted > 0).then(|| self.stood as f64 / self.drafted as f64)
    }

    /// Share of the block's drafts that rejection sampling (Leviathan et al. 2022) would have let stand in expectation,
    /// from 0 to 1: it draws again where a draft does not stand. With keyed noise a token is one draw, and fewer agree.
    pub fn overlap(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.overlap / self.judged as f64)
    }

    /// Tokens that a completion gained in a step, 1 or more; `None` where there was none.
    pub fn tokens_per_step(&self) -> Option<f64> {
        (self.steps > 0).then(|| 1.0 + self.stood as f64 / self.steps as f64)
    }
}

impl std::ops::AddAssign for DraftTally {
    fn add_assign(&mut self, other: DraftTally) {
        self.drafted += other.drafted;
        self.stood += other.stood;
        self.steps += other.steps;
        self.judged += other.judged;
        self.overlap += other.overlap;
    }
}

#[cfg(test)]
mod tests;
