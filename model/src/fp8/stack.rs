//! Products in FP8 of rows in groups, each group with a matrix of its own, as of [`crate::grouped`].

use super::{Fp8Panels, Scales, Tiles, column_tiles, row_chunks, weight_part};
use crate::buffer::Buffer;
use crate::config::Activation;
use crate::grouped::{self, Stack, check_ends};
use crate::kernels;
use crate::product::panel_rows;
use crate::team::{self, Cells};

/// The matrices of a [`Stack`] as E4M3 numbers in blocks of 128 × 128. A row's numbers are the bits that [`Fp8Panels`]
/// gives that row alone with its group's matrix. Where rows are summed over, tiles of 128 × 1 begin anew with each group.
#[derive(Clone, Debug)]
pub struct Fp8Stack {
    panels: Vec<Fp8Panels>,
    stack: Stack,
}

impl Fp8Stack {
    /// Room for the matrices of `stack`, each made of matrices of so many rows, one above the other, all zero.
    pub fn new(stack: Stack, parts: &[usize]) -> Fp8Stack {
        assert_eq!(parts.iter().sum::<usize>(), stack.rows, "parts are all of a matrix");
        Fp8Stack { panels: vec![Fp8Panels::new(parts, stack.columns, Scales::Largest); stack.groups], stack }
    }

    /// Bytes that codes and scales take.
    pub fn bytes(&self) -> usize {
        self.panels.iter().map(Fp8Panels::bytes).sum()
    }

    /// Takes over the weights, an array that begins with the first matrix.
    pub fn pack(&mut self, weights: &[f32]) {
        let stack = self.stack;
        stack.check(weights.len());
        let (groups, panels) = (self.panels.len(), Cells(self.panels.as_mut_ptr()));
        team::spread(groups, 1, |part| {
            for group in part {
                // SAFETY: the sub-ranges of a call do not overlap and lie inside of the panels.
                unsafe { &mut *panels.at(group) }.pack(&weights[stack.matrix(group)]);
            }
        });
    }

    /// x · Wᵀ of each group's rows x `[M, K]` with its matrix: `[M, N]`.
    pub fn product(&self, x: &[f32], ends: &[usize]) -> Buffer {
        let m = check_ends(ends, self.stack.groups, x, self.stack.columns);
        let mut y = Buffer::unwritten(m * self.stack.rows);
        let Some(x) = self.panels.first().map(|any| any.tiles(x)) else { return y };
        let all = Cells(y.as_mut_ptr());
        grouped::spread_product(ends, self.stack.columns, self.panels[0].panels(), |group, rows, panels| {
            // SAFETY: the parts that are given out do not overlap.
            unsafe { self.panels[group].part(&x, rows, panels, &all) };
        });
        y
    }

    /// What [`kernels::gated`] says of the product with matrices that are those of the gate `[F, K]`, then those of the
    /// other half: `[M, F]`.
    pub fn gated_product(&self, activation: Activation, x: &[f32], ends: &[usize]) -> Buffer {
        let f = self.stack.rows / 2;
        if !f.is_multiple_of(panel_rows()) {
            return kernels::gated(activation, &self.product(x, ends), f);
        }
        let m = check_ends(ends, self.stack.groups, x, self.stack.columns);
        let (mut both, mut y) = (Buffer::unwritten(m * 2 * f), Buffer::unwritten(m * f));
        let Some(x) = self.panels.first().map(|any| any.tiles(x)) else { return y };
        let (both, y_all) = (Cells(both.as_mut_ptr()), Cells(y.as_mut_ptr()));
        grouped::spread_product(ends, self.stack.columns, self.panels[0].panels() / 2, |group, rows, panels| {
            // SAFETY: the parts that are given out do not overlap, and each has its columns of both halves.
            unsafe { self.panels[group].gated_part(activation, &x, rows, panels, [&both, &y_all]) };
        });
        y
    }

    /// dy · W of each group's rows dy `[M, N]` with its matrix: the gradient with respect to a product's input, `[M, K]`.
    pub fn input_gradient(&self, dy: &[f32], ends: &[usize]) -> Buffer {
        let Stack { rows: n, columns: k, groups, .. } = self.stack;
        let mut dx = Buffer::unwritten(check_ends(ends, groups, dy, n) * k);
        let Some(dy) = self.panels.first().map(|any| any.gradient_tiles(dy)) else { return dx };
        let all = Cells(dx.as_mut_ptr());
        grouped::spread_input_gradient(ends, n, k, |group, rows, panel| {
            // SAFETY: dx is [M, K], and nobody else has this panel's columns of these rows.
            unsafe { self.panels[group].input_part(&dy, rows, panel, &all) };
        });
        dx
    }

    /// Adds dyᵀ · x of each group's rows dy `[M, N]` and x `[M, K]` to the gradient of its matrix. `gradient` begins with
    /// that of the first matrix.
    pub fn add_weight_gradient(&self, dy: &[f32], x: &[f32], ends: &[usize], gradient: &mut [f32]) {
        let Stack { rows: n, columns: k, groups, .. } = self.stack;
        self.stack.check(gradient.len());
        check_ends(ends, groups, dy, n);
        let (chunks, firsts) = row_chunks(ends);
        let (dy, x): (Tiles, Tiles) = column_tiles([dy, x], [n, k], &chunks, Scales::Largest);
        let all = Cells(gradient.as_mut_ptr());
        grouped::spread_weight_gradient(ends, n, k, |group, rows, part| {
            let to = all.at(self.stack.matrix(group).start);
            // SAFETY: the gradient holds an [N, K] matrix from there on, and nobody else has these rows of it.
            unsafe { weight_part([&dy, &x], [n, k], rows, firsts[group], part, to) };
        });
    }
}
