//! `Balancer`: what a backward pass asks of routers beside the gradient of its loss, and what they did.

use std::collections::BTreeMap;
use std::ops::Range;

use super::balance::{add_batch_balance, add_sequence_balance, add_z_loss};
use super::{Load, Routing};
use crate::buffer::Buffer;
use crate::config::experts::ExpertsConfig;

/// The load of each block with experts, by the block's number.
pub type Loads = BTreeMap<usize, Load>;

/// Losses on routers, which join the loss on log-probabilities; zero by default. Each is added up over blocks, and counts
/// rows and sequences of the whole update: how it is cut into microbatches changes the order of summation only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balance {
    /// α of the sequence-wise balance loss, the mean over sequences (DeepSeek-V3, arXiv 2412.19437, equations 17 to 20).
    pub sequence: f64,
    /// α of the balance loss over all rows (Switch, arXiv 2101.03961, equations 4 to 6).
    pub batch: f64,
    /// Factor of the z-loss, the mean over rows (ST-MoE, arXiv 2202.08906, equation 5).
    pub z: f64,
    /// Sequences of the update.
    pub n_sequences: u64,
    /// Their rows.
    pub n_rows: u64,
    /// Where these rows went, of the whole update; what `batch` needs and nothing else. A block that is not among them has
    /// no such loss: those of multi-token prediction.
    pub loads: Loads,
}

/// What routers did: where rows went, and the values of the losses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routed {
    /// Rows that routers are judged by, times the experts of each, over all blocks: what the loads add up to.
    pub n_sent: u64,
    /// Rows that each expert got.
    pub loads: Loads,
    /// The sequence-wise balance loss, times its α.
    pub sequence: f64,
    /// The balance loss over all rows, times its α.
    pub batch: f64,
    /// The z-loss, times its factor.
    pub z: f64,
}

/// No losses on routers.
pub(crate) static NO_BALANCE: Balance =
    Balance { sequence: 0.0, batch: 0.0, z: 0.0, n_sequences: 0, n_rows: 0, loads: Loads::new() };

impl Routed {
    /// Adds what routers did elsewhere.
    pub fn add(&mut self, other: &Routed) {
        self.n_sent += other.n_sent;
        add_loads(&mut self.loads, &other.loads);
        self.sequence += other.sequence;
        self.batch += other.batch;
        self.z += other.z;
    }
}

/// Adds loads, block by block.
pub fn add_loads(loads: &mut Loads, more: &Loads) {
    for (&layer, load) in more {
        loads.entry(layer).and_modify(|sum| sum.add(load)).or_insert_with(|| load.clone());
    }
}

/// A pass's settings, and what its routers did so far.
pub(crate) struct Balancer<'a> {
    balance: &'a Balance,
    /// The sequences of the pass, as ranges of its rows.
    sequences: &'a [Range<usize>],
    pub(crate) routed: Routed,
}

impl<'a> Balancer<'a> {
    pub(crate) fn new(balance: &'a Balance, sequences: &'a [Range<usize>]) -> Balancer<'a> {
        Balancer { balance, sequences, routed: Routed::default() }
    }

    /// The same for rows of another pass, which belong to the same update.
    pub(crate) fn over<'b>(&self, sequences: &'b [Range<usize>]) -> Balancer<'b>
    where
        'a: 'b,
    {
        Balancer::new(self.balance, sequences)
    }

    /// The sequences of the pass.
    pub(crate) fn sequences(&self) -> &'a [Range<usize>] {
        self.sequences
    }

    /// Counts where rows of block `layer` went, and adds the gradients of the losses to `d_logits`. The logits themselves
    /// are asked for where a loss needs them.
    pub(crate) fn even(
        &mut self,
        layer: usize,
        routing: &Routing,
        logits: impl FnOnce() -> Buffer,
        config: &ExpertsConfig,
        d_logits: &mut [f32],
    ) {
        let Balancer { balance, sequences, routed } = self;
        let n_rows: usize = sequences.iter().map(ExactSizeIterator::len).sum();
        routed.n_sent += (n_rows * config.n_chosen) as u64;
        routed.loads.insert(layer, routing.load(sequences, config));
        if balance.sequence != 0.0 {
            let alpha = balance.sequence / balance.n_sequences as f64;
            routed.sequence += add_sequence_balance(routing, sequences, alpha, config, d_logits);
        }
        if let Some(load) = balance.loads.get(&layer).filter(|_| balance.batch != 0.0) {
            let counts = (load, balance.n_rows, balance.n_rows);
            for rows in sequences.iter().cloned() {
                routed.batch += add_batch_balance(routing, rows, counts, balance.batch, config, d_logits);
            }
        }
        if balance.z != 0.0 {
            let logits = logits();
            for rows in sequences.iter().cloned() {
                routed.z += add_z_loss(&logits, rows, balance.n_rows, balance.z, config.n_experts, d_logits);
            }
        }
    }
}

impl Routing {
    /// Where the rows of `sequences` went.
    pub(crate) fn load(&self, sequences: &[Range<usize>], config: &ExpertsConfig) -> Load {
        let mut load = Load::new(config.n_experts);
        let k = config.n_chosen;
        sequences.iter().for_each(|rows| load.count(&self.chosen[rows.start * k..rows.end * k]));
        load
    }
}
