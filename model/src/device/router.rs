//! The router of a mixture of experts: the choice of [`crate::router`], as tensor operations.
//!
//! For the same scores the choice is the same: of equal ones the lower index goes first, and what is no number goes last.
//! The scores themselves may differ in their last place from those of the CPU, whose exponential is another.

use crate::config::experts::{ExpertGroups, ExpertsConfig, GroupScore, Scoring};
use crate::router::LEAST_SUM;
use std::cell::RefCell;
use std::rc::Rc;
use tch::{Kind, Tensor};

/// Where rows go.
pub(super) struct Routing {
    /// Experts of each row, in ascending order, `[N, k]`.
    pub(super) chosen: Tensor,
    /// What each of them counts, `[N, k]`.
    pub(super) weights: Tensor,
    /// Scores of all experts, without bias, `[N, E]`.
    pub(super) scores: Tensor,
}

/// What a router did, as autograd knows it.
pub(super) struct Seen {
    /// `[N, E]`
    pub(super) logits: Tensor,
    pub(super) routing: Routing,
}

/// Where a block's router leaves what it did.
pub(super) type Watch = Rc<RefCell<Option<Seen>>>;

/// Routes rows of logits `[N, E]` f32, with the correction bias `[E]` where there is one.
pub(super) fn route(logits: &Tensor, correction: Option<&Tensor>, config: &ExpertsConfig) -> Routing {
    let scores = match config.scoring {
        Scoring::Softmax => logits.softmax(-1, Kind::Float),
        Scoring::Sigmoid => logits.sigmoid(),
    };
    let chosen = tch::no_grad(|| choose(&scores.detach(), correction, config));
    let weights = scores.gather(1, &chosen, false);
    let weights = match config.normalise {
        true => &weights / (weights.sum_dim_intlist([1i64].as_slice(), true, Kind::Float) + f64::from(LEAST_SUM)),
        false => weights,
    };
    Routing { chosen, weights: weights * config.scaling, scores }
}

/// The experts of each row with the largest score plus bias, in ascending order: `[N, k]`.
pub(super) fn choose(scores: &Tensor, correction: Option<&Tensor>, config: &ExpertsConfig) -> Tensor {
    let ranked = correction.map_or_else(|| scores.shallow_clone(), |bias| scores + bias);
    let ranked = ranked.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
    let Some(groups) = config.groups else { return top(&ranked, config.n_chosen) };
    let size = (config.n_experts / groups.n) as i64;
    let of_groups = judge(&ranked.view([-1, groups.n as i64, size]), groups);
    let allowed = top(&of_groups, groups.n_chosen).unsqueeze(2) * size;
    let experts = (allowed + Tensor::arange(size, (Kind::Int64, scores.device()))).flatten(1, 2);
    experts.gather(1, &top(&ranked.gather(1, &experts, false), config.n_chosen), false)
}

/// Scores of groups `[N, groups]`, of their experts' `[N, groups, size]`.
fn judge(experts: &Tensor, groups: ExpertGroups) -> Tensor {
    let counted = match groups.by {
        GroupScore::TopTwo => 2.min(experts.size()[2]),
        GroupScore::Max => 1,
    };
    experts.topk(counted, -1, true, true).0.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
}

/// Indices of the largest numbers of each row, in ascending order; of equal ones the first come first.
fn top(numbers: &Tensor, n: usize) -> Tensor {
    let (_, order) = numbers.sort_stable(true, -1, true);
    order.narrow(1, 0, n as i64).sort(-1, false).0
}

#[cfg(test)]
mod tests;
