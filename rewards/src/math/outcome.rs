//! What comparing two parts of answers says.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Exhausted;

/// Why a verdict is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Both are the same, letter for letter, once spacing and the like are gone.
    Identical,
    /// Both stand for the same thing.
    Equal,
    /// They agree after rounding, which the options allow.
    Rounded,
    /// The values differ.
    ValuesDiffer,
    /// One is a number where the other is a set, and so on.
    KindsDiffer,
    /// One has more items, rows or sides than the other.
    LengthsDiffer,
    /// The same items in other brackets.
    BracketsDiffer,
    /// The words differ.
    WordsDiffer,
    /// Values of variables of different names.
    NamesDiffer,
    /// The relations differ.
    RelationsDiffer,
    /// The units differ, or cannot be converted.
    UnitsDiffer,
    /// The answer has no unit, and must have one.
    UnitMissing,
    /// There is no answer.
    AnswerEmpty,
    /// The text marks answers that differ.
    SeveralAnswers,
    /// The answer is no mathematics that is read here, nor the expected text.
    AnswerUnreadable,
    /// The expected answer is empty.
    GoldEmpty,
    /// The expected answer is prose or mathematics that is not read here; another text may say the same.
    GoldUnreadable,
    /// The expected answer is larger than is read.
    GoldTooLarge,
    /// The answer is larger than is read.
    AnswerTooLarge,
    /// The steps of one verdict are spent.
    OutOfSteps,
    /// The formulas have values at too few points to tell.
    TooFewPoints,
    /// The values agree as far as they are known, which is not far enough.
    TooImprecise,
}

impl Reason {
    /// Whether a verdict that stays open for this reason is the expected answer's fault, and not the answer's.
    pub fn blames_gold(self) -> bool {
        matches!(self, Self::GoldEmpty | Self::GoldUnreadable | Self::GoldTooLarge)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identical => "the same text",
            Self::Equal => "equal",
            Self::Rounded => "equal after rounding",
            Self::ValuesDiffer => "the values differ",
            Self::KindsDiffer => "not the same kind of thing",
            Self::LengthsDiffer => "not as many items",
            Self::BracketsDiffer => "other brackets",
            Self::WordsDiffer => "other words",
            Self::NamesDiffer => "a value of another variable",
            Self::RelationsDiffer => "another relation",
            Self::UnitsDiffer => "other units",
            Self::UnitMissing => "the unit is missing",
            Self::AnswerEmpty => "the answer is empty",
            Self::SeveralAnswers => "the text marks answers that differ",
            Self::AnswerUnreadable => "the answer is not readable as mathematics",
            Self::GoldEmpty => "the expected answer is empty",
            Self::GoldUnreadable => "the expected answer is not readable as mathematics",
            Self::GoldTooLarge => "the expected answer is too large",
            Self::AnswerTooLarge => "the answer is too large",
            Self::OutOfSteps => "too many steps",
            Self::TooFewPoints => "defined at too few points to compare",
            Self::TooImprecise => "not known well enough to compare",
        })
    }
}

/// What comparing two parts says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Same(Reason),
    Different(Reason),
    Open(Reason),
}

pub(crate) const SAME: Outcome = Outcome::Same(Reason::Equal);

impl Outcome {
    pub(crate) fn is_same(self) -> bool {
        matches!(self, Self::Same(_))
    }

    /// Both must hold. The second is only asked where the first does.
    pub(crate) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Same(Reason::Rounded) => match other() {
                Self::Same(_) => self,
                rest => rest,
            },
            Self::Same(_) => other(),
            Self::Different(_) => self,
            Self::Open(_) => match other() {
                Self::Different(reason) => Self::Different(reason),
                _ => self,
            },
        }
    }

    /// One of the two must hold. The second is only asked where the first does not.
    pub(crate) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Same(_) => self,
            Self::Different(_) => match other() {
                Self::Different(_) => self,
                rest => rest,
            },
            Self::Open(_) => match other() {
                same @ Self::Same(_) => same,
                _ => self,
            },
        }
    }
}

impl From<Exhausted> for Outcome {
    fn from(_: Exhausted) -> Self {
        Self::Open(Reason::OutOfSteps)
    }
}
