//! Log-probabilities of packed tokens, and the gradient of a loss on them.
//!
//! The head is the largest product and its logits the largest array. They are made for a chunk of rows at a time, and
//! only where a token is to be predicted; a chunk's gradient is taken before the next chunk's logits exist.

use crate::attention::attention;
use crate::block::{Kept, Rows};
use crate::buffer::Buffer;
use crate::kernels::{self, TokenLogprobs};
use crate::layout::Slot;
use crate::mtp::MtpObjective;
use crate::packed::{Packed, ROW_BLOCK};
use crate::policy::Policy;
use crate::router::{Balance, Balancer, Loads, NO_BALANCE, Routed};
use crate::share::{Hand, Share};
use crate::team::{self, Cells};
use std::ops::Range;
use tch::Tensor;
use tracing::debug_span;

/// Columns of the embedding's gradient that are worth a chunk of their own where several threads add.
const COLUMNS: usize = 128;

/// Bytes that a chunk of logits may take.
const CHUNK_BYTES: usize = 64 << 20;

/// Rows of a chunk of logits, at most.
const CHUNK_ROWS: usize = 256;

/// Rows of a chunk of logits over `vocab_size` ids: whole blocks, at least one.
pub fn chunk_rows(vocab_size: usize) -> usize {
    (CHUNK_BYTES / (4 * vocab_size)).clamp(ROW_BLOCK, CHUNK_ROWS) / ROW_BLOCK * ROW_BLOCK
}

/// Which tokens are predicted from which packed rows. A row may serve several: a prompt's last row predicts the first
/// token of each of its completions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Packed rows, `[M]`.
    pub rows: Vec<i64>,
    /// The token after each of them, `[M]`.
    pub tokens: Vec<i64>,
}

impl Targets {
    /// Every token of a packed sequence but its first.
    pub fn push_sequence(&mut self, start: i64, tokens: &[i64]) {
        for (i, pair) in tokens.windows(2).enumerate() {
            self.rows.push(start + i as i64);
            self.tokens.push(pair[1]);
        }
    }
}

/// One pass forward and back: what is learned from, and how.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// The rows.
    pub packed: &'a Packed,
    /// What is predicted from them.
    pub targets: &'a Targets,
    /// What logits are divided by.
    pub temperature: f32,
    /// Keep only each block's input, and compute the rest again.
    pub checkpointing: bool,
    /// Losses on routers.
    pub balance: &'a Balance,
    /// The sequences that routers are judged by, as ranges of rows that do not overlap, in their order.
    pub sequences: &'a [Range<usize>],
}

impl<'a> Lesson<'a> {
    /// A lesson in which nobody looks at routers.
    pub fn new(packed: &'a Packed, targets: &'a Targets, temperature: f32, checkpointing: bool) -> Lesson<'a> {
        Lesson { packed, targets, temperature, checkpointing, balance: &NO_BALANCE, sequences: &[] }
    }
}

/// The gradient of the loss with respect to each log-probability of a chunk, given the chunk's range in [`Targets`]
/// and what was found there.
pub type Objective<'a> = dyn FnMut(Range<usize>, &TokenLogprobs) -> Vec<f32> + 'a;

/// What a backward pass learns beside the objective on its targets.
#[derive(Default)]
pub struct Beside<'a> {
    /// Weighs what blocks of multi-token prediction found of the same targets.
    pub mtp: Option<&'a mut MtpObjective<'a>>,
}

impl Policy {
    /// Logits of every packed row, `[N, V]` f32. Row i predicts the token after row i.
    pub fn logits(&self, packed: &Packed) -> Tensor {
        let (normed, _) = self.final_norm(&self.stream(packed, |_, _, _| ()));
        let logits = self.project(&normed, self.layout.head, None);
        logits.rows(self.config.vocab_size).narrow(0, 0, packed.len() as i64)
    }

    /// Log-probabilities of `targets` under softmax(logits / temperature), with entropies.
    pub fn logprobs(&self, packed: &Packed, targets: &Targets, temperature: f32) -> TokenLogprobs {
        if let Some(twin) = self.on_device() {
            return twin.logprobs(packed, targets, temperature);
        }
        let x = self.stream(packed, |_, _, _| ());
        let mut all = TokenLogprobs::default();
        for range in self.chunks(targets) {
            all.extend(self.head(&x, self.layout.norm, targets, range, temperature).found);
        }
        all
    }

    /// Adds to `gradient` (flat, as [`crate::layout::Layout`] orders it) the gradient of a loss on the
    /// log-probabilities of `targets`. See [`Policy::backward_in_parts`].
    pub fn backward(
        &self,
        packed: &Packed,
        targets: &Targets,
        temperature: f32,
        checkpointing: bool,
        gradient: &mut Buffer,
        objective: &mut Objective<'_>,
    ) {
        assert_eq!(gradient.len(), self.layout.len(), "a gradient has the layout's length");
        let mut share = Share::new(&self.layout);
        let lesson = Lesson::new(packed, targets, temperature, checkpointing);
        self.backward_in_parts(&lesson, &mut share, objective, &mut |_, range, part| {
            gradient[range].iter_mut().zip(part).for_each(|(to, from)| *to += from);
        });
    }

