//! `DeviceCache`: keys and values of the sequences being sampled on a device, and the forward pass that reads them.
//!
//! Of latent attention it holds latents and rotated keys alone. A cache is rows of a fixed capacity. The rows in use are the
//! first ones, so that a step reads them in place: a row that is finished is replaced by the last.

use super::attention::Batches;
use super::plan::number_bytes;
use super::policy::DevicePolicy;
use crate::attention::{Heads, Widths};
use crate::config::{Dtype, Mla, ModelConfig};
use crate::packed::Packed;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Kind, Tensor};

/// Positions are read in steps of this many, so that few shapes occur and masks are aligned as libtorch wants them.
const STEP: usize = 64;

/// Keys and values of many sequences.
pub struct DeviceCache {
    /// Of each layer keys `[rows, kv heads, capacity, K]`, and values unless they are part of the keys.
    layers: Vec<Vec<Tensor>>,
    /// Positions that each row in use holds.
    lengths: Vec<usize>,
    capacity: usize,
    rows: usize,
}

/// A prompt's keys and values, and the logits after its last token.
pub struct Encoded {
    /// Of each layer keys `[kv heads, T, K]`, and values unless they are part of the keys.
    layers: Vec<Vec<Tensor>>,
    length: usize,
    /// `[1, V]` f32.
    pub logits: Tensor,
}

impl DeviceCache {
    /// Room for `rows` sequences of up to `positions` each.
    pub fn new(policy: &DevicePolicy, rows: usize, positions: usize) -> DeviceCache {
        let c = &policy.config;
        let capacity = positions.next_multiple_of(STEP);
        // Zeros, since what lies behind a row's end is read and weighed with zero.
        let zeros = |heads: Heads, width: usize| {
            let shape = [rows, heads.n_kv_heads, capacity, width].map(|n| n as i64);
            Tensor::zeros(shape, (policy.kind(), policy.device))
        };
        let layer = |heads: Heads| {
            let values = (!heads.latent).then(|| zeros(heads, heads.value_dim));
            std::iter::once(zeros(heads, heads.head_dim)).chain(values).collect()
        };
        let layers = (0..c.n_layers).map(|i| layer(c.heads(i))).collect();
        DeviceCache { layers, lengths: Vec::new(), capacity, rows }
    }

    /// Bytes of a cache of that size.
    pub fn bytes(policy: &DevicePolicy, rows: usize, positions: usize) -> usize {
        let dtype = if policy.kind() == Kind::BFloat16 { Dtype::Bf16 } else { Dtype::F32 };
        DeviceCache::planned_bytes(&policy.config, dtype, rows, positions)
    }

    /// The same for a policy of `config` that is to compute in `dtype`.
    pub fn planned_bytes(config: &ModelConfig, dtype: Dtype, rows: usize, positions: usize) -> usize {
        let Widths { key, value, .. } = config.heads(0).widths();
        number_bytes(dtype) * config.n_layers * (key + value) * rows * positions.next_multiple_of(STEP)
    }

    /// Rows in use.
    #[expect(clippy::len_without_is_empty, reason = "a cache is asked how much it holds, not whether")]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Starts a sequence behind `prompt` in the next free row.
    pub fn start(&mut self, prompt: &Encoded) {
        let row = self.lengths.len();
        assert!(row < self.rows && prompt.length <= self.capacity, "a row is free and holds the prompt");
        for (layer, prompt) in self.layers.iter().zip(&prompt.layers) {
            for (to, from) in layer.iter().zip(prompt) {
                to.get(row as i64).narrow(1, 0, from.size()[1]).copy_(from);
            }
        }
        self.lengths.push(prompt.length);
    }

    /// Takes a finished sequence out; the last row takes its place, as `Vec::swap_remove` does.
    pub fn swap_remove(&mut self, row: usize) {
        let last = self.lengths.len() - 1;
        if row != last {
            let n = self.lengths[last] as i64;
            for tensor in self.layers.iter().flatten() {
                tensor.get(row as i64).narrow(1, 0, n).copy_(&tensor.get(last as i64).narrow(1, 0, n));
            }
        }
        self.lengths.swap_remove(row);
    }

    /// Forgets all sequences.
    pub fn clear(&mut self) {
        self.lengths.clear();
    }
}

