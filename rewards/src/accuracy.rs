//! Is the final answer the reference answer?
//!
//! A verifiable 0/1 reward, as in DeepSeek-R1 (arXiv 2501.12948): no learned reward
//! model, hence nothing the policy can talk round.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Extract, parse_rational};
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// How the answer is compared with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccuracyKind {
    /// The same text, runs of white space taken as one space.
    Exact,
    /// The same number, compared as exact rationals.
    Numeric,
    /// The same number as the one after the reference's last `####` (GSM8K, arXiv 2110.14168);
    /// a reference without `####` is taken whole.
    Gsm8k,
}

/// 1 where the answer matches, 0 where it does not or there is none; no value where the
/// reference itself cannot be read.
pub(crate) fn score(sample: &Sample<'_>, kind: AccuracyKind, how: Extract) -> Verdict {
    let expected = match kind {
        AccuracyKind::Gsm8k => sample.expected.rsplit_once("####").map_or(sample.expected, |(_, a)| a),
        AccuracyKind::Exact | AccuracyKind::Numeric => sample.expected,
    }
    .trim();
    if expected.is_empty() {
        return Verdict::undecided("the reference answer is empty");
    }
    let number = match (kind, parse_rational(expected)) {
        (AccuracyKind::Exact, _) => None,
        (_, None) => return Verdict::undecided("the reference answer is not a number"),
        (_, number) => number,
    };
    let found = match answer::extract(sample.completion, how, sample.truncated, sample.think_opened()) {
        Ok(found) => found,
        Err(reason) => return Verdict::new(0.0, reason),
    };
    let same = match number {
        None => found.split_whitespace().eq(expected.split_whitespace()),
        Some(number) => match parse_rational(found) {
            Some(value) => value == number,
            None => return Verdict::new(0.0, "the answer is not a number"),
        },
    };
    if same { Verdict::new(1.0, "right") } else { Verdict::new(0.0, "wrong") }
}

settings! {
    /// 1 where the final answer is the reference answer, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Accuracy {
        /// How the answer is compared with the reference.
        kind: AccuracyKind,
        /// Where the answer stands in the completion.
        extract: Extract,
    }
}

impl Settings for Accuracy {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.kind, self.extract))
    }

    fn judges(&self) -> bool {
        true
    }

    /// Numeric answers as a number (`72.0` and `72` are one), exact ones with single spaces.
    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let found = answer::extract(sample.completion, self.extract, sample.truncated, sample.think_opened()).ok()?;
        let number = if self.kind == AccuracyKind::Exact { None } else { parse_rational(found) };
        let words = || found.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(number.map_or_else(words, |number| number.to_string()))
    }

    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let answer = match self.kind {
            AccuracyKind::Gsm8k => sample.expected.rsplit_once("####").map_or(sample.expected, |(_, gold)| gold),
            AccuracyKind::Exact | AccuracyKind::Numeric => sample.expected,
        };
        Some(Gold::placed(answer.trim(), self.extract))
    }
}

#[cfg(test)]
mod tests;