    /// The gradient of a loss on the log-probabilities of a lesson's targets, and of its losses on routers, handed over
    /// part by part as it is computed; `objective` gives the first loss's own gradient, chunk by chunk. `gradient` is zero
    /// before and after. Gives back what routers did.
    pub fn backward_in_parts(
        &self,
        lesson: &Lesson<'_>,
        gradient: &mut Share,
        objective: &mut Objective<'_>,
        hand: &mut Hand<'_>,
    ) -> Routed {
        self.backward_beside(lesson, gradient, objective, Beside::default(), hand)
    }

    /// As [`Policy::backward_in_parts`], with what is learned beside the objective. Blocks of multi-token prediction that
    /// learn nothing get a gradient of zero, and do not say where rows went.
    pub fn backward_beside(
        &self,
        lesson: &Lesson<'_>,
        gradient: &mut Share,
        objective: &mut Objective<'_>,
        beside: Beside<'_>,
        hand: &mut Hand<'_>,
    ) -> Routed {
        let Lesson { packed, targets, temperature, checkpointing, balance, sequences } = *lesson;
        if let Some(twin) = self.on_device() {
            return self.backward_on_device(twin, lesson, gradient, objective, beside, hand);
        }
        let mut balancer = Balancer::new(balance, sequences);
        let (tokens, positions) = packed.padded(self.product_rows(packed.len()));
        let rows = Rows { positions: &positions, segments: &packed.segments };
        let mut inputs: Vec<(Buffer, Option<Kept>)> = Vec::with_capacity(self.config.n_layers);
        let x = debug_span!("forward", rows = packed.len())
            .in_scope(|| self.stream(packed, |_, x, kept| inputs.push((x, (!checkpointing).then_some(kept)))));

        let modules = beside.mtp.as_ref().map(|_| self.mtp_modules(packed, &x, checkpointing));
        let mut weigh = |range, chunk: &HeadChunk| objective(range, &chunk.found);
        let mut dx = self.head_backward(&x, self.layout.norm, targets, temperature, gradient, &mut weigh);
        match beside.mtp.zip(modules) {
            Some((objective, modules)) => {
                let _span = debug_span!("mtp", rows = packed.len()).entered();
                let balancer = &mut balancer;
                dx.add(&self.mtp_backward(targets, temperature, &x, modules, balancer, gradient, objective, hand));
            }
            None => (self.config.n_layers..self.config.blocks.len()).for_each(|layer| gradient.hand_block(layer, hand)),
        }
        drop(x);
        let _span = debug_span!("backward", rows = packed.len()).entered();
        for layer in (0..self.config.n_layers).rev() {
            let (x, kept) = inputs.pop().expect("one input a block");
            let kept = kept.unwrap_or_else(|| self.packed_block(layer, &x, rows).1);
            dx = self.block_backward(layer, dx, (&x, kept), rows, &mut balancer, gradient);
            gradient.hand_block(layer, hand);
        }
        self.embed_backward(&tokens, dx, gradient);
        gradient.hand_ends(hand);
        balancer.routed
    }

    /// Where the rows of `sequences`, ranges of packed rows, go in the blocks before those of multi-token prediction.
    pub fn loads(&self, packed: &Packed, sequences: &[Range<usize>]) -> Loads {
        if let Some(twin) = self.on_device() {
            return twin.loads(packed, sequences);
        }
        let mut loads = Loads::new();
        self.stream(packed, |layer, _, kept| {
            if let (Some(routing), Some(config)) = (kept.routing(), &self.config.experts) {
                loads.insert(layer, routing.load(sequences, config));
            }
        });
        loads
    }

    /// Adds the gradient of the embeddings of `tokens` to `gradient`.
    pub(crate) fn embed_backward(&self, tokens: &[i64], mut dx: Buffer, gradient: &mut Share) {
        let slot = self.layout.embedding;
        let scale = self.embedding_scale();
        if scale != 1.0 {
            dx.iter_mut().for_each(|d| *d *= scale);
        }
        add_rows(gradient.slot(slot), slot.columns, tokens, &dx);
    }

    /// The stream after the last block, `[N padded, D]`; each block's input and what it kept go to `keep`.
    pub(crate) fn stream(&self, packed: &Packed, mut keep: impl FnMut(usize, Buffer, Kept)) -> Buffer {
        let (tokens, positions) = packed.padded(self.product_rows(packed.len()));
        let rows = Rows { positions: &positions, segments: &packed.segments };
        let mut x = self.embed(&tokens);
        for layer in 0..self.config.n_layers {
            let (out, kept) = self.packed_block(layer, &x, rows);
            keep(layer, std::mem::replace(&mut x, out), kept);
        }
        x
    }