impl DevicePolicy {
    /// Encodes a prompt.
    pub fn encode(&self, prompt: &[i64]) -> Encoded {
        let mut packed = Packed::default();
        packed.push(prompt);
        let batches = Batches::new(self, &packed);
        let positions: Vec<i64> = (0..prompt.len() as i64).collect();
        let angles = self.angles(&self.upload(&positions));
        let mut layers = Vec::with_capacity(self.config.n_layers);
        let x = (0..self.config.n_layers).fold(self.embed(&self.upload(prompt)), |x, layer| {
            let weights = self.block_weights(layer);
            self.block(layer, &weights, &x, &angles, Mla::Absorbed, &mut |heads, q, key, value| {
                let kept = std::iter::once(key).chain(value);
                layers.push(kept.map(|x| x.transpose(0, 1).contiguous()).collect());
                batches.attend(heads, q, key, value)
            })
        });
        let logits = self.head_logits(&x.narrow(0, prompt.len() as i64 - 1, 1));
        Encoded { layers, length: prompt.len(), logits }
    }

    /// Adds one token to each row in use; returns the logits after it, `[B, V]` f32.
    pub fn decode(&self, cache: &mut DeviceCache, tokens: &[i64]) -> Tensor {
        let n = cache.lengths.len();
        assert_eq!(n, tokens.len(), "one token a row");
        let positions: Vec<i64> = cache.lengths.iter().map(|&length| length as i64).collect();
        cache.lengths.iter_mut().for_each(|length| *length += 1);
        let longest = cache.lengths.iter().copied().max().unwrap_or(0);
        assert!(longest <= cache.capacity, "every row has room for a token");
        let read = longest.next_multiple_of(STEP) as i64;
        let positions = self.upload(&positions);
        let angles = self.angles(&positions);
        let rows = Tensor::arange(n as i64, (Kind::Int64, self.device));
        let masks = self.masks(&positions, read);
        let x = (0..self.config.n_layers).fold(self.embed(&self.upload(tokens)), |x, layer| {
            let kept = &mut cache.layers[layer];
            let weights = self.block_weights(layer);
            self.block(layer, &weights, &x, &angles, Mla::Absorbed, &mut |heads, q, key, value| {
                for (kept, new) in kept.iter_mut().zip(std::iter::once(key).chain(value)) {
                    let _ = kept.index_put_(&[Some(&rows), None, Some(&positions)], new, false);
                }
                let in_use = |x: &Tensor| x.narrow(0, 0, n as i64).narrow(2, 0, read);
                let keys = in_use(&kept[0]);
                let values = kept.get(1).map_or_else(|| keys.narrow(3, 0, heads.value_dim as i64), in_use);
                attend_cached(q, &keys, &values, &masks[&heads.window], heads)
            })
        });
        self.head_logits(&x)
    }

    /// Of each window that a layer has, which of the first `read` places rows at `positions` attend to, `[B, 1, 1, read]`.
    fn masks(&self, positions: &Tensor, read: i64) -> BTreeMap<Option<usize>, Tensor> {
        let (places, positions) = (Tensor::arange(read, (Kind::Int64, self.device)), positions.view([-1, 1, 1, 1]));
        // The token's own position is read, too.
        let before = places.le_tensor(&positions);
        let layers = self.config.blocks[..self.config.n_layers].iter();
        let mask = |window: Option<usize>| match window {
            None => before.shallow_clone(),
            Some(window) => before.logical_and(&places.gt_tensor(&(&positions - window as i64))),
        };
        layers.map(|block| block.window).collect::<BTreeSet<_>>().into_iter().map(|w| (w, mask(w))).collect()
    }
}

/// Attention of one query row a sequence, `[B, H, K]`, to keys `[B, kv heads, S, K]` and values
/// `[B, kv heads, S, value width]`: `[B, H · value width]`.
///
/// The heads that share keys are put where libtorch has a sequence's queries: each key is read once for all of them.
fn attend_cached(q: &Tensor, keys: &Tensor, values: &Tensor, mask: &Tensor, heads: Heads) -> Tensor {
    let (n, kv_heads, k) = (q.size()[0], keys.size()[1], q.size()[2]);
    let q = q.view([n, kv_heads, -1, k]);
    let scale = f64::from(heads.scale);
    let out = Tensor::scaled_dot_product_attention(&q, keys, values, Some(mask), 0.0, false, scale, false);
    out.reshape([n, -1])
}
