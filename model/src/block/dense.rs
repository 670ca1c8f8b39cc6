//! The gated feed-forward: y = (act(x · Wgᵀ) ⊙ x · Wuᵀ) · Wdᵀ (GLU variants, arXiv 2002.05202).

use crate::buffer::Buffer;
use crate::kernels;
use crate::layout::DenseSlots;
use crate::policy::Policy;
use crate::share::Share;

/// What the backward pass needs: gate and up, `[N, 2F]`.
pub(super) struct KeptDense {
    gate_up: Buffer,
}

impl Policy {
    /// Gated rows `[N, F]` of normed ones `[N, D]`.
    pub(super) fn dense(&self, slots: DenseSlots, normed: Buffer) -> (Buffer, KeptDense) {
        let gate_up = self.project(&normed, slots.gate_up, None);
        drop(normed);
        let gated = kernels::gated(self.config.activation, &gate_up, slots.down.columns);
        (gated, KeptDense { gate_up })
    }

    /// Gradient with respect to what `normed` gives, given that of what the last product gave.
    pub(super) fn dense_backward(
        &self,
        slots: DenseSlots,
        d_out: &Buffer,
        normed: &dyn Fn() -> Buffer,
        kept: KeptDense,
        gradient: &mut Share,
    ) -> Buffer {
        let KeptDense { mut gate_up } = kept;
        let mut gated = self.project_input_backward(d_out, slots.down);
        kernels::gated_backward(self.config.activation, &mut gated, &mut gate_up, slots.down.columns);
        self.project_weight_backward(d_out, &gated, slots.down, None, gradient);
        drop(gated);
        self.project_backward(&gate_up, &normed(), slots.gate_up, None, gradient)
    }
}
