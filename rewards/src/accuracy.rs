//! Is the final answer the reference answer?
//!
//! A verifiable 0/1 reward, as in DeepSeek-R1 (arXiv 2501.12948): no learned reward
//! model, hence nothing the policy can talk round.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Extract, parse_rational};
use crate::math::{self, MathOptions, MathVerdict};
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
    /// The same mathematics: numbers, formulas, sets, intervals, matrices, equations, words (docs/math.md). `options`
    /// says how strictly.
    Math,
}

/// 1 where the answer matches, 0 where it does not or there is none; no value where the
/// reference itself cannot be read.
pub(crate) fn score(sample: &Sample<'_>, kind: AccuracyKind, how: Extract, options: &MathOptions) -> Verdict {
    let expected = match kind {
        AccuracyKind::Gsm8k => sample.expected.rsplit_once("####").map_or(sample.expected, |(_, a)| a),
        AccuracyKind::Exact | AccuracyKind::Numeric | AccuracyKind::Math => sample.expected,
    }
    .trim();
    if expected.is_empty() {
        return Verdict::undecided("the reference answer is empty");
    }
    if kind == AccuracyKind::Math {
        return mathematics(sample, expected, how, options);
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

/// 1 where the answer is the expected one as mathematics, 0 where it is not or is nothing that can be told; no value
/// where the expected answer itself cannot be read.
fn mathematics(sample: &Sample<'_>, expected: &str, how: Extract, options: &MathOptions) -> Verdict {
    let found = match answer::extract(sample.completion, how, sample.truncated, sample.think_opened()) {
        Ok(found) => found,
        Err(reason) => return Verdict::new(0.0, reason),
    };
    let grade = math::grade(expected, found, options);
    let note = format!("{}: {} for {}", grade.reason, grade.answer, grade.gold);
    match grade.verdict {
        MathVerdict::Correct => Verdict::new(1.0, note),
        MathVerdict::Wrong => Verdict::new(0.0, note),
        MathVerdict::Undecided if grade.reason.blames_gold() => Verdict::undecided(note),
        // A policy must not escape a bad score by writing what cannot be decided.
        MathVerdict::Undecided => Verdict::new(0.0, format!("undecided, {note}")),
    }
}

settings! {
    /// 1 where the final answer is the reference answer, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Accuracy {
        /// How the answer is compared with the reference.
        kind: AccuracyKind,
        /// Where the answer stands in the completion.
        extract: Extract,
        /// How strictly mathematics is compared, for the kind `math`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<MathOptions>,
    }
}

impl Settings for Accuracy {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.options.is_some() && self.kind != AccuracyKind::Math {
            return Err(("options", "are those of the kind `math`, and the kind is another".to_owned()));
        }
        Ok(())
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.kind, self.extract, &self.options.unwrap_or_default()))
    }

    fn judges(&self) -> bool {
        true
    }

    /// Numeric answers as a number (`72.0` and `72` are one), mathematics in its canonical form, exact ones with single
    /// spaces.
    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let found = answer::extract(sample.completion, self.extract, sample.truncated, sample.think_opened()).ok()?;
        if self.kind == AccuracyKind::Math {
            return Some(math::canonical(found));
        }
        let number = if self.kind == AccuracyKind::Exact { None } else { parse_rational(found) };
        let words = || found.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(number.map_or_else(words, |number| number.to_string()))
    }

    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let answer = match self.kind {
            AccuracyKind::Gsm8k => sample.expected.rsplit_once("####").map_or(sample.expected, |(_, gold)| gold),
            AccuracyKind::Exact | AccuracyKind::Numeric | AccuracyKind::Math => sample.expected,
        };
        Some(Gold::placed(answer.trim(), self.extract))
    }
}

#[cfg(test)]
mod tests;
