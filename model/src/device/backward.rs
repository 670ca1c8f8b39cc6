//! Log-probabilities of packed tokens on a device, and the gradient of a loss on them.
//!
//! libtorch's autograd differentiates one block at a time: between blocks nothing but the stream is kept, or each
//! block's own tape where memory allows. Logits exist for a chunk of targets at a time.

use super::attention::{Batches, gather};
use super::balancer::{Balancer, Judged};
use super::block::{Angles, BlockWeights};
use super::policy::{DevicePolicy, view};
use super::reader::{Read, Reader};
use super::tape::{Tape, input};
use super::weight::project_wide;
use crate::attention::Heads;
use crate::backward::{Beside, Lesson, Objective, Targets};
use crate::kernels::TokenLogprobs;
use crate::layout::Slot;
use crate::packed::Packed;
use crate::router::{Loads, NO_BALANCE, Routed};
use std::ops::Range;
use tch::{Kind, Tensor};

/// Bytes that a chunk of logits may take; autograd holds a few arrays of this size. The gradient of the head is added up
/// once a chunk, so small chunks cost more than they save.
const CHUNK_BYTES: usize = 1 << 30;

/// Rows of a chunk of logits, at most.
const CHUNK_ROWS: usize = 4096;

/// Rows of a chunk of logits over `vocab_size` ids on a device.
pub fn chunk_rows(vocab_size: usize) -> usize {
    (CHUNK_BYTES / (4 * vocab_size)).clamp(1, CHUNK_ROWS)
}

/// Where packed rows stand and whom they attend to.
pub(super) struct Rows {
    pub(super) tokens: Tensor,
    pub(super) angles: Vec<Angles>,
    batches: Batches,
}

/// Says how much each log-probability of a chunk of targets counts, given the chunk's range, its logits and what was found.
pub(super) type Weigh<'a> = dyn FnMut(Range<usize>, &Tensor, &TokenLogprobs) -> Vec<f32> + 'a;

/// What log-probabilities are taken from: logits of the targets' rows, divided by the temperature.
struct Scored {
    logprobs: Tensor,
    normalisers: Tensor,
    entropies: Tensor,
}

impl DevicePolicy {
    /// Logits of every packed row, `[N, V]` f32.
    pub fn logits(&self, packed: &Packed) -> Tensor {
        self.head_logits(&self.stream(&self.rows(packed, 0), |_| ()))
    }

    /// Log-probabilities of `targets` under softmax(logits / temperature), with entropies.
    pub fn logprobs(&self, packed: &Packed, targets: &Targets, temperature: f32) -> TokenLogprobs {
        let x = self.stream(&self.rows(packed, 0), |_| ());
        let mut all = TokenLogprobs::default();
        for range in self.chunks(targets) {
            let hidden = gather(&x, &self.upload(&targets.rows[range.clone()]));
            all.extend(self.score(&self.head_logits(&hidden), &targets.tokens[range], temperature).found());
        }
        all
    }

    /// Adds to `gradient` (of [`DevicePolicy::gradient`]) the gradient of a loss on the log-probabilities of
    /// `targets`; `objective` gives the loss's own gradient, chunk by chunk.
    ///
    /// With `checkpointing` only each block's input is kept, and the rest computed again.
    pub fn backward(
        &self,
        packed: &Packed,
        targets: &Targets,
        temperature: f32,
        checkpointing: bool,
        gradient: &mut Tensor,
        objective: &mut Objective<'_>,
    ) {
        self.learn(&Lesson::new(packed, targets, temperature, checkpointing), gradient, objective, Beside::default());
    }

