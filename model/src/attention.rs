//! Causal attention of packed rows and its gradient; attention to the pages of a cache is in `attention/step.rs`.
//!
//! A query's numbers are the same bits in all of them, whatever stands beside it and whoever computes it; how is in
//! `bridge/attention.h`. All arrays are row-major f32.

mod plan;
pub mod step;

use crate::buffer::Buffer;
use crate::team::{self, Cells};
use plan::{Chunks, parts};
use std::ops::Range;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("attention.h");

        #[cxx_name = "AttentionForm"]
        type Form = super::Form;
        unsafe fn attention_forward(
            q: *const f32,
            key: *const f32,
            value: *const f32,
            parts: *const i32,
            form: &Form,
            first: i64,
            last: i64,
            out: *mut f32,
            log_sum: *mut f32,
        );
        fn sum_floats(form: &Form) -> i64;
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
            form: &Form,
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
            form: &Form,
            first: i64,
            last: i64,
            dkey: *mut f32,
            dvalue: *mut f32,
        );
    }
}

/// Positions of a key tile, and of a page of the cache.
pub const TILE: usize = 32;

/// More positions than any sequence has.
const ENDLESS: usize = i32::MAX as usize;

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

impl Segment {
    /// Its own rows.
    pub fn rows(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// What an attention is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// H: query heads, a multiple of `n_kv_heads`.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// K: width of a query and of a key.
    pub head_dim: usize,
    /// Width of a value, and of a head's output.
    pub value_dim: usize,
    /// Whether a value is the first `value_dim` numbers of its key, as where keys are latents (arXiv 2405.04434, §2.1).
    /// There is one key a row then, and no array of values: every `value` is empty.
    pub latent: bool,
    /// What products of queries and keys are multiplied with; more than 0.
    pub scale: f32,
    /// How many positions a query sees, its own the last of them; `None` for all before it.
    pub window: Option<usize>,
}

impl Heads {
    /// Values as wide as keys, and scores divided by √K (arXiv 1706.03762).
    pub fn new(n_heads: usize, n_kv_heads: usize, head_dim: usize) -> Heads {
        let scale = 1.0 / (head_dim as f32).sqrt();
        Heads { n_heads, n_kv_heads, head_dim, value_dim: head_dim, latent: false, scale, window: None }
    }

    /// Numbers in a row's queries, its keys, its values and its output.
    pub fn widths(self) -> Widths {
        let Heads { n_heads, n_kv_heads, head_dim, value_dim, latent, .. } = self;
        Widths {
            q: n_heads * head_dim,
            key: n_kv_heads * head_dim,
            value: if latent { 0 } else { n_kv_heads * value_dim },
            out: n_heads * value_dim,
        }
    }

    fn per_kv(self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Positions that a query sees at most.
    fn reach(self) -> usize {
        self.window.map_or(ENDLESS, |window| window.min(ENDLESS))
    }

    /// As the kernels take it; heads that they cannot take are a mistake of the caller.
    fn form(self) -> Form {
        let Heads { n_heads, n_kv_heads, head_dim, value_dim, latent, scale, window } = self;
        assert!(window != Some(0), "a query sees itself");
        assert!(scale > 0.0, "the largest product is the largest score");
        assert!(!latent || (n_kv_heads == 1 && value_dim <= head_dim), "a latent's first numbers are its value");
        assert!(n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads), "query heads are a multiple of kv heads");
        assert!(n_heads > 0 && head_dim > 0 && value_dim > 0, "heads have a width");
        let [heads, kv_heads, k, v] = [n_heads, n_kv_heads, head_dim, value_dim].map(|n| n as i64);
        Form { heads, kv_heads, k, v, window: self.reach() as i64, latent: latent.into(), scale }
    }
}

/// Numbers in one row of what goes into an attention and comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// H · K.
    pub q: usize,
    /// Kv heads · K.
    pub key: usize,
    /// Kv heads · value width; 0 for latents.
    pub value: usize,
    /// H · value width.
    pub out: usize,
}

/// The bridge's `AttentionForm`.
#[repr(C)]
struct Form {
    heads: i64,
    kv_heads: i64,
    k: i64,
    v: i64,
    window: i64,
    latent: i64,
    scale: f32,
}

