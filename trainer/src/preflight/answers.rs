//! Do the rules accept the data's own answers?
//!
//! A completion that ends in the expected answer, in the layout that the rules ask for, must be right. Where it is not,
//! no policy can ever be: the field mapping, the rule or the row is at fault.

use rayon::prelude::*;
use rewards::{AccuracyKind, Extract, FormatStyle, Rubric, RuleConfig, Sample, Score};

use super::Finding;
use crate::data::Problem;
use crate::prompting::PreparedProblem;

/// Problems looked at, from the first.
const LOOKED_AT: usize = 10_000;

/// Rejections written out.
const SHOWN: usize = 3;

/// Share of rejected answers up to which a data set counts as having bad rows, rather than a rule as not fitting it.
const BAD_ROWS: f64 = 0.01;

/// Scores the expected answer of every problem by `rules`; `key` is where the rules stand in the configuration.
pub(super) fn check(key: &str, rules: &[RuleConfig], problems: &[PreparedProblem], findings: &mut Vec<Finding>) {
    let rubric = match Rubric::new(rules) {
        Ok(rubric) => rubric,
        Err(error) => {
            findings.push(Finding::error(key, error.to_string()));
            return;
        }
    };
    let problems = &problems[..problems.len().min(LOOKED_AT)];
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| judges(rule)) {
        let rejected: Vec<(u64, String)> = problems
            .par_iter()
            .filter_map(|one| Some((one.problem.index, rejection(&rubric, rules, place, rule, one)?)))
            .collect();
        if rejected.is_empty() {
            continue;
        }
        let shown: Vec<String> =
            rejected.iter().take(SHOWN).map(|(index, reason)| format!("problem {index}: {reason}")).collect();
        let message = format!(
            "the rules reject {} of {} expected answers of the data itself ({})",
            rejected.len(),
            problems.len(),
            shown.join("; ")
        );
        let share = rejected.len() as f64 / problems.len() as f64;
        let finding = if share > BAD_ROWS { Finding::error(key, message) } else { Finding::warning(key, message) };
        findings.push(finding.hint("do the rule's `kind` and `extract` fit the field the answers are read from?"));
    }
}

/// Whether a rule says what is right.
pub(super) fn judges(rule: &RuleConfig) -> bool {
    matches!(rule, RuleConfig::Accuracy { .. } | RuleConfig::Countdown { .. })
}

/// Why the expected answer is not right by the rule at `place`, if it is not.
fn rejection(
    rubric: &Rubric,
    rules: &[RuleConfig],
    place: usize,
    rule: &RuleConfig,
    one: &PreparedProblem,
) -> Option<String> {
    let expected = expected(rule, &one.problem);
    let mut sample = Sample {
        prompt: &one.text,
        completion: "",
        n_tokens: 1,
        truncated: false,
        expected: &one.problem.expected,
        columns: &one.problem.columns,
    };
    let completion = completion(rules, rule, expected, sample.think_opened());
    sample.completion = &completion;
    let Score { parts, .. } = rubric.score_group(&[sample]).pop()?;
    let unlike_one = |value: Option<f64>| value.is_none_or(|value| value < 1.0);
    // A countdown row in a file names the target, not an expression that reaches it.
    let is_expression = expected.contains(['+', '-', '*', '/']);
    let judged = &parts[place];
    let wrong = match rule {
        RuleConfig::Countdown { .. } if !is_expression => judged.value.is_none(),
        _ => unlike_one(judged.value),
    };
    if wrong {
        return Some(format!("{}: {} (expected `{}`)", judged.rule, judged.note, shorten(expected)));
    }
    let layout = parts.iter().zip(rules).find(|(part, rule)| is_format(rule) && unlike_one(part.value))?.0;
    Some(format!("{}: {} where {} reads its answer", layout.rule, layout.note, judged.rule))
}

/// What the policy should answer.
fn expected<'a>(rule: &RuleConfig, problem: &'a Problem) -> &'a str {
    match rule {
        RuleConfig::Accuracy { kind: AccuracyKind::Gsm8k, .. } => {
            problem.expected.rsplit_once("####").map_or(&*problem.expected, |(_, gold)| gold)
        }
        _ => &problem.expected,
    }
    .trim()
}

/// A completion that gives `expected` where `rule` looks for it, in the layout of the format rules.
fn completion(rules: &[RuleConfig], rule: &RuleConfig, expected: &str, think_opened: bool) -> String {
    let wants = |wanted: FormatStyle| {
        rules.iter().any(|rule| matches!(rule, RuleConfig::Format { style, .. } if *style == wanted))
    };
    let extract = match rule {
        RuleConfig::Accuracy { extract, .. } => *extract,
        _ => Extract::AnswerTag,
    };
    let in_tag = matches!(extract, Extract::AnswerTag | Extract::Any);
    let mut answer = match extract {
        Extract::AnswerTag | Extract::Any => expected.to_owned(),
        Extract::Boxed | Extract::FirstBoxed | Extract::LastBoxed => format!("\\boxed{{{expected}}}"),
        Extract::Hash => format!("\n#### {expected}\n"),
        Extract::FinalAnswer => format!("\nThe final answer is {expected}\n"),
    };
    if in_tag || wants(FormatStyle::ThinkAnswer) {
        answer = format!("<answer>{answer}</answer>");
    }
    let boxed = matches!(extract, Extract::Boxed | Extract::FirstBoxed | Extract::LastBoxed);
    if wants(FormatStyle::Boxed) && !boxed {
        answer = format!("{answer}\n\\boxed{{{expected}}}");
    }
    let opened = think_opened || rules.iter().any(|rule| matches!(rule, RuleConfig::Format { think_opened: true, .. }));
    let opening = if opened { "" } else { "<think>" };
    format!("{opening}worked out</think>{answer}")
}

fn is_format(rule: &RuleConfig) -> bool {
    matches!(rule, RuleConfig::Format { .. })
}

fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}
