//! FP8 as DeepSeek-V3 trains with it (arXiv 2412.19437, section 3.3): E4M3 numbers in tiles and blocks of 128, each with
//! a scale in f32, and the three products of a linear layer on them.
//!
//! y = x · Wᵀ takes x in tiles of 1 × 128 and W in blocks of 128 × 128; dx = dy · W takes dy in tiles of 1 × 128 along
//! the rows of W, and the same blocks; dW = dyᵀ · x takes both in tiles of 128 rows × 1 column and adds to a gradient in
//! f32. What a number of each is, operation by operation, is in `bridge/fp8.h`. A row of y and of dx depends on that
//! row alone.
//!
//! A number that is infinite or NaN makes its tile's scale NaN, and so every number that is computed from the tile: a
//! gradient's norm then is NaN, which a run takes for an error.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::config::Activation;
use crate::kernels;
use crate::product::{self, GRADIENT_ROWS, PACK_GRAIN, panel_rows, rows};
use crate::team::{self, Cells};

/// Numbers that share a scale, along each side of a block.
pub const BLOCK: usize = 128;

/// The largest E4M3 number.
pub const LARGEST: f32 = 448.0;

/// Tiles of rows that pay for decoding a panel of weights.
const TILES: usize = 8;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("fp8.h");
        type Fp8Weights = super::Weights;

        unsafe fn fp8_encode(w: *const f32, n: i64, k: i64, codes: *mut u8, scales: *mut f32);
        unsafe fn fp8_decode(codes: *const u8, count: i64, numbers: *mut f32);
        unsafe fn fp8_pack(codes: *const u8, n: i64, k: i64, first: i64, last: i64, panels: *mut u8);
        unsafe fn fp8_quantise_rows(
            x: *const f32,
            m: i64,
            k: i64,
            starts: *const i64,
            chunks: i64,
            powers: bool,
            numbers: *mut f32,
            scales: *mut f32,
        );
        unsafe fn fp8_quantise_columns(x: *const f32, m: i64, k: i64, numbers: *mut f32, scales: *mut f32);
        unsafe fn fp8_product(
            x: *const f32,
            x_scales: *const f32,
            w: &Fp8Weights,
            m: i64,
            first: i64,
            last: i64,
            y: *mut f32,
        );
        unsafe fn fp8_input_gradient(
            dy: *const f32,
            dy_scales: *const f32,
            w: &Fp8Weights,
            m: i64,
            first: i64,
            last: i64,
            dx: *mut f32,
        );
        unsafe fn fp8_weight_gradient(
            dy: *const f32,
            dy_scales: *const f32,
            x: *const f32,
            x_scales: *const f32,
            m: i64,
            n: i64,
            k: i64,
            first: i64,
            last: i64,
            dw: *mut f32,
        );
    }
}

/// Weights as the kernels see them.
#[repr(C)]
struct Weights {
    codes: *const u8,
    scales: *const f32,
    n_starts: *const i64,
    k_starts: *const i64,
    n_chunks: i64,
    k_chunks: i64,
}

// SAFETY: the struct is `Fp8Weights` of fp8.h, member by member, and of plain numbers and pointers.
unsafe impl cxx::ExternType for Weights {
    type Id = cxx::type_id!("grouper::Fp8Weights");
    type Kind = cxx::kind::Trivial;
}

/// Which scales tiles of activations get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Largest magnitude / 448.
    Largest,
    /// The least power of two that is not below it, as V3 has it for what follows attention.
    Powers,
}

/// Numbers in tiles: E4M3 numbers, and a scale for each tile.
pub(crate) struct Tiles {
    /// As f32, multiplied as the kernels want it.
    numbers: Buffer,
    scales: Buffer,
}

