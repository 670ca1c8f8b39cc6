//! Is an answer the expected one, as mathematics?
//!
//! A text is cut into tokens (`lexer`), read into a typed tree (`parser`, `tree`) and compared kind by kind
//! (`compare`): numbers exactly, rational functions at random points of a finite field, everything else by values
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
mod characters;
mod choice;
mod compare;
mod complex;
mod coordinate;
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
mod rounding;
mod seed;
mod text;
mod token;
mod tree;
mod unit;
mod words;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::budget::Budget;
use self::choice::Choice;
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
    /// The letter the expected answer names, and what stands behind it.
    choice: Option<Choice>,
    form: String,
}

impl Gold {
    /// Reads an expected answer.
    pub fn new(gold: &str, options: &MathOptions) -> Self {
        let reading = Reading::of(gold);
        let form = canonical::form(&reading.node);
        let choice = reading.choice().filter(|choice| {
            let capital = reading.spelling.contains(choice.letter) && choice.letter.is_ascii_uppercase();
            capital && ('A'..='J').contains(&choice.letter)
        });
        Self { options: *options, text: gold.trim().to_owned(), reading, choice, form }
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
        if let Some(outcome) = self.by_choice(answer, reading) {
            return outcome;
        }
        match (gold.kind, reading.kind) {
            (Kind::Unreadable, _) => return Outcome::Open(Reason::GoldUnreadable),
            (_, Kind::Unreadable) => return Outcome::Different(Reason::AnswerUnreadable),
            _ => {}
        }
        self.by_value(answer, gold, reading)
    }

    /// Where the expected answer is a choice: letters are compared, and what stands behind both. `None` where letters
    /// do not settle it.
    fn by_choice(&self, answer: &str, reading: &Reading) -> Option<Outcome> {
        let gold = self.choice.as_ref()?;
        let wrong = Outcome::Different(Reason::ValuesDiffer);
        let rest = |choice: &Choice| Reading::of_tokens(choice.rest.clone());
        match reading.choice() {
            Some(choice) if choice.letter == gold.letter => Some(if gold.rest.is_empty() || choice.rest.is_empty() {
                Outcome::Same(Reason::Equal)
            } else {
                self.readings(answer, &rest(gold), &rest(&choice))
            }),
            Some(_) if !gold.rest.is_empty() => Some(wrong),
            Some(choice) => (!choice.rest.is_empty()).then_some(wrong),
            None if gold.rest.is_empty() => None,
            None => Some(self.readings(answer, &rest(gold), reading)),
        }
    }

    /// Two readings of parts of the texts.
    fn readings(&self, answer: &str, gold: &Reading, reading: &Reading) -> Outcome {
        if gold.is_identical(reading) {
            return Outcome::Same(Reason::Identical);
        }
        match (gold.kind, reading.kind) {
            (Kind::Formula | Kind::Words, Kind::Formula | Kind::Words) => self.by_value(answer, gold, reading),
            (Kind::Formula | Kind::Words, _) => Outcome::Different(Reason::AnswerUnreadable),
            _ => Outcome::Different(Reason::WordsDiffer),
        }
    }

    fn by_value(&self, answer: &str, gold: &Reading, reading: &Reading) -> Outcome {
        let budget = Budget::new();
        let formulas = Formulas { seed: Seed::of(&self.text, answer), budget };
        let mut comparison = Comparison { options: &self.options, formulas, depth: 0 };
        let (gold_node, answer_node) = families(&gold.node, &reading.node);
        let outcome = comparison.same(&gold_node, &answer_node);
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

/// The name of the constant that is added to a formula.
fn constant_term(node: &Node) -> Option<&str> {
    const NAMES: [&str; 6] = ["C", "c", "K", "C_1", "c_1", "const"];
    match node {
        Node::Sum(terms) if terms.len() > 1 => terms.iter().find_map(|term| match term {
            Node::Symbol(name) if NAMES.contains(&&**name) => {
                let alone = |n: &Node| matches!(n, Node::Symbol(other) if other == name);
                let once = terms.iter().filter(|term| term.any(&alone)).count() == 1;
                once.then_some(&**name)
            }
            _ => None,
        }),
        Node::Chain(_, rest) => rest.last().and_then(|(_, side)| constant_term(side)),
        _ => None,
    }
}

/// Where one of two says that a letter stands for any integer, the other's letter is taken for one too.
fn families<'n>(gold: &'n Node, answer: &'n Node) -> (Cow<'n, Node>, Cow<'n, Node>) {
    const LETTERS: [&str; 6] = ["k", "n", "m", "l", "j", "N"];
    let integer = reading::integer_name(0);
    let has = |node: &Node| node.any(&|n| matches!(n, Node::Symbol(name) if *name == integer));
    let renamed = |node: &Node| {
        let mut names = Vec::new();
        node.symbols(&mut names);
        let mut letters = names.iter().filter(|name| LETTERS.contains(name));
        match (letters.next(), letters.next()) {
            (Some(letter), None) => {
                let mut node = node.clone();
                node.rename(letter, &integer);
                Some(node)
            }
            _ => None,
        }
    };
    // An antiderivative's constant goes by any name.
    if let (Some(own), Some(other)) = (constant_term(gold), constant_term(answer))
        && own != other
        && !gold.any(&|n| matches!(n, Node::Symbol(name) if **name == *other))
    {
        let mut answer = answer.clone();
        answer.rename(other, own);
        return (Cow::Borrowed(gold), Cow::Owned(answer));
    }
    let or_itself = |node: &'n Node| renamed(node).map_or(Cow::Borrowed(node), Cow::Owned);
    match (has(gold), has(answer)) {
        (true, false) => (Cow::Borrowed(gold), or_itself(answer)),
        (false, true) => (or_itself(gold), Cow::Borrowed(answer)),
        _ => (Cow::Borrowed(gold), Cow::Borrowed(answer)),
    }
}

fn is_list(node: &Node) -> bool {
    matches!(node, Node::List(_) | Node::Either(_) | Node::Set(_) | Node::Tuple(..))
}

#[cfg(test)]
mod tests;
