//! Log-probabilities of packed tokens on a device, and the gradient of a loss on them.
//!
//! libtorch's autograd differentiates one block at a time: between blocks nothing but the stream is kept, or each
//! block's own tape where memory allows. Logits exist for a chunk of targets at a time.

use super::attention::{Batches, gather};
use super::block::{Angles, BlockWeights};
use super::policy::DevicePolicy;
use super::reader::{Leaf, Read, Reader};
use super::weight::{Cuts, project_wide};
use crate::attention::Heads;
use crate::backward::{Objective, Targets};
use crate::kernels::TokenLogprobs;
use crate::packed::Packed;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Bytes that a chunk of logits may take; autograd holds a few arrays of this size. The gradient of the head is added up once
/// a chunk, so small chunks cost more than they save.
const CHUNK_BYTES: usize = 1 << 30;

/// Rows of a chunk of logits, at most.
const CHUNK_ROWS: usize = 4096;

/// Where packed rows stand and whom they attend to.
struct Rows {
    tokens: Tensor,
    angles: Vec<Angles>,
    batches: Batches,
}

/// One block's computation, to be differentiated.
struct Tape {
    x: Tensor,
    leaves: Vec<Leaf>,
    cuts: Cuts,
    out: Tensor,
}

/// What log-probabilities are taken from: logits of the targets' rows, divided by the temperature.
struct Scored {
    logprobs: Tensor,
    normalisers: Tensor,
    entropies: Tensor,
}

impl DevicePolicy {
    /// Logits of every packed row, `[N, V]` f32.
    pub fn logits(&self, packed: &Packed) -> Tensor {
        self.head_logits(&self.stream(&self.rows(packed), |_| ()))
    }

    /// Log-probabilities of `targets` under softmax(logits / temperature), with entropies.
    pub fn logprobs(&self, packed: &Packed, targets: &Targets, temperature: f32) -> TokenLogprobs {
        let x = self.stream(&self.rows(packed), |_| ());
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
        let rows = self.rows(packed);
        let mut inputs: Vec<Tensor> = Vec::new();
        let mut tapes: Vec<Tape> = Vec::new();
        let x = if checkpointing {
            self.stream(&rows, |x| inputs.push(x.shallow_clone()))
        } else {
            (0..self.config.n_layers).fold(self.embed(&rows.tokens), |x, layer| {
                tapes.push(self.tape(layer, &x, &rows));
                tapes.last().map_or(x, |tape| tape.out.detach())
            })
        };
        let mut dx = self.head_backward(&x, targets, temperature, gradient, objective);
        drop(x);
        for layer in (0..self.config.n_layers).rev() {
            let tape = tapes.pop().or_else(|| inputs.pop().map(|x| self.tape(layer, &x, &rows)));
            dx = tape.expect("an input or a tape a block").backward(Some(&dx), gradient);
        }
        let mut d_embedding = super::policy::view(gradient, self.layout.embedding);
        let _ = d_embedding.index_put_(&[Some(&rows.tokens)], &(dx * self.embedding_scale), true);
    }

