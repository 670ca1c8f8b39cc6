//! `Weight`: what a linear layer's rows are multiplied with on a device, and how its products are differentiated.
//!
//! libtorch's autograd follows products in f32 and bf16. Products in FP8 have gradients of their own, so each is a cut in
//! the tape: what stands before it and what stands behind it are differentiated by autograd, it by [`CodedMatrix`].

use super::fp8::CodedMatrix;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// A matrix that rows are multiplied with, or several, each with the rows of its own group.
pub(super) enum Weight {
    /// `[N, K]`, or `[E, N, K]`, in f32 or bf16.
    Wide(Tensor),
    /// In FP8, one for each group.
    Coded(Vec<Arc<CodedMatrix>>, Option<Cuts>),
}

/// The products that autograd does not follow, in the order in which they were computed.
pub(super) type Cuts = Rc<RefCell<Vec<Cut>>>;

/// A product that autograd does not follow.
pub(super) struct Cut {
    /// Its input, which autograd knows.
    pub(super) x: Tensor,
    /// What it gave, with which autograd begins anew.
    pub(super) y: Tensor,
    matrices: Vec<Arc<CodedMatrix>>,
    counts: Vec<i64>,
}

impl Cut {
    /// The gradient with respect to the input, given that with respect to the product; adds that of the matrices to the
    /// flat `gradient`.
    pub(super) fn backward(&self, dy: &Tensor, gradient: &Tensor) -> Tensor {
        tch::no_grad(|| {
            let (dy, x) = (dy.contiguous(), self.x.detach());
            let groups = dy.split_with_sizes(self.counts.as_slice(), 0);
            let inputs = x.split_with_sizes(self.counts.as_slice(), 0);
            for ((matrix, dy), x) in self.matrices.iter().zip(&groups).zip(&inputs) {
                if dy.size()[0] > 0 {
                    matrix.add_weight_gradient(dy, x, gradient);
                }
            }
            each(&self.matrices, &self.counts, &dy, CodedMatrix::input_gradient)
        })
    }
}

/// x · Wᵀ of each group of `counts` rows of x `[M, K]` with its matrix in FP8: `[M, N]` f32.
pub(super) fn coded_product(
    matrices: &[Arc<CodedMatrix>],
    counts: Vec<i64>,
    x: &Tensor,
    cuts: Option<&Cuts>,
) -> Tensor {
    let x = x.to_kind(Kind::Float);
    let y = tch::no_grad(|| each(matrices, &counts, &x.detach(), CodedMatrix::product));
    let Some(cuts) = cuts else { return y };
    let y = y.set_requires_grad(true);
    let cut = Cut { x, y: y.shallow_clone(), matrices: matrices.to_vec(), counts };
    cuts.borrow_mut().push(cut);
    y
}

fn each(
    matrices: &[Arc<CodedMatrix>],
    counts: &[i64],
    rows: &Tensor,
    product: impl Fn(&CodedMatrix, &Tensor) -> Tensor,
) -> Tensor {
    let groups = rows.split_with_sizes(counts, 0);
    let with_rows = matrices.iter().zip(&groups).filter(|(_, rows)| rows.size()[0] > 0);
    let found: Vec<Tensor> = with_rows.map(|(matrix, rows)| product(matrix, rows)).collect();
    Tensor::cat(&found, 0)
}

/// x · Wᵀ + b for rows x `[N, in]`, in the weight's precision: `[N, out]` f32.
pub(super) fn project(x: &Tensor, weight: &Weight, bias: Option<&Tensor>) -> Tensor {
    match weight {
        Weight::Wide(weight) => project_wide(x, weight, bias),
        Weight::Coded(matrices, cuts) => {
            let y = coded_product(matrices, vec![x.size()[0]], x, cuts.as_ref());
            bias.map_or_else(|| y.shallow_clone(), |bias| &y + bias.to_kind(Kind::Float))
        }
    }
}

/// [`project`] with a weight that is not in FP8.
pub(super) fn project_wide(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    x.to_kind(weight.kind()).linear(weight, bias).to_kind(Kind::Float)
}
