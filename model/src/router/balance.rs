//! Losses that even out the load of experts. Each returns its value and adds its gradient to that of the logits.
//!
//! Both balance losses are sums over experts of how often an expert is chosen, which has no gradient, times the mean share
//! that it has of a token's scores: linear in the shares, so that one function serves both.

use std::ops::Range;

use super::{Load, Routing, Scoring, Selection, score_backward};
use crate::config::experts::ExpertsConfig;
use crate::team::{self, Cells};

/// Numbers of a router that are worth a chunk of their own.
const GRAIN: usize = 1_024;

/// The sequence-wise balance loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20), α · Σ_i f_i P_i, summed over
/// `sequences`, which are ranges of rows that do not overlap.
///
/// With T rows in a sequence, f_i is E / (k T) times the number of them in which expert i is among the k largest scores,
/// without bias and groups, as the paper writes it; P_i is the mean of score i divided by the sum of its row's scores.
/// A loss that is the mean over the sequences of an update is `alpha` divided by their number: then it does not depend on
/// how an update is cut into microbatches.
pub fn add_sequence_balance(
    routing: &Routing,
    sequences: &[Range<usize>],
    alpha: f64,
    config: &ExpertsConfig,
    d_logits: &mut [f32],
) -> f64 {
    let (e, k) = (config.n_experts, config.n_chosen);
    let free = ExpertsConfig { groups: None, ..config.clone() };
    let value = |rows: &Range<usize>, d_logits: &mut [f32]| {
        let scores = &routing.scores[rows.start * e..rows.end * e];
        let (mut load, mut chosen, mut selection) = (Load::new(e), vec![0; k], Selection::new(&free));
        for scores in scores.chunks_exact(e) {
            selection.choose(scores, None, &mut chosen);
            load.count(&chosen);
        }
        let scale = alpha * e as f64 / (k * rows.len() * rows.len()) as f64;
        let slopes: Vec<f32> = load.counts().iter().map(|&count| (count as f64 * scale) as f32).collect();
        let shares = scores.chunks_exact(e).zip(d_logits.chunks_exact_mut(e));
        shares.map(|(scores, d_logits)| add_shares(scores, &slopes, config.scoring, d_logits)).sum::<f64>()
    };
    check_ranges(sequences, d_logits.len() / e);
    let all = Cells(d_logits.as_mut_ptr());
    let mut values = vec![0.0; sequences.len()];
    team::fill(&mut values, 1, |i| {
        let rows = &sequences[i];
        // SAFETY: the ranges lie inside the rows and do not overlap.
        value(rows, unsafe { all.slice(rows.start * e, rows.len() * e) })
    });
    values.iter().sum()
}

/// The balance loss over a batch (Switch, arXiv 2101.03961, equations 4 to 6), as transformers computes it for Mixtral and
/// Qwen3-MoE: `alpha` · E · Σ_i F_i P_i. F_i is the part of the batch's tokens that went to expert i, of which
/// `load` says how many, `load_rows` how many tokens there were; P_i is the mean of the scores of expert i, as parts of
/// their row's sum, over `batch_rows` rows, of which these are `rows`.
///
/// A batch in one piece has as many `load_rows` as `batch_rows`. One in several has the same gradient if each piece is
/// given the load of all of them; if each is given its own, F_i is the piece's, and each piece counts by its rows.
/// transformers takes F and P over all layers together, Switch over each for itself: loads can be added up either way.
pub fn add_batch_balance(
    routing: &Routing,
    rows: Range<usize>,
    (load, load_rows, batch_rows): (&Load, u64, u64),
    alpha: f64,
    config: &ExpertsConfig,
    d_logits: &mut [f32],
) -> f64 {
    let e = config.n_experts;
    let scale = alpha * e as f64 / (load_rows as f64 * batch_rows as f64);
    let slopes: Vec<f32> = load.counts().iter().map(|&count| (count as f64 * scale) as f32).collect();
    each_row(rows, e, d_logits, |row, d_logits| {
        add_shares(&routing.scores[row * e..][..e], &slopes, config.scoring, d_logits)
    })
}

/// The router's z-loss (ST-MoE, arXiv 2202.08906, equation 5): `alpha` · Σ (log Σ_i exp(logit_i))² ÷ `batch_rows` over
/// these `rows`.
pub fn add_z_loss(
    logits: &[f32],
    rows: Range<usize>,
    batch_rows: u64,
    alpha: f64,
    e: usize,
    d_logits: &mut [f32],
) -> f64 {
    let scale = alpha / batch_rows as f64;
    each_row(rows, e, d_logits, |row, d_logits| {
        let logits = &logits[row * e..][..e];
        let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let part = |logit: f32| (f64::from(logit) - top).exp();
        let sum: f64 = logits.iter().map(|&logit| part(logit)).sum();
        let normaliser = top + sum.ln();
        for (d, &logit) in d_logits.iter_mut().zip(logits) {
            *d += (2.0 * scale * normaliser * part(logit) / sum) as f32;
        }
        scale * normaliser * normaliser
    })
}

/// Σ `slopes` · share, where a share is a score divided by the sum of its row's; adds the gradient with respect to the
/// logits.
fn add_shares(scores: &[f32], slopes: &[f32], scoring: Scoring, d_logits: &mut [f32]) -> f64 {
    let sum: f32 = scores.iter().sum();
    let value = scores.iter().zip(slopes).map(|(score, slope)| score * slope).sum::<f32>() / sum;
    let mut gradient: Vec<f32> = slopes.iter().map(|slope| (slope - value) / sum).collect();
    score_backward(scores, scoring, &mut gradient);
    d_logits.iter_mut().zip(&gradient).for_each(|(to, from)| *to += from);
    f64::from(value)
}

/// Calls `add` for each of `rows` and its part of `d_logits`; the sum of what it returns, in the order of the rows.
fn each_row(rows: Range<usize>, e: usize, d_logits: &mut [f32], add: impl Fn(usize, &mut [f32]) -> f64 + Sync) -> f64 {
    check_ranges(std::slice::from_ref(&rows), d_logits.len() / e);
    let all = Cells(d_logits.as_mut_ptr());
    let mut values = vec![0.0; rows.len()];
    team::fill(&mut values, GRAIN.div_ceil(e), |i| {
        let row = rows.start + i;
        // SAFETY: each row is its own, and lies inside.
        add(row, unsafe { all.slice(row * e, e) })
    });
    values.iter().sum()
}

fn check_ranges(ranges: &[Range<usize>], n: usize) {
    let mut sorted: Vec<&Range<usize>> = ranges.iter().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    assert!(sorted.iter().all(|range| range.start <= range.end && range.end <= n), "ranges of {n} rows");
    assert!(sorted.windows(2).all(|pair| pair[0].end <= pair[1].start), "ranges that do not overlap");
}

#[cfg(test)]
mod tests;
