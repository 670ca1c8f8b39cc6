//! `Dispatch`: rows on their way to experts and back.
//!
//! Rows are sorted by expert, those of one expert in their own order, multiplied in groups (`grouped.rs`) and put together
//! again: a row's result is the sum over its experts, in ascending order, whatever else was sorted with it. Every number
//! is gathered by the one who writes it, so nothing is added to by two threads.

use crate::buffer::Buffer;
use crate::team;

/// Numbers that are worth a chunk of their own where several threads copy or add.
const GRAIN: usize = 8_192;

/// Partial sums of a dot product: as many numbers as the widest vectors hold.
const LANES: usize = 16;

/// Which row goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    ends: Vec<usize>,
    /// Experts of a row.
    n_chosen: usize,
    /// Places of each row and choice among the sorted, `[N, k]`.
    places: Vec<u32>,
    /// The row and choice that stand at each sorted place, as an index into `places`, `[M]`.
    origins: Vec<u32>,
}

impl Dispatch {
    /// Sorts rows whose experts are `chosen`, `[N, k]`.
    pub fn new(chosen: &[u32], n_chosen: usize, n_experts: usize) -> Dispatch {
        assert!(chosen.len().is_multiple_of(n_chosen), "chosen is [N, k]");
        assert!(u32::try_from(chosen.len()).is_ok(), "places fit in 32 bits");
        let mut ends = vec![0_usize; n_experts];
        chosen.iter().for_each(|&expert| ends[expert as usize] += 1);
        // From here on the next free place of each expert, and in the end where its rows end.
        let mut total = 0;
        for end in &mut ends {
            let count = std::mem::replace(end, total);
            total += count;
        }
        let mut origins = vec![0; total];
        let place = |(origin, &expert): (usize, &u32)| {
            let next = &mut ends[expert as usize];
            origins[*next] = origin as u32;
            *next += 1;
            *next as u32 - 1
        };
        let places = chosen.iter().enumerate().map(place).collect();
        Dispatch { ends, n_chosen, places, origins }
    }

    /// Where the rows of each expert end, `[E]`; the last is M, the number of sorted rows.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Rows x `[N, width]`, each at all its places: `[M, width]`.
    pub fn sort(&self, x: &[f32], width: usize) -> Buffer {
        self.check(x.len(), self.places.len() / self.n_chosen, width);
        let mut sorted = Buffer::unwritten(self.origins.len() * width);
        team::spread_rows(&mut sorted, width, GRAIN.div_ceil(width), |places, part| {
            for (&origin, to) in self.origins[places].iter().zip(part.chunks_exact_mut(width)) {
                to.copy_from_slice(&x[origin as usize / self.n_chosen * width..][..width]);
            }
        });
        sorted
    }

    /// Adds to each row of `onto` `[N, width]` the sum of its sorted rows of y `[M, width]` times `weights` `[N, k]`.
    pub fn combine_onto(&self, onto: &mut [f32], y: &[f32], weights: &[f32], width: usize) {
        assert_eq!(weights.len(), self.places.len(), "weights are [N, k]");
        self.gather_onto(onto, y, width, |choice| weights[choice]);
    }

    /// Adds to each row of `onto` `[N, width]` the sum of its sorted rows: the gradient of [`Dispatch::sort`].
    pub fn sum_onto(&self, onto: &mut [f32], sorted: &[f32], width: usize) {
        self.gather_onto(onto, sorted, width, |_| 1.0);
    }

    fn gather_onto(&self, onto: &mut [f32], y: &[f32], width: usize, weight: impl Fn(usize) -> f32 + Sync) {
        self.check(y.len(), self.origins.len(), width);
        self.check(onto.len(), self.places.len() / self.n_chosen, width);
        team::spread_rows(onto, width, GRAIN.div_ceil(width * self.n_chosen), |rows, part| {
            let mut sum = vec![0.0; width];
            for (row, to) in rows.zip(part.chunks_exact_mut(width)) {
                for choice in row * self.n_chosen..(row + 1) * self.n_chosen {
                    let (from, weight) = (&y[self.places[choice] as usize * width..][..width], weight(choice));
                    if choice == row * self.n_chosen {
                        sum.iter_mut().zip(from).for_each(|(sum, y)| *sum = weight * y);
                    } else {
                        sum.iter_mut().zip(from).for_each(|(sum, y)| *sum += weight * y);
                    }
                }
                to.iter_mut().zip(&sum).for_each(|(to, sum)| *to += sum);
            }
        });
    }

    /// Multiplies each sorted row `[M, width]` by its weight of `weights` `[N, k]`.
    pub fn weigh(&self, sorted: &mut [f32], weights: &[f32], width: usize) {
        assert_eq!(weights.len(), self.places.len(), "weights are [N, k]");
        self.check(sorted.len(), self.origins.len(), width);
        team::spread_rows(sorted, width, GRAIN.div_ceil(width), |places, part| {
            for (&origin, row) in self.origins[places].iter().zip(part.chunks_exact_mut(width)) {
                row.iter_mut().for_each(|number| *number *= weights[origin as usize]);
            }
        });
    }

    /// Dot products of the sorted rows of a and b `[M, width]`, each where its row and choice stand: `[N, k]`.
    pub fn dots(&self, a: &[f32], b: &[f32], width: usize) -> Buffer {
        self.check(a.len(), self.origins.len(), width);
        self.check(b.len(), self.origins.len(), width);
        let mut dots = Buffer::unwritten(self.places.len());
        team::spread_rows(&mut dots, 1, GRAIN.div_ceil(width), |choices, part| {
            for (to, &place) in part.iter_mut().zip(&self.places[choices]) {
                let row = place as usize * width..(place as usize + 1) * width;
                *to = dot(&a[row.clone()], &b[row]);
            }
        });
        dots
    }

    fn check(&self, len: usize, rows: usize, width: usize) {
        assert!(width > 0 && len == rows * width, "{len} numbers are not {rows} rows of {width}");
    }
}

/// Σ a b: number i goes to partial sum i modulo 16, and these are added in order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks(LANES), b.chunks(LANES));
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
