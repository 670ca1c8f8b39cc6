//! `Tape`: one computation with weights of a policy, to be differentiated.

use super::reader::{Leaf, Left};
use super::weight::Cuts;
use tch::{Kind, Tensor};

/// What came out of some rows, and all that its gradient reaches.
pub(super) struct Tape {
    inputs: Vec<Tensor>,
    leaves: Vec<Leaf>,
    cuts: Cuts,
    out: Tensor,
    /// A loss beside what is made of the output: a router's.
    loss: Option<Tensor>,
}

/// A tensor with which autograd begins.
pub(super) fn input(x: &Tensor) -> Tensor {
    x.detach().set_requires_grad(true)
}

impl Tape {
    /// The computation of `out` from `inputs` that [`input`] gave.
    pub(super) fn new(inputs: Vec<Tensor>, left: Left, out: Tensor, loss: Option<Tensor>) -> Tape {
        Tape { inputs, leaves: left.leaves, cuts: left.cuts, out, loss }
    }

    /// What came out, for those behind.
    pub(super) fn out(&self) -> Tensor {
        self.out.detach()
    }

    /// Gradients with respect to the inputs, given that with respect to what came out, or that this is the loss; those of
    /// weights are added to `gradient`.
    pub(super) fn backward(self, d_out: Option<&Tensor>, gradient: &mut Tensor) -> Vec<Tensor> {
        let Tape { inputs, leaves, cuts, out, loss } = self;
        let (mut cuts, n_inputs) = (cuts.take(), inputs.len());
        let mut inputs = inputs;
        inputs.extend(leaves.iter().map(|(_, leaf)| leaf.shallow_clone()));
        inputs.extend(cuts.iter().map(|cut| cut.y.shallow_clone()));
        let mut found: Vec<Option<Tensor>> = inputs.iter().map(|_| None).collect();
        let follow = |loss: &Tensor, more: bool, found: &mut Vec<Option<Tensor>>| {
            let parts = Tensor::run_backward(&[loss], &inputs, more, false);
            for (sum, part) in found.iter_mut().zip(parts).filter(|(_, part)| part.defined()) {
                *sum = Some(sum.take().map_or_else(|| part.shallow_clone(), |sum| sum + &part));
            }
        };
        let along = |out: &Tensor, d_out: &Tensor| (out * d_out).sum(Kind::Float);
        let all = d_out.map_or_else(|| out.shallow_clone(), |d_out| along(&out, d_out));
        let all = if let Some(loss) = loss { all + loss } else { all };
        follow(&all, !cuts.is_empty(), &mut found);
        // The last product first: all that follows a product has been followed then.
        while let Some(cut) = cuts.pop() {
            let Some(dy) = found.pop().flatten() else { continue };
            let dx = cut.backward(&dy, gradient);
            follow(&along(&cut.x, &dx), !cuts.is_empty(), &mut found);
        }
        for ((slot, _), found) in leaves.iter().zip(found.drain(n_inputs..)).filter_map(|(leaf, d)| Some((leaf, d?))) {
            let part = found.to_kind(Kind::Float).view([-1]);
            let _ = gradient.narrow(0, slot.offset as i64, part.numel() as i64).g_add_(&part);
        }
        found.into_iter().map(|found| found.expect("a gradient with respect to the input")).collect()
    }
}