    fn rows(&self, packed: &Packed) -> Rows {
        let positions: Vec<i64> = packed.positions.iter().map(|&p| i64::from(p)).collect();
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

    fn packed_block(&self, layer: usize, weights: &BlockWeights, x: &Tensor, rows: &Rows) -> Tensor {
        let mut attend =
            |heads: Heads, q: &Tensor, key: &Tensor, value: Option<&Tensor>| rows.batches.attend(heads, q, key, value);
        self.block(layer, weights, x, &rows.angles, self.mla, &mut attend)
    }

    fn tape(&self, layer: usize, x: &Tensor, rows: &Rows) -> Tape {
        let x = x.detach().set_requires_grad(true);
        let mut reader = Reader::with_gradients(self);
        let weights = BlockWeights::new(&self.layout.blocks[layer], &mut reader);
        let out = self.packed_block(layer, &weights, &x, rows);
        let (leaves, cuts) = reader.into_tape();
        Tape { x, leaves, cuts, out }
    }

    /// Logits of rows of the stream, `[M, V]` f32.
    pub(super) fn head_logits(&self, x: &Tensor) -> Tensor {
        let normed = self.norm(x, &self.vector(self.layout.norm));
        project_wide(&normed, &self.operand(self.layout.head), None)
    }

    fn chunks(&self, targets: &Targets) -> impl Iterator<Item = Range<usize>> + use<> {
        let n = targets.tokens.len();
        assert_eq!(targets.rows.len(), n, "one row a target");
        let size = (CHUNK_BYTES / (4 * self.config.vocab_size)).clamp(1, CHUNK_ROWS);
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

    /// Gradient with respect to the stream `[N, D]`, through head and final norm.
    fn head_backward(
        &self,
        x: &Tensor,
        targets: &Targets,
        temperature: f32,
        gradient: &mut Tensor,
        objective: &mut Objective<'_>,
    ) -> Tensor {
        let mut dx = x.zeros_like();
        for range in self.chunks(targets) {
            let rows = self.upload(&targets.rows[range.clone()]);
            let hidden = gather(x, &rows).set_requires_grad(true);
            let mut reader = Reader::with_gradients(self);
            let norm = reader.tensor(self.layout.norm, Read::Master);
            let head = reader.tensor(self.layout.head, Read::Operand);
            let (leaves, _) = reader.into_tape();
            let logits = project_wide(&self.norm(&hidden, &norm), &head, None);
            let scored = self.score(&logits, &targets.tokens[range.clone()], temperature);
            let weights = objective(range, &scored.found());
            let loss = (&scored.logprobs * self.upload(&weights)).sum(Kind::Float);
            let d_hidden = Tape { x: hidden, leaves, cuts: Cuts::default(), out: loss }.backward(None, gradient);
            let _ = dx.index_put_(&[Some(&rows)], &d_hidden, true);
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

impl Tape {
    /// Gradient with respect to the input, given that with respect to what came out, or that this is the loss; those of
    /// weights are added to `gradient`.
    fn backward(self, d_out: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        let Tape { x, leaves, cuts, out } = self;
        let mut cuts = cuts.take();
        let mut inputs = vec![x];
        inputs.extend(leaves.iter().map(|(_, leaf)| leaf.shallow_clone()));
        inputs.extend(cuts.iter().map(|cut| cut.y.shallow_clone()));
        let mut found: Vec<Option<Tensor>> = inputs.iter().map(|_| None).collect();
        let follow = |loss: &Tensor, more: bool, found: &mut Vec<Option<Tensor>>| {
            let parts = Tensor::run_backward(&[loss], &inputs, more, false);
            for (sum, part) in found.iter_mut().zip(parts).filter(|(_, part)| part.defined()) {
                *sum = Some(sum.take().map_or_else(|| part.shallow_clone(), |sum| sum + &part));
            }
        };
        let along = |out: &Tensor, d_out: &Tensor| (out * d_out).sum(Kind::Float);
        follow(&d_out.map_or_else(|| out.shallow_clone(), |d_out| along(&out, d_out)), !cuts.is_empty(), &mut found);
        // The last product first: all that follows a product has been followed then.
        while let Some(cut) = cuts.pop() {
            let Some(dy) = found.pop().flatten() else { continue };
            let dx = cut.backward(&dy, gradient);
            follow(&along(&cut.x, &dx), !cuts.is_empty(), &mut found);
        }
        for ((slot, _), found) in leaves.iter().zip(found.drain(1..)).filter_map(|(leaf, d)| Some((leaf, d?))) {
            let part = found.to_kind(Kind::Float).view([-1]);
            let _ = gradient.narrow(0, slot.offset as i64, part.numel() as i64).g_add_(&part);
        }
        found.pop().flatten().expect("a gradient with respect to the input")
    }
}
