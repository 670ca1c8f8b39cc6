//! Products of rows in groups, each group with a matrix of its own: the experts of a mixture, the heads of an attention.
//!
//! Rows stand sorted by group, and `ends` says where each group's end. A row's numbers are the bits that
//! [`crate::product`] gives that row alone with that matrix, whatever stands beside it: each is one chain over the inner
//! dimension, and who computes it is chosen by cost. Groups may be empty, and cost nothing then.
//!
//! Threads share the work by cost and not by group: where many rows meet few matrices each takes rows, and where few rows
//! meet many matrices each takes weights, in one pass over all groups.
//!
//! In bf16 the weights are rounded, and so are the rows that they are multiplied with; sums are the same chains in f32.
//! libtorch's products in bf16 take other kernels for some row counts where matrices are as small as experts may be, and
//! run on one thread.

use std::ops::Range;

use half::bf16;

use crate::buffer::Buffer;
use crate::config::{Activation, Dtype};
use crate::kernels;
use crate::product::{self, GRADIENT_ROWS, INPUT_ROWS, panel_rows, tile_rows};
use crate::team::{self, Cells};

/// From so many rows of a group on threads take its rows, below its weights.
const MANY_ROWS: usize = 128;

/// Tiles of rows that make a unit of work.
const TILES: usize = 3;

/// Rows that could be multiplied while a matrix is read: with fewer a panel takes no less time.
const READING: usize = 16;

/// Multiply-adds that are worth a chunk of their own: some microseconds.
const GRAIN: usize = 64_000;

/// Numbers that are worth a chunk of their own where several threads round them.
const ROUND_GRAIN: usize = 8_192;

/// Matrices of one shape in a flat array, at equal distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// N: rows of each matrix.
    pub rows: usize,
    /// K: columns of each matrix.
    pub columns: usize,
    /// From the first number of a matrix to the first of the next; at least N · K.
    pub stride: usize,
    /// How many matrices there are.
    pub groups: usize,
}

impl Stack {
    /// One matrix `[N, K]`.
    pub(crate) fn of_one(rows: usize, columns: usize) -> Stack {
        Stack { rows, columns, stride: rows * columns, groups: 1 }
    }

    /// Numbers from the first of the first matrix to the last of the last.
    pub fn span(&self) -> usize {
        if self.groups == 0 { 0 } else { (self.groups - 1) * self.stride + self.rows * self.columns }
    }

    /// The numbers of matrix `group`.
    pub fn matrix(&self, group: usize) -> Range<usize> {
        group * self.stride..group * self.stride + self.rows * self.columns
    }

    /// Checks an array that begins with the first matrix.
    pub(crate) fn check(&self, len: usize) {
        assert!(self.stride >= self.rows * self.columns && len >= self.span(), "an array of {len} holds {self:?}");
    }
}

/// Where the rows of group `group` lie.
fn rows_of(ends: &[usize], group: usize) -> Range<usize> {
    group.checked_sub(1).map_or(0, |before| ends[before])..ends[group]
}

/// Checks where groups end; returns the number of rows.
pub(crate) fn check_ends(ends: &[usize], groups: usize, x: &[f32], width: usize) -> usize {
    assert!(ends.len() == groups && ends.is_sorted(), "one end for each of {groups} groups, in order");
    let m = ends.last().copied().unwrap_or(0);
    assert_eq!(x.len(), m * width, "{m} rows of {width}");
    m
}

/// The matrices of a [`Stack`], laid out for products with them.
#[derive(Clone, Debug)]
pub struct StackPanels {
    /// In bf16 two numbers in the place of each.
    numbers: Buffer,
    half: bool,
    stack: Stack,
}

impl StackPanels {
    /// Room for the matrices of `stack`, all zero, in bf16 or f32.
    pub fn new(stack: Stack, dtype: Dtype) -> StackPanels {
        let (rows, half) = (stack.rows.next_multiple_of(panel_rows()), dtype == Dtype::Bf16);
        let len = stack.groups * rows * stack.columns;
        StackPanels { numbers: Buffer::zeros(if half { len / 2 } else { len }), half, stack }
    }

    /// Takes over the weights, an array that begins with the first matrix.
    pub fn pack(&mut self, weights: &[f32]) {
        let (stack, panels, k, half) = (self.stack, self.panels(), self.stack.columns, self.half);
        stack.check(weights.len());
        let size = panel_rows() * k;
        // A panel has an even number of rows.
        let width = if half { size / 2 } else { size };
        team::spread_rows(&mut self.numbers, width, GRAIN.div_ceil(size), |range, part| {
            let mut single = vec![0.0; if half { size } else { 0 }];
            for (at, to) in range.zip(part.chunks_exact_mut(width)) {
                let (matrix, first) = (&weights[stack.matrix(at / panels)], at % panels * size);
                let rows = &matrix[first..matrix.len().min(first + size)];
                if half {
                    product::pack(rows, k, &mut single);
                    product::halve(&single, halves_mut(to));
                } else {
                    product::pack(rows, k, to);
                }
            }
        });
    }

