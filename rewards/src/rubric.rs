//! The weighted list of rules a run is scored by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accuracy::{self, AccuracyKind};
use crate::answer::{self, Extract};
use crate::format::{self, FormatStyle};
use crate::score::{Part, Sample, Score, Verdict};
use crate::{countdown, length};

/// One rule and its settings, as written in a run's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleConfig {
    /// 1 where the final answer is the reference answer, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Accuracy {
        /// Factor on the value in the total; no unit.
        weight: f64,
        /// How the answer is compared with the reference.
        kind: AccuracyKind,
        /// Where the answer stands in the completion.
        extract: Extract,
    },
    /// 1 where the layout is kept, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Format {
        /// Factor on the value in the total; no unit.
        weight: f64,
        /// The layout asked for.
        style: FormatStyle,
        /// True where the completion starts inside `<think>` although the prompt does not end with it; a prompt
        /// that does is noticed.
        #[serde(default)]
        think_opened: bool,
    },
    /// 1 where the expression in `<answer>` uses each of the row's `nums` once and equals its
    /// `target` (TinyZero, github.com/Jiayi-Pan/TinyZero).
    Countdown {
        /// Factor on the value in the total; no unit.
        weight: f64,
        /// Value of an expression that uses each number once but misses the target, in 0..1;
        /// TinyZero uses 0.1. Without it, 0.
        #[serde(default)]
        format_score: Option<f64>,
    },
    /// From 0 to −1 as the length nears the limit (DAPO, arXiv 2503.14476).
    SoftOverlong {
        /// Factor on the value in the total; no unit.
        weight: f64,
        /// L, the length from which the value is −1, in tokens; DAPO uses 20480.
        max_tokens: u32,
        /// c, the stretch before L over which the value falls, in tokens; DAPO uses 4096.
        buffer: u32,
    },
    /// From 0.5 for the group's shortest completion to −0.5 for its longest, never above 0 for
    /// a wrong one (Kimi k1.5, arXiv 2501.12599). Needs a rule in the same rubric that
    /// says what is right: accuracy, or else countdown.
    #[serde(rename = "length_k15")]
    LengthK15 {
        /// Factor on the value in the total; no unit.
        weight: f64,
    },
}

impl RuleConfig {
    /// Whether the rule says which completions are right: accuracy and countdown do.
    pub fn judges(&self) -> bool {
        matches!(self, Self::Accuracy { .. } | Self::Countdown { .. })
    }

    /// The final answer this rule finds in a completion, worded so that answers the rule takes for the same are
    /// the same text: numeric answers as a number (`72.0` and `72` are one), exact ones with single spaces, countdown's
    /// expressions without any. `None` where there is no answer, or for a rule that reads none.
    pub fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let find = |how| answer::extract(sample.completion, how, sample.truncated, sample.think_opened()).ok();
        let words = |text: &str, between: &str| text.split_whitespace().collect::<Vec<_>>().join(between);
        match *self {
            Self::Accuracy { extract, kind, .. } => {
                let found = find(extract)?;
                let number = if kind == AccuracyKind::Exact { None } else { answer::parse_rational(found) };
                Some(number.map_or_else(|| words(found, " "), |number| number.to_string()))
            }
            Self::Countdown { .. } => find(Extract::AnswerTag).map(|found| words(found, "")),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Accuracy { .. } => "accuracy",
            Self::Format { .. } => "format",
            Self::Countdown { .. } => "countdown",
            Self::SoftOverlong { .. } => "soft_overlong",
            Self::LengthK15 { .. } => "length_k15",
        }
    }

    fn weight(&self) -> f64 {
        match *self {
            Self::Accuracy { weight, .. }
            | Self::Format { weight, .. }
            | Self::Countdown { weight, .. }
            | Self::SoftOverlong { weight, .. }
            | Self::LengthK15 { weight } => weight,
        }
    }

    fn check(&self) -> Result<(), RubricError> {
        if !self.weight().is_finite() {
            return Err(RubricError::Weight { rule: self.name(), weight: self.weight() });
        }
        match *self {
            Self::Countdown { format_score: Some(score), .. } if !(0.0..1.0).contains(&score) => {
                Err(RubricError::FormatScore(score))
            }
            Self::SoftOverlong { max_tokens, buffer, .. } if buffer == 0 || buffer > max_tokens => {
                Err(RubricError::Buffer { max_tokens, buffer })
            }
            _ => Ok(()),
        }
    }
}

