//! `Operands`: the weights as products read them, and the products of rows with them.
//!
//! Masters are f32 in one flat array. What products read is made of them once an update: panels in f32, or the rounded
//! numbers in bf16; some panels hold E4M3 numbers where the policy computes in FP8. Matrices that stand alone are
//! multiplied with all rows; those of a stack (experts, heads) each with the rows of its own group, by products of our own
//! in either precision.

mod half;
mod matrix;
mod routers;
mod stacks;

use crate::buffer::Buffer;
use crate::config::{Dtype, Mla};
use crate::grouped::{Stack, StackPanels};
use crate::kernels;
use crate::layout::{Layout, Slot};
use crate::packed::ROW_BLOCK;
use crate::policy::Policy;
use crate::product::Panels;
use crate::share::Share;
use crate::team;
use half::Half;
use matrix::{Matrix, Stacked};
use std::collections::BTreeMap;

/// The weights as products read them, each by its offset in the flat array.
pub(crate) struct Operands {
    dtype: Dtype,
    alone: Alone,
    /// In either precision. By the offset of a stack's first matrix, and whether rows meet the matrices' columns.
    stacks: BTreeMap<(usize, bool), Stacked>,
    /// In f32, whatever the others are.
    routers: BTreeMap<usize, Panels>,
    /// In bf16 those of [`SMALL`] numbers or fewer, in place of libtorch's products.
    small: BTreeMap<usize, StackPanels>,
}

/// Numbers of a matrix up to which libtorch multiplies eight rows in bf16 by another kernel than many: it hands a product
/// to oneDNN from 16³ multiply-adds on. Rows keep their bits if we multiply these ourselves.
const SMALL: usize = 16 * 16 * 16 / ROW_BLOCK;

/// Matrices that all rows are multiplied with.
enum Alone {
    /// Panels of each.
    Panels(BTreeMap<usize, Matrix>),
    /// Each rounded, and its bias.
    Bf16(Half),
}

impl Operands {
    pub(crate) fn new(layout: &Layout, dtype: Dtype, mla: Mla) -> Operands {
        let panels = |slot: Slot| (slot.offset, Panels::new(slot.rows, slot.columns));
        let (mut products, biases): (Vec<Slot>, Vec<Option<Slot>>) = layout.products().into_iter().unzip();
        products.extend(layout.latents().filter(|_| mla == Mla::Expanded).map(|latent| latent.up));
        let small = products.iter().filter(|slot| dtype == Dtype::Bf16 && slot.rows * slot.columns <= SMALL);
        let small = small.map(|slot| (slot.offset, StackPanels::new(Stack::of_one(slot.rows, slot.columns), dtype)));
        let small = small.collect();
        let alone = if dtype == Dtype::Bf16 {
            Alone::Bf16(Half::new(products.into_iter().chain(biases.into_iter().flatten())))
        } else {
            let all = products.into_iter().map(|slot| (slot.offset, Matrix::new(layout, slot, dtype)));
            Alone::Panels(all.collect())
        };
        let stacks = layout.stacks().into_iter();
        let stacks = stacks.map(|slot| ((slot.offset, slot.turned), Stacked::new(layout, slot, dtype))).collect();
        Operands { dtype, alone, stacks, routers: layout.routers().into_iter().map(panels).collect(), small }
    }

    /// What the products compute in: `F32`, `Bf16` or `Fp8`.
    pub(crate) fn dtype(&self) -> Dtype {
        if self.dtype == Dtype::Auto { Dtype::F32 } else { self.dtype }
    }

    /// Takes over the masters, with the team that leads here or one of all cores.
    pub(crate) fn refresh(&mut self, layout: &Layout, masters: &Buffer) {
        let mut alone = None;
        match &mut self.alone {
            Alone::Bf16(half) => half.copy(masters),
            Alone::Panels(panels) => alone = Some(panels),
        }
        team::led(team::cores(), || {
            alone.into_iter().flatten().for_each(|(&offset, one)| one.pack(masters, offset));
            for (&offset, one) in &mut self.routers {
                one.pack(&masters[offset..][..one.len()]);
            }
            self.small.iter_mut().for_each(|(&offset, one)| one.pack(&masters[offset..]));
            for slot in layout.stacks() {
                if let Some(stack) = self.stacks.get_mut(&(slot.offset, slot.turned)) {
                    stack.pack(slot, &masters[slot.range()]);
                }
            }
        });
    }
}

