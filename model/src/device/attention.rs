//! Attention of packed rows, for libtorch's fused kernels.
//!
//! Those take a batch of whole sequences, causal from their first row. So every segment is laid out behind its prompt
//! and filled up at its end, where causality hides the filling; rows of a prompt are taken from the first sequence that
//! has them, and a prompt that others continue needs no sequence of its own.

use super::policy::DevicePolicy;
use crate::attention::{Heads, Segment};
use crate::packed::Packed;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

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

    /// Causal attention of each row to the rows before it in its sequence, no further back than the window:
    /// `[N, H · value width]`.
    pub(super) fn attend(&self, heads: Heads, q: &Tensor, key: &Tensor, value: Option<&Tensor>) -> Tensor {
        let batch = |x: &Tensor| {
            let (heads, k) = (x.size()[1], x.size()[2]);
            gather(x, &self.rows).view([self.sequences, self.longest, heads, k]).transpose(1, 2)
        };
        let (q, mut key) = (batch(q), batch(key));
        let mut value = value.map_or_else(|| key.narrow(-1, 0, heads.value_dim as i64), batch);
        let window = heads.window.map(|window| window as i64).filter(|window| *window < self.longest);
        let mask = window.map(|window| within(self.longest, window, q.device()));
        // The kernels that take a mask, or values of another width, take as many heads of keys as of queries.
        let mut shared = heads.n_heads != heads.n_kv_heads;
        if shared && (mask.is_some() || heads.value_dim != heads.head_dim) {
            (key, value) = (repeat(&key, heads), repeat(&value, heads));
            shared = false;
        }
        let (causal, scale) = (mask.is_none(), f64::from(heads.scale));
        let out = Tensor::scaled_dot_product_attention(&q, &key, &value, mask.as_ref(), 0.0, causal, scale, shared);
        gather(&out.transpose(1, 2).reshape([self.sequences * self.longest, -1]), &self.places)
    }
}

/// Keys or values `[B, kv heads, T, K]`, those of a head beside each other for each query head that shares it.
fn repeat(x: &Tensor, heads: Heads) -> Tensor {
    let (size, group) = (x.size(), (heads.n_heads / heads.n_kv_heads) as i64);
    x.unsqueeze(2).expand([-1, -1, group, -1, -1], false).reshape([size[0], -1, size[2], size[3]])
}

/// Which of `n` positions each of them attends to: itself and those before it, `window` in all. `[n, n]`.
fn within(n: i64, window: i64, device: Device) -> Tensor {
    let all = Tensor::ones([n, n], (Kind::Bool, device));
    all.tril(0).logical_and(&all.triu(1 - window))
}

/// Rows of `x`. As an index and not a selection: its gradient adds rows up in a fixed order on a GPU, too.
pub(super) fn gather(x: &Tensor, rows: &Tensor) -> Tensor {
    x.index(&[Some(rows)])
}

fn range(start: i32, length: i32) -> Range<usize> {
    start as usize..(start + length) as usize
}
