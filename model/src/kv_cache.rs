//! `KvCache`: keys and values of the sequences being sampled, in pages; and the forward pass that reads them.
//!
//! A page holds one key tile (32 absolute positions) of every layer, in the form the attention kernel works on, so
//! decoding neither gathers nor copies. Pages are counted references: completions of one prompt share its full pages
//! and each take a copy of the last, unfinished one. The arena is reserved once and its pages are used again.

use crate::attention::{self, Pages, TILE};
use crate::buffer::Buffer;
use crate::config::ModelConfig;
use crate::packed::{Packed, ROW_BLOCK};
use crate::policy::Policy;
use crate::transformer::Attend;

/// Pages of keys and values, for one thread.
pub struct KvCache {
    arena: Buffer,
    stride: usize,
    references: Vec<u32>,
    free: Vec<i32>,
}

/// One sequence's pages and how many positions they hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    pages: Vec<i32>,
    length: usize,
}

impl Sequence {
    /// Positions held.
    #[expect(clippy::len_without_is_empty, reason = "a sequence is never asked for before its prompt is in")]
    pub fn len(&self) -> usize {
        self.length
    }
}

impl KvCache {
    /// Bytes of one page.
    pub fn page_bytes(config: &ModelConfig) -> usize {
        4 * config.n_layers * attention::page_floats(config.n_kv_heads, config.head_dim)
    }

    /// Pages that hold `positions`.
    pub fn pages_for(positions: usize) -> usize {
        positions.div_ceil(TILE)
    }

    /// A cache of `n_pages`. Memory is taken from the system as pages are first written.
    pub fn new(config: &ModelConfig, n_pages: usize) -> KvCache {
        let stride = KvCache::page_bytes(config) / 4;
        let arena = Buffer::unwritten(stride * n_pages);
        KvCache { arena, stride, references: vec![0; n_pages], free: (0..n_pages as i32).rev().collect() }
    }

    /// Pages that nobody holds.
    pub fn n_free(&self) -> usize {
        self.free.len()
    }

    /// A sequence that goes on where `prompt` stands, sharing its full pages. Takes one page where the last is not
    /// full.
    pub fn fork(&mut self, prompt: &Sequence) -> Sequence {
        let full = prompt.length / TILE;
        let mut pages = prompt.pages[..full].to_vec();
        for &page in &pages {
            self.references[page as usize] += 1;
        }
        if let Some(&last) = prompt.pages.get(full) {
            let page = self.take();
            let from = last as usize * self.stride;
            self.arena.copy_within(from..from + self.stride, page as usize * self.stride);
            pages.push(page);
        }
        Sequence { pages, length: prompt.length }
    }

    /// Gives a sequence's pages back.
    pub fn release(&mut self, sequence: Sequence) {
        for page in sequence.pages {
            let references = &mut self.references[page as usize];
            *references -= 1;
            if *references == 0 {
                self.free.push(page);
            }
        }
    }

    fn take(&mut self) -> i32 {
        let page = self.free.pop().expect("a sequence is admitted only when all its pages are free");
        self.references[page as usize] = 1;
        page
    }

    /// Makes room for `n` more positions and says where each goes: its page and its slot there.
    fn extend(&mut self, sequence: &mut Sequence, n: usize) -> (Vec<i32>, Vec<i32>) {
        let end = sequence.length + n;
        while sequence.pages.len() * TILE < end {
            sequence.pages.push(self.take());
        }
        let places = (sequence.length..end).map(|p| (sequence.pages[p / TILE], (p % TILE) as i32)).unzip();
        sequence.length = end;
        places
    }
}

impl Policy {
    /// Encodes `prompt` into a fresh sequence; returns it with the logits after the prompt's last token, `[V]`.
    pub fn prefill(&self, cache: &mut KvCache, prompt: &[i64]) -> (Sequence, Buffer) {
        let mut packed = Packed::default();
        packed.push(prompt);
        let mut sequence = Sequence::default();
        let (pages, slots) = cache.extend(&mut sequence, prompt.len());
        let (tokens, positions) = packed.padded();
        let (heads, scale) = (self.heads(), self.attention_scale());
        let x = self.run(&tokens, &positions, &mut |_| (), &mut |layer, q, key, value| {
            self.write(cache, layer, key, value, &pages, &slots);
            attention::attention(q, key, value, &packed.segments, heads, scale)
        });
        let d = self.config.hidden_dim;
        let mut last = Buffer::zeros(ROW_BLOCK * d);
        last[..d].copy_from_slice(&x[(prompt.len() - 1) * d..][..d]);
        let mut logits = self.head_logits(&last);
        logits.truncate(self.config.vocab_size);
        (sequence, logits)
    }

    /// Adds one token to each sequence; returns the logits after it, `[B padded, V]`, of which the first B rows count.
    pub fn decode(&self, cache: &mut KvCache, sequences: &mut [&mut Sequence], tokens: &[i64]) -> Buffer {
        let x = self.decode_stream(cache, sequences, tokens, &mut |_| ());
        self.head_logits(&x)
    }

    /// The stream after the last block of [`Policy::decode`]; `observe` sees it after every block.
    pub(crate) fn decode_stream(
        &self,
        cache: &mut KvCache,
        sequences: &mut [&mut Sequence],
        tokens: &[i64],
        observe: &mut dyn FnMut(&Buffer),
    ) -> Buffer {
        let n = sequences.len();
        assert_eq!(n, tokens.len(), "one token a sequence");
        let padded = n.next_multiple_of(ROW_BLOCK);
        let (mut tokens, mut positions) = (tokens.to_vec(), vec![0; padded]);
        tokens.resize(padded, 0);
        let (mut pages, mut slots) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (sequence, position) in sequences.iter_mut().zip(&mut positions) {
            *position = sequence.length as i32;
            let (page, slot) = cache.extend(sequence, 1);
            pages.extend(page);
            slots.extend(slot);
        }
        let lengths: Vec<i32> = sequences.iter().map(|s| s.length as i32).collect();
        let max_pages = sequences.iter().map(|s| s.pages.len()).max().unwrap_or(0);
        let mut table = vec![0; n * max_pages];
        for (row, sequence) in table.chunks_exact_mut(max_pages.max(1)).zip(sequences.iter()) {
            row[..sequence.pages.len()].copy_from_slice(&sequence.pages);
        }
        self.run(&tokens, &positions, observe, &mut |layer, q, key, value| {
            self.write(cache, layer, key, value, &pages, &slots);
            let pages = Pages { arena: &cache.arena, stride: cache.stride, layer, table: &table, lengths: &lengths };
            (attention::attention_paged(q, pages, self.heads(), self.attention_scale()), Buffer::zeros(0))
        })
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

    fn write(&self, cache: &mut KvCache, layer: usize, key: &[f32], value: &[f32], pages: &[i32], slots: &[i32]) {
        attention::page_write(&mut cache.arena, cache.stride, layer, (key, value), (pages, slots), self.heads());
    }
}

#[cfg(test)]
mod tests;
