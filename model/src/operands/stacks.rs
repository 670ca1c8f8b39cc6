//! Products of rows in groups with the matrices of a stack: the experts of a block, the heads of a latent attention.
//!
//! In bf16 their gradients are those of f32: sums of products with the masters.

use crate::buffer::Buffer;
use crate::config::Dtype;
use crate::grouped::StackPanels;
use crate::layout::StackSlot;
use crate::policy::Policy;
use crate::share::Share;
use crate::team;

impl StackSlot {
    /// Lays the matrices out, turned where rows meet their columns. `weights` begins with the first.
    pub(super) fn pack(self, weights: &[f32], panels: &mut StackPanels) {
        if !self.turned {
            panels.pack(weights);
            return;
        }
        let (stack, size) = (self.stack, self.stack.rows * self.stack.columns);
        let mut turned = Buffer::unwritten(stack.groups * size);
        team::spread_rows(&mut turned, size, 1, |groups, part| {
            for (group, to) in groups.zip(part.chunks_exact_mut(size)) {
                for (i, row) in weights[stack.matrix(group)].chunks_exact(stack.columns).enumerate() {
                    row.iter().enumerate().for_each(|(j, number)| to[j * stack.rows + i] = *number);
                }
            }
        });
        panels.pack(&turned);
    }
}

impl Policy {
    /// Rows x, sorted in groups that end at `ends`, times each group's matrix: x · Wᵀ, or x · W where the slot is turned.
    pub(crate) fn project_stack(&self, x: &Buffer, ends: &[usize], slot: StackSlot) -> Buffer {
        self.operands.stacks[&(slot.offset, slot.turned)].product(x, ends)
    }

    /// The gated activation of [`Policy::project_stack`] with matrices of gate and up: `[M, F]`.
    pub(crate) fn project_stack_gated(&self, x: &Buffer, ends: &[usize], slot: StackSlot) -> Buffer {
        self.operands.stacks[&(slot.offset, slot.turned)].gated_product(self.config.activation, x, ends)
    }

    /// Gradient of [`Policy::project_stack`] with respect to its input.
    pub(crate) fn project_stack_input_backward(&self, dy: &Buffer, ends: &[usize], slot: StackSlot) -> Buffer {
        let weights = &self.parameters[slot.range()];
        if !slot.turned {
            return self.operands.stacks[&(slot.offset, false)].input_gradient(dy, ends, weights, slot);
        }
        let mut panels = StackPanels::new(slot.stack, Dtype::F32);
        panels.pack(weights);
        panels.product(dy, ends)
    }

    /// Adds the gradient of the matrices of [`Policy::project_stack`] to `gradient`.
    pub(crate) fn project_stack_weight_backward(
        &self,
        dy: &Buffer,
        x: &Buffer,
        ends: &[usize],
        slot: StackSlot,
        gradient: &mut Share,
    ) {
        // Of turned matrices the rows belong to the input.
        let (dy, x) = if slot.turned { (x, dy) } else { (dy, x) };
        let panels = &self.operands.stacks[&(slot.offset, slot.turned)];
        panels.add_weight_gradient(dy, x, ends, slot, gradient.part(slot.range()));
    }
}
