//! The gated feed-forward.

use super::{Read, Reader, project};
use crate::config::Activation;
use crate::device::DevicePolicy;
use crate::layout::DenseSlots;
use tch::Tensor;

pub(super) struct DenseWeights {
    gate_up: Tensor,
    down: Tensor,
}

impl DenseWeights {
    pub(super) fn new(slots: DenseSlots, read: &mut Reader<'_>) -> DenseWeights {
        DenseWeights { gate_up: read(slots.gate_up, Read::Operand), down: read(slots.down, Read::Operand) }
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
