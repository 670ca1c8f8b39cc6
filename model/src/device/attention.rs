//! Attention of packed rows, for libtorch's fused kernels.
//!
//! Those take a batch of whole sequences, causal from their first row. So every segment is laid out behind its prompt
//! and filled up at its end, where causality hides the filling; rows of a prompt are taken from the first sequence that
//! has them, and a prompt that others continue needs no sequence of its own.

use super::policy::DevicePolicy;
use crate::attention::Segment;
use crate::packed::Packed;
use std::ops::Range;
use tch::Tensor;

/// How packed rows become a batch of sequences, and back.
pub(super) struct Batches {
    /// B
    sequences: i64,
    /// T
    longest: i64,
    /// The packed row at each place of the batch, `[B · T]`; row 0 where there is none.
    rows: Tensor,
    /// The place of each packed row, `[N]`.
    places: Tensor,
}

impl Batches {
    pub(super) fn new(policy: &DevicePolicy, packed: &Packed) -> Batches {
        let continued = |s: &Segment| {
            packed.segments.iter().any(|o| (o.prefix_start, o.prefix_length) == (s.start, s.length) && o.length > 0)
        };
        let alone: Vec<&Segment> = packed.segments.iter().filter(|s| s.length > 0 && !continued(s)).collect();
        let longest = alone.iter().map(|s| (s.prefix_length + s.length) as usize).max().unwrap_or(0);
        let mut rows = vec![0i64; alone.len() * longest];
        let mut places: Vec<Option<i64>> = vec![None; packed.len()];
        for (i, segment) in alone.iter().enumerate() {
            for (t, row) in range(segment.prefix_start, segment.prefix_length)
                .chain(range(segment.start, segment.length))
                .enumerate()
            {
                let place = i * longest + t;
                rows[place] = row as i64;
                places[row].get_or_insert(place as i64);
            }
        }
        let places: Vec<i64> = places.into_iter().map(|p| p.expect("every packed row is in a segment")).collect();
        Batches {
            sequences: alone.len() as i64,
            longest: longest as i64,
            rows: policy.upload(&rows),
            places: policy.upload(&places),
        }
    }

    /// Causal attention of each row to the rows before it in its sequence: `[N, H · K]`.
    pub(super) fn attend(&self, q: &Tensor, key: &Tensor, value: &Tensor, scale: f64) -> Tensor {
        let batch = |x: &Tensor| {
            let (heads, k) = (x.size()[1], x.size()[2]);
            gather(x, &self.rows).view([self.sequences, self.longest, heads, k]).transpose(1, 2)
        };
        let shared = q.size()[1] != key.size()[1];
        let (q, key, value) = (batch(q), batch(key), batch(value));
        let out = Tensor::scaled_dot_product_attention(&q, &key, &value, None::<&Tensor>, 0.0, true, scale, shared);
        gather(&out.transpose(1, 2).reshape([self.sequences * self.longest, -1]), &self.places)
    }
}

/// Rows of `x`. As an index and not a selection: its gradient adds rows up in a fixed order on a GPU, too.
pub(super) fn gather(x: &Tensor, rows: &Tensor) -> Tensor {
    x.index(&[Some(rows)])
}

fn range(start: i32, length: i32) -> Range<usize> {
    start as usize..(start + length) as usize
}