    /// x · Wᵀ of each group's rows x `[M, K]` with its matrix: `[M, N]`.
    pub fn product(&self, x: &[f32], ends: &[usize]) -> Buffer {
        let m = check_ends(ends, self.stack.groups, x, self.stack.columns);
        let rounded = self.half.then(|| rounded(x));
        let x = rounded.as_deref().unwrap_or(x);
        let mut y = Buffer::unwritten(m * self.stack.rows);
        let all = Cells(y.as_mut_ptr());
        spread_product(ends, self.stack.columns, self.panels(), |group, rows, panels| {
            // SAFETY: the parts that `spread` gives out do not overlap.
            unsafe { self.part(x, group, rows, panels, &all) };
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
        let (m, half) = (check_ends(ends, self.stack.groups, x, self.stack.columns), self.panels() / 2);
        let rounded = self.half.then(|| rounded(x));
        let x = rounded.as_deref().unwrap_or(x);
        let (mut both, mut y) = (Buffer::unwritten(m * 2 * f), Buffer::unwritten(m * f));
        let (both, y_all) = (Cells(both.as_mut_ptr()), Cells(y.as_mut_ptr()));
        spread_product(ends, self.stack.columns, half, |group, rows, panels| {
            // SAFETY: the parts that `spread` gives out do not overlap, and each has its columns of both halves.
            unsafe {
                self.part(x, group, rows.clone(), panels.clone(), &both);
                self.part(x, group, rows.clone(), panels.start + half..panels.end + half, &both);
                let columns = panels.start * panel_rows()..panels.end * panel_rows();
                kernels::gated_part(activation, both.at(0), f, rows, columns, y_all.at(0));
            }
        });
        y
    }

    /// Panels of one matrix.
    fn panels(&self) -> usize {
        self.stack.rows.div_ceil(panel_rows())
    }

    /// Some rows and panels of a group's product.
    ///
    /// # Safety
    /// `y` is `[M, N]`, and nobody else reads or writes these columns of these rows.
    unsafe fn part(&self, x: &[f32], group: usize, rows: Range<usize>, panels: Range<usize>, y: &Cells) {
        let Stack { rows: n, columns: k, .. } = self.stack;
        let size = self.panels() * panel_rows() * k;
        let (x, y) = (&x[rows.start * k..rows.end * k], y.at(rows.start * n));
        let at = group * size..(group + 1) * size;
        // SAFETY: as the caller says.
        unsafe {
            if self.half {
                product::half_part(x, &halves(&self.numbers)[at], [n, k], panels, y);
            } else {
                product::part(x, &self.numbers[at], [n, k], panels, None, y);
            }
        }
    }
}

/// Memory that holds two numbers in bf16 in the place of each in f32.
fn halves(numbers: &[f32]) -> &[bf16] {
    // SAFETY: twice as many numbers of half the size, of which every pattern of bits is one.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), 2 * numbers.len()) }
}

fn halves_mut(numbers: &mut [f32]) -> &mut [bf16] {
    // SAFETY: as above; and every pattern of bits is a number in f32.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), 2 * numbers.len()) }
}

/// The nearest numbers that bf16 has.
fn rounded(x: &[f32]) -> Buffer {
    let mut y = Buffer::unwritten(x.len());
    team::spread_rows(&mut y, 1, ROUND_GRAIN, |range, y| {
        y.iter_mut().zip(&x[range]).for_each(|(y, &x)| *y = nearest(x));
    });
    y
}

/// `bf16::from_f32(x).to_f32()` without a branch, so that loops become vectors.
pub(crate) fn nearest(x: f32) -> f32 {
    let bits = x.to_bits();
    let even = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // A number that is none stays none where its digits are cut off.
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { even } & 0xffff_0000)
}

/// Calls `work` for a group, some of its rows and some of so many panels of `k` columns, until all are covered once.
pub(crate) fn spread_product(
    ends: &[usize],
    k: usize,
    panels: usize,
    work: impl Fn(usize, Range<usize>, Range<usize>) + Sync,
) {
    let height = TILES * tile_rows();
    let sizes = (0..ends.len()).map(|group| match rows_of(ends, group).len() {
        0 => Size::default(),
        m if m >= MANY_ROWS => Size { units: m.div_ceil(height), cost: height * k * panels * panel_rows() },
        m => Size { units: panels, cost: m.max(READING) * k * panel_rows() },
    });
    spread(sizes, |group, units| {
        let rows = rows_of(ends, group);
        if rows.len() >= MANY_ROWS {
            let end = rows.end.min(rows.start + units.end * height);
            work(group, rows.start + units.start * height..end, 0..panels);
        } else {
            work(group, rows, units);
        }
    });
}

/// dy · W of each group's rows dy `[M, N]` with its matrix: the gradient with respect to a product's input, `[M, K]`.
/// `weights` begins with the first matrix.
pub fn input_gradient(dy: &[f32], ends: &[usize], weights: &[f32], stack: Stack) -> Buffer {
    let Stack { rows: n, columns: k, .. } = stack;
    stack.check(weights.len());
    let mut dx = Buffer::unwritten(check_ends(ends, stack.groups, dy, n) * k);
    let all = Cells(dx.as_mut_ptr());
    spread_input_gradient(ends, n, k, |group, rows, panel| {
        let from = &dy[rows.start * n..rows.end * n];
        // SAFETY: dx is [M, K], and nobody else has this panel's columns of these rows.
        unsafe {
            product::input_part(from, &weights[stack.matrix(group)], k, panel..panel + 1, all.at(rows.start * k))
        };
    });
    dx
}

/// Calls `work` for a group, some of its rows and a panel of the columns of an input's gradient `[M, K]`, a sum over `n`
/// numbers, until all are covered once.
pub(crate) fn spread_input_gradient(
    ends: &[usize],
    n: usize,
    k: usize,
    work: impl Fn(usize, Range<usize>, usize) + Sync,
) {
    let panels = k.div_ceil(panel_rows());
    // A unit is a block of rows of one panel; the blocks of a panel are neighbours, since the panel is laid out for them.
    let sizes = (0..ends.len()).map(|group| match rows_of(ends, group).len() {
        0 => Size::default(),
        m => Size { units: panels * m.div_ceil(INPUT_ROWS), cost: (m.min(INPUT_ROWS) + READING) * n * panel_rows() },
    });
    spread(sizes, |group, units| {
        let rows = rows_of(ends, group);
        let blocks = rows.len().div_ceil(INPUT_ROWS);
        let mut at = units.start;
        while at < units.end {
            let (panel, first) = (at / blocks, at % blocks);
            let last = blocks.min(first + units.end - at);
            work(group, rows.start + first * INPUT_ROWS..rows.end.min(rows.start + last * INPUT_ROWS), panel);
            at += last - first;
        }
    });
}

/// Adds dyᵀ · x of each group's rows dy `[M, N]` and x `[M, K]` to the gradient of its matrix, row by row in order.
/// `gradient` begins with that of the first matrix.
pub fn add_weight_gradient(dy: &[f32], x: &[f32], ends: &[usize], stack: Stack, gradient: &mut [f32]) {
    let Stack { rows: n, columns: k, groups, .. } = stack;
    stack.check(gradient.len());
    check_ends(ends, groups, dy, n);
    check_ends(ends, groups, x, k);
    let all = Cells(gradient.as_mut_ptr());
    spread_weight_gradient(ends, n, k, |group, rows, part| {
        let (dy, x) = (&dy[rows.start * n..rows.end * n], &x[rows.start * k..rows.end * k]);
        // SAFETY: the gradient holds an [N, K] matrix from there on, and nobody else has these rows of it.
        unsafe { product::weight_part(dy, x, [n, k], part, all.at(stack.matrix(group).start)) };
    });
}

/// Calls `work` for a group, its rows, and some rows of the gradient `[N, K]` of its matrix, until all are covered once.
pub(crate) fn spread_weight_gradient(
    ends: &[usize],
    n: usize,
    k: usize,
    work: impl Fn(usize, Range<usize>, Range<usize>) + Sync,
) {
    let sizes = (0..ends.len()).map(|group| match rows_of(ends, group).len() {
        0 => Size::default(),
        m => Size { units: n.div_ceil(GRADIENT_ROWS), cost: m.max(READING) * k * GRADIENT_ROWS },
    });
    spread(sizes, |group, units| {
        let part = units.start * GRADIENT_ROWS..n.min(units.end * GRADIENT_ROWS);
        work(group, rows_of(ends, group), part);
    });
}

/// What a group's work is made of.
#[derive(Clone, Copy, Default)]
struct Size {
    units: usize,
    /// Multiply-adds of one unit.
    cost: usize,
}

/// Calls `work` for a group and some of its units, until all units of all groups are covered once, cut so that threads
/// get about equal work.
fn spread(sizes: impl Iterator<Item = Size>, work: impl Fn(usize, Range<usize>) + Sync) {
    let mut total = 0;
    let groups: Vec<(usize, Size)> = sizes
        .map(|size| {
            let start = total;
            total += size.units * size.cost;
            (start, size)
        })
        .collect();
    team::spread(total.div_ceil(GRAIN), 1, |chunk| {
        let (from, to) = (chunk.start * GRAIN, chunk.end * GRAIN);
        // The last group that begins at `from` or before; a unit belongs to the chunk that it begins in.
        let first = groups.partition_point(|(start, _)| *start <= from).saturating_sub(1);
        for (group, &(start, size)) in groups.iter().enumerate().skip(first) {
            if start >= to {
                break;
            }
            let unit = |at: usize| at.saturating_sub(start).div_ceil(size.cost.max(1)).min(size.units);
            let units = unit(from)..unit(to);
            if !units.is_empty() {
                work(group, units);
            }
        }
    });
}

#[cfg(test)]
mod tests;
