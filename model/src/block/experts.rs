//! The mixture of experts: each row goes to the experts that a router chooses, and to the shared ones
//! (DeepSeekMoE, arXiv 2401.06066).
//!
//! The result is Σ weight · expert(row) over the chosen, in the order of the experts, and what the shared ones give. Only
//! the chosen are computed: rows are sorted by expert, multiplied in groups and put together again.

use super::dense::KeptDense;
use crate::buffer::Buffer;
use crate::config::experts::ExpertsConfig;
use crate::dispatch::Dispatch;
use crate::kernels;
use crate::layout::{DenseSlots, ExpertSlots};
use crate::policy::Policy;
use crate::router::{self, Balancer, Routing};
use crate::share::Share;

/// What the backward pass needs.
pub(super) struct KeptExperts {
    routing: Routing,
    dispatch: Dispatch,
    /// Gate and up of sorted rows, `[M, 2F]`.
    gate_up: Buffer,
    shared: Option<KeptDense>,
}

impl KeptExperts {
    /// Where rows went.
    pub(super) fn routing(&self) -> &Routing {
        &self.routing
    }
}

impl Policy {
    /// What experts make of normed rows `[N, D]`: `[N, D]`.
    pub(super) fn experts(&self, slots: &ExpertSlots, normed: Buffer) -> (Buffer, KeptExperts) {
        let (routing, dispatch) = self.dispatch(slots, &normed);
        let sorted = dispatch.sort(&normed, slots.router.columns);
        let gate_up = self.project_stack(&sorted, dispatch.ends(), slots.gate_up);
        drop(sorted);
        let gated = kernels::gated(self.config.activation, &gate_up, slots.down.stack.columns);
        let y = self.project_stack(&gated, dispatch.ends(), slots.down);
        drop(gated);
        let (gated, shared) = match slots.shared {
            None => (None, None),
            Some(shared) => {
                let (gated, kept) = self.dense(shared, normed);
                (Some((shared, gated)), Some(kept))
            }
        };
        let out = self.combine(gated, &y, &routing, &dispatch, slots);
        (out, KeptExperts { routing, dispatch, gate_up, shared })
    }

    /// [`Policy::experts`] for the rows of a decoding step.
    pub(super) fn experts_step(&self, slots: &ExpertSlots, normed: &Buffer) -> Buffer {
        let (routing, dispatch) = self.dispatch(slots, normed);
        let sorted = dispatch.sort(normed, slots.router.columns);
        let gated = self.project_stack_gated(&sorted, dispatch.ends(), slots.gate_up);
        let y = self.project_stack(&gated, dispatch.ends(), slots.down);
        let shared = slots.shared.map(|shared| (shared, self.project_gated(normed, shared.gate_up)));
        self.combine(shared, &y, &routing, &dispatch, slots)
    }

    fn experts_config(&self) -> &ExpertsConfig {
        self.config.experts.as_ref().expect("a block with experts has their configuration")
    }

    fn dispatch(&self, slots: &ExpertSlots, normed: &Buffer) -> (Routing, Dispatch) {
        let config = self.experts_config();
        let correction = slots.correction.map(|slot| self.vector(slot));
        let routing = router::route(&self.router_logits(normed, slots.router), correction, config);
        let dispatch = Dispatch::new(&routing.chosen, config.n_chosen, config.n_experts);
        (routing, dispatch)
    }

    /// The shared experts' result, of which the gated rows are given, and that of the chosen, y `[M, D]`.
    fn combine(
        &self,
        shared: Option<(DenseSlots, Buffer)>,
        y: &Buffer,
        routing: &Routing,
        dispatch: &Dispatch,
        slots: &ExpertSlots,
    ) -> Buffer {
        let d = slots.router.columns;
        let mut out = match shared {
            Some((shared, gated)) => self.project(&gated, shared.down, None),
            None => Buffer::cleared(routing.scores.len() / slots.router.rows * d),
        };
        dispatch.combine_onto(&mut out, y, &routing.weights, d);
        out
    }

    /// Gradient of [`Policy::experts`] with respect to what `normed` gives, that of the losses of `balancer` among it; adds
    /// those of weights to `gradient`.
    ///
    /// A weight's own gradient is the product of the row's gradient and the expert's result. That result is not kept:
    /// ⟨d, W·g⟩ = ⟨Wᵀ·d, g⟩, and Wᵀ·d is computed anyway.
    pub(super) fn experts_backward(
        &self,
        (layer, slots): (usize, &ExpertSlots),
        d_out: &Buffer,
        normed: &dyn Fn() -> Buffer,
        kept: KeptExperts,
        balancer: &mut Balancer<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let KeptExperts { routing, dispatch, mut gate_up, shared } = kept;
        let (d, f, ends) = (slots.router.columns, slots.down.stack.columns, dispatch.ends());
        let d_sorted = dispatch.sort(d_out, d);
        let mut gated = self.project_stack_input_backward(&d_sorted, ends, slots.down);
        let d_weights = dispatch.dots(&gated, &kernels::gated(self.config.activation, &gate_up, f), f);
        dispatch.weigh(&mut gated, &routing.weights, f);
        kernels::gated_backward(self.config.activation, &mut gated, &mut gate_up, f);
        dispatch.weigh(&mut gated, &routing.weights, f);
        self.project_stack_weight_backward(&d_sorted, &gated, ends, slots.down, gradient);
        drop((d_sorted, gated));

        let x = normed();
        let sorted = dispatch.sort(&x, d);
        self.project_stack_weight_backward(&gate_up, &sorted, ends, slots.gate_up, gradient);
        drop(sorted);
        let d_sorted = self.project_stack_input_backward(&gate_up, ends, slots.gate_up);
        drop(gate_up);
        let config = self.experts_config();
        let mut d_logits = router::route_backward(&routing, &d_weights, config);
        balancer.even(layer, &routing, || self.router_logits(&x, slots.router), config, &mut d_logits);
        let mut dx = self.router_backward(&d_logits, &x, slots.router, gradient);
        drop(x);
        dispatch.sum_onto(&mut dx, &d_sorted, d);
        drop(d_sorted);
        if let Some((slots, kept)) = slots.shared.zip(shared) {
            dx.add(&self.dense_backward(slots, d_out, normed, kept, gradient));
        }
        dx
    }
}

#[cfg(test)]
mod tests;
