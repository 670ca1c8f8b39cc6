//! What the words of a problem leave open: any order, any case, how far a number may be off, several right answers.
//!
//! Data sets of contest problems keep such things in the statement alone. The phrases looked for are those of the judges
//! whose problems these are (Codeforces, AtCoder, LeetCode); a statement that words it otherwise is compared strictly.

use super::compare::Tolerance;

/// What a statement says about its answers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statement {
    /// The items of the answer may come in any order.
    pub any_order: bool,
    /// Letters of the answer may be of any case.
    pub any_case: bool,
    /// Several answers are right, and the tests know one of them.
    pub several_answers: bool,
    /// How far a number may be off.
    pub tolerance: Option<Tolerance>,
    /// The time limit it states, in seconds.
    pub time_limit_s: Option<f64>,
    /// The memory limit it states, in MiB.
    pub memory_mib: Option<u64>,
}

impl Statement {
    /// Reads the text of a problem.
    pub fn read(text: &str) -> Self {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
        Self {
            any_order: has(&["in any order", "order does not matter", "the order of the output does not matter"]),
            any_case: has(&["in any case (", "each letter in any case", "in any register"]),
            several_answers: has(&[
                "print any of them",
                "output any of them",
                "return any of them",
                "print any one of them",
                "output any one of them",
                "find any of them",
                "you can output any",
                "you may output any",
                "you can print any",
                "you may print any",
                "print any such",
                "output any such",
                "print any valid",
                "output any valid",
                "print any solution",
                "print any answer",
                "if multiple answers exist, output any",
                "multiple answers are possible",
                "if there are multiple valid",
                "if there are multiple such permutations, output any",
                "any valid answer",
                "any correct answer",
                "return any valid",
            ]),
            tolerance: tolerance(&words),
            time_limit_s: time_limit(&words),
            memory_mib: memory_limit(&words),
        }
    }
}

/// `relative or absolute error … 10^{-6}`, or LeetCode's `answers within 10^-5`.
fn tolerance(words: &str) -> Option<Tolerance> {
    let phrases =
        ["absolute error", "relative error", "absolute or relative", "relative or absolute", "answers within 10"];
    let at = phrases.iter().filter_map(|phrase| words.find(phrase)).min()?;
    let stretch: String = words[at..].chars().take(240).collect();
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i32>().ok();
    for mark in ["10^{-", "10^{ -", "10^(-", "10^-", "10−", "10-", "1e-", "10^{−", "10^−"] {
        if let Some(found) = stretch.find(mark)
            && let Some(power @ 1..=15) = digits(&stretch[found + mark.len()..])
        {
            let size = 10_f64.powi(-power);
            return Some(Tolerance { rel: size, abs: size });
        }
    }
    None
}

fn time_limit(words: &str) -> Option<f64> {
    let rest = &words[words.find("time limit:")? + "time limit:".len()..];
    if let Some(seconds) = rest.trim_start().strip_prefix("{'seconds':") {
        let nanos = number_behind(rest, "'nanos':").unwrap_or(0.0);
        return Some(leading_number(seconds)? + nanos * 1e-9);
    }
    let number = leading_number(rest)?;
    let unit = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim_start();
    let seconds = if unit.starts_with("ms") || unit.starts_with("milli") { number / 1000.0 } else { number };
    (seconds > 0.0 && seconds < 1000.0).then_some(seconds)
}

fn memory_limit(words: &str) -> Option<u64> {
    let rest = &words[words.find("memory limit:")? + "memory limit:".len()..];
    let number = leading_number(rest)?;
    let unit = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim_start();
    let mib = if unit.starts_with("byte") { number / f64::from(1 << 20) } else { number };
    (1.0..1e6).contains(&mib).then_some(mib as u64)
}

fn leading_number(text: &str) -> Option<f64> {
    let digits: String = text.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().ok()
}

fn number_behind(text: &str, mark: &str) -> Option<f64> {
    leading_number(&text[text.find(mark)? + mark.len()..])
}

#[cfg(test)]
mod tests;
