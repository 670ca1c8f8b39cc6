//! Matrix products in f32 whose rows keep their bits, by the bridge's own kernels.
//!
//! What they compute and why is in `bridge/product.h`. Each call runs on the thread that makes it, and on those of the
//! team that it leads.

use half::bf16;
use std::ops::Range;

use crate::buffer::Buffer;
use crate::config::Activation;
use crate::kernels;
use crate::team::{self, Cells};

/// From so many rows on threads share a product by rows, below by weights.
const MANY_ROWS: usize = 128;

/// Tiles of rows that are worth a chunk of their own.
const TILES: usize = 3;

/// Rows below which the weights take the time, and not what is multiplied.
const FEW_ROWS: usize = 8;

/// Multiply-adds, divided by a panel's rows, that are worth a chunk of their own: a microsecond.
const PANEL_WORK: usize = 2_000;

/// Those of a chunk where there are more than enough for all threads.
const RUN_WORK: usize = 8_000;

/// Numbers that are worth a chunk of their own where several threads lay out weights.
pub(crate) const PACK_GRAIN: usize = 16_384;

/// Rows of a weight's gradient that make an item; whole tiles on every machine.
pub(crate) const GRADIENT_ROWS: usize = 24;

/// Rows of an input's gradient that pay for laying out a panel of the weights; whole tiles on every machine.
pub(crate) const INPUT_ROWS: usize = 240;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("product.h");

        unsafe fn product_route() -> *const c_char;
        fn panel_rows() -> i64;
        fn tile_rows() -> i64;
        unsafe fn pack_panels(w: *const f32, n: i64, k: i64, panels: *mut f32);
        unsafe fn product_packed(
            x: *const f32,
            panels: *const f32,
            m: i64,
            n: i64,
            k: i64,
            first: i64,
            last: i64,
            then: i64,
            y: *mut f32,
        );
        unsafe fn product_halves(
            x: *const f32,
            panels: *const u16,
            m: i64,
            n: i64,
            k: i64,
            first: i64,
            last: i64,
            y: *mut f32,
        );
        unsafe fn product_input_gradient(
            dy: *const f32,
            w: *const f32,
            m: i64,
            n: i64,
            k: i64,
            first: i64,
            last: i64,
            dx: *mut f32,
        );
        unsafe fn product_weight_gradient(
            dy: *const f32,
            x: *const f32,
            m: i64,
            n: i64,
            k: i64,
            first: i64,
            last: i64,
            dw: *mut f32,
        );
    }
}

/// Which instructions products use on this machine: `avx512`, `avx2` or `sse2`.
pub fn route() -> &'static str {
    // SAFETY: the function returns a string literal of ASCII.
    unsafe { std::ffi::CStr::from_ptr(ffi::product_route()) }.to_str().unwrap_or_default()
}

/// A weight matrix `[N, K]` laid out for products with it.
#[derive(Clone, Debug)]
pub struct Panels {
    numbers: Buffer,
    n: usize,
    k: usize,
}

impl Panels {
    /// Room for a matrix of `n` rows and `k` columns, all zero.
    pub fn new(n: usize, k: usize) -> Panels {
        let rows = n.next_multiple_of(panel_rows());
        Panels { numbers: Buffer::zeros(rows * k), n, k }
    }

    /// Numbers of the matrix.
    pub(crate) fn len(&self) -> usize {
        self.n * self.k
    }

    /// Takes over the weights, `[N, K]` row by row.
    pub fn pack(&mut self, weights: &[f32]) {
        assert_eq!(weights.len(), self.n * self.k, "weights are [N, K]");
        let (rows, k) = (panel_rows(), self.k);
        team::spread_rows(&mut self.numbers, rows * k, PACK_GRAIN.div_ceil(rows * k), |panels, part| {
            pack(&weights[panels.start * rows * k..(panels.end * rows * k).min(weights.len())], k, part);
        });
    }

    /// x · Wᵀ for rows x `[M, K]`: `[M, N]`.
    pub fn product(&self, x: &[f32]) -> Buffer {
        self.product_then(x, |_, _, _| ())
    }

    /// [`Panels::product`], each part of which is given to `then` by the thread that computed it, while it is still in
    /// the cache: which rows, which columns, and where the product lies.
    pub(crate) fn product_then(&self, x: &[f32], then: impl Fn(Range<usize>, Range<usize>, &Cells) + Sync) -> Buffer {
        let m = rows(x, self.k);
        let mut y = Buffer::unwritten(m * self.n);
        let all = Cells(y.as_mut_ptr());
        spread(m, self.k, self.panels(), TILES, |rows, panels, next| {
            self.part(x, rows.clone(), panels.clone(), next, all.at(0));
            then(rows, self.columns(panels), &all);
        });
        y
    }

