//! How a token is drawn: temperature, top-k, top-p, min-p and keyed Gumbel noise.

mod on_device;

use model::gumbel;
use model::philox::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a draw. Log-probabilities are those of softmax(logits / temperature) before any truncation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Divides the logits. 0 is greedy. R1-Zero trains at 1.
    pub temperature: f64,
    /// Keep the smallest set of tokens whose probability reaches this (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f64,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep tokens at least this share of the likeliest one's probability (Nguyen et al. 2024); 0 keeps all.
    pub min_p: f64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0 }
    }
}

impl SamplingConfig {
    /// What logits are divided by where log-probabilities are taken: the temperature, or 1 for greedy sampling.
    pub fn logprob_temperature(&self) -> f32 {
        if self.temperature == 0.0 { 1.0 } else { self.temperature as f32 }
    }

    /// Draws a token for `position` of the completion that `stream` belongs to.
    ///
    /// Gumbel-max ([`gumbel`]): argmax of logit / T + g(token) over the tokens that truncation keeps, ties to the lowest
    /// id. The noise of a token depends on nothing but the stream, the position and its id, so a draw does not depend on
    /// the batch it was made in, and truncation only removes candidates.
    pub fn draw(&self, logits: &[f32], stream: &Stream, position: u32) -> u32 {
        if self.temperature == 0.0 {
            return gumbel::argmax(logits);
        }
        let scale = 1.0 / self.temperature as f32;
        let Some(kept) = self.kept(logits) else { return gumbel::draw(logits, scale, stream, position) };
        let mut left = vec![f32::NEG_INFINITY; logits.len()];
        for id in kept {
            left[id] = logits[id];
        }
        gumbel::draw(&left, scale, stream, position)
    }

    /// Σ min(p, q) over the vocabulary, of what is drawn from two rows of logits: the share of drafts from one that
    /// rejection sampling lets stand in expectation (Leviathan et al. 2022).
    pub fn overlap(&self, p: &[f32], q: &[f32]) -> f64 {
        if self.temperature == 0.0 {
            return f64::from(gumbel::argmax(p) == gumbel::argmax(q));
        }
        let (p, q) = (self.probabilities(p), self.probabilities(q));
        p.iter().zip(&q).map(|(p, q)| p.min(*q)).sum()
    }

    /// What a token is drawn from, `[V]`.
    fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let top = logits[gumbel::argmax(logits) as usize];
        let weight = |logit: f32| (f64::from(logit - top) / self.temperature).exp();
        let mut weights = match self.kept(logits) {
            None => logits.iter().map(|&logit| weight(logit)).collect(),
            Some(kept) => {
                let mut weights = vec![0.0; logits.len()];
                kept.into_iter().for_each(|id| weights[id] = weight(logits[id]));
                weights
            }
        };
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        weights
    }

    /// The ids truncation keeps, or `None` for all: first top-k, then top-p of what is left, then min-p.
    fn kept(&self, logits: &[f32]) -> Option<Vec<usize>> {
        if self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0 {
            return None;
        }
        let top = logits[gumbel::argmax(logits) as usize];
        let weight = |id: usize| (f64::from(logits[id] - top) / self.temperature).exp();
        let mut kept: Vec<(f64, usize)> = (0..logits.len()).map(|id| (weight(id), id)).collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if self.top_k > 0 && self.top_k < kept.len() {
            kept.select_nth_unstable_by(self.top_k - 1, order);
            kept.truncate(self.top_k);
        }
        if self.top_p < 1.0 {
            let total: f64 = kept.iter().map(|(w, _)| w).sum();
            // Tokens below this share add up to less than 1 − top_p: the nucleus has none of them.
            let floor = (1.0 - self.top_p) * total / kept.len() as f64;
            kept.retain(|(w, _)| *w >= floor);
            kept.sort_unstable_by(order);
            let mut sum = 0.0;
            let nucleus = kept.iter().take_while(|(w, _)| {
                let before = sum;
                sum += w;
                before < self.top_p * total
            });
            let n = nucleus.count().max(1);
            kept.truncate(n);
        }
        kept.retain(|(w, _)| *w >= self.min_p);
        Some(kept.into_iter().map(|(_, id)| id).collect())
    }
}

#[cfg(test)]
mod tests;
