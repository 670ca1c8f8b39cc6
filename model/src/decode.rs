//! Sampling's forward pass: a prompt's rows at once, then the next row of each sequence.
//!
//! Kernels and their order are those of training (`block.rs`), so that every number is; but nothing is kept for a
//! gradient, and attention finds its keys in the pages of a cache.

use crate::attention;
use crate::attention::step::{Pages, page_write};
use crate::buffer::Buffer;
use crate::config::{Dtype, Mla};
use crate::kv_cache::{KvCache, Sequence};
use crate::packed::{Packed, ROW_BLOCK};
use crate::policy::Policy;
use crate::team;

/// Tokens of the longest prompt that is encoded beside others, each by a thread of its own. All threads share a longer one,
/// so that it needs no more memory than one.
const SHORT: usize = 512;

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
pub(crate) struct Step {
    pub(crate) tokens: Vec<i64>,
    pub(crate) positions: Vec<i32>,
    /// Where the rows of each sequence begin, and how many there are in all.
    pub(crate) starts: Vec<i32>,
    /// Each row's pages, `[N, max_pages]`.
    pub(crate) table: Vec<i32>,
}

/// A prompt and the pages that it is encoded into.
struct Placed<'a> {
    prompt: &'a [i64],
    sequence: Sequence,
    /// Where each row goes.
    pages: Vec<i32>,
    slots: Vec<i32>,
}

/// What comes of a prompt beside its keys and values.
struct Encoded {
    /// After its last token, `[V]`.
    logits: Buffer,
    /// The final norm's rows, where they were asked for.
    rows: Buffer,
}

impl Policy {
    /// Encodes `prompt` into a fresh sequence; returns it with the logits after the prompt's last token, `[V]`.
    pub fn prefill(&self, cache: &mut KvCache<'_>, prompt: &[i64]) -> (Sequence, Buffer) {
        self.prefill_all(cache, &[prompt]).pop().expect("one prompt")
    }

    /// Encodes each prompt as [`Policy::prefill`] does: side by side, as far as there are threads and prompts are short.
    pub fn prefill_all(&self, cache: &mut KvCache<'_>, prompts: &[&[i64]]) -> Vec<(Sequence, Buffer)> {
        let encoded = self.prefill_as(cache, prompts, false);
        encoded.into_iter().map(|(sequence, Encoded { logits, .. })| (sequence, logits)).collect()
    }

    /// [`Policy::prefill_all`], each with the final norm's rows of its prompt, `[P, D]` and maybe rows of padding.
    pub fn prefill_with_rows(&self, cache: &mut KvCache<'_>, prompts: &[&[i64]]) -> Vec<(Sequence, Buffer, Buffer)> {
        let encoded = self.prefill_as(cache, prompts, true).into_iter();
        encoded.map(|(sequence, Encoded { logits, rows })| (sequence, logits, rows)).collect()
    }