impl Tiles {
    /// Rows of numbers in tiles of 1 × 128, cut where `starts` says, with as many scales a row as there are tiles.
    fn of_rows(x: &[f32], starts: &[i64], scales: Scales) -> Tiles {
        let (tiles, k) = (starts.len() - 1, width(starts));
        let m = rows(x, k);
        let mut all = Tiles { numbers: Buffer::unwritten(m * k), scales: Buffer::unwritten(m * tiles) };
        let (numbers, into) = (Cells(all.numbers.as_mut_ptr()), Cells(all.scales.as_mut_ptr()));
        team::spread(m, PACK_GRAIN.div_ceil(k), |part| {
            let (from, powers) = (x[part.start * k..part.end * k].as_ptr(), scales == Scales::Powers);
            let (to, scales) = (numbers.at(part.start * k), into.at(part.start * tiles));
            let [m, k, tiles] = [part.len(), k, tiles].map(|n| n as i64);
            // SAFETY: so many rows of k numbers and of as many scales as tiles, which no one else writes.
            unsafe { ffi::fp8_quantise_rows(from, m, k, starts.as_ptr(), tiles, powers, to, scales) };
        });
        all
    }

    /// x `[M, K]` in tiles of 128 × 1, with scales `[⌈M / 128⌉, K]`.
    fn of_columns(x: &[f32], k: usize) -> Tiles {
        let m = rows(x, k);
        let mut all = Tiles { numbers: Buffer::unwritten(m * k), scales: Buffer::unwritten(m.div_ceil(BLOCK) * k) };
        let (numbers, into) = (Cells(all.numbers.as_mut_ptr()), Cells(all.scales.as_mut_ptr()));
        team::spread(m.div_ceil(BLOCK), PACK_GRAIN.div_ceil(BLOCK * k), |part| {
            let lines = part.start * BLOCK..m.min(part.end * BLOCK);
            let (from, to) = (x[lines.start * k..lines.end * k].as_ptr(), numbers.at(lines.start * k));
            let scales = into.at(part.start * k);
            // SAFETY: so many rows of k numbers, and k scales for each 128 of them, which no one else writes.
            unsafe { ffi::fp8_quantise_columns(from, lines.len() as i64, k as i64, to, scales) };
        });
        all
    }
}

/// Where chunks of 128 begin in matrices of so many rows, one above the other, and at the end how many rows there are.
fn starts(parts: &[usize]) -> Vec<i64> {
    let mut all = Vec::new();
    let mut end = 0;
    for part in parts {
        all.extend((end..end + part).step_by(BLOCK).map(|start| start as i64));
        end += part;
    }
    all.push(end as i64);
    all
}

/// How long the dimension is.
fn width(starts: &[i64]) -> usize {
    starts.last().map_or(0, |end| *end as usize)
}

/// A weight matrix `[N, K]`, or several above each other, as E4M3 numbers in blocks of 128 × 128, laid out for products
/// with it: a byte a number.
#[derive(Clone, Debug)]
pub struct Fp8Panels {
    codes: Vec<u8>,
    /// A row for each chunk of N.
    scales: Vec<f32>,
    n_starts: Vec<i64>,
    k_starts: Vec<i64>,
}

impl Fp8Panels {
    /// Room for matrices of so many rows each and `k` columns, one above the other, all zero. No block is part of two.
    pub fn new(parts: &[usize], k: usize) -> Fp8Panels {
        let (n_starts, k_starts) = (starts(parts), starts(&[k]));
        let bytes = width(&n_starts).next_multiple_of(panel_rows()) * k;
        let scales = vec![1.0; (n_starts.len() - 1) * (k_starts.len() - 1)];
        Fp8Panels { codes: vec![0; bytes], scales, n_starts, k_starts }
    }

    fn n(&self) -> usize {
        width(&self.n_starts)
    }

    fn k(&self) -> usize {
        width(&self.k_starts)
    }

    /// Numbers of the matrix.
    #[expect(clippy::len_without_is_empty, reason = "no weights are without numbers")]
    pub fn len(&self) -> usize {
        self.n() * self.k()
    }

