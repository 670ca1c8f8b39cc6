//! `Reader`: makes a block's weights out of the flat tensors, for a computation alone or for one with a gradient.

use super::policy::DevicePolicy;
use super::router::{Seen, Watch};
use super::weight::{Cuts, Weight};
use crate::layout::{Slot, StackSlot};
use std::sync::Arc;
use tch::Tensor;

/// How a weight is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// As products do: f32 or bf16.
    Operand,
    /// As norms do: f32.
    Master,
    /// As norms do, and no gradient reaches it.
    Constant,
}

/// A weight that gathers its gradient, and where it lies.
pub(super) type Leaf = (Slot, Tensor);

/// Reads weights of a policy.
pub(super) struct Reader<'a> {
    policy: &'a DevicePolicy,
    /// Weights that gather gradients and products with gradients of their own, where gradients are asked for.
    tape: Option<(Vec<Leaf>, Cuts)>,
    /// What the block's router does, where it is asked for.
    watch: Option<Watch>,
}

/// What a computation with gradients leaves beside its result.
pub(super) struct Left {
    /// Weights that gather gradients.
    pub(super) leaves: Vec<Leaf>,
    /// The products that have their own.
    pub(super) cuts: Cuts,
    /// What the block's router did, where it has one.
    pub(super) seen: Option<Seen>,
}

impl<'a> Reader<'a> {
    /// For a computation alone.
    pub(super) fn plain(policy: &'a DevicePolicy) -> Reader<'a> {
        Reader { policy, tape: None, watch: None }
    }

    /// For a computation alone that tells what the router did.
    pub(super) fn watching(policy: &'a DevicePolicy) -> Reader<'a> {
        Reader { policy, tape: None, watch: Some(Watch::default()) }
    }

    /// For one with a gradient, which tells what the router did as well.
    pub(super) fn with_gradients(policy: &'a DevicePolicy) -> Reader<'a> {
        Reader { policy, tape: Some((Vec::new(), Cuts::default())), watch: Some(Watch::default()) }
    }

    /// What there is to know of the computation once it is done.
    pub(super) fn left(self) -> Left {
        let (leaves, cuts) = self.tape.unwrap_or_default();
        Left { leaves, cuts, seen: self.watch.and_then(|watch| watch.take()) }
    }

    /// Where a router tells what it did.
    pub(super) fn watch(&self) -> Option<Watch> {
        self.watch.clone()
    }

    /// The tensor of a slot: a matrix as products read it, or a vector.
    pub(super) fn tensor(&mut self, slot: Slot, read: Read) -> Tensor {
        let weight = match read {
            Read::Operand => self.policy.operand(slot),
            Read::Master | Read::Constant => self.policy.vector(slot),
        };
        match &mut self.tape {
            Some((leaves, _)) if read != Read::Constant => {
                let leaf = weight.detach().set_requires_grad(true);
                leaves.push((slot, leaf.shallow_clone()));
                leaf
            }
            _ => weight,
        }
    }

    /// A linear layer's weight.
    pub(super) fn weight(&mut self, slot: Slot) -> Weight {
        match self.policy.coded.get(&slot.offset) {
            Some(matrix) => Weight::Coded(vec![Arc::clone(matrix)], self.cuts()),
            None => Weight::Wide(self.tensor(slot, Read::Operand)),
        }
    }

    /// Matrices that stand one above the other: `[E, N, K]`.
    pub(super) fn stack(&mut self, slot: StackSlot) -> Weight {
        let [groups, rows, columns] = [slot.stack.groups, slot.stack.rows, slot.stack.columns];
        let matrices = (0..groups).map(|group| self.policy.coded.get(&(slot.offset + slot.stack.matrix(group).start)));
        if let Some(matrices) = matrices.map(|matrix| matrix.map(Arc::clone)).collect() {
            return Weight::Coded(matrices, self.cuts());
        }
        let all = Slot { offset: slot.offset, rows: groups * rows, columns };
        Weight::Wide(self.tensor(all, Read::Operand).view([groups, rows, columns].map(|n| n as i64)))
    }

    fn cuts(&self) -> Option<Cuts> {
        self.tape.as_ref().map(|(_, cuts)| Cuts::clone(cuts))
    }
}
