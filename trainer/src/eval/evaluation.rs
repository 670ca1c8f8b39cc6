//! `Evaluation`: what a policy scored on one held-out set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pass_at::{self, Judged};
use crate::metrics::StepMetrics;
use crate::samples::SampleRecord;

/// What a policy scored on one held-out set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The set's name.
    pub name: String,
    /// Whether it is the first set, whose keys carry no name.
    pub main: bool,
    /// Problems that were put to the policy.
    pub n_problems: usize,
    /// Completions sampled for each.
    pub k: usize,
    /// pass@k under k = 1, 2, 4, …; without the k for which no problem has enough scored completions.
    pub pass_at: BTreeMap<usize, f64>,
    /// Share of problems whose majority of answers is right.
    pub maj: Option<f64>,
    /// Mean length of a completion, in tokens.
    pub len: Option<f64>,
    /// Share of completions that met the token limit.
    pub cut: Option<f64>,
    /// Completions that could not be scored, and count nowhere else but in `len` and `cut`.
    pub unscored: usize,
    /// The first problems, each with its first completion, to be shown to a person.
    pub shown: Vec<Shown>,
}

/// A problem and a completion, to be shown to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What was asked, without the template.
    pub question: String,
    /// The reference answer.
    pub expected: String,
    /// Whether the completion is right; `None` where it could not be scored.
    pub correct: Option<bool>,
    /// The completion with its score, as a line of `samples.jsonl`.
    pub record: SampleRecord,
}

/// One problem's completions, scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) judged: Judged,
    pub(super) unscored: usize,
    /// Tokens of each completion, unscored ones included.
    pub(super) lengths: Vec<usize>,
    pub(super) n_cut: usize,
    pub(super) shown: Option<Shown>,
}

impl Evaluation {
    /// Puts the outcomes of a set's problems together, in the problems' order.
    pub(super) fn of(name: &str, main: bool, k: usize, outcomes: Vec<Outcome>) -> Self {
        let n_problems = outcomes.len();
        let unscored = outcomes.iter().map(|one| one.unscored).sum();
        let n_cut: usize = outcomes.iter().map(|one| one.n_cut).sum();
        let lengths = outcomes.iter().flat_map(|one| &one.lengths);
        let (n_completions, n_tokens) = lengths.fold((0_usize, 0_usize), |(n, sum), len| (n + 1, sum + len));
        let share = |part: usize| (n_completions > 0).then(|| part as f64 / n_completions as f64);
        let (judged, shown): (Vec<Judged>, Vec<_>) = outcomes.into_iter().map(|one| (one.judged, one.shown)).unzip();
        let pass = |k: usize| pass_at::mean_pass_at_k(&judged, k).map(|pass| (k, pass));
        Self {
            name: name.to_owned(),
            main,
            n_problems,
            k,
            pass_at: pass_at::reported_k(k).into_iter().filter_map(pass).collect(),
            maj: pass_at::mean_majority(&judged),
            len: share(n_tokens),
            cut: share(n_cut),
            unscored,
            shown: shown.into_iter().flatten().collect(),
        }
    }

    /// pass@1, the number that checkpoints are compared by.
    pub fn pass_at_1(&self) -> Option<f64> {
        self.pass_at.get(&1).copied()
    }

    /// Adds the numbers under their keys: `eval/pass@1`, `eval/maj@8`, `eval/len`, …, or `eval/<set>/pass@1`.
    pub fn add_to(&self, metrics: &mut StepMetrics) {
        for (key, number) in self.numbers() {
            metrics.set(key, number);
        }
    }

    /// Every number under its key.
    pub fn numbers(&self) -> Vec<(String, f64)> {
        let set = if self.main { String::new() } else { format!("{}/", self.name) };
        let pass_at = self.pass_at.iter().map(|(k, pass)| (format!("pass@{k}"), Some(*pass)));
        let others = [(format!("maj@{}", self.k), self.maj), ("len".into(), self.len), ("cut".into(), self.cut)];
        let unscored = ("unscored".to_owned(), (self.unscored > 0).then_some(self.unscored as f64));
        let prompts = ("prompts".to_owned(), Some(self.n_problems as f64));
        let all = pass_at.chain(others).chain([unscored, prompts]);
        all.filter_map(|(key, number)| Some((format!("eval/{set}{key}"), number?))).collect()
    }
}