    /// Bytes that codes and scales take.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.scales.len()
    }

    /// Takes over the weights, `[N, K]` row by row.
    pub fn pack(&mut self, weights: &[f32]) {
        assert_eq!(weights.len(), self.len(), "weights are [N, K]");
        let (n, k) = (self.n(), self.k());
        let (starts, blocks) = (&self.n_starts, self.k_starts.len() - 1);
        let mut codes = vec![0; n * k];
        let (all, scales) = (Cells(codes.as_mut_ptr()), Cells(self.scales.as_mut_ptr()));
        team::spread(starts.len() - 1, 1, |chunks| {
            for chunk in chunks {
                let rows = starts[chunk] as usize..starts[chunk + 1] as usize;
                let (from, to) = (weights[rows.start * k..rows.end * k].as_ptr(), all.at(rows.start * k));
                let scales = scales.at(chunk * blocks);
                // SAFETY: so many rows of k numbers and codes, and a scale for each of their blocks, which no one else
                // writes.
                unsafe { ffi::fp8_encode(from, rows.len() as i64, k as i64, to, scales) };
            }
        });
        let panels = Cells(self.codes.as_mut_ptr());
        team::spread(n.div_ceil(panel_rows()), PACK_GRAIN.div_ceil(panel_rows() * k), |part| {
            let [n, k, first, last] = [n, k, part.start, part.end].map(|n| n as i64);
            // SAFETY: n × k codes, and panels for them, of which those of the part are written, by no one else.
            unsafe { ffi::fp8_pack(codes.as_ptr(), n, k, first, last, panels.at(0)) };
        });
    }

    /// x · Wᵀ for rows x `[M, K]`: `[M, N]`.
    pub fn product(&self, x: &[f32], scales: Scales) -> Buffer {
        self.product_then(x, scales, |_, _, _| ())
    }

    /// [`Fp8Panels::product`], each part of which is given to `then` by the thread that computed it: which rows, which
    /// columns, and where the product lies.
    pub(crate) fn product_then(
        &self,
        x: &[f32],
        scales: Scales,
        then: impl Fn(Range<usize>, Range<usize>, &Cells) + Sync,
    ) -> Buffer {
        let m = rows(x, self.k());
        let x = Tiles::of_rows(x, &self.k_starts, scales);
        let mut y = Buffer::unwritten(m * self.n());
        let all = Cells(y.as_mut_ptr());
        product::spread(m, self.k(), self.panels(), TILES, |rows, panels| {
            self.part(&x, rows.clone(), panels.clone(), &all);
            then(rows, self.columns(panels), &all);
        });
        y
    }

    /// What [`kernels::gated`] says of the product with weights that are those of the gate `[F, K]`, then those of the
    /// other half: `[M, F]`.
    pub fn gated_product(&self, activation: Activation, x: &[f32], scales: Scales) -> Buffer {
        let (m, f) = (rows(x, self.k()), self.n() / 2);
        if !f.is_multiple_of(panel_rows()) {
            return kernels::gated(activation, &self.product(x, scales), f);
        }
        let x = Tiles::of_rows(x, &self.k_starts, scales);
        let (mut both, mut y) = (Buffer::unwritten(2 * m * f), Buffer::unwritten(m * f));
        let (both, y_all) = (Cells(both.as_mut_ptr()), Cells(y.as_mut_ptr()));
        let half = self.panels() / 2;
        product::spread(m, self.k(), half, TILES, |rows, panels| {
            self.part(&x, rows.clone(), panels.clone(), &both);
            self.part(&x, rows.clone(), panels.start + half..panels.end + half, &both);
            // SAFETY: the two calls above wrote these columns of these rows in both halves; nobody else has them.
            unsafe { kernels::gated_part(activation, both.at(0), f, rows, self.columns(panels), y_all.at(0)) };
        });
        y
    }

    /// dy · W for rows dy `[M, N]`: the gradient with respect to a product's input, `[M, K]`.
    pub fn input_gradient(&self, dy: &[f32]) -> Buffer {
        let (n, k) = (self.n(), self.k());
        let m = rows(dy, n);
        let (dy, tiles) = (Tiles::of_rows(dy, &self.n_starts, Scales::Largest), self.n_starts.len() - 1);
        let mut dx = Buffer::unwritten(m * k);
        let all = Cells(dx.as_mut_ptr());
        product::spread_input_gradient(m, n, k, |rows, panel| {
            let (from, scales) = (dy.numbers[rows.start * n..].as_ptr(), dy.scales[rows.start * tiles..].as_ptr());
            let ([m, first, last], to) = ([rows.len(), panel, panel + 1].map(|n| n as i64), all.at(rows.start * k));
            // SAFETY: from holds m × n numbers and scales those of their tiles, dx from there on m × k, of which those of
            // the panel are written, by no one else.
            unsafe { ffi::fp8_input_gradient(from, scales, &self.weights(), m, first, last, to) };
        });
        dx
    }

    fn panels(&self) -> usize {
        self.n().div_ceil(panel_rows())
    }

    /// Columns of the product that panels compute.
    fn columns(&self, panels: Range<usize>) -> Range<usize> {
        panels.start * panel_rows()..self.n().min(panels.end * panel_rows())
    }

    fn weights(&self) -> Weights {
        Weights {
            codes: self.codes.as_ptr(),
            scales: self.scales.as_ptr(),
            n_starts: self.n_starts.as_ptr(),
            k_starts: self.k_starts.as_ptr(),
            n_chunks: self.n_starts.len() as i64 - 1,
            k_chunks: self.k_starts.len() as i64 - 1,
        }
    }

    /// Some rows and panels of the product y.
    fn part(&self, x: &Tiles, rows: Range<usize>, panels: Range<usize>, y: &Cells) {
        let tiles = self.k_starts.len() - 1;
        let (from, scales) = (x.numbers[rows.start * self.k()..].as_ptr(), x.scales[rows.start * tiles..].as_ptr());
        let [m, first, last] = [rows.len(), panels.start, panels.end].map(|n| n as i64);
        let y = y.at(rows.start * self.n());
        // SAFETY: x holds rows of k numbers and the scales of their tiles, y rows of n, of which those of the panels are
        // written.
        unsafe { ffi::fp8_product(from, scales, &self.weights(), m, first, last, y) };
    }
}

