//! Rewards on a completion's length in tokens.

use std::sync::Arc;

use crate::rubric::{Settings, settings};
use crate::rule::{Member, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// DAPO's soft overlong punishment (arXiv 2503.14476): 0 up to L − c, falling linearly
/// to −1 at L, −1 beyond. Punishing gradually tells a completion that was a little too long
/// from one that never ends.
pub(crate) fn soft_overlong(n_tokens: usize, max_tokens: u32, buffer: u32) -> Verdict {
    let (len, limit, buffer) = (n_tokens as f64, f64::from(max_tokens), f64::from(buffer));
    let value = ((limit - buffer - len) / buffer).clamp(-1.0, 0.0);
    Verdict::new(value, if value < 0.0 { "overlong" } else { "within length" })
}

/// Kimi k1.5's length reward (arXiv 2501.12599) for one completion of a group whose
/// lengths span `min..=max`: λ = 0.5 − (len − min)/(max − min) where the answer is right,
/// min(0, λ) where it is wrong, and 0 where all lengths are equal.
pub(crate) fn k15(n_tokens: usize, min: usize, max: usize, correct: Option<bool>) -> Verdict {
    let Some(correct) = correct else {
        return Verdict::undecided("not known whether the answer is right");
    };
    if max <= min {
        return Verdict::new(0.0, "all lengths in the group are equal");
    }
    let lambda = 0.5 - n_tokens.saturating_sub(min) as f64 / (max - min) as f64;
    if correct { Verdict::new(lambda, "right answer") } else { Verdict::new(lambda.min(0.0), "wrong answer") }
}

settings! {
    /// From 0 to −1 as the length nears the limit (DAPO, arXiv 2503.14476).
    SoftOverlong {
        /// L, the length from which the value is −1, in tokens; DAPO uses 20480.
        max_tokens: u32,
        /// c, the stretch before L over which the value falls, in tokens; DAPO uses 4096.
        buffer: u32,
    }
}

impl Settings for SoftOverlong {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { max_tokens, buffer, .. } = *self;
        match buffer {
            0 => Err(("buffer", "is 0, and must be at least 1".into())),
            _ if buffer > max_tokens => {
                Err(("buffer", format!("is {buffer}, more than the {max_tokens} of `max_tokens`")))
            }
            _ => Ok(()),
        }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for SoftOverlong {
    fn name(&self) -> &str {
        "soft_overlong"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(soft_overlong(sample.n_tokens, self.max_tokens, self.buffer))
    }
}

settings! {
    /// From 0.5 for the group's shortest completion to −0.5 for its longest, never above 0 for
    /// a wrong one (Kimi k1.5, arXiv 2501.12599). Needs a rule in the same rubric that
    /// says what is right.
    LengthK15 {}
}

impl Settings for LengthK15 {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for LengthK15 {
    fn name(&self) -> &str {
        "length_k15"
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        let lengths = || group.iter().map(|one| one.sample.n_tokens);
        let (min, max) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        group.iter().map(|one| k15(one.sample.n_tokens, min, max, one.right)).collect()
    }

    fn needs_right(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
