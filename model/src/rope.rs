//! Rotary position embedding: inverse frequencies of every scaling.
//!
//! Computed in f32 in the order transformers does, because checkpoints were trained with frequencies rounded
//! that way: at position 30 000 an error of one part in 10⁶ is already a hundredth of a radian.

use crate::config::{RopeConfig, RopeScaling};
use std::f64::consts::PI;

/// Inverse frequencies (`head_dim / 2` of them, in radians per position) and the factor on cos and sin.
pub fn inverse_frequencies(rope: &RopeConfig, head_dim: usize) -> (Vec<f32>, f32) {
    let theta = rope.theta as f32;
    let powers: Vec<f32> = (0..head_dim / 2).map(|i| theta.powf((2 * i) as f32 / head_dim as f32)).collect();
    let plain = || powers.iter().map(|p| 1.0 / p);
    match rope.scaling {
        RopeScaling::Default => (plain().collect(), 1.0),
        RopeScaling::Linear { factor } => (plain().map(|f| f / factor as f32).collect(), 1.0),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
            let context = original_max_positions as f64;
            let longest = (context / low_freq_factor) as f32;
            let shortest = (context / high_freq_factor) as f32;
            let factor = factor as f32;
            let stretch = |f: f32| {
                let wavelength = (2.0 * PI) as f32 / f;
                if wavelength > longest {
                    f / factor
                } else if wavelength < shortest {
                    f
                } else {
                    let smooth = (context as f32 / wavelength - low_freq_factor as f32)
                        / (high_freq_factor - low_freq_factor) as f32;
                    (1.0 - smooth) * f / factor + smooth * f
                }
            };
            (plain().map(stretch).collect(), 1.0)
        }
        RopeScaling::Yarn { factor, beta_fast, beta_slow, original_max_positions, attention_factor, truncate } => {
            let dim = head_dim as f64;
            // The dimension that turns `rotations` times over the original context.
            let dimension = |rotations: f64| {
                dim * (original_max_positions as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * rope.theta.ln())
            };
            let (mut low, mut high) = (dimension(beta_fast), dimension(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            let low = low.max(0.0);
            let mut high = high.min(dim - 1.0);
            if low == high {
                high += 0.001;
            }
            let blend = |(i, &power): (usize, &f32)| {
                let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                let kept = 1.0 - ramp;
                (1.0 / (factor as f32 * power)) * (1.0 - kept) + (1.0 / power) * kept
            };
            (powers.iter().enumerate().map(blend).collect(), attention_factor as f32)
        }
    }
}

/// Cosines and sines of every position.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// `[positions, K / 2]`
    pub cosine: Vec<f32>,
    /// `[positions, K / 2]`
    pub sine: Vec<f32>,
}

impl RopeTable {
    /// For a rotated part of `dim` numbers, as transformers computes them: the angle in f32.
    pub fn new(rope: &RopeConfig, dim: usize, max_positions: usize) -> RopeTable {
        let (frequencies, factor) = inverse_frequencies(rope, dim);
        let angles: Vec<f32> = (0..max_positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f)).collect();
        RopeTable {
            cosine: angles.iter().map(|a| a.cos() * factor).collect(),
            sine: angles.iter().map(|a| a.sin() * factor).collect(),
        }
    }
}

/// YaRN's factor on cos and sin where config.json names none: `0.1 · mscale · ln factor + 1`, and with both
/// `mscale` and `mscale_all_dim` (each non-zero) the ratio of the two.
pub fn yarn_attention_factor(factor: f64, mscale: Option<f64>, mscale_all_dim: Option<f64>) -> f64 {
    match (mscale, mscale_all_dim) {
        (Some(a), Some(b)) if a != 0.0 && b != 0.0 => yarn_magnitude(factor, a) / yarn_magnitude(factor, b),
        _ => yarn_magnitude(factor, 1.0),
    }
}

/// By how much YaRN makes queries and keys larger: `0.1 · mscale · ln factor + 1`.
pub fn yarn_magnitude(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

#[cfg(test)]
mod tests;