    /// Adds to `gradient` that of a lesson, of what is learned beside it, and of its losses on routers; gives back what
    /// routers did. See [`crate::policy::Policy::backward_beside`].
    pub fn learn(
        &self,
        lesson: &Lesson<'_>,
        gradient: &mut Tensor,
        objective: &mut Objective<'_>,
        beside: Beside<'_>,
    ) -> Routed {
        let rows = self.rows(lesson.packed, 0);
        let judged = Judged::new(lesson.sequences, self.device);
        let mut balancer = Balancer::new(lesson.balance);
        let mut inputs: Vec<Tensor> = Vec::new();
        let mut tapes: Vec<Tape> = Vec::new();
        let x = if lesson.checkpointing {
            self.stream(&rows, |x| inputs.push(x.shallow_clone()))
        } else {
            (0..self.config.n_layers).fold(self.embed(&rows.tokens), |x, layer| {
                let tape = self.tape(layer, &x, &rows, &judged, &mut balancer);
                let out = tape.out();
                tapes.push(tape);
                out
            })
        };
        let mut weigh = |range: Range<usize>, _: &Tensor, found: &TokenLogprobs| objective(range, found);
        let Lesson { targets, temperature, .. } = *lesson;
        let mut dx = self.head_backward(&x, self.layout.norm, targets, temperature, gradient, &mut weigh);
        if let Some(objective) = beside.mtp {
            dx += self.mtp_backward(lesson, &x, &judged, &mut balancer, gradient, objective);
        }
        drop(x);
        for layer in (0..self.config.n_layers).rev() {
            let again = || Some(self.tape(layer, &inputs.pop()?, &rows, &judged, &mut balancer));
            let tape = tapes.pop().or_else(again).expect("an input or a tape a block");
            dx = tape.backward(Some(&dx), gradient).swap_remove(0);
        }
        self.embed_backward(&rows.tokens, &dx, gradient);
        balancer.routed()
    }

    /// Where the rows of `sequences`, ranges of packed rows, go in the blocks before those of multi-token prediction.
    pub fn loads(&self, packed: &Packed, sequences: &[Range<usize>]) -> Loads {
        let rows = self.rows(packed, 0);
        let judged = Judged::new(sequences, self.device);
        let mut balancer = Balancer::new(&NO_BALANCE);
        let _ = (0..self.config.n_layers).fold(self.embed(&rows.tokens), |x, layer| {
            let mut reader = Reader::watching(self);
            let weights = BlockWeights::new(self.layout.block(layer), &mut reader);
            let out = self.packed_block(layer, &weights, &x, &rows);
            if let (Some(seen), Some(config)) = (reader.left().seen, &self.config.experts) {
                balancer.even(layer, &seen, &judged, config);
            }
            out
        });
        balancer.routed().loads
    }

    /// Adds the gradient of the embeddings of `tokens` to `gradient`.
    pub(super) fn embed_backward(&self, tokens: &Tensor, dx: &Tensor, gradient: &Tensor) {
        let mut d_embedding = view(gradient, self.layout.embedding);
        let _ = d_embedding.index_put_(&[Some(tokens)], &(dx * self.embedding_scale), true);
    }

    /// Packed rows, which are rotated as if they stood `ahead` positions further on.
    pub(super) fn rows(&self, packed: &Packed, ahead: i64) -> Rows {
        let positions: Vec<i64> = packed.positions.iter().map(|&p| i64::from(p) + ahead).collect();
        Rows {
            tokens: self.upload(&packed.tokens),
            angles: self.angles(&self.upload(&positions)),
            batches: Batches::new(self, packed),
        }
    }

    /// The stream after the last block, `[N, D]`; each block's input goes to `keep`.
    fn stream(&self, rows: &Rows, mut keep: impl FnMut(&Tensor)) -> Tensor {
        (0..self.config.n_layers).fold(self.embed(&rows.tokens), |x, layer| {
            keep(&x);
            self.packed_block(layer, &self.block_weights(layer), &x, rows)
        })
    }

    pub(super) fn packed_block(&self, layer: usize, weights: &BlockWeights, x: &Tensor, rows: &Rows) -> Tensor {
        let mut attend =
            |heads: Heads, q: &Tensor, key: &Tensor, value: Option<&Tensor>| rows.batches.attend(heads, q, key, value);
        self.block(layer, weights, x, &rows.angles, self.mla, &mut attend)
    }

    fn tape(&self, layer: usize, x: &Tensor, rows: &Rows, judged: &Judged, balancer: &mut Balancer<'_>) -> Tape {
        let x = input(x);
        let mut reader = Reader::with_gradients(self);
        let weights = BlockWeights::new(self.layout.block(layer), &mut reader);
        let out = self.packed_block(layer, &weights, &x, rows);
        self.close(layer, vec![x], reader, out, judged, balancer)
    }

