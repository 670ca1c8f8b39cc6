//! `Balancer`: losses on routers as tensor operations, and what routers did; see `router/balancer.rs` of the crate.
//!
//! Rows are counted on the device, in whole numbers. Counts and losses of all blocks come to the host together, once a
//! pass.

use super::attention::gather;
use super::router::{Seen, choose};
use crate::config::experts::ExpertsConfig;
use crate::router::{Balance, Load, Routed};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The losses, in the order in which they come to the host behind a block's load.
const N_LOSSES: usize = 3;

/// Rows that routers are judged by, sequence by sequence.
pub(super) struct Judged {
    ranges: Vec<Range<usize>>,
    /// `[M]`
    rows: Tensor,
    /// Of each of these rows the number of its sequence, `[M]`.
    sequence: Tensor,
}

impl Judged {
    /// The rows of `sequences`, which do not overlap.
    pub(super) fn new(sequences: &[Range<usize>], device: Device) -> Judged {
        let all =
            sequences.iter().enumerate().flat_map(|(i, rows)| rows.clone().map(move |row| (row as i64, i as i64)));
        let (rows, sequence): (Vec<i64>, Vec<i64>) = all.unzip();
        let [rows, sequence] = [rows, sequence].map(|numbers| Tensor::from_slice(&numbers).to_device(device));
        Judged { ranges: sequences.to_vec(), rows, sequence }
    }

    /// The sequences.
    pub(super) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn n_rows(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }
}

/// A pass's settings, and what its routers did so far.
pub(super) struct Balancer<'a> {
    balance: &'a Balance,
    n_sent: u64,
    /// Numbers of the blocks, and of each its load and its losses, `[E + 3]` f64.
    layers: Vec<usize>,
    found: Vec<Tensor>,
}

impl<'a> Balancer<'a> {
    pub(super) fn new(balance: &'a Balance) -> Balancer<'a> {
        Balancer { balance, n_sent: 0, layers: Vec::new(), found: Vec::new() }
    }

    /// Counts where the rows went that the router of block `layer` is judged by; the sum of its losses, which autograd
    /// knows, where there are any.
    pub(super) fn even(
        &mut self,
        layer: usize,
        seen: &Seen,
        judged: &Judged,
        config: &ExpertsConfig,
    ) -> Option<Tensor> {
        let Balance { sequence, batch, z, n_rows, loads, .. } = self.balance;
        let e = config.n_experts;
        let counts = marks(&gather(&seen.routing.chosen, &judged.rows), e).sum_dim_intlist(
            [0i64].as_slice(),
            false,
            Kind::Int64,
        );
        let mut losses: [Option<Tensor>; N_LOSSES] = Default::default();
        if judged.n_rows() > 0 {
            let scores = gather(&seen.routing.scores, &judged.rows);
            if *sequence != 0.0 {
                losses[0] = Some(shares(&scores, &self.sequence_slopes(&scores.detach(), judged, config)));
            }
            if let Some(load) = loads.get(&layer).filter(|_| *batch != 0.0) {
                let scale = batch * e as f64 / (*n_rows as f64 * *n_rows as f64);
                let slopes: Vec<f32> = load.counts().iter().map(|&count| (count as f64 * scale) as f32).collect();
                losses[1] = Some(shares(&scores, &Tensor::from_slice(&slopes).to_device(scores.device())));
            }
            if *z != 0.0 {
                let logits = gather(&seen.logits, &judged.rows).to_kind(Kind::Double);
                let normalisers = logits.logsumexp([1i64].as_slice(), false);
                losses[2] = Some((&normalisers * &normalisers).sum(Kind::Double) * (z / *n_rows as f64));
            }
        }
        self.n_sent += (judged.n_rows() * config.n_chosen) as u64;
        self.layers.push(layer);
        let none = Tensor::zeros([], (Kind::Double, counts.device()));
        let values: Vec<Tensor> = losses.iter().map(|loss| loss.as_ref().unwrap_or(&none).detach()).collect();
        self.found.push(Tensor::cat(&[counts.to_kind(Kind::Double), Tensor::stack(&values, 0)], 0));
        losses.into_iter().flatten().reduce(|sum, loss| sum + loss)
    }

    /// What each row's scores are multiplied with in the sequence-wise loss, `[M, E]`.
    fn sequence_slopes(&self, scores: &Tensor, judged: &Judged, config: &ExpertsConfig) -> Tensor {
        let (e, k) = (config.n_experts, config.n_chosen);
        let free = ExpertsConfig { groups: None, ..config.clone() };
        let chosen = marks(&choose(scores, None, &free), e);
        let counts = Tensor::zeros([judged.ranges.len() as i64, e as i64], (Kind::Int64, scores.device()));
        let counts = counts.index_add(0, &judged.sequence, &chosen);
        let alpha = self.balance.sequence / self.balance.n_sequences as f64;
        let scales: Vec<f64> =
            judged.ranges.iter().map(|rows| alpha * e as f64 / (k * rows.len() * rows.len()).max(1) as f64).collect();
        let scales = Tensor::from_slice(&scales).to_device(scores.device()).unsqueeze(1);
        (counts.to_kind(Kind::Double) * scales).to_kind(Kind::Float).index_select(0, &judged.sequence)
    }

    /// What routers did, on the host.
    pub(super) fn routed(self) -> Routed {
        let mut routed = Routed { n_sent: self.n_sent, ..Routed::default() };
        if self.found.is_empty() {
            return routed;
        }
        let width = self.found[0].numel();
        let found = Vec::<f64>::try_from(Tensor::cat(&self.found, 0)).expect("a list of numbers");
        for (layer, numbers) in self.layers.into_iter().zip(found.chunks_exact(width)) {
            let (counts, losses) = numbers.split_at(width - N_LOSSES);
            routed.loads.insert(layer, Load::of(counts.iter().map(|&count| count as u64).collect()));
            routed.sequence += losses[0];
            routed.batch += losses[1];
            routed.z += losses[2];
        }
        routed
    }
}

/// 1 at the experts of each row, `[M, E]` of `[M, k]`.
fn marks(chosen: &Tensor, n_experts: usize) -> Tensor {
    let none = Tensor::zeros([chosen.size()[0], n_experts as i64], (Kind::Int64, chosen.device()));
    none.scatter_value(1, chosen, 1)
}

/// Σ `slopes` · share over rows of `scores` `[M, E]`, where a share is a score divided by the sum of its row's.
fn shares(scores: &Tensor, slopes: &Tensor) -> Tensor {
    let sum = |x: &Tensor| x.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    (sum(&(scores * slopes)) / sum(scores)).sum(Kind::Double)
}