    /// What [`kernels::gated`] says of the product with weights that are those of the gate `[F, K]`, then those of the
    /// other half: `[M, F]`.
    pub(crate) fn gated_product(&self, activation: Activation, x: &[f32]) -> Buffer {
        let (m, f) = (rows(x, self.k), self.n / 2);
        let half = self.panels() / 2;
        if !f.is_multiple_of(panel_rows()) {
            return kernels::gated(activation, &self.product(x), f);
        }
        let (mut both, mut y) = (Buffer::unwritten(m * self.n), Buffer::unwritten(m * f));
        let (both, y_all) = (Cells(both.as_mut_ptr()), Cells(y.as_mut_ptr()));
        spread(m, self.k, half, TILES, |rows, panels, next| {
            self.part(x, rows.clone(), panels.clone(), Some(panels.start + half), both.at(0));
            self.part(x, rows.clone(), panels.start + half..panels.end + half, next, both.at(0));
            // SAFETY: the two calls above wrote these columns of these rows in both halves; nobody else has them.
            unsafe { kernels::gated_part(activation, both.at(0), f, rows, self.columns(panels), y_all.at(0)) };
        });
        y
    }

    fn panels(&self) -> usize {
        self.n.div_ceil(panel_rows())
    }

    /// Columns of the product that panels compute.
    fn columns(&self, panels: Range<usize>) -> Range<usize> {
        panels.start * panel_rows()..self.n.min(panels.end * panel_rows())
    }

    /// Some rows and panels of the product y; `next` is the panel that is likely to be asked for next.
    fn part(&self, x: &[f32], rows: Range<usize>, panels: Range<usize>, next: Option<usize>, y: *mut f32) {
        let x = &x[rows.start * self.k..rows.end * self.k];
        // SAFETY: the panels are those of an [N, K] matrix, y holds rows of n numbers, of which these are written.
        unsafe { part(x, &self.numbers, [self.n, self.k], panels, next, y.wrapping_add(rows.start * self.n)) };
    }
}

/// Some panels of the product y `[M, N]` of rows x `[M, K]`; `next` is the one that is likely to be asked for next.
///
/// # Safety
/// `numbers` are the panels of an `[N, K]` matrix, and nobody else reads or writes their columns in the rows at `y`.
pub(crate) unsafe fn part(
    x: &[f32],
    numbers: &[f32],
    [n, k]: [usize; 2],
    panels: Range<usize>,
    next: Option<usize>,
    y: *mut f32,
) {
    let m = rows(x, k);
    let [m, n, k, first, last] = [m, n, k, panels.start, panels.end].map(|n| n as i64);
    let next = next.map_or(-1, |next| next as i64);
    // SAFETY: x holds rows of k numbers; as the caller says. What comes next is not read.
    unsafe { ffi::product_packed(x.as_ptr(), numbers.as_ptr(), m, n, k, first, last, next, y) };
}

/// [`part`] with weights in bf16.
///
/// # Safety
/// As of [`part`].
pub(crate) unsafe fn half_part(x: &[f32], numbers: &[bf16], [n, k]: [usize; 2], panels: Range<usize>, y: *mut f32) {
    let m = rows(x, k);
    let [m, n, k, first, last] = [m, n, k, panels.start, panels.end].map(|n| n as i64);
    // SAFETY: as in `part`; a bf16 number is its 16 bits.
    unsafe { ffi::product_halves(x.as_ptr(), numbers.as_ptr().cast(), m, n, k, first, last, y) };
}

/// Lays out rows of `k` weights as panels.
pub(crate) fn pack(weights: &[f32], k: usize, panels: &mut [f32]) {
    let n = rows(weights, k);
    assert!(panels.len() >= n.next_multiple_of(panel_rows()) * k, "room for whole panels");
    // SAFETY: as the line above says.
    unsafe { ffi::pack_panels(weights.as_ptr(), n as i64, k as i64, panels.as_mut_ptr()) };
}

/// Rounds panels to bf16, laid out for [`half_part`].
pub(crate) fn halve(panels: &[f32], to: &mut [bf16]) {
    let width = panel_rows();
    for (to, from) in to.chunks_exact_mut(width).zip(panels.chunks_exact(width)) {
        let (first, second) = from.split_at(width / 2);
        for ((pair, &first), &second) in to.chunks_exact_mut(2).zip(first).zip(second) {
            pair.copy_from_slice(&[first, second].map(bf16::from_f32));
        }
    }
}

/// Calls `work` for parts of a product over `k` numbers that cover `m` rows and so many panels once, with the panel that is
/// likely to come next; where rows are shared, at least `tiles` tiles of them are a part.
pub(crate) fn spread(
    m: usize,
    k: usize,
    panels: usize,
    tiles: usize,
    work: impl Fn(Range<usize>, Range<usize>, Option<usize>) + Sync,
) {
    if m >= MANY_ROWS {
        // Each thread keeps its rows in its cache and goes through all the weights.
        let height = tile_rows();
        team::spread(m.div_ceil(height), tiles, |tiles| {
            work(tiles.start * height..m.min(tiles.end * height), 0..panels, None);
        });
    } else {
        // Each thread goes through neighbouring weights, so that each panel but the first has come into the cache while the
        // one before was computed. Few rows go through several panels at once: they get a share in one piece.
        let (all, share) = (m.max(FEW_ROWS) * k, panels / team::threads());
        let grain = if m < FEW_ROWS { share } else { share.min(RUN_WORK.div_ceil(all)) };
        team::spread_in_runs(panels, grain.max(PANEL_WORK.div_ceil(all)), |panels, next| work(0..m, panels, next));
    }
}