impl Policy {
    /// x · Wᵀ + b for rows x `[N, in]`: `[N, out]`. In bf16 N must be a multiple of the row block.
    pub(crate) fn project(&self, x: &Buffer, weight: Slot, bias: Option<Slot>) -> Buffer {
        match &self.operands.alone {
            Alone::Panels(panels) => {
                let bias = bias.map(|slot| self.vector(slot));
                panels[&weight.offset].product_then(x, |rows, columns, y| {
                    let Some(bias) = bias else { return };
                    for row in rows {
                        // SAFETY: the part of the product that this thread has just written.
                        let y = unsafe { y.slice(row * weight.rows + columns.start, columns.len()) };
                        add(y, &bias[columns.clone()]);
                    }
                })
            }
            Alone::Bf16(_) if self.operands.small.contains_key(&weight.offset) => {
                let mut y = self.operands.small[&weight.offset].product(x, &[x.len() / weight.columns]);
                if let Some(bias) = bias.map(|slot| self.vector(slot)) {
                    y.chunks_exact_mut(weight.rows).for_each(|row| add(row, bias));
                }
                y
            }
            Alone::Bf16(half) => half.product(x, weight, bias),
        }
    }

    /// `onto` + x · Wᵀ, for rows x `[N, in]` and `onto` `[N, out]`.
    pub(crate) fn project_onto(&self, onto: &Buffer, x: &Buffer, weight: Slot) -> Buffer {
        let Alone::Panels(panels) = &self.operands.alone else {
            let mut y = self.project(x, weight, None);
            y.add(onto);
            return y;
        };
        panels[&weight.offset].product_then(x, |rows, columns, y| {
            for row in rows {
                let at = row * weight.rows + columns.start;
                // SAFETY: the part of the product that this thread has just written.
                add(unsafe { y.slice(at, columns.len()) }, &onto[at..at + columns.len()]);
            }
        })
    }

    /// [`kernels::gated`] of a projection to gate and up: `[N, F]`.
    pub(crate) fn project_gated(&self, x: &Buffer, weight: Slot) -> Buffer {
        match &self.operands.alone {
            Alone::Panels(panels) => panels[&weight.offset].gated_product(self.config.activation, x),
            Alone::Bf16(_) => kernels::gated(self.config.activation, &self.project(x, weight, None), weight.rows / 2),
        }
    }

    /// Gradient of [`Policy::project`] with respect to its input; adds those of weight and bias to `gradient`.
    pub(crate) fn project_backward(
        &self,
        dy: &Buffer,
        x: &Buffer,
        weight: Slot,
        bias: Option<Slot>,
        gradient: &mut Share,
    ) -> Buffer {
        self.project_weight_backward(dy, x, weight, bias, gradient);
        self.project_input_backward(dy, weight)
    }

    /// Adds the gradients of weight and bias of [`Policy::project`] to `gradient`.
    pub(crate) fn project_weight_backward(
        &self,
        dy: &Buffer,
        x: &Buffer,
        weight: Slot,
        bias: Option<Slot>,
        gradient: &mut Share,
    ) {
        if let Some(bias) = bias {
            let d_bias = gradient.slot(bias);
            // A column's sum goes through the rows in order, so threads share the columns.
            team::spread_rows(d_bias, 1, 64, |columns, part| {
                dy.chunks_exact(weight.rows).for_each(|row| add(part, &row[columns.clone()]));
            });
        }
        match &self.operands.alone {
            Alone::Panels(panels) => {
                panels[&weight.offset].add_weight_gradient(dy, x, weight.columns, gradient.slot(weight));
            }
            Alone::Bf16(_) => Half::add_weight_gradient(dy, x, weight, gradient.slot(weight)),
        }
    }

    /// Gradient of [`Policy::project`] with respect to its input, `[N, in]`.
    pub(crate) fn project_input_backward(&self, dy: &Buffer, weight: Slot) -> Buffer {
        match &self.operands.alone {
            Alone::Panels(panels) => panels[&weight.offset].input_gradient(dy, self.vector(weight), weight.columns),
            Alone::Bf16(half) => half.input_gradient(dy, weight),
        }
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
