//! The router of a mixture of experts: which experts a token goes to, and what each of them counts.
//!
//! Scores are the softmax of a token's logits (DeepSeek-V2, Qwen3-MoE, Mixtral) or the sigmoid of each (DeepSeek-V3, arXiv
//! 2412.19437, section 2.1.2). The choice goes by score plus correction bias, within the best groups where experts are
//! grouped; the weights are the scores of the chosen without the bias, divided by their sum where the configuration says
//! so. Mixtral's softmax over the chosen alone is the softmax over all, divided by the sum of the chosen.
//!
//! A row's choice and weights depend on that row's logits alone. Everything is f32, whatever the policy computes in.

pub mod balance;
mod balancer;
mod load;
mod select;

pub use balancer::{Balance, Loads, Routed, add_loads};
pub(crate) use balancer::{Balancer, NO_BALANCE};
pub use load::Load;

use crate::buffer::Buffer;
use crate::config::experts::{ExpertsConfig, Scoring};
use crate::team::{self, Cells};
use select::Selection;

/// Numbers of a router that are worth a chunk of their own: some microseconds.
const GRAIN: usize = 1_024;

/// Keeps the sum of the chosen scores from zero, as the published code of DeepSeek-V3 does. Beside the sum of some
/// softmax scores, which are the largest of all, it changes no bit.
pub(crate) const LEAST_SUM: f32 = 1e-20;

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Experts of each row, in ascending order, `[N, k]`.
    pub chosen: Vec<u32>,
    /// What each of them counts, `[N, k]`.
    pub weights: Buffer,
    /// Scores of all experts, without bias, `[N, E]`.
    pub scores: Buffer,
}

/// Routes rows of logits `[N, E]`, with the correction bias `[E]` where there is one.
///
/// Of equal scores the lower index goes first. A score that is no number comes behind all others, and among such ones
/// the lower index goes first; its weight is not a number either, so that it shows.
///
/// # Panics
/// Where the groups that a token may use hold fewer experts than it must choose.
pub fn route(logits: &[f32], bias: Option<&[f32]>, config: &ExpertsConfig) -> Routing {
    let (e, k) = (config.n_experts, config.n_chosen);
    assert!(logits.len().is_multiple_of(e) && bias.is_none_or(|bias| bias.len() == e), "logits are [N, E], a bias [E]");
    let n = logits.len() / e;
    let mut routing =
        Routing { chosen: vec![0; n * k], weights: Buffer::unwritten(n * k), scores: Buffer::unwritten(n * e) };
    let (chosen_all, weights_all) = (Cells(routing.chosen.as_mut_ptr()), Cells(routing.weights.as_mut_ptr()));
    team::spread_rows(&mut routing.scores, e, GRAIN.div_ceil(e), |rows, scores| {
        let mut selection = Selection::new(config);
        for (row, scores) in rows.zip(scores.chunks_exact_mut(e)) {
            score(&logits[row * e..][..e], config.scoring, scores);
            // SAFETY: rows of a part are no other part's.
            let (chosen, weights) = unsafe { (chosen_all.slice(row * k, k), weights_all.slice(row * k, k)) };
            selection.choose(scores, bias, chosen);
            weigh(scores, chosen, config, weights);
        }
    });
    routing
}

/// Scores of one row of logits.
fn score(logits: &[f32], scoring: Scoring, scores: &mut [f32]) {
    match scoring {
        Scoring::Softmax => softmax(logits, scores),
        Scoring::Sigmoid => {
            for (score, logit) in scores.iter_mut().zip(logits) {
                *score = 1.0 / (1.0 + (-logit).exp());
            }
        }
    }
}

fn softmax(logits: &[f32], scores: &mut [f32]) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (score, logit) in scores.iter_mut().zip(logits) {
        *score = (logit - top).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Sum of the chosen scores, in the order of the experts.
fn sum_of(scores: &[f32], chosen: &[u32]) -> f32 {
    chosen.iter().map(|&expert| scores[expert as usize]).sum::<f32>() + LEAST_SUM
}

fn weigh(scores: &[f32], chosen: &[u32], config: &ExpertsConfig, weights: &mut [f32]) {
    let (scaling, sum) = (config.scaling as f32, sum_of(scores, chosen));
    for (weight, &expert) in weights.iter_mut().zip(chosen) {
        let score = scores[expert as usize];
        *weight = if config.normalise { score / sum } else { score } * scaling;
    }
}

/// Gradient of [`route`]'s weights with respect to the logits, `[N, E]`, given that with respect to the weights, `[N, k]`.
/// Which experts are chosen is taken as given.
pub fn route_backward(routing: &Routing, d_weights: &[f32], config: &ExpertsConfig) -> Buffer {
    let (e, k) = (config.n_experts, config.n_chosen);
    assert_eq!(d_weights.len(), routing.weights.len(), "a gradient for each weight");
    let mut d_logits = Buffer::unwritten(routing.scores.len());
    let scaling = config.scaling as f32;
    team::spread_rows(&mut d_logits, e, GRAIN.div_ceil(e), |rows, part| {
        let mut d_scores = vec![0.0; k];
        for (row, d_logits) in rows.zip(part.chunks_exact_mut(e)) {
            let scores = &routing.scores[row * e..][..e];
            let at = row * k..(row + 1) * k;
            let (chosen, d_weights) = (&routing.chosen[at.clone()], &d_weights[at.clone()]);
            d_scores.iter_mut().zip(d_weights).for_each(|(d_score, d_weight)| *d_score = d_weight * scaling);
            if config.normalise {
                let shared: f32 = d_weights.iter().zip(&routing.weights[at]).map(|(d, weight)| d * weight).sum();
                let sum = sum_of(scores, chosen);
                d_scores.iter_mut().for_each(|d_score| *d_score = (*d_score - shared) / sum);
            }
            d_logits.fill(0.0);
            for (&expert, d_score) in chosen.iter().zip(&d_scores) {
                d_logits[expert as usize] = *d_score;
            }
            score_backward(scores, config.scoring, d_logits);
        }
    });
    d_logits
}

/// Turns the gradient with respect to a row's scores into that with respect to its logits.
fn score_backward(scores: &[f32], scoring: Scoring, gradient: &mut [f32]) {
    match scoring {
        Scoring::Softmax => {
            let shared: f32 = gradient.iter().zip(scores).map(|(d_score, score)| d_score * score).sum();
            gradient.iter_mut().zip(scores).for_each(|(d, score)| *d = score * (*d - shared));
        }
        Scoring::Sigmoid => gradient.iter_mut().zip(scores).for_each(|(d, score)| *d *= score * (1.0 - score)),
    }
}

#[cfg(test)]
mod tests;
