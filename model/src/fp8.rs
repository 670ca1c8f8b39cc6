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

mod stack;
mod tiles;

use std::ops::Range;

use crate::buffer::Buffer;
use crate::config::Activation;
use crate::kernels;
use crate::product::{self, GRADIENT_ROWS, PACK_GRAIN, panel_rows, rows};
use crate::team::{self, Cells};
pub use stack::Fp8Stack;
pub use tiles::Scales;
use tiles::{Tiles, row_chunks, starts, width};

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
        unsafe fn fp8_quantise_columns(
            x: *const f32,
            m: i64,
            k: i64,
            powers: bool,
            numbers: *mut f32,
            scales: *mut f32,
        );
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

/// A weight matrix `[N, K]`, or several above each other, as E4M3 numbers in blocks of 128 × 128, laid out for products
/// with it: a byte a number.
#[derive(Clone, Debug)]
pub struct Fp8Panels {
    codes: Vec<u8>,
    /// A row for each chunk of N.
    scales: Vec<f32>,
    n_starts: Vec<i64>,
    k_starts: Vec<i64>,
    /// Of its inputs' tiles.
    input: Scales,
}

impl Fp8Panels {
    /// Room for matrices of so many rows each and `k` columns, one above the other, all zero. No block is part of two. The
    /// tiles of what is multiplied with them get `input` scales.
    pub fn new(parts: &[usize], k: usize, input: Scales) -> Fp8Panels {
        let (n_starts, k_starts) = (starts(parts), starts(&[k]));
        let bytes = width(&n_starts).next_multiple_of(panel_rows()) * k;
        let scales = vec![1.0; (n_starts.len() - 1) * (k_starts.len() - 1)];
        Fp8Panels { codes: vec![0; bytes], scales, n_starts, k_starts, input }
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
    pub fn product(&self, x: &[f32]) -> Buffer {
        self.product_then(x, |_, _, _| ())
    }

    /// [`Fp8Panels::product`], each part of which is given to `then` by the thread that computed it: which rows, which
    /// columns, and where the product lies.
    pub(crate) fn product_then(&self, x: &[f32], then: impl Fn(Range<usize>, Range<usize>, &Cells) + Sync) -> Buffer {
        let m = rows(x, self.k());
        let x = self.tiles(x);
        let mut y = Buffer::unwritten(m * self.n());
        let all = Cells(y.as_mut_ptr());
        product::spread(m, self.k(), self.panels(), TILES, |rows, panels, _| {
            // SAFETY: the parts that `spread` gives out do not overlap.
            unsafe { self.part(&x, rows.clone(), panels.clone(), &all) };
            then(rows, self.columns(panels), &all);
        });
        y
    }

    /// What [`kernels::gated`] says of the product with weights that are those of the gate `[F, K]`, then those of the
    /// other half: `[M, F]`.
    pub fn gated_product(&self, activation: Activation, x: &[f32]) -> Buffer {
        let (m, f) = (rows(x, self.k()), self.n() / 2);
        if !f.is_multiple_of(panel_rows()) {
            return kernels::gated(activation, &self.product(x), f);
        }
        let x = self.tiles(x);
        let (mut both, mut y) = (Buffer::unwritten(2 * m * f), Buffer::unwritten(m * f));
        let (both, y_all) = (Cells(both.as_mut_ptr()), Cells(y.as_mut_ptr()));
        product::spread(m, self.k(), self.panels() / 2, TILES, |rows, panels, _| {
            // SAFETY: the parts that `spread` gives out do not overlap, and each has its columns of both halves.
            unsafe { self.gated_part(activation, &x, rows, panels, [&both, &y_all]) };
        });
        y
    }

    /// dy · W for rows dy `[M, N]`: the gradient with respect to a product's input, `[M, K]`.
    pub fn input_gradient(&self, dy: &[f32]) -> Buffer {
        let (n, k) = (self.n(), self.k());
        let m = rows(dy, n);
        let dy = self.gradient_tiles(dy);
        let mut dx = Buffer::unwritten(m * k);
        let all = Cells(dx.as_mut_ptr());
        product::spread_input_gradient(m, n, k, |rows, panel| {
            // SAFETY: dx is [M, K], and nobody else has this panel's columns of these rows.
            unsafe { self.input_part(&dy, rows, panel, &all) };
        });
        dx
    }

    /// Adds dyᵀ · x for rows dy `[M, N]` and x `[M, K]`, both in tiles of 128 × 1, to the weights' gradient `[N, K]`.
    pub fn add_weight_gradient(&self, dy: &[f32], x: &[f32], gradient: &mut [f32]) {
        let (n, k) = (self.n(), self.k());
        assert_eq!(gradient.len(), n * k, "a gradient [N, K]");
        let m = rows(dy, n);
        let (dy, x) = column_tiles([dy, x], [n, k], &row_chunks(&[m]).0, self.input);
        let all = Cells(gradient.as_mut_ptr());
        team::spread(n.div_ceil(GRADIENT_ROWS), 1, |groups| {
            let part = groups.start * GRADIENT_ROWS..n.min(groups.end * GRADIENT_ROWS);
            // SAFETY: the gradient is [N, K], and nobody else has these rows of it.
            unsafe { weight_part([&dy, &x], [n, k], 0..m, 0, part, all.at(0)) };
        });
    }

    /// A product's input.
    fn tiles(&self, x: &[f32]) -> Tiles {
        Tiles::of_rows(x, &self.k_starts, self.input)
    }

    /// The gradient of what a product gave.
    fn gradient_tiles(&self, dy: &[f32]) -> Tiles {
        Tiles::of_rows(dy, &self.n_starts, Scales::Largest)
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
    ///
    /// # Safety
    /// `y` is `[M, N]`, and nobody else reads or writes these columns of these rows.
    unsafe fn part(&self, x: &Tiles, rows: Range<usize>, panels: Range<usize>, y: &Cells) {
        let tiles = self.k_starts.len() - 1;
        let (from, scales) = (x.numbers[rows.start * self.k()..].as_ptr(), x.scales[rows.start * tiles..].as_ptr());
        let [m, first, last] = [rows.len(), panels.start, panels.end].map(|n| n as i64);
        let y = y.at(rows.start * self.n());
        // SAFETY: x holds rows of k numbers and the scales of their tiles; as the caller says.
        unsafe { ffi::fp8_product(from, scales, &self.weights(), m, first, last, y) };
    }

    /// Some rows of the gated product, and the columns that panels of the gate have: in `both` halves, then in y.
    ///
    /// # Safety
    /// `both` is `[M, 2F]`, y `[M, F]`, and nobody else reads or writes these columns of these rows.
    unsafe fn gated_part(
        &self,
        activation: Activation,
        x: &Tiles,
        rows: Range<usize>,
        panels: Range<usize>,
        [both, y]: [&Cells; 2],
    ) {
        let (f, half) = (self.n() / 2, self.panels() / 2);
        // SAFETY: as the caller says.
        unsafe {
            self.part(x, rows.clone(), panels.clone(), both);
            self.part(x, rows.clone(), panels.start + half..panels.end + half, both);
            kernels::gated_part(activation, both.at(0), f, rows, self.columns(panels), y.at(0));
        }
    }

    /// Some rows and a panel's columns of the input's gradient.
    ///
    /// # Safety
    /// `dx` is `[M, K]`, and nobody else reads or writes these columns of these rows.
    unsafe fn input_part(&self, dy: &Tiles, rows: Range<usize>, panel: usize, dx: &Cells) {
        let tiles = self.n_starts.len() - 1;
        let (from, scales) = (dy.numbers[rows.start * self.n()..].as_ptr(), dy.scales[rows.start * tiles..].as_ptr());
        let ([m, first, last], to) = ([rows.len(), panel, panel + 1].map(|n| n as i64), dx.at(rows.start * self.k()));
        // SAFETY: dy holds rows of n numbers and the scales of their tiles; as the caller says.
        unsafe { ffi::fp8_input_gradient(from, scales, &self.weights(), m, first, last, to) };
    }
}

/// dy `[M, N]` and x `[M, K]` in tiles of 128 × 1, those of x with `input` scales.
fn column_tiles([dy, x]: [&[f32]; 2], [n, k]: [usize; 2], chunks: &[Range<usize>], input: Scales) -> (Tiles, Tiles) {
    assert_eq!(rows(dy, n), rows(x, k), "as many rows of dy as of x");
    (Tiles::of_columns(dy, n, chunks, Scales::Largest), Tiles::of_columns(x, k, chunks, input))
}

/// Adds dyᵀ · x for some rows, the first of which begins chunk `chunk`, to a part of the rows of a gradient `[N, K]`.
///
/// # Safety
/// The gradient is there, and nobody else reads or writes these rows of it.
unsafe fn weight_part(
    [dy, x]: [&Tiles; 2],
    [n, k]: [usize; 2],
    rows: Range<usize>,
    chunk: usize,
    part: Range<usize>,
    gradient: *mut f32,
) {
    let numbers = [dy.numbers[rows.start * n..].as_ptr(), x.numbers[rows.start * k..].as_ptr()];
    let scales = [dy.scales[chunk * n..].as_ptr(), x.scales[chunk * k..].as_ptr()];
    let [m, n, k, first, last] = [rows.len(), n, k, part.start, part.end].map(|n| n as i64);
    // SAFETY: dy holds rows of n numbers, x of k, both with the scales of their chunks; as the caller says.
    unsafe {
        ffi::fp8_weight_gradient(numbers[0], scales[0], numbers[1], scales[1], m, n, k, first, last, gradient);
    }
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
