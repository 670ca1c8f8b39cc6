//! Routers: matrices that rows are multiplied with in f32, whatever the policy computes in.

use crate::buffer::Buffer;
use crate::layout::Slot;
use crate::policy::Policy;
use crate::product;
use crate::share::Share;

impl Policy {
    /// A router's logits for rows x `[N, D]`: `[N, E]`.
    pub(crate) fn router_logits(&self, x: &Buffer, router: Slot) -> Buffer {
        self.operands.routers[&router.offset].product(x)
    }

    /// Gradient of [`Policy::router_logits`] with respect to its input; adds that of the weights to `gradient`.
    pub(crate) fn router_backward(&self, d_logits: &Buffer, x: &Buffer, router: Slot, gradient: &mut Share) -> Buffer {
        product::add_weight_gradient(d_logits, x, router.columns, gradient.slot(router));
        product::input_gradient(d_logits, self.vector(router), router.columns)
    }
}
