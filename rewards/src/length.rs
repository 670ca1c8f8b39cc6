//! Rewards on a completion's length in tokens.

use crate::score::Verdict;

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
        return Verdict::unknown("not known whether the answer is right");
    };
    if max <= min {
        return Verdict::new(0.0, "all lengths in the group are equal");
    }
    let lambda = 0.5 - n_tokens.saturating_sub(min) as f64 / (max - min) as f64;
    if correct { Verdict::new(lambda, "right answer") } else { Verdict::new(lambda.min(0.0), "wrong answer") }
}

#[cfg(test)]
mod tests;
