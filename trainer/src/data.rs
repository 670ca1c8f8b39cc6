//! Problems: where they come from, in which order they are seen, how they are worded.
//!
//! A [`Source`] says where problems come from: files, or a generator. [`ProblemSet::open`] reads
//! or makes all of them once; after that a batch is a pure function of the step, so a resumed run
//! sees what the first one would have seen.

mod documents;
mod effort;
mod files;
mod generate;
mod source;
mod template;

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use model::philox::{Purpose, Stream};
use serde_json::{Map, Value};

pub use documents::{Document, DocumentBody, Documents};
pub use effort::Effort;
pub(crate) use effort::PLACE as EFFORT_PLACE;
pub(crate) use files::{rows, text};
pub use source::{Arithmetic, Chain, ChainDemonstrations, Countdown, Fields, Files, Layout, Source, Split};
pub use template::Template;

/// One task and the answer a reward compares with.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Position in its set, from 0.
    pub index: u64,
    /// What the policy is asked.
    pub prompt: PromptText,
    /// The gold answer.
    pub expected: String,
    /// Every field of the row as it was read or made, for rewards that need more than `expected`.
    pub columns: Map<String, Value>,
}

/// A prompt as the data gives it, before a [`Template`].
#[derive(Clone, Debug, PartialEq)]
pub enum PromptText {
    /// Plain text.
    Text(String),
    /// Chat messages, objects with `role` and `content`.
    Messages(Vec<Value>),
}

impl PromptText {
    /// The messages; none of plain text.
    pub fn messages(&self) -> &[Value] {
        match self {
            PromptText::Text(_) => &[],
            PromptText::Messages(messages) => messages,
        }
    }

    /// The text alone: for messages, what the user turns say, joined by blank lines.
    pub fn text(&self) -> String {
        match self {
            PromptText::Text(text) => text.clone(),
            PromptText::Messages(messages) => {
                let turns: Vec<&str> = messages
                    .iter()
                    .filter(|message| message.get("role").and_then(Value::as_str) == Some("user"))
                    .filter_map(|message| message.get("content").and_then(Value::as_str))
                    .collect();
                turns.join("\n\n")
            }
        }
    }
}

/// All problems of one source, with the order in which training sees them.
#[derive(Clone, Debug)]
pub struct ProblemSet {
    problems: Vec<Problem>,
    skipped: usize,
    seed: u64,
}

impl ProblemSet {
    /// Reads or makes every problem of `source`. An empty set is an error.
    pub fn open(source: &Source, seed: u64) -> Result<ProblemSet> {
        let (problems, skipped) = match source {
            Source::Files(config) => files::read(config)?,
            Source::Arithmetic(config) => (generate::arithmetic(config, seed).context("in `arithmetic`")?, 0),
            Source::Countdown(config) => (generate::countdown(config, seed).context("in `countdown`")?, 0),
            Source::Chain(config) => (generate::chain(config, seed).context("in `chain`")?, 0),
            Source::ChainDemonstrations(config) => {
                (generate::chain_demonstrations(config, seed).context("in `chain_demonstrations`")?, 0)
            }
        };
        ensure!(!problems.is_empty(), "the source holds no problem with an answer");
        Ok(ProblemSet { problems, skipped, seed })
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// Always false for an opened set; here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Rows left out because their answer is null or empty.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The problem at `index`.
    pub fn get(&self, index: u64) -> Option<&Problem> {
        usize::try_from(index).ok().and_then(|index| self.problems.get(index))
    }

    /// Every problem, in the order of the source.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// The `n` problems of training step `step`.
    ///
    /// Steps walk through one shuffled epoch after another; every epoch has its own order and shows
    /// each problem once. A batch may cross from one epoch into the next.
    pub fn batch(&self, step: u64, n: usize) -> Vec<&Problem> {
        order(self.problems.len(), self.seed, step, n).into_iter().map(|place| &self.problems[place]).collect()
    }
}

impl<'a> IntoIterator for &'a ProblemSet {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.iter()
    }
}

impl IntoIterator for ProblemSet {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.into_iter()
    }
}

/// Places, in a set of `len`, of the `n` problems of training step `step`: one shuffled epoch after another.
pub(crate) fn order(len: usize, seed: u64, step: u64, n: usize) -> Vec<usize> {
    if len == 0 {
        return Vec::new();
    }
    let first = u128::from(step) * n as u128;
    let mut places = Vec::with_capacity(n);
    let mut current: Option<(u64, Vec<usize>)> = None;
    for position in first..first + n as u128 {
        let epoch = (position / len as u128) as u64;
        let order = match current.take() {
            Some((known, order)) if known == epoch => order,
            _ => Stream::new(seed, Purpose::Order, epoch, 0, 0).permutation(len),
        };
        places.push(order[(position % len as u128) as usize]);
        current = Some((epoch, order));
    }
    places
}

/// Indices of the held-out problems whose prompt also occurs in training, equal after white space
/// is normalised.
pub fn overlap<'a>(
    train: impl IntoIterator<Item = &'a Problem>,
    heldout: impl IntoIterator<Item = &'a Problem>,
) -> Vec<u64> {
    let seen: HashSet<String> = train.into_iter().map(|problem| normalised(&problem.prompt.text())).collect();
    heldout
        .into_iter()
        .filter(|problem| seen.contains(&normalised(&problem.prompt.text())))
        .map(|problem| problem.index)
        .collect()
}

fn normalised(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
