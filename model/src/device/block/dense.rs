//! The gated feed-forward.

use crate::config::Activation;
use crate::device::DevicePolicy;
use crate::device::reader::Reader;
use crate::device::weight::{Weight, project};
use crate::layout::DenseSlots;
use tch::Tensor;

pub(super) struct DenseWeights {
    gate_up: Weight,
    down: Weight,
}

impl DenseWeights {
    pub(super) fn new(slots: DenseSlots, from: &mut Reader<'_>) -> DenseWeights {
        DenseWeights { gate_up: from.weight(slots.gate_up), down: from.weight(slots.down) }
    }
}

impl DevicePolicy {
    /// What normed rows `[N, D]` become: `[N, D]`.
    pub(super) fn dense(&self, w: &DenseWeights, normed: &Tensor) -> Tensor {
        project(&self.gated(&project(normed, &w.gate_up, None)), &w.down, None)
    }

    /// act(gate) ⊙ up of rows `[N, 2F]`.
    pub(super) fn gated(&self, gate_up: &Tensor) -> Tensor {
        let halves = gate_up.chunk(2, -1);
        let gate = match self.config.activation {
            Activation::Silu => halves[0].silu(),
            Activation::GeluTanh => halves[0].gelu("tanh"),
        };
        gate * &halves[1]
    }
}
