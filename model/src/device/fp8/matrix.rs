//! `CodedMatrix`: a linear layer's weights in FP8 on a device, and its three products.

use super::{Chunks, Coded, product};
use crate::device::policy::{bytes, view};
use crate::fp8::Scales;
use crate::layout::Slot;
use tch::{Kind, Tensor};

/// A weight matrix `[N, K]`, or several above each other, as E4M3 numbers in blocks of 128 × 128.
#[derive(Debug)]
pub(in crate::device) struct CodedMatrix {
    slot: Slot,
    n: Chunks,
    k: Chunks,
    /// Of its inputs' tiles.
    input: Scales,
    /// `[N, K]` in whole blocks.
    weights: Coded,
}

// SAFETY: nobody writes its tensors once it is made; everyone else reads them, which libtorch permits from any number of
// threads (its reference counts are atomic).
unsafe impl Sync for CodedMatrix {}

impl CodedMatrix {
    /// The matrix in `slot` of the `masters`, which is made of matrices of so many rows, one above the other. No block is
    /// part of two.
    pub(in crate::device) fn new(masters: &Tensor, slot: Slot, parts: &[usize], input: Scales) -> CodedMatrix {
        let parts: Vec<i64> = parts.iter().map(|&rows| rows as i64).collect();
        let n = Chunks::new(&parts, masters.device());
        let k = Chunks::new(&[slot.columns as i64], masters.device());
        let filled = k.fill(&n.fill(&view(masters, slot).transpose(0, 1)).transpose(0, 1));
        CodedMatrix { slot, n, k, input, weights: Coded::blocks(&filled.contiguous()) }
    }

    /// Bytes that its codes and scales take.
    pub(in crate::device) fn bytes(&self) -> u64 {
        bytes(&self.weights.codes) + bytes(&self.weights.scales)
    }

    /// x · Wᵀ for rows x `[M, K]` f32: `[M, N]` f32.
    pub(in crate::device) fn product(&self, x: &Tensor) -> Tensor {
        self.n.take(product(&Coded::tiles(&self.k.fill(x), self.input), &self.weights))
    }

    /// dy · W for rows dy `[M, N]` f32: `[M, K]` f32. Products read both matrices along the inner dimension, so the codes
    /// are turned here: kept, they would take as much as all weights in FP8 do.
    pub(in crate::device) fn input_gradient(&self, dy: &Tensor) -> Tensor {
        self.k.take(product(&Coded::tiles(&self.n.fill(dy), Scales::Largest), &self.weights.turned()))
    }

    /// Adds dyᵀ · x, both in tiles of 128 rows × 1 column, to the matrix's part of the flat `gradient`.
    pub(in crate::device) fn add_weight_gradient(&self, dy: &Tensor, x: &Tensor, gradient: &Tensor) {
        let rows = Chunks::new(&[dy.size()[0]], dy.device());
        let columns = |x: &Tensor, scales| Coded::tiles(&rows.fill(&x.transpose(0, 1)).contiguous(), scales);
        let found = product(&columns(dy, Scales::Largest), &columns(x, self.input));
        let _ = view(gradient, self.slot).g_add_(&found.to_kind(Kind::Float));
    }
}
