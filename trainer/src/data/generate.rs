//! Generated problems with worked solutions.
//!
//! A problem's canonical text ignores the order of its numbers. A hash of that text decides the
//! side, so the two splits share no problem whatever their seeds and sizes.

mod strategy;

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use model::philox::{Purpose, Stream};
use serde_json::{Map, Value, json};

use super::{Arithmetic, Chain, ChainDemonstrations, Countdown, Problem, PromptText, Split};
use strategy::Strategy;

/// Draws tried for one problem before its space counts as used up.
const ATTEMPTS: u64 = 20_000;

/// A problem before it has a place in a set.
struct Draft {
    canonical: String,
    prompt: String,
    expected: String,
    columns: Map<String, Value>,
}

/// Draws from one stream, one after the other.
struct Draws {
    stream: Stream,
    position: u32,
}

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        let drawn = self.stream.below(self.position, n);
        self.position += 1;
        drawn
    }
}

pub(super) fn arithmetic(config: &Arithmetic, seed: u64) -> Result<Vec<Problem>> {
    ensure!((2..=64).contains(&config.terms), "`terms` is {}, not 2 to 64", config.terms);
    ensure!(
        (1..=1_000_000_000).contains(&config.max_number),
        "`max_number` is {}, not 1 to 1000000000",
        config.max_number
    );
    make(config.n_problems, config.split, seed, |draws| {
        let terms = signed_terms(draws, config.terms, config.max_number + 1);
        Some(running_total("arithmetic", &terms, |n| n.to_string(), |total| total))
    })
}

pub(super) fn chain(config: &Chain, seed: u64) -> Result<Vec<Problem>> {
    ensure!((3..=64).contains(&config.operations), "`operations` is {}, not 3 to 64", config.operations);
    make(config.n_problems, config.split, seed, |draws| {
        let terms = signed_terms(draws, config.operations + 1, 100);
        let two_digits = |n: i64| format!("{n:02}");
        Some(running_total("chain", &terms, two_digits, |total| total.rem_euclid(100)))
    })
}

pub(super) fn chain_demonstrations(config: &ChainDemonstrations, seed: u64) -> Result<Vec<Problem>> {
    ensure!((3..=64).contains(&config.operations), "`operations` is {}, not 3 to 64", config.operations);
    ensure!((0.0..=1.0).contains(&config.right), "`right` is {}, not 0 to 1", config.right);
    make(config.n_problems, config.split, seed, |draws| {
        let terms = signed_terms(draws, config.operations + 1, 100);
        let two_digits = |n: i64| format!("{n:02}");
        let mut draft = running_total("chain", &terms, two_digits, |total| total.rem_euclid(100));
        let (lines, answer) = Strategy::draw(config.right, |n| draws.below(n)).work(&terms);
        let completion = worked(&lines.join("\n"), &two_digits(answer));
        draft.columns.insert("completion".into(), json!(completion));
        Some(draft)
    })
}

/// A completion in the words that R1-Zero's format asks for.
pub(super) fn worked(working: &str, answer: &str) -> String {
    format!("<think>{working}</think><answer>{answer}</answer>")
}

/// Numbers below `bound`, all but the first with a drawn sign.
fn signed_terms(draws: &mut Draws, n: usize, bound: u64) -> Vec<(char, i64)> {
    (0..n)
        .map(|i| {
            let number = draws.below(bound) as i64;
            let sign = if i > 0 && draws.below(2) == 1 { '-' } else { '+' };
            (sign, number)
        })
        .collect()
}

/// The problem `a+b-c=` with one line of solution per operation.
fn running_total(
    kind: &str,
    terms: &[(char, i64)],
    show: impl Fn(i64) -> String,
    reduce: impl Fn(i64) -> i64,
) -> Draft {
    let mut prompt = String::new();
    let mut lines = Vec::new();
    let mut total = 0;
    for (i, &(sign, number)) in terms.iter().enumerate() {
        if i == 0 {
            total = number;
            prompt += &show(number);
            continue;
        }
        prompt.push(sign);
        prompt += &show(number);
        let next = reduce(if sign == '-' { total - number } else { total + number });
        lines.push(format!("{}{sign}{}={}", show(total), show(number), show(next)));
        total = next;
    }
    prompt.push('=');
    let mut sorted = terms.to_vec();
    sorted.sort_unstable();
    let canonical: String = sorted.iter().map(|&(sign, number)| format!("{sign}{}", show(number))).collect();
    let expected = show(total);
    let mut columns = Map::new();
    columns.insert("solution".into(), json!(lines.join("\n")));
    columns.insert("answer".into(), json!(expected));
    Draft { canonical: format!("{kind} {canonical}"), prompt, expected, columns }
}

