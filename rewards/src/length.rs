//! Rewards on a completion's length in tokens.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// The corners of the cosine reward; the defaults are those of the paper's table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CosineCorners {
    /// Value of a right answer of no length.
    pub right_short: f64,
    /// Value that a right answer nears at the limit.
    pub right_long: f64,
    /// Value of a wrong answer of no length.
    pub wrong_short: f64,
    /// Value that a wrong answer nears at the limit: above `wrong_short`, so that thinking longer pays where the
    /// answer is not found yet.
    pub wrong_long: f64,
    /// Value of a completion that reaches the limit, right or wrong.
    pub exceeded: f64,
}

impl Default for CosineCorners {
    fn default() -> Self {
        Self { right_short: 2.0, right_long: 1.0, wrong_short: -10.0, wrong_long: 0.0, exceeded: -10.0 }
    }
}

impl CosineCorners {
    /// Every value, in the order of the fields.
    pub(crate) fn values(&self) -> [f64; 5] {
        [self.right_short, self.right_long, self.wrong_short, self.wrong_long, self.exceeded]
    }
}

/// The cosine reward of "Demystifying long chain-of-thought" (Yeo et al., arXiv 2502.03373): from the short corner at
/// length 0 along half a cosine to the long corner at `max_tokens`, other corners for right and wrong answers, and one
/// value for what reaches the limit. Never leaves the range of the corners.
pub(crate) fn cosine(n_tokens: usize, max_tokens: u32, corners: &CosineCorners, correct: Option<bool>) -> Verdict {
    let Some(correct) = correct else {
        return Verdict::undecided("not known whether the answer is right");
    };
    if n_tokens >= max_tokens as usize {
        return Verdict::new(corners.exceeded, "reaches the limit");
    }
    let (short, long, note) = if correct {
        (corners.right_short, corners.right_long, "right answer")
    } else {
        (corners.wrong_short, corners.wrong_long, "wrong answer")
    };
    let still_short = (1.0 + (std::f64::consts::PI * n_tokens as f64 / f64::from(max_tokens)).cos()) / 2.0;
    let value = long + (short - long) * still_short;
    Verdict::new(value.clamp(short.min(long), short.max(long)), note)
}

/// Tokens that a completion may take at each reasoning effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// At low effort, in tokens.
    pub low: u32,
    /// At medium effort, in tokens.
    pub medium: u32,
    /// At high effort, in tokens.
    pub high: u32,
}

/// How a completion's length is held against its budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetMode {
    /// L1-Exact: −α·|length − budget|, not below −1, whether the answer is right or not.
    #[default]
    Exact,
    /// L1-Max: α·(budget − length) + 0.5, within 0 and 1, for a right answer; 0 for a wrong one.
    Max,
}

/// δ of L1-Max: a right answer a little above its budget is still worth more than a wrong one.
const L1_MARGIN: f64 = 0.5;

/// The column of a row that says its reasoning effort.
pub(crate) const EFFORT: &str = "effort";

impl Budgets {
    /// The budget of a row in tokens: its column `effort` is `low`, `medium`, `high`, or a number of tokens.
    fn of(&self, columns: &Map<String, Value>) -> Option<u32> {
        match columns.get(EFFORT)? {
            Value::Number(tokens) => tokens.as_u64().and_then(|tokens| u32::try_from(tokens).ok()),
            Value::String(effort) => match effort.trim().to_ascii_lowercase().as_str() {
                "low" => Some(self.low),
                "medium" => Some(self.medium),
                "high" => Some(self.high),
                tokens => tokens.parse().ok(),
            },
            _ => None,
        }
    }
}

/// L1's length rewards (Aggarwal and Welleck, arXiv 2503.04697) against the budget of the row's reasoning effort.
/// `alpha` is the price of a token. −1..0 for [`TargetMode::Exact`], 0..1 for [`TargetMode::Max`], which needs to know
/// whether the answer is right. No value where the row names no effort.
pub(crate) fn target(
    n_tokens: usize,
    columns: &Map<String, Value>,
    budgets: &Budgets,
    mode: TargetMode,
    alpha: f64,
    correct: Option<bool>,
) -> Verdict {
    let Some(budget) = budgets.of(columns) else {
        return Verdict::undecided("no low, medium, high or number of tokens in the column effort");
    };
    let left = f64::from(budget) - n_tokens as f64;
    let note = format!("{n_tokens} of {budget} tokens");
    match (mode, correct) {
        (TargetMode::Exact, _) => Verdict::new(-(alpha * left.abs()).min(1.0), note),
        (TargetMode::Max, Some(true)) => Verdict::new((alpha * left + L1_MARGIN).clamp(0.0, 1.0), note),
        (TargetMode::Max, Some(false)) => Verdict::new(0.0, "wrong answer"),
        (TargetMode::Max, None) => Verdict::undecided("not known whether the answer is right"),
    }
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

settings! {
    /// Along half a cosine from the value of a short answer to that of a long one, others for right and for wrong answers,
    /// and one value for what reaches the limit (Yeo et al., arXiv 2502.03373). Within the lowest and the highest corner.
    /// Needs a rule in the same rubric that says what is right.
    LengthCosine {
        /// The length that must not be reached, in tokens.
        max_tokens: u32,
        /// The values at both ends.
        #[serde(default)]
        corners: CosineCorners,
    }
}

impl Settings for LengthCosine {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.max_tokens == 0 {
            return Err(("max_tokens", "is 0, and must be at least 1".into()));
        }
        match self.corners.values().iter().find(|value| !value.is_finite()) {
            Some(value) => Err(("corners", format!("holds {value}, and must be finite"))),
            None => Ok(()),
        }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for LengthCosine {
    fn name(&self) -> &str {
        "length_cosine"
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        group.iter().map(|one| cosine(one.sample.n_tokens, self.max_tokens, &self.corners, one.right)).collect()
    }

    fn needs_right(&self) -> bool {
        true
    }
}

settings! {
    /// How near the length comes to the budget of the row's reasoning effort, its column `effort`: `low`, `medium`, `high`
    /// or a number of tokens (L1, arXiv 2503.04697). −1..0, or 0..1 for the mode `max`, which needs a rule in the same
    /// rubric that says what is right.
    TargetLength {
        /// Tokens for each effort.
        budgets: Budgets,
        /// How the length is held against the budget.
        #[serde(default)]
        mode: TargetMode,
        /// α, the price of a token beside the budget; L1 uses 0.0003 for budgets of some thousands.
        #[serde(default = "l1_alpha")]
        alpha: f64,
    }
}

fn l1_alpha() -> f64 {
    0.0003
}

impl Settings for TargetLength {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let Budgets { low, medium, high } = self.budgets;
        if low == 0 || low >= medium || medium >= high {
            return Err(("budgets", "must be above 0 and grow with the effort".into()));
        }
        match self.alpha {
            alpha if alpha.is_finite() && alpha > 0.0 => Ok(()),
            alpha => Err(("alpha", format!("is {alpha}, and must be finite and above 0"))),
        }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl TargetLength {
    fn verdict(&self, sample: &Sample<'_>, right: Option<bool>) -> Verdict {
        target(sample.n_tokens, sample.columns, &self.budgets, self.mode, self.alpha, right)
    }
}

impl Rule for TargetLength {
    fn name(&self) -> &str {
        "target_length"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        (self.mode == TargetMode::Exact).then(|| self.verdict(sample, None))
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        group.iter().map(|one| self.verdict(&one.sample, one.right)).collect()
    }

    fn needs_right(&self) -> bool {
        self.mode == TargetMode::Max
    }
}

#[cfg(test)]
mod tests;
