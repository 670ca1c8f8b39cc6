//! A matrix, or a stack of them, as panels: in f32 or bf16, or in FP8.
//!
//! In FP8 are the weights of the blocks' linear layers. Embedding, head, routers, norms, attention with its products of
//! latents, and what multi-token prediction projects are as in f32 (arXiv 2412.19437, section 3.3).

use std::ops::Range;

use crate::buffer::Buffer;
use crate::config::{Activation, Dtype};
use crate::fp8::{Fp8Panels, Fp8Stack, Scales};
use crate::grouped::{self, StackPanels};
use crate::layout::{Layout, Slot, StackSlot};
use crate::product::{self, Panels};
use crate::team::Cells;

/// A matrix that all rows are multiplied with.
pub(super) enum Matrix {
    F32(Panels),
    Fp8(Fp8Panels),
}

impl Matrix {
    /// Room for a matrix of `layout`.
    pub(super) fn new(layout: &Layout, slot: Slot, dtype: Dtype) -> Matrix {
        match coded(layout, slot.range(), slot.columns, dtype) {
            None => Matrix::F32(Panels::new(slot.rows, slot.columns)),
            Some(parts) => {
                let input = if layout.outputs().contains(&slot) { Scales::Powers } else { Scales::Largest };
                Matrix::Fp8(Fp8Panels::new(&parts, slot.columns, input))
            }
        }
    }

    /// Takes over the weights, which the masters have from `offset` on.
    pub(super) fn pack(&mut self, masters: &[f32], offset: usize) {
        match self {
            Matrix::F32(panels) => panels.pack(&masters[offset..][..panels.len()]),
            Matrix::Fp8(panels) => panels.pack(&masters[offset..][..panels.len()]),
        }
    }

    pub(super) fn product_then(&self, x: &[f32], then: impl Fn(Range<usize>, Range<usize>, &Cells) + Sync) -> Buffer {
        match self {
            Matrix::F32(panels) => panels.product_then(x, then),
            Matrix::Fp8(panels) => panels.product_then(x, then),
        }
    }

    pub(super) fn gated_product(&self, activation: Activation, x: &[f32]) -> Buffer {
        match self {
            Matrix::F32(panels) => panels.gated_product(activation, x),
            Matrix::Fp8(panels) => panels.gated_product(activation, x),
        }
    }

    /// The gradient with respect to a product's input; `weights` are the masters.
    pub(super) fn input_gradient(&self, dy: &[f32], weights: &[f32], k: usize) -> Buffer {
        match self {
            Matrix::F32(_) => product::input_gradient(dy, weights, k),
            Matrix::Fp8(panels) => panels.input_gradient(dy),
        }
    }

    pub(super) fn add_weight_gradient(&self, dy: &[f32], x: &[f32], k: usize, gradient: &mut [f32]) {
        match self {
            Matrix::F32(_) => product::add_weight_gradient(dy, x, k, gradient),
            Matrix::Fp8(panels) => panels.add_weight_gradient(dy, x, gradient),
        }
    }
}

/// Matrices each of which the rows of its own group are multiplied with.
pub(super) enum Stacked {
    Wide(StackPanels),
    Fp8(Fp8Stack),
}

impl Stacked {
    /// Room for a stack of `layout`.
    pub(super) fn new(layout: &Layout, slot: StackSlot, dtype: Dtype) -> Stacked {
        let first = slot.stack.matrix(0);
        match coded(layout, slot.offset + first.start..slot.offset + first.end, slot.stack.columns, dtype) {
            Some(parts) if !slot.turned => Stacked::Fp8(Fp8Stack::new(slot.stack, &parts)),
            _ => Stacked::Wide(StackPanels::new(slot.laid_out(), dtype)),
        }
    }

    /// Takes over the weights, which begin with the first matrix.
    pub(super) fn pack(&mut self, slot: StackSlot, weights: &[f32]) {
        match self {
            Stacked::Wide(panels) => slot.pack(weights, panels),
            Stacked::Fp8(panels) => panels.pack(weights),
        }
    }

    pub(super) fn product(&self, x: &[f32], ends: &[usize]) -> Buffer {
        match self {
            Stacked::Wide(panels) => panels.product(x, ends),
            Stacked::Fp8(panels) => panels.product(x, ends),
        }
    }

    pub(super) fn gated_product(&self, activation: Activation, x: &[f32], ends: &[usize]) -> Buffer {
        match self {
            Stacked::Wide(panels) => panels.gated_product(activation, x, ends),
            Stacked::Fp8(panels) => panels.gated_product(activation, x, ends),
        }
    }

    /// The gradient with respect to a product's input, where rows meet the matrices' rows; `weights` are the masters.
    pub(super) fn input_gradient(&self, dy: &[f32], ends: &[usize], weights: &[f32], slot: StackSlot) -> Buffer {
        match self {
            Stacked::Wide(_) => grouped::input_gradient(dy, ends, weights, slot.stack),
            Stacked::Fp8(panels) => panels.input_gradient(dy, ends),
        }
    }

    pub(super) fn add_weight_gradient(
        &self,
        dy: &[f32],
        x: &[f32],
        ends: &[usize],
        slot: StackSlot,
        gradient: &mut [f32],
    ) {
        match self {
            Stacked::Wide(_) => grouped::add_weight_gradient(dy, x, ends, slot.stack, gradient),
            Stacked::Fp8(panels) => panels.add_weight_gradient(dy, x, ends, gradient),
        }
    }
}

/// Rows of each of the linear layers that a part of the flat array is made of, where they are to be in FP8.
fn coded(layout: &Layout, part: Range<usize>, columns: usize, dtype: Dtype) -> Option<Vec<usize>> {
    if dtype == Dtype::Fp8 { layout.linear_rows(part, columns) } else { None }
}