/// Why a list of rules makes no rubric.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RubricError {
    /// The list is empty: every completion would score the same.
    #[error("a rubric needs at least one rule")]
    Empty,
    /// A weight is infinite or not a number.
    #[error("{rule}: weight is {weight}, and must be finite")]
    Weight {
        /// The rule's name.
        rule: &'static str,
        /// The weight given.
        weight: f64,
    },
    /// Countdown's `format_score` would pay as much for a wrong expression as for a right one.
    #[error("countdown: format_score is {0}, and must be at least 0 and less than 1")]
    FormatScore(f64),
    /// The buffer does not fit in the length.
    #[error("soft_overlong: buffer is {buffer}, and must be in 1..={max_tokens} (max_tokens)")]
    Buffer {
        /// The length limit, in tokens.
        max_tokens: u32,
        /// The buffer given, in tokens.
        buffer: u32,
    },
    /// `length_k15` stands in a rubric that does not say which completions are right.
    #[error("length_k15 needs an accuracy or countdown rule in the same rubric")]
    LengthWithoutAccuracy,
}

/// A checked list of rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Rubric {
    rules: Vec<RuleConfig>,
    /// Which rule says whether a completion is right: the first accuracy, else the first
    /// countdown.
    judge: Option<usize>,
}

impl Rubric {
    /// Checks the rules once, so that scoring has nothing left to refuse.
    pub fn new(rules: &[RuleConfig]) -> Result<Self, RubricError> {
        if rules.is_empty() {
            return Err(RubricError::Empty);
        }
        for rule in rules {
            rule.check()?;
        }
        let first = |name| rules.iter().position(|r| r.name() == name);
        let judge = first("accuracy").or_else(|| first("countdown"));
        if judge.is_none() && first("length_k15").is_some() {
            return Err(RubricError::LengthWithoutAccuracy);
        }
        Ok(Self { rules: rules.to_vec(), judge })
    }

    /// Scores all completions of one prompt, in order. Never panics, whatever the text; a part
    /// that cannot be computed leaves its completion's total `None`.
    pub fn score_group(&self, group: &[Sample<'_>]) -> Vec<Score> {
        self.complete(group.iter().map(|sample| self.score_alone(sample)).collect())
    }

    /// What can be said of a completion before the others of its group are there: nearly all of the work.
    /// [`Rubric::complete`] does the rest.
    pub fn score_alone(&self, sample: &Sample<'_>) -> ScoredAlone {
        let verdicts: Vec<Verdict> = self.rules.iter().map(|rule| verdict_alone(rule, sample)).collect();
        let correct = self.judge.and_then(|i| match self.rules[i] {
            // Countdown's partial credit is not a right answer.
            RuleConfig::Countdown { .. } => verdicts[i].value.map(|v| v >= 1.0),
            _ => verdicts[i].value.map(|v| v > 0.0),
        });
        ScoredAlone { n_tokens: sample.n_tokens, correct, verdicts }
    }

    /// The scores of a group, in order: [`Rubric::score_group`] of the same completions.
    pub fn complete(&self, group: Vec<ScoredAlone>) -> Vec<Score> {
        let min = group.iter().map(|one| one.n_tokens).min().unwrap_or(0);
        let max = group.iter().map(|one| one.n_tokens).max().unwrap_or(0);
        let score = |one: ScoredAlone| {
            let parts = self.rules.iter().zip(one.verdicts).map(|(rule, alone)| {
                let verdict = match rule {
                    RuleConfig::LengthK15 { .. } => length::k15(one.n_tokens, min, max, one.correct),
                    _ => alone,
                };
                Part { rule: rule.name().to_owned(), value: verdict.value, weight: rule.weight(), note: verdict.note }
            });
            Score::from_parts(parts.collect())
        };
        group.into_iter().map(score).collect()
    }
}

/// A completion of which all is known but what depends on the others of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredAlone {
    n_tokens: usize,
    correct: Option<bool>,
    /// One for each rule.
    verdicts: Vec<Verdict>,
}

/// The verdict of a rule that looks at one completion alone.
fn verdict_alone(rule: &RuleConfig, sample: &Sample<'_>) -> Verdict {
    match *rule {
        RuleConfig::Accuracy { kind, extract, .. } => accuracy::score(sample, kind, extract),
        RuleConfig::Format { style, think_opened, .. } => {
            format::score(sample.completion, style, think_opened || sample.think_opened())
        }
        RuleConfig::Countdown { format_score, .. } => countdown::score(sample, format_score.unwrap_or(0.0)),
        RuleConfig::SoftOverlong { max_tokens, buffer, .. } => {
            length::soft_overlong(sample.n_tokens, max_tokens, buffer)
        }
        RuleConfig::LengthK15 { .. } => Verdict::unknown("needs the whole group"),
    }
}

#[cfg(test)]
mod tests;