// SAFETY: the same fields in C layout, none of which C++ would have to move or destroy.
unsafe impl cxx::ExternType for Form {
    type Id = cxx::type_id!("grouper::AttentionForm");
    type Kind = cxx::kind::Trivial;
}

/// Causal attention over packed rows: q `[N, H, K]`, key `[N, kv heads, K]`, value `[N, kv heads, value width]`. Returns
/// the output `[N, H, value width]` and the log of each softmax's normaliser `[N, H]`. No probability is kept. Rows of no
/// segment are zero.
pub fn attention(q: &[f32], key: &[f32], value: &[f32], segments: &[Segment], heads: Heads) -> (Buffer, Buffer) {
    let n = attention_rows(q, key, value, segments, heads);
    let width = heads.widths().out;
    let (mut out, mut log_sum) = (Buffer::unwritten(n * width), Buffer::unwritten(n * heads.n_heads));
    for rows in gaps(segments, n) {
        out[rows.start * width..rows.end * width].fill(0.0);
        log_sum[rows.start * heads.n_heads..rows.end * heads.n_heads].fill(0.0);
    }
    let form = heads.form();
    let mut parts = parts(segments, heads);
    // Those with most to do first: what is left for the end is small.
    parts.sort_by_key(|part| std::cmp::Reverse(part.work(heads)));
    let (outs, log_sums) = (Cells(out.as_mut_ptr()), Cells(log_sum.as_mut_ptr()));
    team::spread(parts.len() * heads.n_kv_heads, 1, |items| {
        // SAFETY: every part's rows and prefix lie inside n, checked by `attention_rows` with all sizes; `Part` is a
        // row of i32 in C layout. An item's rows and heads are no other item's.
        unsafe {
            ffi::attention_forward(
                q.as_ptr(),
                key.as_ptr(),
                value.as_ptr(),
                parts.as_ptr().cast(),
                &form,
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
    /// Values `[N, kv heads, value width]`.
    pub value: &'a [f32],
    /// The output `[N, H, value width]`.
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
) -> (Buffer, Buffer, Buffer) {
    let AttentionSaved { q, key, value, out, log_sum } = saved;
    let n = attention_rows(q, key, value, segments, heads);
    let width = n * heads.widths().out;
    assert_eq!((d_out.len(), out.len(), log_sum.len()), (width, width, n * heads.n_heads), "saved shapes");
    let chunks = Chunks::new(segments, heads);
    let form = heads.form();
    let mut sums = Buffer::unwritten(sums_len(&chunks, heads));
    let [mut dq, mut dkey, mut dvalue] = [q, key, value].map(|x| Buffer::unwritten(x.len()));
    for rows in gaps(segments, n) {
        let wide = heads.widths().q;
        dq[rows.start * wide..rows.end * wide].fill(0.0);
    }
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
                &form,
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
                &form,
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
    heads.n_kv_heads * chunks.n_sums() * ffi::sum_floats(&heads.form()) as usize
}

/// Runs of `n` rows that no segment has.
fn gaps(segments: &[Segment], n: usize) -> Vec<Range<usize>> {
    let mut taken: Vec<_> = segments.iter().map(Segment::rows).collect();
    taken.sort_by_key(|rows| rows.start);
    taken.push(n..n);
    let mut end = 0;
    let before = taken.into_iter().map(|rows| {
        let gap = end..rows.start;
        end = end.max(rows.end);
        gap
    });
    before.filter(|gap| !gap.is_empty()).collect()
}

fn rows(x: &[f32], width: usize) -> (usize, usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers are not rows of {width}", x.len());
    (x.len() / width, width)
}

fn attention_rows(q: &[f32], key: &[f32], value: &[f32], segments: &[Segment], heads: Heads) -> usize {
    let widths = heads.widths();
    let (n, _) = rows(q, widths.q);
    let shapes = (n * widths.key, n * widths.value);
    assert_eq!((key.len(), value.len()), shapes, "key is [N, kv heads, K], value [N, kv heads, value width]");
    let inside = |start: i32, length: i32| start >= 0 && length >= 0 && start as usize + length as usize <= n;
    assert!(
        segments.iter().all(|s| inside(s.start, s.length) && inside(s.prefix_start, s.prefix_length)),
        "segments lie inside the packed rows"
    );
    n
}

#[cfg(test)]
mod tests;