    /// The tape of what was computed by block `layer` with the weights of `reader`, with the losses of its router.
    pub(super) fn close(
        &self,
        layer: usize,
        inputs: Vec<Tensor>,
        reader: Reader<'_>,
        out: Tensor,
        judged: &Judged,
        balancer: &mut Balancer<'_>,
    ) -> Tape {
        let left = reader.left();
        let seen = left.seen.as_ref().zip(self.config.experts.as_ref());
        let loss = seen.and_then(|(seen, config)| balancer.even(layer, seen, judged, config));
        Tape::new(inputs, left, out, loss)
    }

    /// Logits of rows of the stream, `[M, V]` f32.
    pub(super) fn head_logits(&self, x: &Tensor) -> Tensor {
        let normed = self.norm(x, &self.vector(self.layout.norm));
        project_wide(&normed, &self.operand(self.layout.head), None)
    }

    fn chunks(&self, targets: &Targets) -> impl Iterator<Item = Range<usize>> + use<> {
        let n = targets.tokens.len();
        assert_eq!(targets.rows.len(), n, "one row a target");
        let size = chunk_rows(self.config.vocab_size);
        (0..n).step_by(size).map(move |start| start..n.min(start + size))
    }

    /// Log-probabilities of `tokens` under softmax(logits / temperature), over the ids that have a probability.
    fn score(&self, logits: &Tensor, tokens: &[i64], temperature: f32) -> Scored {
        let scaled = logits.narrow(1, 0, self.vocabulary() as i64) * f64::from(1.0 / temperature);
        let normalisers = scaled.logsumexp([1i64].as_slice(), false);
        let rows = Tensor::arange(tokens.len() as i64, (Kind::Int64, self.device()));
        let chosen = scaled.index(&[Some(&rows), Some(&self.upload(tokens))]);
        let entropies = tch::no_grad(|| {
            let probabilities = (&scaled - normalisers.unsqueeze(1)).exp();
            &normalisers - (probabilities * &scaled).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
        });
        Scored { logprobs: chosen - &normalisers, normalisers, entropies }
    }

    /// Log-probabilities of `tokens` after `logits` `[B, V]`, one a row.
    pub fn token_logprobs(&self, logits: &Tensor, tokens: &[i64], temperature: f32) -> TokenLogprobs {
        self.score(logits, tokens, temperature).found()
    }

    /// Gradient with respect to the stream `[N, D]`, through head and the norm `norm`.
    pub(super) fn head_backward(
        &self,
        x: &Tensor,
        norm: Slot,
        targets: &Targets,
        temperature: f32,
        gradient: &mut Tensor,
        weigh: &mut Weigh<'_>,
    ) -> Tensor {
        let mut dx = x.zeros_like();
        for range in self.chunks(targets) {
            let rows = self.upload(&targets.rows[range.clone()]);
            let hidden = input(&gather(x, &rows));
            let mut reader = Reader::with_gradients(self);
            let norm = reader.tensor(norm, Read::Master);
            let head = reader.tensor(self.layout.head, Read::Operand);
            let logits = project_wide(&self.norm(&hidden, &norm), &head, None);
            let scored = self.score(&logits, &targets.tokens[range.clone()], temperature);
            let weights = weigh(range, &logits.detach(), &scored.found());
            let loss = (&scored.logprobs * self.upload(&weights)).sum(Kind::Float);
            let d_hidden = Tape::new(vec![hidden], reader.left(), loss, None).backward(None, gradient);
            let _ = dx.index_put_(&[Some(&rows)], &d_hidden[0], true);
        }
        dx
    }
}

impl Scored {
    /// On the host.
    fn found(&self) -> TokenLogprobs {
        let all = Tensor::stack(&[&self.logprobs, &self.entropies, &self.normalisers], 0).detach();
        let host = |i: i64| {
            let row = all.get(i);
            let mut numbers = vec![0.0f32; row.numel()];
            row.copy_data(&mut numbers, row.numel());
            numbers
        };
        TokenLogprobs { logprobs: host(0), entropies: host(1), log_normalisers: host(2) }
    }
}