impl Evaluation {
    /// The console's line: `eval  12      pass@1 0.361  pass@8 0.612  (128 problems)`.
    pub fn console(&self, step: u64, steps: u64) -> String {
        let width = steps.to_string().len();
        let room = width + 1;
        let mut line = format!("eval {step:>width$}{:room$}", "");
        if !self.main {
            line.push_str(&format!("  {}", self.name));
        }
        let mut ends: Vec<_> = self.pass_at.iter().collect();
        if ends.len() > 2 {
            ends.drain(1..ends.len() - 1);
        }
        for (k, pass) in ends {
            line.push_str(&format!("  pass@{k} {pass:.3}"));
        }
        if let Some(maj) = self.maj.filter(|_| self.k > 1) {
            line.push_str(&format!("  maj@{} {maj:.3}", self.k));
        }
        if let Some(len) = self.len {
            line.push_str(&format!("  len {len:.0}"));
        }
        line.push_str(&format!("  ({} problems)", self.n_problems));
        if self.unscored > 0 {
            line.push_str(&format!("  {} unscored", self.unscored));
        }
        line
    }

    /// What a person wants to know at a run's end: the shares before and after, and one problem's completions.
    pub fn comparison(before: &Evaluation, after: &Evaluation) -> Vec<String> {
        let mut lines = vec![format!("{:<10}{:>10}{:>10}", "", "before", "after")];
        let maj = |one: &Evaluation| one.maj.map(|maj| (format!("maj@{}", one.k), maj));
        let shares = |one: &Evaluation| -> Vec<(String, f64)> {
            one.pass_at.iter().map(|(k, pass)| (format!("pass@{k}"), *pass)).chain(maj(one)).collect()
        };
        let then = shares(before);
        for (key, now) in shares(after) {
            let before = then.iter().find(|(known, _)| *known == key);
            let before = before.map_or("–".to_owned(), |(_, share)| format!("{share:.3}"));
            lines.push(format!("{key:<10}{before:>10}{now:>10.3}"));
        }
        // Best shown: a problem that was wrong and is right.
        let pairs = before.shown.iter().zip(&after.shown);
        let learned = |(a, b): &(&Shown, &Shown)| a.correct == Some(false) && b.correct == Some(true);
        if let Some((a, b)) = pairs.clone().find(learned).or_else(|| pairs.clone().next()) {
            lines.push(format!("problem   {} (answer {})", a.question, a.expected));
            for (label, shown) in [("before", a), ("after", b)] {
                let verdict = match shown.correct {
                    Some(true) => "right",
                    Some(false) => "wrong",
                    None => "not scored",
                };
                lines.push(format!("{label} ({verdict})"));
                lines.extend(shown.record.completion.lines().map(|line| format!("  {line}")));
            }
        }
        lines
    }
}

/// The sets as a table for a person, one row each.
pub fn table(evaluations: &[Evaluation]) -> String {
    let mut keys: Vec<String> = Vec::new();
    let rows: Vec<(&str, Vec<(String, f64)>)> = evaluations.iter().map(|one| (one.name.as_str(), one.bare())).collect();
    for (key, _) in rows.iter().flat_map(|(_, numbers)| numbers) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0).max("set".len());
    let mut text = format!("{:<width$}  problems", "set");
    for key in &keys {
        text.push_str(&format!("  {key:>8}"));
    }
    for (one, (label, numbers)) in evaluations.iter().zip(&rows) {
        text.push_str(&format!("\n{label:<width$}  {:>8}", one.n_problems));
        for key in &keys {
            let cell = match numbers.iter().find(|(known, _)| known == key) {
                Some((_, number)) if ["len", "unscored"].contains(&key.as_str()) => format!("{number:.0}"),
                Some((_, number)) => format!("{number:.4}"),
                None => "–".into(),
            };
            text.push_str(&format!("  {cell:>width$}", width = key.len().max(8)));
        }
    }
    text.push('\n');
    text
}

impl Evaluation {
    /// The numbers under the last part of their keys.
    fn bare(&self) -> Vec<(String, f64)> {
        let last = |key: String| key.rsplit('/').next().unwrap_or_default().to_owned();
        let all = self.numbers().into_iter().map(|(key, number)| (last(key), number));
        all.filter(|(key, _)| key != "prompts").collect()
    }
}

#[cfg(test)]
mod tests;
