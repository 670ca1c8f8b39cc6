//! The CPU kernels that sampler and trainer share, with their shapes checked.
//!
//! Every output row depends on its own inputs alone, through one fixed sequence of operations, so its bits do not
//! change with the number of rows in a call or the threads that share it. What they compute is in
//! `bridge/kernels.h`. All arrays are row-major f32.

use crate::attention::step::Angles;
use crate::buffer::Buffer;
use crate::config::Activation;
use crate::team::{self, Cells};
use std::ops::Range;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("kernels.h");

        unsafe fn rms_norm_forward(
            x: *const f32,
            w: *const f32,
            offset: f32,
            eps: f32,
            n: i64,
            d: i64,
            y: *mut f32,
            rstd: *mut f32,
        );
        unsafe fn rms_norm_backward(
            dy: *const f32,
            x: *const f32,
            w: *const f32,
            offset: f32,
            rstd: *const f32,
            n: i64,
            d: i64,
            dx: *mut f32,
        );
        unsafe fn rms_norm_weight_gradient(
            dy: *const f32,
            x: *const f32,
            rstd: *const f32,
            n: i64,
            d: i64,
            first: i64,
            last: i64,
            dw: *mut f32,
        );
        unsafe fn gated_forward(
            activation: i32,
            gate: *const f32,
            up: *const f32,
            n: i64,
            step: i64,
            f: i64,
            y: *mut f32,
            y_step: i64,
        );
        unsafe fn gated_backward(activation: i32, dy: *mut f32, gate_up: *mut f32, n: i64, f: i64);
        unsafe fn rope(
            neighbours: bool,
            x: *const f32,
            x_step: i64,
            position: *const i32,
            cosine: *const f32,
            sine: *const f32,
            direction: f32,
            n: i64,
            heads: i64,
            k: i64,
            from: i64,
            width: i64,
            y: *mut f32,
            y_step: i64,
        );
        unsafe fn token_logprobs_forward(
            logits: *const f32,
            target: *const i64,
            inverse_temperature: f32,
            n: i64,
            v: i64,
            vocabulary: i64,
            logprob: *mut f32,
            entropy: *mut f32,
            log_normaliser: *mut f32,
        );
        unsafe fn token_logprobs_backward(
            logits: *mut f32,
            target: *const i64,
            weight: *const f32,
            log_normaliser: *const f32,
            inverse_temperature: f32,
            n: i64,
            v: i64,
            vocabulary: i64,
        );
    }
}

/// Numbers that a kernel reads and writes in some microseconds: what is worth a chunk of its own.
const GRAIN: usize = 8_192;

/// The same for a norm, which goes through each row twice, one sum after the other.
const NORM_GRAIN: usize = 2_048;

/// Columns of a norm's gradient that make an item: a cache line's.
const LINE: usize = 16;

/// Rows of `width` numbers that are worth a chunk of their own.
fn row_grain(width: usize) -> usize {
    GRAIN.div_ceil(width.max(1))
}

/// RMSNorm of each row (Zhang and Sennrich 2019) with weights to which `offset` is added in f32 (1 in Gemma, 0 elsewhere);
/// returns y `[N, D]` and the reciprocal roots `[N]`.
pub fn rms_norm(x: &[f32], weight: &[f32], offset: f32, eps: f32) -> (Buffer, Buffer) {
    let (n, d) = rows(x, weight.len());
    let (mut y, mut rstd) = (Buffer::unwritten(n * d), Buffer::unwritten(n));
    let roots = Cells(rstd.as_mut_ptr());
    team::spread_rows(&mut y, d, NORM_GRAIN.div_ceil(d), |rows, y| {
        let x = &x[rows.start * d..rows.end * d];
        let (n, d, rstd) = (rows.len() as i64, d as i64, roots.at(rows.start));
        // SAFETY: x and y hold n × d numbers, weight d, rstd n from here on, which no other thread writes.
        unsafe { ffi::rms_norm_forward(x.as_ptr(), weight.as_ptr(), offset, eps, n, d, y.as_mut_ptr(), rstd) };
    });
    (y, rstd)
}

