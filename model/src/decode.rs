//! Sampling's forward pass: a prompt's rows at once, then the next row of each sequence.
//!
//! The blocks are those of training (`transformer.rs`); only attention finds its keys in the pages of a cache.

use crate::attention;
use crate::buffer::Buffer;
use crate::config::Dtype;
use crate::kv_cache::{KvCache, Sequence};
use crate::packed::{Packed, ROW_BLOCK};
use crate::policy::Policy;
use crate::transformer::Attend;

/// A sequence and the tokens that it goes on with.
#[derive(Debug)]
pub struct Feed<'a> {
    /// Grows by the tokens.
    pub sequence: &'a mut Sequence,
    /// One at least. Each is a row of the step, at the position where it comes to stand.
    pub tokens: &'a [i64],
}

/// The rows of a decoding step: what each holds, where it goes and what it attends to.
#[derive(Default)]
struct Step {
    tokens: Vec<i64>,
    positions: Vec<i32>,
    pages: Vec<i32>,
    slots: Vec<i32>,
    /// Positions that each row attends to.
    lengths: Vec<i32>,
    /// Each row's pages, `[N, max_pages]`.
    table: Vec<i32>,
    max_pages: usize,
}

impl Policy {
    /// Encodes `prompt` into a fresh sequence; returns it with the logits after the prompt's last token, `[V]`.
    pub fn prefill(&self, cache: &mut KvCache<'_>, prompt: &[i64]) -> (Sequence, Buffer) {
        let mut packed = Packed::default();
        packed.push(prompt);
        let mut sequence = Sequence::default();
        let (mut pages, mut slots) = (Vec::with_capacity(prompt.len()), Vec::with_capacity(prompt.len()));
        cache.extend(&mut sequence, prompt.len(), &mut pages, &mut slots);
        let rows = self.product_rows(prompt.len());
        packed.tokens.resize(rows, 0);
        packed.positions.resize(rows, 0);
        let (heads, scale) = (self.heads(), self.attention_scale());
        let x = self.run(&packed.tokens, &packed.positions, &mut |_| (), &mut |layer, q, key, value| {
            cache.write(layer, key, value, &pages, &slots, heads);
            attention::attention(q, key, value, &packed.segments, heads, scale)
        });
        let d = self.config.hidden_dim;
        let mut last = Buffer::cleared(self.product_rows(1) * d);
        last[..d].copy_from_slice(&x[(prompt.len() - 1) * d..][..d]);
        let mut logits = self.head_logits(&last);
        logits.truncate(self.config.vocab_size);
        (sequence, logits)
    }

    /// Adds its tokens to each sequence; returns the logits after each token, `[N, V]` and maybe rows of padding, with
    /// the rows of a sequence beside each other.
    pub fn decode(&self, cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>]) -> Buffer {
        let x = self.decode_stream(cache, feeds, &mut |_| ());
        self.head_logits(&x)
    }

    /// The stream after the last block of [`Policy::decode`]; `observe` sees it after every block.
    pub(crate) fn decode_stream(
        &self,
        cache: &mut KvCache<'_>,
        feeds: &mut [Feed<'_>],
        observe: &mut dyn FnMut(&Buffer),
    ) -> Buffer {
        let mut step = Step::new(cache, feeds);
        let rows = self.product_rows(step.tokens.len());
        step.tokens.resize(rows, 0);
        step.positions.resize(rows, 0);
        let (heads, scale) = (self.heads(), self.attention_scale());
        self.run(&step.tokens, &step.positions, observe, &mut |layer, q, key, value| {
            cache.write(layer, key, value, &step.pages, &step.slots, heads);
            let pages = cache.pages(layer, &step.table, &step.lengths);
            (attention::attention_paged(q, pages, heads, scale), Buffer::unwritten(0))
        })
    }

    /// Rows that a product of `n` needs: in f32 no others, in bf16 whole blocks.
    pub(crate) fn product_rows(&self, n: usize) -> usize {
        if self.dtype() == Dtype::Bf16 { n.next_multiple_of(ROW_BLOCK) } else { n }
    }

    fn run(
        &self,
        tokens: &[i64],
        positions: &[i32],
        observe: &mut dyn FnMut(&Buffer),
        attend: &mut Attend<'_>,
    ) -> Buffer {
        (0..self.config.n_layers).fold(self.embed(tokens), |x, layer| {
            let out = self.block(layer, &x, positions, attend).0;
            observe(&out);
            out
        })
    }

    fn head_logits(&self, x: &Buffer) -> Buffer {
        self.project(&self.final_norm(x).0, self.layout.head, None)
    }
}

impl Step {
    fn new(cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>]) -> Step {
        let mut step = Step::default();
        for Feed { sequence, tokens } in feeds.iter_mut() {
            let start = sequence.len() as i32;
            cache.extend(sequence, tokens.len(), &mut step.pages, &mut step.slots);
            step.tokens.extend_from_slice(tokens);
            step.positions.extend(start..sequence.len() as i32);
        }
        step.lengths.extend(step.positions.iter().map(|position| position + 1));
        step.max_pages = feeds.iter().map(|feed| feed.sequence.pages().len()).max().unwrap_or(0);
        for Feed { sequence, tokens } in feeds.iter() {
            for _ in 0..tokens.len() {
                step.table.extend_from_slice(sequence.pages());
                step.table.resize(step.table.len().next_multiple_of(step.max_pages.max(1)), 0);
            }
        }
        step
    }
}

#[cfg(test)]
mod tests;
