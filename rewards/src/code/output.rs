//! Is what a program printed what the test expects?
//!
//! Contests compare token by token: white space parts tokens and is otherwise ignored, so neither a trailing space nor a
//! missing last newline matters. A token of the expected output that is a decimal (`2.50`) is compared by its exact value;
//! one that is not, such as an integer or a string of digits, must be the same text, since `010` may well be binary and
//! `5.0` where `5` is asked for is a wrong answer to most judges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::Tolerance;

/// What parts the pieces of an output that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Any white space parts tokens; line breaks mean no more than a space.
    #[default]
    Tokens,
    /// Lines hold the same tokens each; empty lines at the end are ignored.
    Lines,
    /// Every byte, but for white space at the ends of lines and of the output.
    Exact,
}

/// What a problem leaves open about its output.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct OutputRules {
    /// How the output is cut.
    pub(super) layout: Layout,
    /// `yes` equals `YES`.
    pub(super) any_case: bool,
    /// How far decimals may be off; exact without it.
    pub(super) tolerance: Option<Tolerance>,
}

/// Compares an output; where it differs, says at which token and how.
pub(super) fn compare(expected: &[u8], got: &[u8], rules: OutputRules) -> Result<(), String> {
    match rules.layout {
        Layout::Tokens => tokens(expected, got, rules, ""),
        Layout::Lines => {
            let (expected, got) = (lines(expected), lines(got));
            for (i, (a, b)) in expected.iter().zip(&got).enumerate() {
                tokens(a, b, rules, &format!("line {}, ", i + 1))?;
            }
            same_number("lines", expected.len(), got.len())
        }
        Layout::Exact => {
            let (expected, got) = (lines(expected), lines(got));
            for (i, (a, b)) in expected.iter().zip(&got).enumerate() {
                if a != b {
                    return Err(format!("line {}: expected {}, got {}", i + 1, shown(a), shown(b)));
                }
            }
            same_number("lines", expected.len(), got.len())
        }
    }
}

fn same_number(what: &str, expected: usize, got: usize) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{got} {what}, expected {expected}")) }
}

/// Lines without the white space at their ends, and without empty ones at the end.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

fn tokens(expected: &[u8], got: &[u8], rules: OutputRules, place: &str) -> Result<(), String> {
    let cut = |text| <[u8]>::split(text, u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    let (mut a, mut b) = (cut(expected), cut(got));
    for at in 1.. {
        match (a.next(), b.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if same(a, b, rules) => {}
            (Some(a), Some(b)) => return Err(format!("{place}token {at}: expected {}, got {}", shown(a), shown(b))),
            (Some(a), None) => return Err(format!("{place}token {at}: expected {}, got nothing more", shown(a))),
            (None, Some(b)) => return Err(format!("{place}token {at}: expected nothing more, got {}", shown(b))),
        }
    }
    Ok(())
}

fn same(expected: &[u8], got: &[u8], rules: OutputRules) -> bool {
    if expected == got || (rules.any_case && expected.eq_ignore_ascii_case(got)) {
        return true;
    }
    let (Some(a), Some(b)) = (Decimal::read(expected), Decimal::read(got)) else { return false };
    match rules.tolerance {
        Some(tolerance) => tolerance.holds(a.value, b.value),
        None => a.fractional && a == b,
    }
}

/// A decimal number in a form in which equal numbers are the same.
#[derive(Debug, Clone)]
struct Decimal<'a> {
    negative: bool,
    /// Digits before and behind the point, without zeros at either end.
    digits: (&'a [u8], &'a [u8]),
    /// Power of ten of the first digit.
    exponent: i64,
    /// Whether it is written with a point or an exponent.
    fractional: bool,
    value: f64,
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        let digits = |one: &Self| one.digits.0.iter().chain(one.digits.1).copied().collect::<Vec<_>>();
        self.negative == other.negative && self.exponent == other.exponent && digits(self) == digits(other)
    }
}

impl<'a> Decimal<'a> {
    /// Reads `-1`, `2.50`, `.5` or `1e-7`; no sign but a minus, no leading zero before a digit.
    fn read(token: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(token).ok()?;
        let (negative, rest) = match token {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (mantissa, power) = match rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
            Some(at) => (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()?.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, decimals) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        let numeric = whole.iter().chain(decimals).all(u8::is_ascii_digit) && whole.len() + decimals.len() > 0;
        if !numeric || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let zeros = |digits: &[u8]| digits.iter().take_while(|digit| **digit == b'0').count();
        let trailing = |digits: &[u8]| digits.iter().rev().take_while(|digit| **digit == b'0').count();
        let kept = &decimals[..decimals.len() - trailing(decimals)];
        let (digits, exponent) = match (zeros(whole) == whole.len(), kept.is_empty()) {
            (true, true) => ((&[][..], &[][..]), 0),
            (true, false) => {
                let skipped = zeros(kept);
                ((&[][..], &kept[skipped..]), -1 - skipped as i64 + i64::from(power))
            }
            (false, true) => {
                ((&whole[..whole.len() - trailing(whole)], &[][..]), whole.len() as i64 - 1 + i64::from(power))
            }
            (false, false) => ((whole, kept), whole.len() as i64 - 1 + i64::from(power)),
        };
        let is_zero = digits.0.is_empty() && digits.1.is_empty();
        Some(Self {
            negative: negative && !is_zero,
            digits,
            exponent,
            fractional: mantissa.len() != whole.len() || mantissa.len() != rest.len(),
            value: text.parse().ok()?,
        })
    }
}

/// A token for a message, cut where it is long.
fn shown(token: &[u8]) -> String {
    const MOST: usize = 40;
    let text = String::from_utf8_lossy(token);
    if text.chars().count() <= MOST {
        format!("`{text}`")
    } else {
        format!("`{}…`", text.chars().take(MOST).collect::<String>())
    }
}

#[cfg(test)]
mod tests;
