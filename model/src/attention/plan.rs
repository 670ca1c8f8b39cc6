//! How attention is cut into work: by the segments alone, never by the number of threads.

use super::{Heads, Segment, TILE};
use std::ops::Range;

/// Queries (of all heads that share keys) that a part aims at: enough that laying out a key tile costs little beside
/// what is done with it.
const PART_QUERIES: usize = 128;

/// Pieces of a backward pass, over all kv heads: enough for many threads, few enough that their sums stay small beside
/// what a block keeps of each row.
const PIECES: usize = 32;

/// Neighbouring queries of one segment: `grouper::Part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Part {
    pub(super) start: i32,
    pub(super) prefix_start: i32,
    pub(super) prefix_length: i32,
    pub(super) first: i32,
    pub(super) count: i32,
    pub(super) prefix_sum: i32,
    pub(super) own_sum: i32,
}

impl Part {
    /// Positions that some of its queries see.
    pub(super) fn visible(&self, heads: Heads) -> Range<i32> {
        let first = self.prefix_length + self.first;
        (first + 1 - heads.reach() as i32).max(0)..first + self.count
    }

    /// What it costs, in keys times queries.
    pub(super) fn work(&self, heads: Heads) -> u64 {
        self.visible(heads).len() as u64 * self.count as u64
    }
}

/// A run of sums and the packed rows that they belong to: `grouper::Span`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Span {
    pub(super) row: i32,
    pub(super) sum: i32,
    pub(super) length: i32,
}

/// The queries of all segments, in order, in parts. They end where key tiles do, but for those of latents.
pub(super) fn parts(segments: &[Segment], heads: Heads) -> Vec<Part> {
    let rows = PART_QUERIES / heads.per_kv();
    // Latents are not laid out: any number of queries will do.
    let size = if heads.latent { rows.max(1) } else { (rows / TILE).max(1) * TILE };
    let mut parts = Vec::new();
    for &Segment { start, length, prefix_start, prefix_length } in segments {
        let mut first = 0;
        while first < length {
            let position = (prefix_length + first) as usize;
            let count = (((position / size + 1) * size - position) as i32).min(length - first);
            parts.push(Part { start, prefix_start, prefix_length, first, count, prefix_sum: 0, own_sum: 0 });
            first += count;
        }
    }
    parts
}

/// The parts of a backward pass in chunks of about equal work, and where each chunk adds up the gradients of the keys
/// that it sees.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) parts: Vec<Part>,
    /// Parts before the end of each chunk.
    pub(super) ends: Vec<i32>,
    /// Sums before the end of each chunk.
    pub(super) sum_ends: Vec<i32>,
    /// In the order in which sums are added.
    pub(super) spans: Vec<Span>,
}

impl Chunks {
    pub(super) fn new(segments: &[Segment], heads: Heads) -> Chunks {
        let mut parts = parts(segments, heads);
        let total: u64 = parts.iter().map(|part| part.work(heads)).sum();
        let n = PIECES.div_ceil(heads.n_kv_heads) as u64;
        let (mut ends, mut sum_ends, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let (mut begin, mut done, mut sums) = (0, 0, 0);
        while begin < parts.len() {
            // Up to the next multiple of a chunk's share.
            let goal = (done * n / total.max(1) + 1) * total;
            let mut end = begin;
            while end < parts.len() && (end == begin || done * n < goal) {
                done += parts[end].work(heads);
                end += 1;
            }
            sums = place(&mut parts[begin..end], heads, sums, &mut spans);
            ends.push(end as i32);
            sum_ends.push(sums);
            begin = end;
        }
        Chunks { parts, ends, sum_ends, spans }
    }

    pub(super) fn n_sums(&self) -> usize {
        self.sum_ends.last().map_or(0, |&end| end as usize)
    }
}

/// Gives the keys that a chunk's parts see sums from `next` on, those of a prefix that several see alike only once; returns
/// what follows them.
fn place(parts: &mut [Part], heads: Heads, mut next: i32, spans: &mut Vec<Span>) -> i32 {
    let begin = spans.len();
    let mut take = |row: i32, length: i32, spans: &mut Vec<Span>| {
        let sum = next;
        if length > 0 {
            spans.push(Span { row, sum, length });
            next += length;
        }
        sum
    };
    for i in 0..parts.len() {
        let part = parts[i];
        let same = |other: &&Part| (other.start, other.prefix_start) == (part.start, part.prefix_start);
        if let Some(before) = parts[..i].last().filter(same) {
            // The segment's keys have their sums: its last part saw to that, and a later one sees none before its first's.
            (parts[i].prefix_sum, parts[i].own_sum) = (before.prefix_sum, before.own_sum);
            continue;
        }
        let end = parts[i..].iter().take_while(same).last().map_or(0, |last| last.first + last.count);
        let seen = part.visible(heads).start;
        // Of the prefix and of the segment's own rows those that are seen; sums are found as if all were.
        let (hidden, own_hidden) = (seen.min(part.prefix_length), (seen - part.prefix_length).max(0));
        let (row, length) = (part.prefix_start + hidden, part.prefix_length - hidden);
        let shared = spans[begin..].iter().find(|s| (s.row, s.length) == (row, length)).map(|span| span.sum);
        parts[i].prefix_sum = shared.unwrap_or_else(|| take(row, length, spans)) - hidden;
        parts[i].own_sum = take(part.start + own_hidden, end - own_hidden, spans) - own_hidden;
    }
    next
}
