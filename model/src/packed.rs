//! `Packed`: rows of any number of sequences, one after the other, without padding.

use crate::attention::Segment;
use std::ops::Range;

/// Rows of libtorch's products in bf16 are padded to a multiple of this, so that it takes one kernel for all of them: with
/// some small row counts its products differ in the last bits. Own products need no padding, and in FP8 there must be none:
/// its rows would share scales with others where rows are summed over.
pub(crate) const ROW_BLOCK: usize = 8;

/// Packed rows: tokens of any number of sequences, each with its position and the segment it attends in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Token ids, `[N]`.
    pub tokens: Vec<i64>,
    /// Absolute positions, `[N]`.
    pub positions: Vec<i32>,
    /// Who attends to whom.
    pub segments: Vec<Segment>,
}

impl Packed {
    /// Adds a sequence that attends to itself alone; returns its segment.
    pub fn push(&mut self, tokens: &[i64]) -> Segment {
        self.push_after(None, tokens)
    }

    /// Adds a sequence that continues `prefix`, whose rows are shared and not repeated.
    pub fn push_after(&mut self, prefix: Option<Segment>, tokens: &[i64]) -> Segment {
        let (prefix_start, prefix_length) = prefix.map_or((0, 0), |p| (p.start, p.length));
        let segment =
            Segment { start: self.tokens.len() as i32, length: tokens.len() as i32, prefix_start, prefix_length };
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(prefix_length..prefix_length + segment.length);
        self.segments.push(segment);
        segment
    }

    /// The rows of each segment.
    pub fn rows_of_segments(&self) -> Vec<Range<usize>> {
        self.segments.iter().map(Segment::rows).collect()
    }

    /// N: how many rows there are.
    #[expect(clippy::len_without_is_empty, reason = "an empty pack has no use")]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens and positions with rows of token 0 at position 0 added up to `n`; no segment holds them.
    pub(crate) fn padded(&self, n: usize) -> (Vec<i64>, Vec<i32>) {
        let (mut tokens, mut positions) = (self.tokens.clone(), self.positions.clone());
        tokens.resize(n, 0);
        positions.resize(n, 0);
        (tokens, positions)
    }
}
