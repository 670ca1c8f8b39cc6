//! The mixture of experts; see `block/experts.rs` of the crate.

use super::dense::DenseWeights;
use super::{Read, Reader};
use crate::device::DevicePolicy;
use crate::device::dispatch::Dispatch;
use crate::device::router::route;
use crate::layout::{ExpertSlots, Slot, StackSlot};
use tch::Tensor;

pub(super) struct ExpertWeights {
    /// `[E, D]`, f32 whatever products compute in.
    router: Tensor,
    correction: Option<Tensor>,
    /// `[E, 2F, D]`
    gate_up: Tensor,
    /// `[E, D, F]`
    down: Tensor,
    shared: Option<DenseWeights>,
}

impl ExpertWeights {
    pub(super) fn new(slots: &ExpertSlots, read: &mut Reader<'_>) -> ExpertWeights {
        ExpertWeights {
            router: read(slots.router, Read::Master).view([slots.router.rows as i64, -1]),
            correction: slots.correction.map(|slot| read(slot, Read::Constant)),
            gate_up: stack(slots.gate_up, read),
            down: stack(slots.down, read),
            shared: slots.shared.map(|shared| DenseWeights::new(shared, read)),
        }
    }
}

/// Matrices that stand one above the other: `[E, N, K]`.
fn stack(slot: StackSlot, read: &mut Reader<'_>) -> Tensor {
    let [groups, rows, columns] = [slot.stack.groups, slot.stack.rows, slot.stack.columns];
    let all = Slot { offset: slot.offset, rows: groups * rows, columns };
    read(all, Read::Operand).view([groups, rows, columns].map(|n| n as i64))
}

impl DevicePolicy {
    /// What experts make of normed rows `[N, D]`: `[N, D]`.
    pub(super) fn experts(&self, w: &ExpertWeights, normed: &Tensor) -> Tensor {
        let config = self.config.experts.as_ref().expect("a block with experts has their configuration");
        let routing = route(&normed.linear(&w.router, None::<&Tensor>), w.correction.as_ref(), config);
        let dispatch = Dispatch::new(&routing.chosen, config.n_experts);
        let gate_up = dispatch.product(&dispatch.sort(normed), &w.gate_up);
        let out = dispatch.combine(&dispatch.product(&self.gated(&gate_up), &w.down), &routing.weights);
        match &w.shared {
            Some(shared) => self.dense(shared, normed) + out,
            None => out,
        }
    }
}
