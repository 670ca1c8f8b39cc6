//! Activations and their gradients in tiles: E4M3 numbers, and a scale for each tile.

use std::ops::Range;

use super::{BLOCK, ffi};
use crate::buffer::Buffer;
use crate::product::{PACK_GRAIN, rows};
use crate::team::{self, Cells};

/// Which scales the tiles of a product's input get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Largest magnitude / 448.
    Largest,
    /// The least power of two that is not below it, as V3 has it for what follows attention.
    Powers,
}

/// Rows of numbers in tiles.
pub(super) struct Tiles {
    /// As f32, multiplied as the kernels want it.
    pub(super) numbers: Buffer,
    pub(super) scales: Buffer,
}

impl Tiles {
    /// Tiles of 1 × 128, cut where `starts` says, with as many scales a row as there are tiles.
    pub(super) fn of_rows(x: &[f32], starts: &[i64], scales: Scales) -> Tiles {
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

    /// Tiles of at most 128 rows × 1 column, with `k` scales for each of the chunks of rows.
    pub(super) fn of_columns(x: &[f32], k: usize, chunks: &[Range<usize>], scales: Scales) -> Tiles {
        let mut all = Tiles { numbers: Buffer::unwritten(x.len()), scales: Buffer::unwritten(chunks.len() * k) };
        let (numbers, into) = (Cells(all.numbers.as_mut_ptr()), Cells(all.scales.as_mut_ptr()));
        team::spread(chunks.len(), PACK_GRAIN.div_ceil(BLOCK * k), |part| {
            for chunk in part {
                let lines = chunks[chunk].clone();
                let (from, powers) = (x[lines.start * k..lines.end * k].as_ptr(), scales == Scales::Powers);
                let (to, scales) = (numbers.at(lines.start * k), into.at(chunk * k));
                // SAFETY: at most 128 rows of k numbers, and k scales for them, which no one else writes.
                unsafe { ffi::fp8_quantise_columns(from, lines.len() as i64, k as i64, powers, to, scales) };
            }
        });
        all
    }
}

/// Where chunks of 128 begin in matrices of so many rows, one above the other, and at the end how many rows there are.
pub(super) fn starts(parts: &[usize]) -> Vec<i64> {
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
pub(super) fn width(starts: &[i64]) -> usize {
    starts.last().map_or(0, |end| *end as usize)
}

/// Rows in groups that end at `ends`, cut into chunks of 128 that begin anew with each group; and each group's first chunk.
pub(super) fn row_chunks(ends: &[usize]) -> (Vec<Range<usize>>, Vec<usize>) {
    let (mut chunks, mut firsts, mut start) = (Vec::new(), Vec::new(), 0);
    for &end in ends {
        firsts.push(chunks.len());
        chunks.extend((start..end).step_by(BLOCK).map(|from| from..end.min(from + BLOCK)));
        start = end;
    }
    (chunks, firsts)
}
