//! Causal attention of packed rows and its gradient; attention to the pages of a cache is in `attention/step.rs`.
//!
//! A query's numbers are the same bits in all of them, whatever stands beside it and whoever computes it; how is in
//! `bridge/attention.h`. All arrays are row-major f32.

mod plan;
pub mod step;

use crate::buffer::Buffer;
use crate::team::{self, Cells};
use plan::{Chunks, parts};

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("attention.h");

        unsafe fn attention_forward(
            q: *const f32,
            key: *const f32,
            value: *const f32,
            parts: *const i32,
            heads: i64,
            kv_heads: i64,
            k: i64,
            scale: f32,
            first: i64,
            last: i64,
            out: *mut f32,
            log_sum: *mut f32,
        );
        fn padded_width(k: i64) -> i64;
        unsafe fn attention_backward(
            d_out: *const f32,
            q: *const f32,
            key: *const f32,
            value: *const f32,
            out: *const f32,
            log_sum: *const f32,
            parts: *const i32,
            ends: *const i32,
            sum_ends: *const i32,
            n_sums: i64,
            heads: i64,
            kv_heads: i64,
            k: i64,
            scale: f32,
            first: i64,
            last: i64,
            dq: *mut f32,
            sums: *mut f32,
        );
        unsafe fn attention_collect(
            sums: *const f32,
            spans: *const i32,
            n_spans: i64,
            n_sums: i64,
            kv_heads: i64,
            k: i64,
            first: i64,
            last: i64,
            dkey: *mut f32,
            dvalue: *mut f32,
        );
    }
}

/// Positions of a key tile, and of a page of the cache.
pub const TILE: usize = 32;

/// Rows of keys whose gradients are collected by one thread at a time.
const COLLECT_GRAIN: usize = 64;

/// A run of packed rows that attend to a shared prefix and then to themselves, causally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first own row.
    pub start: i32,
    /// Its own rows.
    pub length: i32,
    /// First row of the prompt before it.
    pub prefix_start: i32,
    /// Rows of the prompt before it; 0 for none.
    pub prefix_length: i32,
}

/// Widths of an attention: query heads, key and value heads, width of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// H: query heads, a multiple of `n_kv_heads`.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// K: width of a head.
    pub head_dim: usize,
}

impl Heads {
    fn per_kv(self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Heads, kv heads and K, as the kernels take them.
    fn sizes(self) -> (i64, i64, i64) {
        (self.n_heads as i64, self.n_kv_heads as i64, self.head_dim as i64)
    }
}

/// Causal attention over packed rows: q `[N, H, K]`, key and value `[N, kv heads, K]`. Returns the output
/// `[N, H, K]` and the log of each softmax's normaliser `[N, H]`. No probability is kept. Rows of no segment are zero.
pub fn attention(
    q: &[f32],
    key: &[f32],
    value: &[f32],
    segments: &[Segment],
    heads: Heads,
    scale: f32,
) -> (Buffer, Buffer) {
    let n = attention_rows(q, key, value, segments, heads);
    let (mut out, mut log_sum) = (Buffer::cleared(q.len()), Buffer::cleared(n * heads.n_heads));
    let mut parts = parts(segments, heads.per_kv());
    // Those with most to do first: what is left for the end is small.
    parts.sort_by_key(|part| std::cmp::Reverse(part.work()));
    let (outs, log_sums) = (Cells(out.as_mut_ptr()), Cells(log_sum.as_mut_ptr()));
    team::spread(parts.len() * heads.n_kv_heads, 1, |items| {
        let (n_heads, kv_heads, k) = heads.sizes();
        // SAFETY: every part's rows and prefix lie inside n, checked by `attention_rows` with all sizes; `Part` is a
        // row of i32 in C layout. An item's rows and heads are no other item's.
        unsafe {
            ffi::attention_forward(
                q.as_ptr(),
                key.as_ptr(),
                value.as_ptr(),
                parts.as_ptr().cast(),
                n_heads,
                kv_heads,
                k,
                scale,
                items.start as i64,
                items.end as i64,
                outs.at(0),
                log_sums.at(0),
            );
        }
    });
    (out, log_sum)
}

/// What [`attention_backward`] needs of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSaved<'a> {
    /// Queries `[N, H, K]`.
    pub q: &'a [f32],
    /// Keys `[N, kv heads, K]`.
    pub key: &'a [f32],
    /// Values `[N, kv heads, K]`.
    pub value: &'a [f32],
    /// The output `[N, H, K]`.
    pub out: &'a [f32],
    /// Log-normalisers `[N, H]`.
    pub log_sum: &'a [f32],
}