/// Gradients of [`rms_norm`]: returns dx `[N, D]`, added to `onto` if there is one, and adds to `dweight` `[D]`.
pub fn rms_norm_backward(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    offset: f32,
    rstd: &[f32],
    onto: Option<&[f32]>,
    dweight: &mut [f32],
) -> Buffer {
    let (n, d) = rows(x, weight.len());
    assert_eq!((dy.len(), rstd.len(), dweight.len()), (n * d, n, d), "shapes of an RMSNorm's gradient");
    assert!(onto.is_none_or(|onto| onto.len() == n * d), "what a gradient is added to has its shape");
    let mut dx = Buffer::unwritten(n * d);
    team::spread_rows(&mut dx, d, row_grain(d), |rows, dx| {
        // Some rows at a time, which stay near until something is added to them.
        for (first, dx) in rows.step_by(row_grain(d)).zip(dx.chunks_mut(row_grain(d) * d)) {
            let part = first * d..first * d + dx.len();
            let (dy, x, rstd) = (&dy[part.clone()], &x[part.clone()], &rstd[first..][..dx.len() / d]);
            let (n, d, w) = (rstd.len() as i64, d as i64, weight.as_ptr());
            // SAFETY: dy, x and dx are n rows of d numbers, as many as the weight has, and rstd has one for each.
            unsafe {
                ffi::rms_norm_backward(dy.as_ptr(), x.as_ptr(), w, offset, rstd.as_ptr(), n, d, dx.as_mut_ptr());
            }
            if let Some(onto) = onto {
                dx.iter_mut().zip(&onto[part]).for_each(|(to, from)| *to += from);
            }
        }
    });
    // A column's sum goes through the rows in order, so threads share the columns.
    let all = Cells(dweight.as_mut_ptr());
    team::spread(d.div_ceil(LINE), GRAIN.div_ceil(LINE * n.max(1)), |lines| {
        let (first, last) = ((lines.start * LINE) as i64, d.min(lines.end * LINE) as i64);
        let (n, d) = (n as i64, d as i64);
        // SAFETY: as above; no other thread writes these columns.
        unsafe {
            ffi::rms_norm_weight_gradient(dy.as_ptr(), x.as_ptr(), rstd.as_ptr(), n, d, first, last, all.at(0));
        }
    });
    dx
}

impl Activation {
    /// The bridge's number for it.
    fn number(self) -> i32 {
        match self {
            Activation::Silu => 0,
            Activation::GeluTanh => 1,
        }
    }
}

/// `activation(gate) · up` (GLU variants, arXiv 2002.05202) for rows that hold gate `[F]` then up `[F]`; returns `[N, F]`.
pub fn gated(activation: Activation, gate_up: &[f32], ffn_dim: usize) -> Buffer {
    let (n, width) = rows(gate_up, 2 * ffn_dim);
    let mut y = Buffer::unwritten(n * ffn_dim);
    team::spread_rows(&mut y, ffn_dim, row_grain(width), |rows, y| {
        let (gate, up) = (&gate_up[rows.start * width..], &gate_up[rows.start * width + ffn_dim..]);
        let (n, step, f) = (rows.len() as i64, width as i64, ffn_dim as i64);
        // SAFETY: the part has that many rows, gate_up as many from here on.
        unsafe {
            ffi::gated_forward(activation.number(), gate.as_ptr(), up.as_ptr(), n, step, f, y.as_mut_ptr(), f);
        }
    });
    y
}

/// Some columns of some rows of [`gated`].
///
/// # Safety
/// Rows of gate and up are `[N, 2F]`, of y `[N, F]`; nobody else reads or writes these columns.
pub(crate) unsafe fn gated_part(
    activation: Activation,
    gate_up: *const f32,
    ffn_dim: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    y: *mut f32,
) {
    let gate = gate_up.wrapping_add(rows.start * 2 * ffn_dim + columns.start);
    let (up, y) = (gate.wrapping_add(ffn_dim), y.wrapping_add(rows.start * ffn_dim + columns.start));
    let (n, step, f) = (rows.len() as i64, 2 * ffn_dim as i64, columns.len() as i64);
    // SAFETY: as the caller says.
    unsafe { ffi::gated_forward(activation.number(), gate, up, n, step, f, y, ffn_dim as i64) };
}

