//! Can the rubric tell completions apart at all?
//!
//! A group of equal rewards teaches nothing. A rubric that gives unlike completions of every problem the same reward gives
//! it to whatever the policy writes.

use std::iter;

use rewards::{Rubric, Sample};

use super::Finding;
use super::answers::{dressed, row};
use crate::prompting::PreparedProblem;

/// Problems looked at, from the first: few, since a rule may call a program.
const LOOKED_AT: usize = 8;

/// Words of the long completion, at most.
const MOST_WORDS: usize = 100_000;

/// Totals this close are one.
const EQUAL: f64 = 1e-9;

/// Scores unlike completions of some problems and warns where none of them stands out anywhere; `key` is where the rules
/// stand in the configuration, and the longest completion has `max_tokens`.
pub(super) fn check(
    key: &str,
    rubric: &Rubric,
    problems: &[PreparedProblem],
    max_tokens: usize,
    findings: &mut Vec<Finding>,
) {
    let looked_at = &problems[..problems.len().min(LOOKED_AT)];
    let others = problems.iter().cycle().skip(1);
    let ranges: Vec<(f64, f64)> =
        looked_at.iter().zip(others).filter_map(|(one, other)| range(rubric, one, other, max_tokens)).collect();
    if ranges.is_empty() || ranges.iter().any(|(low, high)| high - low > EQUAL) {
        return;
    }
    let low = ranges.iter().map(|range| range.0).fold(f64::INFINITY, f64::min);
    let high = ranges.iter().map(|range| range.1).fold(f64::NEG_INFINITY, f64::max);
    let totals = if high - low > EQUAL { format!("between {low} and {high}") } else { low.to_string() };
    let message = format!(
        "the rubric does not tell completions apart: the right one, a wrong one, one without layout, a long one and an \
         empty one of a problem have the same total in {0} of {0} problems ({totals})",
        ranges.len()
    );
    findings.push(Finding::warning(key, message).hint("a group of equal rewards teaches nothing"));
}

/// The lowest and highest total among unlike completions of a problem; `other` lends a wrong answer. `None` where fewer
/// than two could be scored, or where no right one is known to a rule that says what is right.
fn range(rubric: &Rubric, one: &PreparedProblem, other: &PreparedProblem, max_tokens: usize) -> Option<(f64, f64)> {
    let row = row(one);
    let answer = |of: &PreparedProblem| {
        let row = super::answers::row(of);
        rubric.rules_for(&row).find_map(|(_, rule)| rule.gold(&row))
    };
    let (right, wrong) = (answer(one), answer(other));
    if right.is_none() && rubric.rules_for(&row).any(|(_, rule)| rule.judges()) {
        return None;
    }
    let long = "so on ".repeat(max_tokens.min(MOST_WORDS) / 2);
    let bare = right.as_ref().map_or_else(|| row.expected.to_owned(), |gold| gold.answer.clone());
    let worked = [right, wrong].into_iter().flatten().map(|gold| dressed(rubric, &row, &gold).0);
    let completions: Vec<String> = worked.chain([bare, long]).chain(iter::once(String::new())).collect();
    let n_tokens = |text: &str| text.split_whitespace().count().min(max_tokens);
    let group: Vec<Sample<'_>> =
        completions.iter().map(|text| Sample { completion: text, n_tokens: n_tokens(text), ..row }).collect();
    let totals: Vec<f64> = rubric.score_group(&group).into_iter().filter_map(|score| score.total).collect();
    let low = totals.iter().copied().fold(f64::INFINITY, f64::min);
    let high = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (totals.len() > 1).then_some((low, high))
}