/// Adds dyᵀ · x for rows dy `[M, N]` and x `[M, K]`, both in tiles of 128 × 1, to the weights' gradient `[N, K]`.
pub fn add_weight_gradient(dy: &[f32], x: &[f32], k: usize, gradient: &mut [f32]) {
    let n = rows(gradient, k);
    let m = rows(dy, n);
    assert_eq!(rows(x, k), m, "as many rows of dy as of x");
    let (dy, x) = (Tiles::of_columns(dy, n), Tiles::of_columns(x, k));
    let all = Cells(gradient.as_mut_ptr());
    team::spread(n.div_ceil(GRADIENT_ROWS), 1, |groups| {
        let last = n.min(groups.end * GRADIENT_ROWS);
        let [m, n, k, first, last] = [m, n, k, groups.start * GRADIENT_ROWS, last].map(|n| n as i64);
        let (numbers, scales) = ([dy.numbers.as_ptr(), x.numbers.as_ptr()], [dy.scales.as_ptr(), x.scales.as_ptr()]);
        // SAFETY: dy holds m × n numbers, x m × k, both with their tiles' scales, gradient n × k, of which those rows are
        // written, by no one else.
        unsafe {
            ffi::fp8_weight_gradient(numbers[0], scales[0], numbers[1], scales[1], m, n, k, first, last, all.at(0));
        }
    });
}

/// Scales of a matrix `[N, K]`.
pub fn n_scales(n: usize, k: usize) -> usize {
    n.div_ceil(BLOCK) * k.div_ceil(BLOCK)
}

/// Weights `[N, K]` as published checkpoints have them: a code for each number, and scales `[⌈N / 128⌉, ⌈K / 128⌉]`.
pub fn encode(weights: &[f32], k: usize) -> (Vec<u8>, Vec<f32>) {
    let n = rows(weights, k);
    let (mut codes, mut scales) = (vec![0; weights.len()], vec![0.0; n_scales(n, k)]);
    // SAFETY: n rows of k numbers and codes, and a scale for each of their blocks.
    unsafe { ffi::fp8_encode(weights.as_ptr(), n as i64, k as i64, codes.as_mut_ptr(), scales.as_mut_ptr()) };
    (codes, scales)
}

/// The numbers that codes stand for, without scales.
pub fn decode(codes: &[u8], numbers: &mut [f32]) {
    assert_eq!(codes.len(), numbers.len(), "a number for each code");
    // SAFETY: as many numbers as codes.
    unsafe { ffi::fp8_decode(codes.as_ptr(), codes.len() as i64, numbers.as_mut_ptr()) };
    // The kernels know no NaN, and no code of weights is one that came out of them.
    for (number, _) in numbers.iter_mut().zip(codes).filter(|(_, code)| *code & 0x7f == 0x7f) {
        *number = f32::NAN;
    }
}

#[cfg(test)]
mod tests;
