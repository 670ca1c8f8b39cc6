//! Is the option that the completion names the right one?
//!
//! Multiple choice as in MMLU (arXiv 2009.03300) and AQuA-RAT (arXiv 1705.04146). The answer is found as for `accuracy` and
//! must name one option and nothing else: graders that look for any letter in a text are satisfied by "A or B".

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{self, Extract, to_closing_brace};
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// How the data row names the right option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceGold {
    /// By its letter, such as `B` or `(B)`.
    #[default]
    Letter,
    /// By its place among the options, from 0, as MMLU's files do.
    Index,
    /// By its text, or by its letter where no option has that text.
    Text,
}

/// Why a row cannot be judged.
const NO_OPTION: &str = "the reference answer names none of the options";

/// Longest answer that is read, in bytes: an option's text with a letter before it.
const MAX_ANSWER_BYTES: usize = 4096;

/// 1 where the answer names the right option, by its letter, its text or both; else 0. No value where the row's own
/// answer names none.
pub(crate) fn score(sample: &Sample<'_>, gold: ChoiceGold, how: Extract) -> Verdict {
    let options = Options::of(sample.columns);
    let Some(right) = options.gold(sample.expected, gold) else {
        return Verdict::undecided(NO_OPTION);
    };
    match letter(sample, &options, how) {
        Ok(found) if found == right => Verdict::new(1.0, format!("{found} is right")),
        Ok(found) => Verdict::new(0.0, format!("{found} is wrong")),
        Err(reason) => Verdict::new(0.0, reason),
    }
}

fn letter(sample: &Sample<'_>, options: &Options, how: Extract) -> Result<char, &'static str> {
    let found = answer::extract(sample.completion, how, sample.truncated, sample.think_opened())?;
    if found.len() > MAX_ANSWER_BYTES {
        return Err("the answer is too long");
    }
    options.named(found)
}

/// The options of a row in order, as plain text; empty where the row has none.
#[derive(Debug, Default, PartialEq)]
struct Options {
    texts: Vec<String>,
}

impl Options {
    /// The options of the column `options` or `choices`: a list of texts with or without their letters, an object of
    /// texts by letter, or an object with the list `text`.
    fn of(columns: &Map<String, Value>) -> Self {
        let Some(value) = columns.get("options").or_else(|| columns.get("choices")) else {
            return Self::default();
        };
        let listed = |items: &[Value]| -> Option<Vec<String>> { items.iter().map(text).collect() };
        let texts = match value {
            Value::Array(items) => listed(items),
            Value::Object(by_name) => match by_name.get("text") {
                Some(Value::Array(items)) => listed(items),
                _ => {
                    let mut by_letter: Vec<(&String, &Value)> = by_name.iter().collect();
                    by_letter.sort_by_key(|(letter, _)| *letter);
                    let in_order = by_letter.iter().zip('A'..).all(|((name, _), letter)| **name == letter.to_string());
                    in_order.then(|| by_letter.iter().map(|(_, value)| text(value)).collect()).flatten()
                }
            },
            _ => None,
        };
        let mut texts = texts.unwrap_or_default();
        // `A)5(√3 + 1)` holds its letter, which must not count as a part of the text.
        let lettered = |(text, letter): (&String, char)| labelled(text).is_some_and(|(found, _)| found == letter);
        if !texts.is_empty() && texts.iter().zip('A'..).all(lettered) {
            texts = texts.iter().filter_map(|text| labelled(text).map(|(_, rest)| rest.to_owned())).collect();
        }
        Self { texts: texts.iter().map(|text| plain(text)).collect() }
    }

    fn gold(&self, expected: &str, gold: ChoiceGold) -> Option<char> {
        match gold {
            ChoiceGold::Letter => self.known(alone(&plain(expected))?),
            ChoiceGold::Index => {
                let place: u8 = expected.trim().parse().ok()?;
                self.known(char::from(b'A'.checked_add(place)?))
            }
            ChoiceGold::Text => self.with_text(&plain(expected)).or_else(|| self.known(alone(&plain(expected))?)),
        }
    }

    /// The one option that an answer names.
    fn named(&self, answer: &str) -> Result<char, &'static str> {
        let answer = plain(answer);
        if let Some(letter) = alone(&answer) {
            return self.known(letter).ok_or("the letter of no option");
        }
        let by_text = self.with_text(&answer);
        let Some((letter, rest)) = labelled(&answer).filter(|_| by_text.is_none()) else {
            return by_text.ok_or("neither a letter nor the text of one option");
        };
        let letter = self.known(letter).ok_or("the letter of no option")?;
        let fits = match self.texts.get(place(letter)) {
            Some(text) => *text == plain(rest),
            // Without options to compare with, a second letter may be a second answer.
            None => !rest.split(|c: char| !c.is_alphanumeric()).any(|word| alone(word).is_some()),
        };
        if fits { Ok(letter) } else { Err("what follows the letter is not the text of its option") }
    }

    /// The letter, where there is such an option.
    fn known(&self, letter: char) -> Option<char> {
        let there = letter.is_ascii_uppercase() && (self.texts.is_empty() || place(letter) < self.texts.len());
        there.then_some(letter)
    }

    /// The letter of the only option with this text.
    fn with_text(&self, text: &str) -> Option<char> {
        let mut with = self.texts.iter().zip('A'..='Z').filter(|(option, _)| !text.is_empty() && *option == text);
        match (with.next(), with.next()) {
            (Some((_, letter)), None) => Some(letter),
            _ => None,
        }
    }
}

