//! The block stack on a device; see `block.rs` of the crate for what a block is.

mod dense;
mod experts;
mod grouped;
mod latent;

use super::policy::DevicePolicy;
use super::reader::{Read, Reader};
use super::weight::{Weight, project};
use crate::attention::Heads;
use crate::config::Mla;
use crate::layout::{AttentionSlots, BlockSlots, FeedForwardSlots};
use dense::DenseWeights;
use experts::ExpertWeights;
use grouped::GroupedWeights;
use latent::LatentWeights;
use tch::Tensor;

/// Attention of one block: its heads, q `[N, H, K]`, key `[N, kv heads, K]` and value `[N, kv heads, value width]`, to
/// `[N, H · value width]`. Without values these are the first numbers of the keys.
pub(super) type Attend<'a> = dyn FnMut(Heads, &Tensor, &Tensor, Option<&Tensor>) -> Tensor + 'a;

/// The weights of one block.
pub(super) struct BlockWeights {
    attention_norm: Tensor,
    attention: AttentionWeights,
    output: Weight,
    attention_after: Option<Tensor>,
    ffn_norm: Tensor,
    feed_forward: FeedForwardWeights,
    ffn_after: Option<Tensor>,
}

enum AttentionWeights {
    Grouped(GroupedWeights),
    Latent(LatentWeights),
}

enum FeedForwardWeights {
    Dense(DenseWeights),
    Experts(ExpertWeights),
}

impl BlockWeights {
    /// The weights in `slots`, read by `from`.
    pub(super) fn new(slots: &BlockSlots, from: &mut Reader<'_>) -> BlockWeights {
        BlockWeights {
            attention_norm: from.tensor(slots.attention_norm, Read::Master),
            attention: match &slots.attention {
                AttentionSlots::Grouped(grouped) => AttentionWeights::Grouped(GroupedWeights::new(grouped, from)),
                AttentionSlots::Latent(latent) => AttentionWeights::Latent(LatentWeights::new(latent, from)),
            },
            output: from.weight(slots.output),
            attention_after: slots.attention_after.map(|slot| from.tensor(slot, Read::Master)),
            ffn_norm: from.tensor(slots.ffn_norm, Read::Master),
            feed_forward: match &slots.feed_forward {
                FeedForwardSlots::Dense(dense) => FeedForwardWeights::Dense(DenseWeights::new(*dense, from)),
                FeedForwardSlots::Experts(experts) => FeedForwardWeights::Experts(ExpertWeights::new(experts, from)),
            },
            ffn_after: slots.ffn_after.map(|slot| from.tensor(slot, Read::Master)),
        }
    }
}

/// Cosines and sines of each row's position, `[N, 1, width / 2]`.
pub(super) struct Angles {
    cosine: Tensor,
    sine: Tensor,
}

impl Angles {
    /// Rotates heads `[N, H, width]`; pairs are half of the width apart.
    fn rotate(&self, x: &Tensor) -> Tensor {
        let halves = x.chunk(2, -1);
        Tensor::cat(&self.turn(&halves[0], &halves[1]), -1)
    }

    /// Rotates heads `[N, H, width]`; pairs are neighbours.
    fn rotate_neighbours(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        let pairs = x.reshape([size[0], size[1], -1, 2]);
        Tensor::stack(&self.turn(&pairs.select(-1, 0), &pairs.select(-1, 1)), -1).view(size.as_slice())
    }

    fn turn(&self, a: &Tensor, b: &Tensor) -> [Tensor; 2] {
        [a * &self.cosine - b * &self.sine, b * &self.cosine + a * &self.sine]
    }
}

impl DevicePolicy {
    /// The weights of one block, without gradients.
    pub(super) fn block_weights(&self, layer: usize) -> BlockWeights {
        BlockWeights::new(self.layout.block(layer), &mut Reader::plain(self))
    }

    /// Embeddings of `tokens`, `[N, D]` f32.
    pub(super) fn embed(&self, tokens: &Tensor) -> Tensor {
        let slot = self.layout.embedding;
        let table = super::policy::view(self.parameters(), slot);
        table.index_select(0, tokens) * self.embedding_scale
    }

    /// Of each of the config's ropes, the angles of rows at `positions`.
    pub(super) fn angles(&self, positions: &Tensor) -> Vec<Angles> {
        let rows = |table: &Tensor| table.index_select(0, positions).unsqueeze(1);
        self.ropes.iter().map(|[cosine, sine]| Angles { cosine: rows(cosine), sine: rows(sine) }).collect()
    }

    /// RMSNorm over the last dimension, in f32.
    pub(super) fn norm(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        match self.config.norm.offset {
            0.0 => rms_norm(x, weight, self.config.norm.eps),
            offset => rms_norm(x, &(weight + f64::from(offset)), self.config.norm.eps),
        }
    }

    /// The norm of what attention or feed-forward gave, where there is one.
    fn norm_after(&self, x: Tensor, weight: Option<&Tensor>) -> Tensor {
        match weight {
            Some(weight) => self.norm(&x, weight),
            None => x,
        }
    }

    /// One block: the stream `[N, D]` after it. Of latent attention it computes the form `mla`.
    pub(super) fn block(
        &self,
        layer: usize,
        w: &BlockWeights,
        x: &Tensor,
        angles: &[Angles],
        mla: Mla,
        attend: &mut Attend<'_>,
    ) -> Tensor {
        let angles = &angles[self.config.blocks[layer].rope];
        let normed = self.norm(x, &w.attention_norm);
        let attended = match (&w.attention, mla) {
            (AttentionWeights::Grouped(w), _) => self.grouped(layer, w, &normed, angles, attend),
            (AttentionWeights::Latent(w), Mla::Absorbed) => self.absorbed(layer, w, &normed, angles, attend),
            (AttentionWeights::Latent(w), Mla::Expanded) => self.expanded(layer, w, &normed, angles, attend),
        };
        let middle = x + self.norm_after(project(&attended, &w.output, None), w.attention_after.as_ref());
        let normed = self.norm(&middle, &w.ffn_norm);
        let fed = match &w.feed_forward {
            FeedForwardWeights::Dense(w) => self.dense(w, &normed),
            FeedForwardWeights::Experts(w) => self.experts(w, &normed),
        };
        middle + self.norm_after(fed, w.ffn_after.as_ref())
    }
}

/// RMSNorm over the last dimension with the weights as they are.
fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    x.rms_norm(weight.size(), Some(weight), eps)
}
