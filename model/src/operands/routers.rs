//! Routers: matrices that rows are multiplied with in f32, whatever the policy computes in.

use crate::buffer::Buffer;
use crate::layout::{Layout, Slot};
use crate::policy::Policy;
use crate::product::{self, Panels};
use crate::share::Share;
use crate::team::{self, Team};
use std::collections::BTreeMap;

/// Panels of every router, by its offset in the flat array.
pub(crate) struct Routers(BTreeMap<usize, Panels>);

impl Routers {
    pub(crate) fn new(layout: &Layout) -> Routers {
        let panels = |slot: Slot| (slot.offset, Panels::new(slot.rows, slot.columns));
        Routers(layout.routers().into_iter().map(panels).collect())
    }

    /// Takes over the masters.
    pub(crate) fn refresh(&mut self, masters: &Buffer) {
        Team::new(team::cores()).lead(|| {
            self.0.iter_mut().for_each(|(&offset, one)| one.pack(&masters[offset..][..one.len()]));
        });
    }
}

impl Policy {
    /// A router's logits for rows x `[N, D]`: `[N, E]`.
    pub(crate) fn router_logits(&self, x: &Buffer, router: Slot) -> Buffer {
        self.routers.0[&router.offset].product(x)
    }

    /// Gradient of [`Policy::router_logits`] with respect to its input; adds that of the weights to `gradient`.
    pub(crate) fn router_backward(&self, d_logits: &Buffer, x: &Buffer, router: Slot, gradient: &mut Share) -> Buffer {
        product::add_weight_gradient(d_logits, x, router.columns, gradient.slot(router));
        product::input_gradient(d_logits, self.vector(router), router.columns)
    }
}