/// Rows of a weight matrix that lie in one panel.
pub(crate) fn panel_rows() -> usize {
    ffi::panel_rows() as usize
}

/// Rows of x that go through a panel together.
pub(crate) fn tile_rows() -> usize {
    ffi::tile_rows() as usize
}

/// dy · W for rows dy `[M, N]` and weights `[N, K]`: the gradient with respect to a product's input, `[M, K]`.
pub fn input_gradient(dy: &[f32], weights: &[f32], k: usize) -> Buffer {
    let n = rows(weights, k);
    let m = rows(dy, n);
    let mut dx = Buffer::unwritten(m * k);
    let all = Cells(dx.as_mut_ptr());
    spread_input_gradient(m, n, k, |rows, panel| {
        let (from, to) = (&dy[rows.start * n..rows.end * n], all.at(rows.start * k));
        // SAFETY: dx holds rows of k numbers from there on, of which nobody else has this panel's.
        unsafe { input_part(from, weights, k, panel..panel + 1, to) };
    });
    dx
}

/// Calls `work` for parts of an input's gradient `[M, K]`, a sum over `n` numbers, that cover it once: some rows, and a
/// panel of its columns.
pub(crate) fn spread_input_gradient(m: usize, n: usize, k: usize, work: impl Fn(Range<usize>, usize) + Sync) {
    let (panels, blocks) = (k.div_ceil(panel_rows()), m.div_ceil(INPUT_ROWS));
    team::spread(panels * blocks, PANEL_WORK.div_ceil(m.clamp(1, INPUT_ROWS) * n), |items| {
        let mut at = items.start;
        while at < items.end {
            // The blocks of one panel's rows.
            let (panel, first) = (at / blocks, at % blocks);
            let last = blocks.min(first + items.end - at);
            work(first * INPUT_ROWS..m.min(last * INPUT_ROWS), panel);
            at += last - first;
        }
    });
}

/// Columns in groups of a panel's rows, those of `panels`, of [`input_gradient`].
///
/// # Safety
/// Nobody else reads or writes these columns in the rows at `dx`.
pub(crate) unsafe fn input_part(dy: &[f32], weights: &[f32], k: usize, panels: Range<usize>, dx: *mut f32) {
    let n = rows(weights, k);
    let m = rows(dy, n);
    let [m, n, k, first, last] = [m, n, k, panels.start, panels.end].map(|n| n as i64);
    // SAFETY: dy holds m × n numbers, weights n × k; as the caller says.
    unsafe { ffi::product_input_gradient(dy.as_ptr(), weights.as_ptr(), m, n, k, first, last, dx) };
}

/// Adds dyᵀ · x for rows dy `[M, N]` and x `[M, K]` to the weights' gradient `[N, K]`.
pub fn add_weight_gradient(dy: &[f32], x: &[f32], k: usize, gradient: &mut [f32]) {
    let n = rows(gradient, k);
    let m = rows(dy, n);
    assert_eq!(rows(x, k), m, "as many rows of dy as of x");
    let all = Cells(gradient.as_mut_ptr());
    team::spread(n.div_ceil(GRADIENT_ROWS), 1, |groups| {
        let part = groups.start * GRADIENT_ROWS..n.min(groups.end * GRADIENT_ROWS);
        // SAFETY: the gradient is [N, K], and nobody else has these rows of it.
        unsafe { weight_part(dy, x, [n, k], part, all.at(0)) };
    });
}

/// Some rows of [`add_weight_gradient`], for a weight `[N, K]`.
///
/// # Safety
/// Nobody else reads or writes these rows of the gradient.
pub(crate) unsafe fn weight_part(dy: &[f32], x: &[f32], [n, k]: [usize; 2], part: Range<usize>, gradient: *mut f32) {
    let m = rows(dy, n);
    assert!(rows(x, k) == m && part.end <= n, "as many rows of dy as of x, and rows of the gradient");
    let [m, n, k, first, last] = [m, n, k, part.start, part.end].map(|n| n as i64);
    // SAFETY: dy holds m × n numbers, x m × k; as the caller says.
    unsafe { ffi::product_weight_gradient(dy.as_ptr(), x.as_ptr(), m, n, k, first, last, gradient) };
}

pub(crate) fn rows(x: &[f32], width: usize) -> usize {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers are not rows of {width}", x.len());
    x.len() / width
}

#[cfg(test)]
mod tests;