/// Gradients (dq, dkey, dvalue) of [`attention`]; scores are computed again tile by tile (FlashAttention-2,
/// arXiv 2307.08691).
///
/// A key's gradient comes from all queries behind it. So queries are cut into chunks that depend on the segments alone,
/// each chunk adds up what it has for every key that it sees, and those sums are added in the order of the chunks.
pub fn attention_backward(
    d_out: &[f32],
    saved: AttentionSaved<'_>,
    segments: &[Segment],
    heads: Heads,
    scale: f32,
) -> (Buffer, Buffer, Buffer) {
    let AttentionSaved { q, key, value, out, log_sum } = saved;
    let n = attention_rows(q, key, value, segments, heads);
    assert_eq!((d_out.len(), out.len(), log_sum.len()), (q.len(), q.len(), n * heads.n_heads), "saved shapes");
    let chunks = Chunks::new(segments, heads);
    let (n_heads, kv_heads, k) = heads.sizes();
    let mut sums = Buffer::unwritten(sums_len(&chunks, heads));
    let (mut dq, mut dkey, mut dvalue) =
        (Buffer::cleared(q.len()), Buffer::unwritten(key.len()), Buffer::unwritten(value.len()));
    let (dqs, all_sums) = (Cells(dq.as_mut_ptr()), Cells(sums.as_mut_ptr()));
    team::spread(chunks.ends.len() * heads.n_kv_heads, 1, |items| {
        // SAFETY: as in `attention`; a chunk's sums of one head are no other item's.
        unsafe {
            ffi::attention_backward(
                d_out.as_ptr(),
                q.as_ptr(),
                key.as_ptr(),
                value.as_ptr(),
                out.as_ptr(),
                log_sum.as_ptr(),
                chunks.parts.as_ptr().cast(),
                chunks.ends.as_ptr(),
                chunks.sum_ends.as_ptr(),
                chunks.n_sums() as i64,
                n_heads,
                kv_heads,
                k,
                scale,
                items.start as i64,
                items.end as i64,
                dqs.at(0),
                all_sums.at(0),
            );
        }
    });
    let (dkeys, dvalues) = (Cells(dkey.as_mut_ptr()), Cells(dvalue.as_mut_ptr()));
    team::spread(n, COLLECT_GRAIN, |rows| {
        let (first, last) = (rows.start as i64, rows.end as i64);
        // SAFETY: spans lie inside the sums, and their rows inside n; nobody else writes these rows.
        unsafe {
            ffi::attention_collect(
                sums.as_ptr(),
                chunks.spans.as_ptr().cast(),
                chunks.spans.len() as i64,
                chunks.n_sums() as i64,
                kv_heads,
                k,
                first,
                last,
                dkeys.at(0),
                dvalues.at(0),
            );
        }
    });
    (dq, dkey, dvalue)
}

/// Numbers that [`attention_backward`] adds up in for the gradients of keys and values, beside what it returns. Of one
/// long segment they are proportional to its length.
pub fn backward_sums(segments: &[Segment], heads: Heads) -> usize {
    sums_len(&Chunks::new(segments, heads), heads)
}

fn sums_len(chunks: &Chunks, heads: Heads) -> usize {
    let (_, kv_heads, k) = heads.sizes();
    kv_heads as usize * 2 * chunks.n_sums() * ffi::padded_width(k) as usize
}

fn rows(x: &[f32], width: usize) -> (usize, usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers are not rows of {width}", x.len());
    (x.len() / width, width)
}

fn attention_rows(q: &[f32], key: &[f32], value: &[f32], segments: &[Segment], heads: Heads) -> usize {
    let Heads { n_heads, n_kv_heads, head_dim } = heads;
    assert!(n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads), "query heads are a multiple of kv heads");
    let (n, _) = rows(q, n_heads * head_dim);
    let width = n * n_kv_heads * head_dim;
    assert_eq!((key.len(), value.len()), (width, width), "key and value are [N, kv heads, K]");
    let inside = |start: i32, length: i32| start >= 0 && length >= 0 && start as usize + length as usize <= n;
    assert!(
        segments.iter().all(|s| inside(s.start, s.length) && inside(s.prefix_start, s.prefix_length)),
        "segments lie inside the packed rows"
    );
    n
}

#[cfg(test)]
mod tests;
