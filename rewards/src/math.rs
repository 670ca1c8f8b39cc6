//! Is an answer the expected one, as mathematics?
//!
//! A text is cut into tokens ([`lexer`]), read into a typed tree ([`parser`], [`tree`]) and compared kind by kind
//! ([`compare`]): numbers exactly, rational functions at random points of a finite field, everything else by values
//! at random points, first with machine numbers that carry their error, then with 256 and 1024 bits. Nothing is ever
//! evaluated as code, no input panics, and what a verdict may cost is counted in steps, so that it is the same on
//! every machine.
//!
//! ```
//! use rewards::math::{MathOptions, MathVerdict, grade};
//!
//! let verdict = |gold, answer| grade(gold, answer, &MathOptions::default()).verdict;
//! assert_eq!(verdict(r"\frac{\sqrt{3}}{3}", r"1/\sqrt3"), MathVerdict::Correct);
//! assert_eq!(verdict("(x+1)^2", "x^2 + 2x + 1"), MathVerdict::Correct);
//! assert_eq!(verdict("2", "1 or 2 or 3"), MathVerdict::Wrong);
//! ```

mod ball;
mod budget;
mod canonical;
mod compare;
mod complex;
mod evaluate;
mod exact;
mod field;
mod fixed;
mod formula;
mod lexer;
mod literal;
mod matrix;
mod names;
mod options;
mod outcome;
mod parser;
mod precise;
mod reading;
mod real;
mod region;
mod seed;
mod text;
mod token;
mod tree;
mod unit;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::budget::Budget;
use self::compare::Comparison;
use self::formula::Formulas;
use self::outcome::Outcome;
use self::reading::{Kind, Reading};
use self::seed::Seed;
use self::tree::Node;

pub use self::options::{Decimals, MathOptions, Units};
pub use self::outcome::Reason;
pub use self::text::grade_texts;

/// What is said of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MathVerdict {
    /// It is the expected answer.
    Correct,
    /// It is not.
    Wrong,
    /// Neither could be shown; the reason says whose fault it is.
    Undecided,
}

/// A verdict and what explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// What is said of the answer.
    pub verdict: MathVerdict,
    /// Why.
    pub reason: Reason,
    /// The expected answer as it was understood.
    pub gold: String,
    /// The answer as it was understood.
    pub answer: String,
}

/// Compares an answer with the expected one. Any text will do for either.
pub fn grade(gold: &str, answer: &str, options: &MathOptions) -> Grade {
    Gold::new(gold, options).grade(answer)
}

/// The canonical form of an answer: forms that are written differently but are simple to see through are one text.
pub fn canonical(answer: &str) -> String {
    canonical::form(&Reading::of(answer).node)
}

/// An expected answer that was read once, to grade many answers.
#[derive(Debug, Clone)]
pub struct Gold {
    options: MathOptions,
    text: String,
    reading: Reading,
    form: String,
}

impl Gold {
    /// Reads an expected answer.
    pub fn new(gold: &str, options: &MathOptions) -> Self {
        let reading = Reading::of(gold);
        let form = canonical::form(&reading.node);
        Self { options: *options, text: gold.trim().to_owned(), reading, form }
    }

    /// Whether the expected answer is understood as mathematics or words, so that answers written in another way can
    /// be recognised. Of one that is not, only its own text is.
    pub fn is_understood(&self) -> bool {
        matches!(self.reading.kind, Kind::Formula | Kind::Words)
    }

    /// The expected answer as it was understood.
    pub fn canonical(&self) -> &str {
        &self.form
    }

    /// Compares an answer with this one.
    pub fn grade(&self, answer: &str) -> Grade {
        let (outcome, reading) = self.judge(answer);
        let (verdict, reason) = match outcome {
            Outcome::Same(reason) => (MathVerdict::Correct, reason),
            Outcome::Different(reason) => (MathVerdict::Wrong, reason),
            Outcome::Open(reason) => (MathVerdict::Undecided, reason),
        };
        let form = reading.map(|reading| canonical::form(&reading.node)).unwrap_or_default();
        Grade { verdict, reason, gold: self.form.clone(), answer: form }
    }

    /// The verdict alone, without the forms that explain it.
    pub fn verdict(&self, answer: &str) -> MathVerdict {
        match self.judge(answer).0 {
            Outcome::Same(_) => MathVerdict::Correct,
            Outcome::Different(_) => MathVerdict::Wrong,
            Outcome::Open(_) => MathVerdict::Undecided,
        }
    }

    fn judge(&self, answer: &str) -> (Outcome, Option<Reading>) {
        let gold = &self.reading;
        if gold.kind == Kind::Empty {
            return (Outcome::Open(Reason::GoldEmpty), None);
        }
        if gold.kind == Kind::TooLarge {
            let same = self.text == answer.trim();
            let outcome = if same { Outcome::Same(Reason::Identical) } else { Outcome::Open(Reason::GoldTooLarge) };
            return (outcome, None);
        }
        let reading = Reading::of(answer);
        let outcome = self.compared(answer, &reading);
        (outcome, Some(reading))
    }

    fn compared(&self, answer: &str, reading: &Reading) -> Outcome {
        let gold = &self.reading;
        match reading.kind {
            Kind::Empty => return Outcome::Different(Reason::AnswerEmpty),
            Kind::TooLarge => return Outcome::Open(Reason::AnswerTooLarge),
            _ if gold.is_identical(reading) => return Outcome::Same(Reason::Identical),
            _ => {}
        }
        if let Some(letter) = gold.choice()
            && reading.choice() == Some(letter)
        {
            return Outcome::Same(Reason::Equal);
        }
        match (gold.kind, reading.kind) {
            (Kind::Unreadable, _) => return Outcome::Open(Reason::GoldUnreadable),
            (_, Kind::Unreadable) => return Outcome::Different(Reason::AnswerUnreadable),
            _ => {}
        }
        let budget = Budget::new();
        let formulas = Formulas { seed: Seed::of(&self.text, answer), budget };
        let mut comparison = Comparison { options: &self.options, formulas, depth: 0 };
        let outcome = comparison.same(&gold.node, &reading.node);
        if outcome.is_same() || !is_list(&gold.node) {
            return outcome;
        }
        // 100,200 is one number, unless two are expected.
        match reading.as_items() {
            Some(items) => outcome.or(|| comparison.same(&gold.node, &items)),
            None => outcome,
        }
    }
}

fn is_list(node: &Node) -> bool {
    matches!(node, Node::List(_) | Node::Either(_) | Node::Set(_) | Node::Tuple(..))
}

#[cfg(test)]
mod tests;