    pub(crate) fn packed_block(&self, layer: usize, x: &Buffer, rows: Rows<'_>) -> (Buffer, Kept) {
        let mut attend =
            |heads, q: &Buffer, key: &Buffer, value: &Buffer| attention(q, key, value, rows.segments, heads);
        self.block(layer, x, rows.positions, self.mla, &mut attend)
    }

    pub(crate) fn chunks(&self, targets: &Targets) -> impl Iterator<Item = Range<usize>> + use<> {
        let n = targets.tokens.len();
        assert_eq!(targets.rows.len(), n, "one row a target");
        let size = chunk_rows(self.config.vocab_size);
        (0..n).step_by(size).map(move |start| start..n.min(start + size))
    }

    /// The head, behind the norm of `norm`, on one chunk of targets.
    pub(crate) fn head(
        &self,
        x: &Buffer,
        norm: Slot,
        targets: &Targets,
        range: Range<usize>,
        temperature: f32,
    ) -> HeadChunk {
        let d = self.config.hidden_dim;
        let n = range.len();
        let rows = &targets.rows[range.clone()];
        let mut hidden = Buffer::cleared(n.next_multiple_of(ROW_BLOCK) * d);
        for (to, &row) in hidden.chunks_exact_mut(d).zip(rows) {
            to.copy_from_slice(&x[row as usize * d..][..d]);
        }
        let (normed, rstd) = self.norm(&hidden, norm);
        let logits = self.project(&normed, self.layout.head, None);
        let used = n * self.config.vocab_size;
        let found = kernels::token_logprobs(&logits[..used], &targets.tokens[range], temperature, self.vocabulary());
        HeadChunk { hidden, normed, rstd, logits, found }
    }

    /// Gradient with respect to the stream `[N, D]`, through head and norm; `weigh` gives that of the loss with respect to
    /// each log-probability of a chunk.
    pub(crate) fn head_backward(
        &self,
        x: &Buffer,
        norm: Slot,
        targets: &Targets,
        temperature: f32,
        gradient: &mut Share,
        weigh: &mut dyn FnMut(Range<usize>, &HeadChunk) -> Vec<f32>,
    ) -> Buffer {
        let d = self.config.hidden_dim;
        let mut dx = Buffer::cleared(x.len());
        for range in self.chunks(targets) {
            let _span = debug_span!("head", rows = range.len()).entered();
            let chunk = self.head(x, norm, targets, range.clone(), temperature);
            let weights = weigh(range.clone(), &chunk);
            let HeadChunk { hidden, normed, rstd, mut logits, found } = chunk;
            let used = range.len() * self.config.vocab_size;
            kernels::token_logprobs_backward(
                &mut logits[..used],
                &targets.tokens[range.clone()],
                &weights,
                &found.log_normalisers,
                temperature,
                self.vocabulary(),
            );
            // Padding rows predict nothing.
            logits[used..].fill(0.0);
            let d_normed = self.project_backward(&logits, &normed, self.layout.head, None, gradient);
            let d_hidden = self.norm_backward(&d_normed, &hidden, norm, &rstd, gradient);
            for (from, &row) in d_hidden.chunks_exact(d).zip(&targets.rows[range]) {
                for (to, from) in dx[row as usize * d..][..d].iter_mut().zip(from) {
                    *to += from;
                }
            }
        }
        dx
    }
}

/// A chunk of the head's rows, padded to the row block.
pub(crate) struct HeadChunk {
    hidden: Buffer,
    normed: Buffer,
    rstd: Buffer,
    pub(crate) logits: Buffer,
    pub(crate) found: TokenLogprobs,
}

/// Adds each of `rows`, `[N, d]`, to the row of `to` that its token names. A row that several name gets theirs in their order,
/// whoever computes it: each thread has some columns.
fn add_rows(to: &mut [f32], d: usize, tokens: &[i64], rows: &[f32]) {
    let n = (to.len() / d) as i64;
    assert!(tokens.iter().all(|token| (0..n).contains(token)), "tokens are rows of the embedding");
    let to = Cells(to.as_mut_ptr());
    team::spread(d, COLUMNS, |columns| {
        for (&token, row) in tokens.iter().zip(rows.chunks_exact(d)) {
            // SAFETY: the row is there, as was asserted above, and these columns are this thread's.
            let to = unsafe { to.slice(token as usize * d + columns.start, columns.len()) };
            to.iter_mut().zip(&row[columns.clone()]).for_each(|(to, from)| *to += from);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn rows_of_one_token_are_added_in_their_order_by_any_number_of_threads() {
        let (d, tokens) = (4 * COLUMNS + 3, [2, 0, 2, 1, 2, 2]);
        let numbers = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i as i32 % 5)).collect::<Vec<_>>();
        let (start, rows) = (numbers(4 * d), numbers(tokens.len() * d));
        let mut expected = start.clone();
        for (i, &token) in tokens.iter().enumerate() {
            (0..d).for_each(|j| expected[token as usize * d + j] += rows[i * d + j]);
        }
        for threads in 1..=4 {
            let mut to = start.clone();
            Team::new(threads).lead(|| add_rows(&mut to, d, &tokens, &rows));
            assert!(to.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
        }
    }
}
