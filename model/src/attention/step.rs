//! Attention of a decoding step to the pages of a cache.
//!
//! A query's numbers are the bits that [`super::attention`] gives it. How pages are laid out is in `bridge/attention.h`.

use super::{Form, Heads, TILE};
use crate::buffer::Buffer;
use crate::team::{self, Cells};
use std::marker::PhantomData;
use std::ptr::null;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub, clippy::too_many_arguments)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("attention.h");

        #[cxx_name = "AttentionForm"]
        type Form = super::Form;
        fn page_floats(form: &Form) -> i64;
        unsafe fn page_write(
            key: *const f32,
            value: *const f32,
            page: *const i32,
            slot: *const i32,
            n: i64,
            form: &Form,
            stride: i64,
            layer: i64,
            arena: *mut f32,
        );
        type StepPointers = super::StepPointers;
        unsafe fn attention_step(
            rows: &StepPointers,
            form: &Form,
            cosine: *const f32,
            sine: *const f32,
            arena: *mut f32,
            stride: i64,
            layer: i64,
            first: i64,
            last: i64,
            out: *mut f32,
        );
    }
}

/// The bridge's struct of the same name.
#[repr(C)]
struct StepPointers {
    q: *const f32,
    key: *const f32,
    value: *const f32,
    q_step: i64,
    key_step: i64,
    value_step: i64,
    position: *const i32,
    starts: *const i32,
    pages: *const i32,
    sequences: i64,
    max_pages: i64,
    shares: i64,
}

// SAFETY: threads only read what the pointers point at.
unsafe impl Sync for StepPointers {}

// SAFETY: the same fields in C layout, none of which C++ would have to move or destroy.
unsafe impl cxx::ExternType for StepPointers {
    type Id = cxx::type_id!("grouper::StepPointers");
    type Kind = cxx::kind::Trivial;
}

/// Positions of one kv head that are worth a chunk of a decoding step: some microseconds.
const STEP_GRAIN: usize = 256;

/// Heads that are worth an item of their own where keys are latents: the lanes of the widest vectors.
const SHARE: usize = 16;