fn place(letter: char) -> usize {
    usize::from((letter as u8).saturating_sub(b'A'))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text without what dresses it: dollars, bold marks, `\text{…}` and the like, a full stop at its end, capitals of a
/// text of several letters, runs of white space.
fn plain(text: &str) -> String {
    let mut text = text.trim();
    loop {
        let before = text;
        for mark in ["**", "$", "`"] {
            text = text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)).unwrap_or(text).trim();
        }
        text = text.strip_suffix('.').unwrap_or(text).trim();
        for command in ["\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\boxed{"] {
            let Some(inside) = text.strip_prefix(command).and_then(to_closing_brace) else { continue };
            if text.len() == command.len() + inside.len() + 1 {
                text = inside.trim();
            }
        }
        if text == before {
            break;
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    // `a` and `A` name the same option; `Pa` and `PA` may be two.
    if text.chars().count() == 1 { text.to_uppercase() } else { text }
}

/// The letter of a text that is a letter alone: `B`, `(B)`, `B)`, `B.`, `[B]`, `Option B`.
fn alone(text: &str) -> Option<char> {
    let text = text.trim();
    let text =
        ["Option ", "option ", "Choice ", "choice "].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let inside = match text.strip_prefix(['(', '[']) {
        Some(rest) => rest.strip_suffix([')', ']'])?,
        None => text.strip_suffix([')', '.', ':']).unwrap_or(text),
    };
    let mut letters = inside.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some(letter.to_ascii_uppercase()),
        _ => None,
    }
}

/// The letter before a text and the text: `B) text`, `(B) text`, `B. text`, `B: text`.
fn labelled(text: &str) -> Option<(char, &str)> {
    let text = text.trim();
    let (inside, closed) = match text.strip_prefix(['(', '[']) {
        Some(rest) => (rest, &[')', ']'][..]),
        None => (text, &[')', '.', ':'][..]),
    };
    let letter = inside.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = inside[1..].strip_prefix(closed)?;
    Some((letter.to_ascii_uppercase(), rest.trim()))
}

settings! {
    /// 1 where the completion names the right option of a multiple-choice question and nothing else, else 0 (MMLU, arXiv
    /// 2009.03300). The options stand in the row's column `options` or `choices`.
    MultipleChoice {
        /// Where the answer stands in the completion.
        extract: Extract,
        /// How the row names the right option.
        #[serde(default)]
        gold: ChoiceGold,
    }
}

impl Settings for MultipleChoice {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for MultipleChoice {
    fn name(&self) -> &str {
        "multiple_choice"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.gold, self.extract))
    }

    fn judges(&self) -> bool {
        true
    }

    /// The letter of the option.
    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        letter(sample, &Options::of(sample.columns), self.extract).ok().map(String::from)
    }

    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let right = Options::of(sample.columns).gold(sample.expected, self.gold)?;
        Some(Gold::placed(&right.to_string(), self.extract))
    }

    fn unreadable(&self, _: &Sample<'_>) -> Option<String> {
        Some(NO_OPTION.to_owned())
    }
}

#[cfg(test)]
mod tests;
