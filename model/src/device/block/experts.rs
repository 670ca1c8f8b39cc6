//! The mixture of experts; see `block/experts.rs` of the crate.

use super::dense::DenseWeights;
use crate::device::DevicePolicy;
use crate::device::dispatch::Dispatch;
use crate::device::reader::{Read, Reader};
use crate::device::router::{Seen, Watch, route};
use crate::device::weight::Weight;
use crate::layout::ExpertSlots;
use tch::Tensor;

pub(super) struct ExpertWeights {
    /// `[E, D]`, f32 whatever products compute in.
    router: Tensor,
    correction: Option<Tensor>,
    /// `[E, 2F, D]`
    gate_up: Weight,
    /// `[E, D, F]`
    down: Weight,
    shared: Option<DenseWeights>,
    watch: Option<Watch>,
}

impl ExpertWeights {
    pub(super) fn new(slots: &ExpertSlots, from: &mut Reader<'_>) -> ExpertWeights {
        ExpertWeights {
            router: from.tensor(slots.router, Read::Master).view([slots.router.rows as i64, -1]),
            correction: slots.correction.map(|slot| from.tensor(slot, Read::Constant)),
            gate_up: from.stack(slots.gate_up),
            down: from.stack(slots.down),
            shared: slots.shared.map(|shared| DenseWeights::new(shared, from)),
            watch: from.watch(),
        }
    }
}

impl DevicePolicy {
    /// What experts make of normed rows `[N, D]`: `[N, D]`.
    pub(super) fn experts(&self, w: &ExpertWeights, normed: &Tensor) -> Tensor {
        let config = self.config.experts.as_ref().expect("a block with experts has their configuration");
        let logits = normed.linear(&w.router, None::<&Tensor>);
        let routing = route(&logits, w.correction.as_ref(), config);
        let dispatch = Dispatch::new(&routing.chosen, config.n_experts);
        let gate_up = dispatch.product(&dispatch.sort(normed), &w.gate_up);
        let out = dispatch.combine(&dispatch.product(&self.gated(&gate_up), &w.down), &routing.weights);
        if let Some(watch) = &w.watch {
            watch.replace(Some(Seen { logits, routing }));
        }
        match &w.shared {
            Some(shared) => self.dense(shared, normed) + out,
            None => out,
        }
    }
}