    fn prefill_as(&self, cache: &mut KvCache<'_>, prompts: &[&[i64]], with_rows: bool) -> Vec<(Sequence, Encoded)> {
        let place = |prompt: &&'_ [i64]| {
            let (mut sequence, mut pages, mut slots) = (Sequence::default(), Vec::new(), Vec::new());
            cache.extend(&mut sequence, prompt.len(), &mut pages, &mut slots);
            (sequence, pages, slots)
        };
        let places: Vec<_> = prompts.iter().map(place).collect();
        let placed: Vec<Placed<'_>> = prompts
            .iter()
            .zip(places)
            .map(|(prompt, (sequence, pages, slots))| Placed { prompt, sequence, pages, slots })
            .collect();
        let pages = cache.pages();
        let mut encoded: Vec<Option<Encoded>> = placed.iter().map(|_| None).collect();
        if prompts.len() >= team::threads() && prompts.iter().all(|prompt| prompt.len() <= SHORT) {
            // SAFETY: each prompt is encoded into pages of its own.
            team::fill(&mut encoded, 1, |i| Some(self.encode(&mut unsafe { pages.again() }, &placed[i], with_rows)));
        } else {
            let mut pages = pages;
            encoded = placed.iter().map(|one| Some(self.encode(&mut pages, one, with_rows))).collect();
        }
        let encoded = encoded.into_iter().map(|encoded| encoded.expect("every prompt was encoded"));
        placed.into_iter().map(|placed| placed.sequence).zip(encoded).collect()
    }

    /// Writes a prompt's keys and values.
    fn encode(&self, to: &mut Pages<'_>, placed: &Placed<'_>, with_rows: bool) -> Encoded {
        let Placed { prompt, sequence, pages, slots } = placed;
        let mut packed = Packed::default();
        packed.push(prompt);
        let rows = self.product_rows(prompt.len());
        packed.tokens.resize(rows, 0);
        packed.positions.resize(rows, 0);
        let last_layer = self.config.n_layers - 1;
        let mut block = |x: Buffer, layer: usize| {
            let mut attend = |heads, q: &Buffer, key: &Buffer, value: &Buffer| {
                page_write(to, layer, (key, value), (pages, slots), heads);
                attention::attention(q, key, value, &packed.segments, heads)
            };
            self.block(layer, &x, &packed.positions, Mla::Absorbed, &mut attend).0
        };
        let x = (0..last_layer).fold(self.embed(&packed.tokens), &mut block);
        let (d, end) = (self.config.hidden_dim, prompt.len() - 1);
        let mut last = Buffer::cleared(self.product_rows(1) * d);
        last[..d].copy_from_slice(&x[end * d..][..d]);
        let mut rows = Buffer::unwritten(0);
        if with_rows {
            rows = self.final_norm(&block(x, last_layer)).0;
        } else {
            // Of the last block, other rows' keys and values are all that anyone asks for.
            self.write_keys(last_layer, &x, &packed.positions, &mut |key, value| {
                page_write(to, last_layer, (key, value), (pages, slots), self.heads(last_layer));
            });
        }
        let step = Step {
            tokens: prompt[end..].to_vec(),
            positions: vec![end as i32],
            starts: vec![0, 1],
            table: sequence.pages().to_vec(),
        };
        let x = self.step_block(last_layer, &last, &step, to);
        let mut logits = self.head_logits(&x);
        logits.truncate(self.config.vocab_size);
        Encoded { logits, rows }
    }

    /// Adds its tokens to each sequence; returns the logits after each token, `[N, V]` and maybe rows of padding, with
    /// the rows of a sequence beside each other.
    pub fn decode(&self, cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>]) -> Buffer {
        self.decode_with_rows(cache, feeds).1
    }

    /// [`Policy::decode`], with the final norm's rows `[N, D]` before the logits.
    pub fn decode_with_rows(&self, cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>]) -> (Buffer, Buffer) {
        let (rows, _) = self.final_norm(&self.decode_stream(cache, feeds, &mut |_| ()));
        let logits = self.project(&rows, self.layout.head, None);
        (rows, logits)
    }

    /// The stream after the last block of [`Policy::decode`]; `observe` sees it after every block.
    pub(crate) fn decode_stream(
        &self,
        cache: &mut KvCache<'_>,
        feeds: &mut [Feed<'_>],
        observe: &mut dyn FnMut(&Buffer),
    ) -> Buffer {
        let step = Step::new(cache, feeds);
        let mut tokens = step.tokens.clone();
        tokens.resize(self.product_rows(tokens.len()), 0);
        let mut pages = cache.pages();
        (0..self.config.n_layers).fold(self.embed(&tokens), |x, layer| {
            let out = self.step_block(layer, &x, &step, &mut pages);
            observe(&out);
            out
        })
    }

    /// Rows that a product of `n` needs: in bf16 whole blocks, elsewhere no others.
    pub(crate) fn product_rows(&self, n: usize) -> usize {
        if self.dtype() == Dtype::Bf16 { n.next_multiple_of(ROW_BLOCK) } else { n }
    }

    fn head_logits(&self, x: &Buffer) -> Buffer {
        self.project(&self.final_norm(x).0, self.layout.head, None)
    }
}

impl Step {
    pub(crate) fn new(cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>]) -> Step {
        let mut step = Step::default();
        let (mut pages, mut slots) = (Vec::new(), Vec::new());
        for Feed { sequence, tokens } in feeds.iter_mut() {
            let start = sequence.len() as i32;
            cache.extend(sequence, tokens.len(), &mut pages, &mut slots);
            step.starts.push(step.tokens.len() as i32);
            step.tokens.extend_from_slice(tokens);
            step.positions.extend(start..sequence.len() as i32);
        }
        step.starts.push(step.tokens.len() as i32);
        let max_pages = feeds.iter().map(|feed| feed.sequence.pages().len()).max().unwrap_or(0);
        for Feed { sequence, tokens } in feeds.iter() {
            for _ in 0..tokens.len() {
                step.table.extend_from_slice(sequence.pages());
                step.table.resize(step.table.len().next_multiple_of(max_pages.max(1)), 0);
            }
        }
        step
    }
}

#[cfg(test)]
mod tests;
