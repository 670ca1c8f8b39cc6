//! Do the rules accept the data's own answers?
//!
//! A completion that ends in the expected answer, in the layout that the rules ask for, must be right. Where it is not,
//! no policy can ever be: the field mapping, the rule or the row is at fault.

use rayon::prelude::*;
use rewards::{Gold, Member, Rubric, Rule, Sample, Verdict};

use super::Finding;
use crate::prompting::PreparedProblem;

/// Problems looked at, from the first.
const LOOKED_AT: usize = 10_000;

/// Rejections written out.
const SHOWN: usize = 3;

/// Share of rejected answers up to which a data set counts as having bad rows, rather than a rule as not fitting it.
const BAD_ROWS: f64 = 0.01;

/// Scores the expected answer of every problem by the rules of `rubric` that say what is right; `key` is where the rules
/// stand in the configuration.
pub(super) fn check(key: &str, rubric: &Rubric, problems: &[PreparedProblem], findings: &mut Vec<Finding>) {
    let problems = &problems[..problems.len().min(LOOKED_AT)];
    without_rules(key, rubric, problems, findings);
    for name in rubric.names() {
        let rejected: Vec<(u64, String)> =
            problems.par_iter().filter_map(|one| Some((one.problem.index, rejection(rubric, name, one)?))).collect();
        if rejected.is_empty() {
            continue;
        }
        let message = format!(
            "the rules reject {} of {} expected answers of the data itself ({})",
            rejected.len(),
            problems.len(),
            shown(&rejected)
        );
        let share = rejected.len() as f64 / problems.len() as f64;
        let finding = if share > BAD_ROWS { Finding::error(key, message) } else { Finding::warning(key, message) };
        findings.push(finding.hint("do the rule's `kind` and `extract` fit the field the answers are read from?"));
    }
}

/// Rows whose source no rule is for.
fn without_rules(key: &str, rubric: &Rubric, problems: &[PreparedProblem], findings: &mut Vec<Finding>) {
    let lost = |one: &PreparedProblem| {
        let sample = row(one);
        let source = sample.source().unwrap_or("no `source`");
        rubric.rules_for(&sample).next().is_none().then(|| (one.problem.index, shorten(source)))
    };
    let lost: Vec<(u64, String)> = problems.iter().filter_map(lost).collect();
    if lost.is_empty() {
        return;
    }
    let message = format!("no rule is for {} of {} problems ({})", lost.len(), problems.len(), shown(&lost));
    let finding = if lost.len() == problems.len() { Finding::error } else { Finding::warning };
    findings.push(finding(key, message).hint("name their source in a rule's `sources`: they are never scored"));
}

fn shown(problems: &[(u64, String)]) -> String {
    let shown: Vec<String> =
        problems.iter().take(SHOWN).map(|(index, why)| format!("problem {index}: {why}")).collect();
    shown.join("; ")
}

/// What rules read of a problem before there is a completion.
pub(super) fn row(one: &PreparedProblem) -> Sample<'_> {
    Sample {
        prompt: &one.text,
        messages: one.problem.prompt.messages(),
        n_tokens: 1,
        expected: &one.problem.expected,
        columns: &one.problem.columns,
        ..Sample::default()
    }
}

/// Why the expected answer is not right by the rule of this name, if it is not.
fn rejection(rubric: &Rubric, name: &str, one: &PreparedProblem) -> Option<String> {
    let row = row(one);
    let (_, judge) = rubric.rules_for(&row).find(|(known, rule)| *known == name && rule.judges())?;
    let Some(gold) = judge.gold(&row) else {
        let why = judge.unreadable(&row)?;
        return Some(format!("{name}: {why} (expected `{}`)", shorten(row.expected.trim())));
    };
    let (completion, layouts) = dressed(rubric, &row, &gold);
    let sample = Sample { completion: &completion, ..row };
    let said = verdict(judge, sample);
    if falls_short(&said) {
        return Some(format!("{name}: {} (expected `{}`)", said.note, shorten(&gold.answer)));
    }
    let broken = |(known, rule): (&str, &dyn Rule)| Some((known.to_owned(), verdict(rule, sample)));
    let (layout, said) = layouts.into_iter().filter_map(broken).find(|(_, said)| falls_short(said))?;
    Some(format!("{layout}: {} where {name} reads its answer", said.note))
}

/// A completion that ends in `gold`, in the layout that the rules for the row ask for, and those rules with their names.
pub(super) fn dressed<'a>(rubric: &'a Rubric, row: &Sample<'_>, gold: &Gold) -> (String, Vec<(&'a str, &'a dyn Rule)>) {
    let opening = if row.think_opened() { "" } else { "<think>" };
    let mut completion = format!("{opening}worked out</think>{}", gold.written);
    let mut layouts = Vec::new();
    for (known, rule) in rubric.rules_for(row) {
        if let Some(dressed) = rule.dress(&completion, gold) {
            completion = dressed;
            layouts.push((known, rule));
        }
    }
    (completion, layouts)
}

fn verdict(rule: &dyn Rule, sample: Sample<'_>) -> Verdict {
    let alone = || rule.judge_group(&[Member { sample, right: Some(true) }]).pop();
    let said = rule.judge(&sample).or_else(alone);
    said.unwrap_or_else(|| Verdict::failed("the rule gave no verdict"))
}

fn falls_short(said: &Verdict) -> bool {
    said.value.is_none_or(|value| value < 1.0)
}

fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}
