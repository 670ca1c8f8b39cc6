//! `Dispatch`: rows on their way to experts and back, as [`crate::dispatch`] has it.
//!
//! Rows are sorted by expert and multiplied in groups; a row's result is gathered from where its parts stand and added up in
//! the order of the experts. Nothing is added to by two threads.

use super::attention::gather;
use super::weight::{Weight, coded_product};
use std::cell::OnceCell;
use tch::{Kind, Tensor};

/// Numbers that CUDA's grouped product wants a row to be a multiple of: 16 bytes of bf16.
const ALIGNED: i64 = 8;

/// Which row goes where.
pub(super) struct Dispatch {
    /// The row at each sorted place, `[M]`.
    rows: Tensor,
    /// Places of each row and choice among the sorted, `[N · k]`.
    places: Tensor,
    /// Where the rows of each expert end, `[E]` i32.
    ends: Tensor,
    /// Experts of a row.
    n_chosen: i64,
    /// How many rows each expert has, once the host asked.
    counts: OnceCell<Vec<i64>>,
}

impl Dispatch {
    /// Sorts rows whose experts are `chosen`, `[N, k]`.
    pub(super) fn new(chosen: &Tensor, n_experts: usize) -> Dispatch {
        let n_chosen = chosen.size()[1];
        let (sorted, order) = chosen.reshape([-1]).sort_stable(true, 0, false);
        let counted = |n: i64| Tensor::arange(n, (Kind::Int64, chosen.device()));
        let mut places = order.zeros_like();
        let _ = places.index_put_(&[Some(&order)], &counted(order.size()[0]), false);
        let experts = counted(n_experts as i64);
        let ends = experts.searchsorted(&sorted, true, true, "right", None::<&Tensor>);
        Dispatch { rows: order.floor_divide_scalar(n_chosen), places, ends, n_chosen, counts: OnceCell::new() }
    }

    /// Rows x `[N, width]`, each at all its places: `[M, width]`.
    pub(super) fn sort(&self, x: &Tensor) -> Tensor {
        gather(x, &self.rows)
    }

    /// The sum of each row's sorted rows of y `[M, width]` times `weights` `[N, k]`: `[N, width]`.
    pub(super) fn combine(&self, y: &Tensor, weights: &Tensor) -> Tensor {
        let parts = gather(y, &self.places).view([-1, self.n_chosen, y.size()[1]]);
        (parts * weights.unsqueeze(2)).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
    }

    /// Sorted rows x `[M, K]`, those of each expert times its own of the matrices, in their precision: x · Wᵀ, `[M, N]` f32.
    pub(super) fn product(&self, x: &Tensor, weight: &Weight) -> Tensor {
        let matrices = match weight {
            Weight::Wide(matrices) => matrices,
            Weight::Coded(matrices, cuts) => return coded_product(matrices, self.counts().to_vec(), x, cuts.as_ref()),
        };
        let x = x.to_kind(matrices.kind());
        let aligned = matrices.size()[1..].iter().all(|n| n % ALIGNED == 0);
        let grouped = x.device().is_cuda() && matrices.kind() == Kind::BFloat16 && aligned;
        if grouped { self.in_groups(&x, matrices) } else { self.one_by_one(&x, matrices) }.to_kind(Kind::Float)
    }

    /// One call for all experts; the host need not know how many rows each has.
    pub(super) fn in_groups(&self, x: &Tensor, matrices: &Tensor) -> Tensor {
        x.internal_grouped_mm(&matrices.transpose(1, 2), Some(&self.ends), None, None::<Kind>)
    }

    /// A product for each expert that has rows.
    pub(super) fn one_by_one(&self, x: &Tensor, matrices: &Tensor) -> Tensor {
        let counts = self.counts();
        let rows = x.split_with_sizes(counts, 0);
        // Not one by one: each would have a gradient as large as all of them.
        let matrices = matrices.unbind(0);
        let with_rows = rows.iter().zip(&matrices).zip(counts).filter(|(_, count)| **count > 0);
        let products: Vec<Tensor> = with_rows.map(|((x, w), _)| x.linear(w, None::<&Tensor>)).collect();
        Tensor::cat(&products, 0)
    }

    /// How many rows each expert has, on the host.
    fn counts(&self) -> &[i64] {
        self.counts.get_or_init(|| {
            let mut counts = Vec::<i64>::try_from(&self.ends.to_kind(Kind::Int64)).expect("ends are a list");
            (1..counts.len()).rev().for_each(|expert| counts[expert] -= counts[expert - 1]);
            counts
        })
    }
}

#[cfg(test)]
mod tests;
