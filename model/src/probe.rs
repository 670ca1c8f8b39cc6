//! Whether this machine's products give a row the same bits however many rows stand beside it.
//!
//! Sampling multiplies a few rows, training thousands. Log-probabilities of the two can only agree on every bit where a
//! row of a product does not depend on the others, and libtorch promises no such thing: it holds for some kernels, row
//! counts and machines. So it is tried at the start, on the policy's own shapes and weights.

use std::collections::BTreeSet;

use crate::buffer::Buffer;
use crate::layout::Slot;
use crate::packed::ROW_BLOCK;
use crate::philox::{Purpose, Stream};
use crate::policy::Policy;

/// Multiply-adds that one shape may cost, so that a large policy starts in time.
const BUDGET: usize = 500_000_000;

/// Row counts that are compared with the largest; those beyond it are left out, and in bf16 those that are no whole
/// blocks.
const ROWS: [usize; 10] = [1, 3, 6, 8, 16, 24, 40, 64, 136, 264];

/// What [`Policy::probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Shapes tried, `[out, in]`.
    pub shapes: Vec<[usize; 2]>,
    /// The first shape and row count whose bits differ from those in a larger product; `None` promises exactness.
    pub failed: Option<([usize; 2], usize)>,
}

impl Policy {
    /// Multiplies each of the policy's shapes with several row counts and compares bits.
    pub fn probe(&self) -> Probe {
        let mut seen = BTreeSet::new();
        let mut probe = Probe { shapes: Vec::new(), failed: None };
        for (slot, bias) in
            self.layout.products().into_iter().filter(|(slot, _)| seen.insert([slot.rows, slot.columns]))
        {
            let shape = [slot.rows, slot.columns];
            probe.shapes.push(shape);
            let differing = self.rows_that_differ(slot, bias);
            probe.failed = probe.failed.or(differing.map(|rows| (shape, rows)));
        }
        probe
    }

    fn rows_that_differ(&self, slot: Slot, bias: Option<Slot>) -> Option<usize> {
        let affordable = (BUDGET / (slot.rows * slot.columns)).max(3 * ROW_BLOCK);
        let multiplied = |rows: &usize| *rows <= affordable && self.product_rows(*rows) == *rows;
        let rows: Vec<usize> = ROWS.into_iter().filter(multiplied).collect();
        let most = *rows.last()?;
        let noise = Stream::new(0, Purpose::Weights, 0, u64::MAX, 0);
        let numbers: Vec<f32> = (0..most * slot.columns).map(|i| noise.uniform(i as u32) - 0.5).collect();
        let product = |from: usize, n: usize| {
            self.project(&Buffer::from_slice(&numbers[from * slot.columns..][..n * slot.columns]), slot, bias)
        };
        let whole = product(0, most);
        let same = |from: usize, n: usize| {
            let (part, whole) = (product(from, n), &whole[from * slot.rows..][..n * slot.rows]);
            part.iter().zip(whole).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        // At the front and at the back: blocks of a product may be cut anywhere.
        rows.into_iter().find(|&n| !same(0, n) || !same(most - n, n))
    }
}