/// Turns `gate_up` `[N, 2F]` into the gradient of [`gated`] with respect to it, given that of its output, `dy` `[N, F]`;
/// and `dy` into that output, bit for bit, which the product behind it needs for its own gradient.
pub fn gated_backward(activation: Activation, dy: &mut [f32], gate_up: &mut [f32], ffn_dim: usize) {
    let (n, width) = rows(gate_up, 2 * ffn_dim);
    assert_eq!(dy.len(), n * ffn_dim, "dy is [N, F]");
    let dy = Cells(dy.as_mut_ptr());
    team::spread_rows(gate_up, width, row_grain(width), |rows, gate_up| {
        let (dy, n, f) = (dy.at(rows.start * ffn_dim), rows.len() as i64, ffn_dim as i64);
        // SAFETY: the part has n rows, dy as many from here on, which no other thread touches.
        unsafe { ffi::gated_backward(activation.number(), dy, gate_up.as_mut_ptr(), n, f) };
    });
}

/// The direction of a rotation by [`rope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// By the position's angle.
    Forward,
    /// Back by it: the gradient.
    Backward,
}

/// Which columns of a head rotate (RoPE, arXiv 2104.09864), and how they are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotary {
    /// Numbers from one head of a row to the next.
    pub head_dim: usize,
    /// The first column of a head that rotates.
    pub from: usize,
    /// Columns that rotate: an even number.
    pub width: usize,
    /// Whether a pair is two neighbours, as in DeepSeek's checkpoints, and not a column of each half. They stay neighbours:
    /// where queries and keys have one order of columns, scores do not depend on it.
    pub interleaved: bool,
}

impl Rotary {
    /// All of a head, in halves.
    pub fn halves(head_dim: usize) -> Rotary {
        Rotary { head_dim, from: 0, width: head_dim, interleaved: false }
    }
}

/// Rotates columns of every head by the angle of its row's position, in place. x is `[N, heads, head_dim]`, the tables are
/// `[positions, width / 2]`.
pub fn rope(x: &mut [f32], positions: &[i32], cosine: &[f32], sine: &[f32], rotary: Rotary, to: Rotation) {
    let row = x.len() / positions.len().max(1);
    assert_eq!(x.len(), row * positions.len(), "rows are [heads, K]");
    team::spread_rows(x, row, row_grain(row), |rows, x| {
        let x = Cells(x.as_mut_ptr());
        let angles = Angles { cosine, sine };
        // SAFETY: the part holds so many rows.
        unsafe { rope_columns((x.at(0), row), &positions[rows], angles, rotary, to, row, (x.at(0), row)) };
    });
}

/// [`rope`] of `heads · K` columns of rows, from one array to another or in place; each comes with the numbers from one of
/// its rows to the next. What of a head does not rotate is not written.
///
/// # Safety
/// Both arrays have these columns in as many rows as there are positions, and nobody else writes those or reads the latter.
pub(crate) unsafe fn rope_columns(
    (x, x_step): (*const f32, usize),
    positions: &[i32],
    Angles { cosine, sine }: Angles<'_>,
    rotary: Rotary,
    to: Rotation,
    columns: usize,
    (y, y_step): (*mut f32, usize),
) {
    let Rotary { head_dim, from, width, interleaved } = rotary;
    assert!(width.is_multiple_of(2) && from + width <= head_dim, "pairs of a head's columns rotate");
    assert!(columns.is_multiple_of(head_dim), "columns are [heads, K]");
    let table = cosine.len().checked_div(width / 2).unwrap_or(usize::MAX);
    assert_eq!(cosine.len(), sine.len(), "both tables have one shape");
    assert!(positions.iter().all(|&p| p >= 0 && (p as usize) < table), "positions lie inside the tables");
    let direction = if to == Rotation::Forward { 1.0 } else { -1.0 };
    let [n, heads, k] = [positions.len(), columns / head_dim, head_dim].map(|n| n as i64);
    let [from, width, x_step, y_step] = [from, width, x_step, y_step].map(|n| n as i64);
    let (at, cosine, sine) = (positions.as_ptr(), cosine.as_ptr(), sine.as_ptr());
    // SAFETY: as the caller says; from + width ≤ K, and every position has its row in both tables. A pair is read before
    // it is written.
    unsafe { ffi::rope(interleaved, x, x_step, at, cosine, sine, direction, n, heads, k, from, width, y, y_step) };
}