pub(super) fn countdown(config: &Countdown, seed: u64) -> Result<Vec<Problem>> {
    let n = config.n_numbers;
    ensure!((2..=8).contains(&n), "`n_numbers` is {n}, not 2 to 8");
    ensure!((2..=1_000_000).contains(&config.max_number), "`max_number` is {}, not 2 to 1000000", config.max_number);
    make(config.n_problems, config.split, seed, |draws| puzzle(draws, n, config.max_number))
}

/// One solvable puzzle, or none if the drawn operations miss the allowed targets.
fn puzzle(draws: &mut Draws, n: usize, max_number: u64) -> Option<Draft> {
    let numbers: Vec<i64> = (0..n).map(|_| 1 + draws.below(max_number) as i64).collect();
    // Each part is a value and how it was written; two at a time become one.
    let mut parts: Vec<(i64, String)> = numbers.iter().map(|&n| (n, n.to_string())).collect();
    let mut lines = Vec::new();
    while parts.len() > 1 {
        let (a, left) = parts.swap_remove(draws.below(parts.len() as u64) as usize);
        let (b, right) = parts.swap_remove(draws.below(parts.len() as u64) as usize);
        let last = parts.is_empty();
        // Working stays in the size of the numbers that are asked for.
        let bound = if last { max_number } else { 10 * max_number } as i64;
        let (sign, value) = (0..8).find_map(|_| operation(draws, a, b, bound))?;
        lines.push(format!("{a} {sign} {b} = {value}"));
        let text = format!("{left} {sign} {right}");
        parts.push((value, if last { text } else { format!("({text})") }));
    }
    let (target, equation) = parts.pop()?;
    lines.push(format!("{equation} = {target}"));
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let mut columns = Map::new();
    columns.insert("nums".into(), json!(numbers));
    columns.insert("target".into(), json!(target));
    columns.insert("solution".into(), json!(lines.join("\n")));
    columns.insert("answer".into(), json!(equation));
    Some(Draft {
        canonical: format!("countdown {sorted:?} {target}"),
        prompt: countdown_prompt(&numbers, target),
        expected: target.to_string(),
        columns,
    })
}

/// A drawn operation, if its value is a whole number in `1..=bound`.
fn operation(draws: &mut Draws, a: i64, b: i64, bound: i64) -> Option<(char, i64)> {
    let (sign, value) = match draws.below(4) {
        0 => ('+', a + b),
        1 => ('-', a - b),
        2 => ('*', a.checked_mul(b)?),
        _ if a % b == 0 => ('/', a / b),
        _ => return None,
    };
    (1..=bound).contains(&value).then_some((sign, value))
}

/// How a countdown puzzle is put, also for rows of files.
pub(super) fn countdown_prompt(numbers: &[i64], target: i64) -> String {
    format!(
        "Using the numbers {numbers:?}, write an expression that equals {target}. You can use +, \
         -, *, / and parentheses, and each number must be used exactly once."
    )
}

/// Draws problems until each index has one of the wanted side.
fn make(n: u64, split: Split, seed: u64, draft: impl Fn(&mut Draws) -> Option<Draft>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    'problems: for index in 0..n {
        for attempt in 0..ATTEMPTS {
            let stream = Stream::new(seed, Purpose::Problems, index, attempt, 0);
            let Some(draft) = draft(&mut Draws { stream, position: 0 }) else { continue };
            if side(&draft.canonical) != split {
                continue;
            }
            if split == Split::Heldout && !seen.insert(draft.canonical) {
                continue;
            }
            let Draft { prompt, expected, mut columns, .. } = draft;
            columns.insert("prompt".into(), json!(prompt));
            let prompt = PromptText::Text(prompt);
            problems.push(Problem { index, prompt, expected, columns });
            continue 'problems;
        }
        bail!("found only {index} of {n} problems; ask for fewer (`n_problems`) or for larger numbers");
    }
    Ok(problems)
}

/// The side a problem belongs to: one in eight is held out.
fn side(canonical: &str) -> Split {
    let hash = blake3::hash(canonical.as_bytes());
    if hash.as_bytes()[0].is_multiple_of(8) { Split::Heldout } else { Split::Train }
}

#[cfg(test)]
mod tests;
