//! `Batches`: which sequences an update learns from, and how they are cut into microbatches.

use std::ops::Range;

use model::backward::Targets;
use model::packed::Packed;
use model::philox::{Purpose, Stream};

use super::sequence::Sequence;

/// The order of training: one shuffled epoch after another, cut into updates of about `batch_tokens`.
///
/// What an update holds is a function of its number, the seed and the lengths alone, so there is nothing to save.
#[derive(Clone, Debug)]
pub struct Batches {
    lengths: Vec<usize>,
    seed: u64,
    batch_tokens: usize,
    /// Where the update after `step` begins, with that epoch's order: a run asks for one after the other.
    cursor: Cursor,
}

#[derive(Clone, Debug)]
struct Cursor {
    step: u64,
    epoch: u64,
    place: usize,
    order: Vec<usize>,
}

impl Batches {
    /// Batches over sequences of these lengths, in tokens.
    ///
    /// # Panics
    /// When there is no sequence.
    pub fn new(lengths: Vec<usize>, seed: u64, batch_tokens: usize) -> Batches {
        assert!(!lengths.is_empty(), "there is something to learn from");
        let cursor = Cursor { step: 0, epoch: 0, place: 0, order: order(seed, 0, lengths.len()) };
        Batches { lengths, seed, batch_tokens, cursor }
    }

    /// Indices of the sequences of an update, counted from 1: the next ones in order, until `batch_tokens` is reached.
    pub fn batch(&mut self, step: u64) -> Vec<usize> {
        if self.cursor.step >= step {
            self.cursor = Cursor { step: 0, epoch: 0, place: 0, order: order(self.seed, 0, self.lengths.len()) };
        }
        let mut batch = Vec::new();
        while self.cursor.step < step {
            batch.clear();
            let mut tokens = 0;
            while tokens < self.batch_tokens || batch.is_empty() {
                let index = self.next_index();
                tokens += self.lengths[index];
                batch.push(index);
            }
            self.cursor.step += 1;
        }
        batch
    }

    /// The epoch, from 0, that the last update ended in.
    pub fn epoch(&self) -> u64 {
        self.cursor.epoch
    }

    fn next_index(&mut self) -> usize {
        let Cursor { epoch, place, order: current, .. } = &mut self.cursor;
        if *place == current.len() {
            *epoch += 1;
            *place = 0;
            *current = order(self.seed, *epoch, self.lengths.len());
        }
        *place += 1;
        current[*place - 1]
    }
}

fn order(seed: u64, epoch: u64, n: usize) -> Vec<usize> {
    Stream::new(seed, Purpose::Order, epoch, 0, 0).permutation(n)
}

/// Cuts items of these lengths, in their order, into runs of at most `limit` together. A longer item is alone.
pub fn cut(lengths: &[usize], limit: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut total) = (0, 0);
    for (i, &length) in lengths.iter().enumerate() {
        if i > start && total + length > limit {
            runs.push(start..i);
            (start, total) = (i, 0);
        }
        total += length;
    }
    if start < lengths.len() {
        runs.push(start..lengths.len());
    }
    runs
}

/// Packs sequences one after the other, each attending to itself alone, with what is learned as targets. The last
/// token of a sequence predicts nothing and is left out.
pub fn pack<'a>(sequences: impl IntoIterator<Item = &'a Sequence>) -> (Packed, Targets) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for Sequence { tokens, mask } in sequences {
        let segment = packed.push(&tokens[..tokens.len() - 1]);
        for i in (1..tokens.len()).filter(|&i| mask[i]) {
            targets.rows.push(i64::from(segment.start) + i as i64 - 1);
            targets.tokens.push(tokens[i]);
        }
    }
    (packed, targets)
}

#[cfg(test)]
mod tests;