/// What [`token_logprobs`] says of each row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLogprobs {
    /// Natural log of the target's probability, `[N]`.
    pub logprobs: Vec<f32>,
    /// Entropy of the row's distribution in nats, `[N]`.
    pub entropies: Vec<f32>,
    /// Log of the softmax's normaliser, `[N]`; what the gradient needs.
    pub log_normalisers: Vec<f32>,
}

impl TokenLogprobs {
    /// Adds the rows of `more` behind these.
    pub(crate) fn extend(&mut self, more: TokenLogprobs) {
        self.logprobs.extend(more.logprobs);
        self.entropies.extend(more.entropies);
        self.log_normalisers.extend(more.log_normalisers);
    }
}

/// Log-probabilities of `targets` under softmax(logits / temperature) over the first `vocabulary` of V ids.
pub fn token_logprobs(logits: &[f32], targets: &[i64], temperature: f32, vocabulary: usize) -> TokenLogprobs {
    let (n, v) = logit_shape(logits, targets, vocabulary);
    let mut out = TokenLogprobs { logprobs: vec![0.0; n], entropies: vec![0.0; n], log_normalisers: vec![0.0; n] };
    let [logprobs, entropies, normalisers] =
        [&mut out.logprobs, &mut out.entropies, &mut out.log_normalisers].map(|numbers| Cells(numbers.as_mut_ptr()));
    team::spread(n, row_grain(v), |rows| {
        let at = rows.start;
        // SAFETY: from `at` on logits hold the part's rows of v numbers, the results as many, which no other thread
        // writes; vocabulary ≤ v, every target lies below vocabulary.
        unsafe {
            ffi::token_logprobs_forward(
                logits[at * v..].as_ptr(),
                targets[at..].as_ptr(),
                1.0 / temperature,
                rows.len() as i64,
                v as i64,
                vocabulary as i64,
                logprobs.at(at),
                entropies.at(at),
                normalisers.at(at),
            );
        }
    });
    out
}

/// The log-probability that [`token_logprobs`] gives `target` under one row of logits.
pub fn token_logprob(logits: &[f32], target: u32, temperature: f32, vocabulary: usize) -> f32 {
    let target = i64::from(target);
    let (_, v) = logit_shape(logits, &[target], vocabulary);
    let (mut logprob, mut entropy, mut normaliser) = (0.0, 0.0, 0.0);
    let (v, vocabulary) = (v as i64, vocabulary as i64);
    // SAFETY: one row of v logits, one target below vocabulary ≤ v, one number of each result.
    unsafe {
        let (row, scale) = (logits.as_ptr(), 1.0 / temperature);
        ffi::token_logprobs_forward(row, &target, scale, 1, v, vocabulary, &mut logprob, &mut entropy, &mut normaliser);
    }
    logprob
}

/// Turns `logits` into the gradient of `Σ weight · logprob`, in place.
pub fn token_logprobs_backward(
    logits: &mut [f32],
    targets: &[i64],
    weights: &[f32],
    log_normalisers: &[f32],
    temperature: f32,
    vocabulary: usize,
) {
    let (n, v) = logit_shape(logits, targets, vocabulary);
    assert_eq!((weights.len(), log_normalisers.len()), (n, n), "one weight and one normaliser a row");
    team::spread_rows(logits, v, row_grain(v), |rows, logits| {
        let at = rows.start;
        // SAFETY: as in `token_logprobs`.
        unsafe {
            ffi::token_logprobs_backward(
                logits.as_mut_ptr(),
                targets[at..].as_ptr(),
                weights[at..].as_ptr(),
                log_normalisers[at..].as_ptr(),
                1.0 / temperature,
                rows.len() as i64,
                v as i64,
                vocabulary as i64,
            );
        }
    });
}

fn rows(x: &[f32], width: usize) -> (usize, usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers are not rows of {width}", x.len());
    (x.len() / width, width)
}

fn logit_shape(logits: &[f32], targets: &[i64], vocabulary: usize) -> (usize, usize) {
    let n = targets.len();
    let v = logits.len().checked_div(n).unwrap_or(vocabulary);
    assert!(logits.len() == n * v && vocabulary <= v && vocabulary > 0, "logits are [N, V], V ≥ vocabulary");
    assert!(targets.iter().all(|&t| t >= 0 && (t as usize) < vocabulary), "targets lie inside the vocabulary");
    (n, v)
}

#[cfg(test)]
pub(crate) mod tests;