/// All pages of a cache.
#[derive(Debug)]
pub struct Pages<'a> {
    numbers: *mut f32,
    len: usize,
    stride: usize,
    /// The layer whose share is a page's first.
    first: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]`, and reads of it change nothing.
unsafe impl Send for Pages<'_> {}
// SAFETY: as above.
unsafe impl Sync for Pages<'_> {}

impl<'a> Pages<'a> {
    /// The pages in `numbers`, each of `stride` numbers for all layers together.
    pub fn new(numbers: &'a mut [f32], stride: usize) -> Pages<'a> {
        Pages { numbers: numbers.as_mut_ptr(), len: numbers.len(), stride, first: 0, borrowed: PhantomData }
    }

    /// The same pages, of layers from `first` on.
    pub(crate) fn beginning_at(self, first: usize) -> Pages<'a> {
        Pages { first, ..self }
    }

    /// The same pages, for another thread.
    ///
    /// # Safety
    /// While two threads have them, each writes and reads no page that the other writes.
    pub(crate) unsafe fn again(&self) -> Pages<'_> {
        Pages { borrowed: PhantomData, ..*self }
    }
}

/// Some columns of an array of rows.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The array from the first row's first such column on.
    pub numbers: &'a [f32],
    /// Numbers from one row to the next.
    pub step: usize,
}

impl Columns<'_> {
    /// Whether there are `n` rows of `width` columns.
    fn hold(self, n: usize, width: usize) -> bool {
        n == 0 || (width <= self.step && (n - 1) * self.step + width <= self.numbers.len())
    }
}

/// The rows of a decoding step, as the projections leave them.
#[derive(Clone, Copy, Debug)]
pub struct StepRows<'a> {
    /// Queries, H · K columns.
    pub q: Columns<'a>,
    /// Keys, kv heads · K columns.
    pub key: Columns<'a>,
    /// Values, kv heads · value width columns.
    pub value: Columns<'a>,
    /// Where each row stands in its sequence, `[N]`.
    pub positions: &'a [i32],
    /// Where the rows of each sequence begin, and N: `[sequences + 1]`.
    pub starts: &'a [i32],
    /// Indices of each row's pages, `[N, max pages]`. Pages that rows are written to belong to one sequence.
    pub table: &'a [i32],
}

/// Cosines and sines of every position, `[positions, K / 2]`.
#[derive(Clone, Copy, Debug)]
pub struct Angles<'a> {
    /// Cosines.
    pub cosine: &'a [f32],
    /// Sines.
    pub sine: &'a [f32],
}

/// Numbers in one layer's share of a page.
pub fn page_floats(heads: Heads) -> usize {
    ffi::page_floats(&heads.form()) as usize
}

/// Rotates queries and keys of a decoding step if there are angles (for latents there are none), writes keys and values into the pages, and attends to
/// the positions that each row sees. Returns `[padded, H, value width]`, of which rows past the step's are zeros. Bit
/// for bit what [`crate::kernels::rope`] and [`crate::attention::attention`] give such a row.
pub fn attention_step(
    rows: &StepRows<'_>,
    pages: &mut Pages<'_>,
    layer: usize,
    angles: Option<Angles<'_>>,
    heads: Heads,
    padded: usize,
) -> Buffer {
    let StepRows { q, key, value, positions, starts, table } = *rows;
    let (n, sequences, stride) = (positions.len(), starts.len() - 1, pages.stride);
    let layer = layer - pages.first;
    let max_pages = table.len().checked_div(n).unwrap_or(0);
    let (form, widths) = (heads.form(), heads.widths());
    assert!(n <= padded && table.len() == n * max_pages, "one row of the table a position");
    assert!(
        q.hold(n, widths.q) && key.hold(n, widths.key) && value.hold(n, widths.value),
        "one query, key and value a position"
    );
    assert!((layer + 1) * page_floats(heads) <= stride, "a page holds the layer");
    let inside = |&page: &i32| page >= 0 && (page as usize + 1) * stride <= pages.len;
    let rotations = angles.map_or(usize::MAX, |angles| {
        assert!(heads.head_dim.is_multiple_of(2), "heads have two halves");
        angles.cosine.len().min(angles.sine.len()) / (heads.head_dim / 2)
    });
    let fits = |&at: &i32| at >= 0 && (at as usize) < (max_pages * TILE).min(rotations);
    assert!(
        table.iter().all(inside) && positions.iter().all(fits),
        "pages lie inside the arena and hold every position"
    );
    let ordered = starts.is_sorted() && starts.first() == Some(&0) && starts.last() == Some(&(n as i32));
    assert!(ordered, "sequences have the rows");
    let shares = shares(heads, sequences);
    let mut out = Buffer::unwritten(padded * widths.out);
    out[n * widths.out..].fill(0.0);
    let (outs, arena, layer) = (Cells(out.as_mut_ptr()), Cells(pages.numbers), layer as i64);
    let step = StepPointers {
        q: q.numbers.as_ptr(),
        key: key.numbers.as_ptr(),
        value: value.numbers.as_ptr(),
        q_step: q.step as i64,
        key_step: key.step as i64,
        value_step: value.step as i64,
        position: positions.as_ptr(),
        starts: starts.as_ptr(),
        pages: table.as_ptr(),
        sequences: sequences as i64,
        max_pages: max_pages as i64,
        shares: shares as i64,
    };
    if heads.latent {
        assert!(angles.is_none(), "only some columns of a latent rotate: they come rotated");
        for (row, &at) in positions.iter().enumerate() {
            let (key, at) = (key.numbers[row * key.step..].as_ptr(), at as usize);
            let (page, slot) = (table[row * max_pages + at / TILE], (at % TILE) as i32);
            // SAFETY: as below; no other thread has the pages yet.
            unsafe { ffi::page_write(key, null(), &page, &slot, 1, &form, stride as i64, layer, arena.at(0)) };
        }
    }
    let seen: usize = positions.iter().map(|&at| heads.reach().min(at as usize + 1)).sum();
    let kv_heads = (heads.n_kv_heads / shares).max(1);
    team::spread(sequences * shares, (STEP_GRAIN * sequences).div_ceil((seen * kv_heads).max(1)), |items| {
        let (first, last) = (items.start as i64, items.end as i64);
        // SAFETY: the assertions above are what the kernel reads and writes; an item's rows, heads and last pages are
        // no other item's, and pages that several sequences share are only read.
        unsafe {
            let (cosine, sine) = angles.map_or((null(), null()), |a| (a.cosine.as_ptr(), a.sine.as_ptr()));
            let (arena, out) = (arena.at(0), outs.at(0));
            ffi::attention_step(&step, &form, cosine, sine, arena, stride as i64, layer, first, last, out);
        }
    });
    out
}

/// Shares of the heads, each of which is an item for every sequence. A sequence's heads lie side by side in its pages, and latents
/// are one for all heads, so that a page is best read for all at once; but where sequences are few, their heads are shared
/// among the threads.
fn shares(heads: Heads, sequences: usize) -> usize {
    let threads = team::threads();
    if !heads.latent {
        return if sequences < 2 * threads { heads.n_kv_heads } else { 1 };
    }
    let fits = |&n: &usize| heads.n_heads.is_multiple_of(n) && heads.n_heads / n >= SHARE;
    (1..=threads.div_ceil(sequences.max(1))).rev().find(fits).unwrap_or(1)
}

/// Writes one layer's keys `[B, kv heads, K]` and values `[B, kv heads, value width]` into slots of pages, one of each a row. Rows past those of
/// `pages` are padding.
pub fn page_write(
    to: &mut Pages<'_>,
    layer: usize,
    (key, value): (&[f32], &[f32]),
    (pages, slots): (&[i32], &[i32]),
    heads: Heads,
) {
    let (n, widths, form) = (pages.len(), heads.widths(), heads.form());
    let layer = layer - to.first;
    let held = key.len() >= n * widths.key && value.len() >= n * widths.value;
    assert!(n == slots.len() && held, "one page and slot a row");
    assert!((layer + 1) * page_floats(heads) <= to.stride, "a page holds the layer");
    let inside = |&page: &i32| page >= 0 && (page as usize + 1) * to.stride <= to.len;
    let fits = |&slot: &i32| slot >= 0 && (slot as usize) < TILE;
    assert!(pages.iter().all(inside) && slots.iter().all(fits), "pages lie inside the arena, slots inside a page");
    let (n, stride, layer) = (pages.len() as i64, to.stride as i64, layer as i64);
    let (key, value, pages, slots) = (key.as_ptr(), value.as_ptr(), pages.as_ptr(), slots.as_ptr());
    // SAFETY: the assertions above are what the kernel reads and writes.
    unsafe { ffi::page_write(key, value, pages, slots, n, &form, stride, layer, to.numbers) };
}
