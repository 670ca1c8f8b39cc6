//! The learning rate as a function of the step.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate falls between the end of the warm-up and the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It stays at its peak.
    #[default]
    Constant,
    /// It falls along a straight line to the floor.
    Linear,
    /// It falls along half a cosine to the floor.
    Cosine,
}

/// Linear warm-up, then a decay to a floor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps over which the rate climbs to its peak; 0 starts at the peak.
    pub warmup_steps: u64,
    /// The shape after the warm-up.
    pub decay: Decay,
    /// The share of the peak left at the last step, 0 to 1; `constant` has no use for it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub floor: f64,
}

impl Schedule {
    /// The learning rate of a step, counted from 1, in a run of `steps`.
    ///
    /// Step `warmup_steps` is the first at `peak`; step `steps` and all after it are at the floor.
    pub fn learning_rate(&self, peak: f64, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return peak * step as f64 / self.warmup_steps as f64;
        }
        // Without a warm-up step 1 is the peak.
        let first = self.warmup_steps.max(1);
        let length = steps.saturating_sub(first);
        let progress = match length {
            0 if step > steps => 1.0,
            0 => 0.0,
            _ => (step.saturating_sub(first) as f64 / length as f64).min(1.0),
        };
        let share = match self.decay {
            Decay::Constant => return peak,
            Decay::Linear => 1.0 - progress,
            Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
        };
        peak * (self.floor + (1.0 - self.floor) * share)
    }
}

#[cfg(test)]
mod tests;
