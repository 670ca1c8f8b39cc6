//! Grouped products in bf16, by libtorch: one product a group.
//!
//! Each group's rows must be a multiple of the row block, 8, as those of every product in bf16: libtorch takes other
//! kernels for some small row counts.

use tch::{Kind, Tensor};

use super::{Stack, check_ends, rows_of};
use crate::buffer::Buffer;
use crate::packed::ROW_BLOCK;

impl Stack {
    /// Matrix `group` of a flat tensor that begins with the first, `[N, K]`.
    fn tensor(&self, flat: &Tensor, group: usize) -> Tensor {
        let range = self.matrix(group);
        flat.narrow(0, range.start as i64, range.len() as i64).view([self.rows as i64, self.columns as i64])
    }

    /// What `multiply` makes of each group's rows of x `[M, width]` and its matrix, one below the other: `[M, to]`.
    fn each(
        &self,
        (x, width, to): (&Buffer, usize, usize),
        ends: &[usize],
        weights: &Tensor,
        multiply: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Buffer {
        check_ends(ends, self.groups, x, width);
        let x = x.rows(width).to_kind(Kind::BFloat16);
        let parts: Vec<Tensor> = filled(ends)
            .map(|(group, first, count)| multiply(&x.narrow(0, first, count), &self.tensor(weights, group)))
            .collect();
        if parts.is_empty() { Buffer::zeros(0) } else { Buffer::of(Tensor::cat(&parts, 0).view([-1, to as i64])) }
    }
}

/// Groups that have rows: which, the first row and how many.
fn filled(ends: &[usize]) -> impl Iterator<Item = (usize, i64, i64)> {
    (0..ends.len()).filter_map(|group| {
        let rows = rows_of(ends, group);
        assert!(rows.len().is_multiple_of(ROW_BLOCK), "rows of a group in bf16 are whole blocks of {ROW_BLOCK}");
        (!rows.is_empty()).then_some((group, rows.start as i64, rows.len() as i64))
    })
}

/// As [`super::StackPanels::product`], with the rounded weights `weights`, which begin with the first matrix.
pub fn product(x: &Buffer, ends: &[usize], weights: &Tensor, stack: Stack) -> Buffer {
    stack.each((x, stack.columns, stack.rows), ends, weights, |x, matrix| x.linear(matrix, None::<&Tensor>))
}

/// As [`super::input_gradient`], with the rounded weights.
pub fn input_gradient(dy: &Buffer, ends: &[usize], weights: &Tensor, stack: Stack) -> Buffer {
    stack.each((dy, stack.rows, stack.columns), ends, weights, |dy, matrix| dy.matmul(matrix))
}

/// As [`super::add_weight_gradient`]: products of rounded rows, added in f32 to `gradient`, which is flat.
pub fn add_weight_gradient(dy: &Buffer, x: &Buffer, ends: &[usize], stack: Stack, gradient: &Tensor) {
    check_ends(ends, stack.groups, dy, stack.rows);
    check_ends(ends, stack.groups, x, stack.columns);
    let dy = dy.rows(stack.rows).to_kind(Kind::BFloat16);
    let x = x.rows(stack.columns).to_kind(Kind::BFloat16);
    for (group, first, count) in filled(ends) {
        let (dy, x) = (dy.narrow(0, first, count), x.narrow(0, first, count));
        let mut matrix = stack.tensor(gradient, group);
        let _ = matrix.g_add_(&dy.transpose(0, 1).matmul(&x).to_kind(Kind::Float));
    }
}
