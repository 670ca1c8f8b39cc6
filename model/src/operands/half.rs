//! Matrices in bf16, and libtorch's products of rounded rows with them.
//!
//! What goes into a product and what comes out is in memory that buffers keep: libtorch's own would be new to the process
//! in every call, or in heaps between whose arrays of many lengths much stays unused.

use std::collections::BTreeMap;

use half::bf16;
use tch::{Device, Kind, Tensor};

use crate::buffer::Buffer;
use crate::grouped::nearest;
use crate::layout::Slot;
use crate::team;

/// Numbers that are worth a chunk of their own where several threads round or widen.
const GRAIN: usize = 8_192;

/// Matrices in bf16, by their offset in the flat array.
pub(super) struct Half(BTreeMap<usize, Tensor>);

// SAFETY: the tensors are written only through `&mut Policy`; everyone else reads them, which libtorch permits from any
// number of threads (its reference counts are atomic).
unsafe impl Sync for Half {}

impl Half {
    /// Room for some of the flat array's matrices, all zero.
    pub(super) fn new(slots: impl Iterator<Item = Slot>) -> Half {
        let zeros = |slot: Slot| Tensor::zeros([slot.rows as i64, slot.columns as i64], (Kind::BFloat16, Device::Cpu));
        Half(slots.map(|slot| (slot.offset, zeros(slot))).collect())
    }

    /// Takes over the masters.
    pub(super) fn copy(&mut self, masters: &Buffer) {
        let masters = masters.rows(1);
        for (&offset, matrix) in &mut self.0 {
            matrix.copy_(&masters.narrow(0, offset as i64, matrix.numel() as i64).view_as(matrix));
        }
    }

    /// x · Wᵀ + b for rows x `[N, in]`: `[N, out]`.
    pub(super) fn product(&self, x: &[f32], weight: Slot, bias: Option<Slot>) -> Buffer {
        let (x, y) = (HalfRows::rounded(x, weight.columns), HalfRows::unwritten(x.len() / weight.columns, weight.rows));
        let turned = self.0[&weight.offset].transpose(0, 1);
        let _ = match bias {
            None => x.tensor.mm_out(&y.tensor, &turned),
            Some(bias) => self.0[&bias.offset].view([-1]).addmm_out(&y.tensor, &x.tensor, &turned),
        };
        y.widened()
    }

    /// dy · W for rows dy `[N, out]`: the gradient with respect to a product's input, `[N, in]`.
    pub(super) fn input_gradient(&self, dy: &[f32], weight: Slot) -> Buffer {
        let dx = HalfRows::unwritten(dy.len() / weight.rows, weight.columns);
        let _ = HalfRows::rounded(dy, weight.rows).tensor.mm_out(&dx.tensor, &self.0[&weight.offset]);
        dx.widened()
    }

    /// Adds dyᵀ · x for rows dy `[N, out]` and x `[N, in]`, rounded when it is whole, to the weights' gradient.
    pub(super) fn add_weight_gradient(dy: &[f32], x: &[f32], weight: Slot, gradient: &mut [f32]) {
        let product = HalfRows::unwritten(weight.rows, weight.columns);
        let (dy, x) = (HalfRows::rounded(dy, weight.rows), HalfRows::rounded(x, weight.columns));
        let _ = dy.tensor.transpose(0, 1).mm_out(&product.tensor, &x.tensor);
        let numbers = product.numbers();
        team::spread_rows(gradient, 1, GRAIN, |range, part| {
            part.iter_mut().zip(&numbers[range]).for_each(|(to, from)| *to += from.to_f32());
        });
    }
}

/// Rows in bf16, two numbers in the place of each of a buffer.
struct HalfRows {
    /// On the memory of the buffer, and gone before it.
    tensor: Tensor,
    memory: Buffer,
    len: usize,
}

impl HalfRows {
    fn unwritten(rows: usize, width: usize) -> HalfRows {
        let len = rows * width;
        let mut memory = Buffer::unwritten(len.div_ceil(2));
        let data = memory.as_mut_ptr().cast_const().cast();
        let (shape, strides) = ([rows as i64, width as i64], [width as i64, 1]);
        // SAFETY: the memory holds so many numbers of two bytes, and the tensor is dropped before it.
        let tensor = unsafe { Tensor::from_blob(data, &shape, &strides, Kind::BFloat16, Device::Cpu) };
        HalfRows { tensor, memory, len }
    }

    /// The nearest numbers that bf16 has.
    fn rounded(x: &[f32], width: usize) -> HalfRows {
        let mut rows = HalfRows::unwritten(x.len() / width, width);
        team::spread_rows(rows.numbers_mut(), 1, GRAIN, |range, part| {
            part.iter_mut()
                .zip(&x[range])
                .for_each(|(to, &from)| *to = bf16::from_bits((nearest(from).to_bits() >> 16) as u16));
        });
        rows
    }

    fn widened(&self) -> Buffer {
        let (mut wide, numbers) = (Buffer::unwritten(self.len), self.numbers());
        team::spread_rows(&mut wide, 1, GRAIN, |range, part| {
            part.iter_mut().zip(&numbers[range]).for_each(|(to, from)| *to = from.to_f32());
        });
        wide
    }

    fn numbers(&self) -> &[bf16] {
        // SAFETY: the buffer has room for so many numbers of half the size, of which every pattern of bits is one.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.len) }
    }

    fn numbers_mut(&mut self) -> &mut [bf16] {
        // SAFETY: as above, and the buffer is ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.len) }
    }
}
