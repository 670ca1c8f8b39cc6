//! The block stack on a device; see `transformer.rs` for what a block is.

use super::policy::DevicePolicy;
use crate::attention::Heads;
use crate::layout::{AttentionSlots, BlockSlots, FeedForwardSlots, Slot};
use tch::{Kind, Tensor};

/// `DevicePolicy::new` takes no other pieces.
const UNKNOWN: &str = "grouped attention and a dense feed-forward";

/// Attention of one block: q `[N, H, K]`, key and value `[N, kv heads, K]`, to `[N, H · K]`.
pub(super) type Attend<'a> = dyn FnMut(&Tensor, &Tensor, &Tensor) -> Tensor + 'a;

/// How a weight is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// As products do: f32 or bf16.
    Operand,
    /// As norms do: f32.
    Master,
}

/// The weights of one block.
pub(super) struct BlockWeights {
    attention_norm: Tensor,
    qkv: Tensor,
    qkv_bias: Option<Tensor>,
    head_norms: Option<[Tensor; 2]>,
    output: Tensor,
    ffn_norm: Tensor,
    gate_up: Tensor,
    down: Tensor,
}

impl BlockWeights {
    /// The weights in `slots`, each made by `read`.
    pub(super) fn new(slots: &BlockSlots, mut read: impl FnMut(Slot, Read) -> Tensor) -> BlockWeights {
        let AttentionSlots::Grouped(attention) = &slots.attention else { unreachable!("{UNKNOWN}") };
        let FeedForwardSlots::Dense(dense) = &slots.feed_forward else { unreachable!("{UNKNOWN}") };
        BlockWeights {
            attention_norm: read(slots.attention_norm, Read::Master),
            qkv: read(attention.qkv, Read::Operand),
            qkv_bias: attention.bias.map(|slot| read(slot, Read::Operand).view([-1])),
            head_norms: attention.head_norms.map(|norms| norms.map(|slot| read(slot, Read::Master))),
            output: read(slots.output, Read::Operand),
            ffn_norm: read(slots.ffn_norm, Read::Master),
            gate_up: read(dense.gate_up, Read::Operand),
            down: read(dense.down, Read::Operand),
        }
    }
}

/// Cosines and sines of each row's position, `[N, 1, K / 2]`.
pub(super) struct Angles {
    cosine: Tensor,
    sine: Tensor,
}

impl Angles {
    fn rotate(&self, x: &Tensor) -> Tensor {
        let halves = x.chunk(2, -1);
        let (a, b) = (&halves[0], &halves[1]);
        Tensor::cat(&[a * &self.cosine - b * &self.sine, b * &self.cosine + a * &self.sine], -1)
    }
}

impl DevicePolicy {
    /// A slot's tensor, without a gradient.
    pub(super) fn read(&self, slot: Slot, read: Read) -> Tensor {
        match read {
            Read::Operand => self.operand(slot),
            Read::Master => self.vector(slot),
        }
    }

    /// The weights of one block, without gradients.
    pub(super) fn block_weights(&self, layer: usize) -> BlockWeights {
        BlockWeights::new(&self.layout.blocks[layer], |slot, read| self.read(slot, read))
    }

    /// Embeddings of `tokens`, `[N, D]` f32.
    pub(super) fn embed(&self, tokens: &Tensor) -> Tensor {
        let slot = self.layout.embedding;
        let table = super::policy::view(self.parameters(), slot);
        table.index_select(0, tokens)
    }

    pub(super) fn angles(&self, positions: &Tensor) -> Angles {
        let rows = |table: &Tensor| table.index_select(0, positions).unsqueeze(1);
        Angles { cosine: rows(&self.cosine), sine: rows(&self.sine) }
    }

    pub(super) fn scale(&self) -> f64 {
        f64::from(self.config.heads(0).scale)
    }

    /// RMSNorm over the last dimension, in f32.
    pub(super) fn norm(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        x.rms_norm(weight.size(), Some(weight), self.config.norm.eps)
    }

    /// One block: the stream `[N, D]` after it.
    pub(super) fn block(&self, w: &BlockWeights, x: &Tensor, angles: &Angles, attend: &mut Attend<'_>) -> Tensor {
        let c = &self.config;
        let Heads { n_heads, n_kv_heads, head_dim, .. } = c.heads(0);
        let [heads, kv_heads, k] = [n_heads, n_kv_heads, head_dim].map(|n| n as i64);
        let n = x.size()[0];
        let qkv = project(&self.norm(x, &w.attention_norm), &w.qkv, w.qkv_bias.as_ref());
        let joint = qkv.view([n, heads + 2 * kv_heads, k]);
        let mut q = joint.narrow(1, 0, heads);
        let mut key = joint.narrow(1, heads, kv_heads);
        let value = joint.narrow(1, heads + kv_heads, kv_heads).to_kind(w.qkv.kind());
        if let Some([query_norm, key_norm]) = &w.head_norms {
            (q, key) = (self.norm(&q, query_norm), self.norm(&key, key_norm));
        }
        let [q, key] = [q, key].map(|x| angles.rotate(&x).to_kind(w.qkv.kind()));
        let middle = x + project(&attend(&q, &key, &value), &w.output, None);
        let gate_up = project(&self.norm(&middle, &w.ffn_norm), &w.gate_up, None).chunk(2, -1);
        let gated = gate_up[0].silu() * &gate_up[1];
        middle + project(&gated, &w.down, None)
    }
}

/// x · Wᵀ + b in the weight's precision, as f32.
pub(super) fn project(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    x.to_kind(weight.kind()).linear(weight, bias).to_kind(Kind::Float)
}
