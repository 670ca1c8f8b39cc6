//! The countdown game: reach a target from given numbers with + − × ÷.
//!
//! The task of TinyZero (github.com/Jiayi-Pan/TinyZero). The answer is parsed here, never
//! evaluated as code, and exactly, so that 1/3·3 is 1.

use std::sync::Arc;

use dashu::rational::RBig;
use serde_json::Value;

use crate::answer::{self, Extract, parse_rational};
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// Longest expression read, in bytes: a game has at most some six numbers.
const MAX_EXPRESSION_BYTES: usize = 512;
/// Deepest nesting of parentheses, so that no answer can exhaust the stack.
const MAX_DEPTH: usize = 32;

/// 1 where the expression uses each number once and reaches the target, `format_score` where it
/// uses each number once and does not, else 0; no value where the row has no game in it.
pub(crate) fn score(sample: &Sample<'_>, format_score: f64) -> Verdict {
    let Some(mut nums) = sample.columns.get("nums").and_then(read_nums) else {
        return Verdict::undecided("no list of whole numbers in the column nums");
    };
    let target = match sample.columns.get("target") {
        Some(Value::Number(n)) => parse_rational(&n.to_string()),
        Some(Value::String(s)) => parse_rational(s),
        Some(_) => None,
        None => parse_rational(sample.expected),
    };
    let Some(target) = target else {
        return Verdict::undecided("no number in the column target");
    };
    let text = match answer::extract(sample.completion, Extract::AnswerTag, sample.truncated, sample.think_opened()) {
        Ok(text) => text,
        Err(reason) => return Verdict::new(0.0, reason),
    };
    let (expression, claimed) = match text.split_once('=') {
        Some((left, right)) => (left, Some(right)),
        None => (text, None),
    };
    if claimed.is_some_and(|c| parse_rational(c).as_ref() != Some(&target)) {
        return Verdict::new(0.0, "what follows = is not the target");
    }
    let (value, mut used) = match evaluate(expression) {
        Ok(done) => done,
        Err(reason) => return Verdict::new(0.0, reason),
    };
    nums.sort_unstable();
    used.sort_unstable();
    if nums != used {
        return Verdict::new(0.0, "does not use each number exactly once");
    }
    if value == target {
        Verdict::new(1.0, "right")
    } else {
        Verdict::new(format_score, "well formed, but misses the target")
    }
}

fn read_nums(value: &Value) -> Option<Vec<u64>> {
    let nums: Vec<u64> = value.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
    (!nums.is_empty()).then_some(nums)
}

/// The value of an expression and the numbers it is written with.
fn evaluate(text: &str) -> Result<(RBig, Vec<u64>), &'static str> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err("the expression is too long");
    }
    let mut parser = Parser { rest: text, used: Vec::new() };
    let value = parser.sum(0)?;
    match parser.peek() {
        None => Ok((value, parser.used)),
        Some(_) => Err("the expression does not end where it should"),
    }
}

struct Parser<'a> {
    rest: &'a str,
    used: Vec<u64>,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes the next character where it is one of `wanted`.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.peek().filter(|c| wanted.contains(c))?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn sum(&mut self, depth: usize) -> Result<RBig, &'static str> {
        let mut value = self.product(depth)?;
        while let Some(op) = self.take(&['+', '-']) {
            let right = self.product(depth)?;
            value = if op == '+' { value + right } else { value - right };
        }
        Ok(value)
    }

    fn product(&mut self, depth: usize) -> Result<RBig, &'static str> {
        let mut value = self.operand(depth)?;
        while let Some(op) = self.take(&['*', '/']) {
            let right = self.operand(depth)?;
            value = match op {
                '*' => value * right,
                _ if right == RBig::ZERO => return Err("divides by zero"),
                _ => value / right,
            };
        }
        Ok(value)
    }

    /// A number or a parenthesised sum. There is no sign: the game has four operations.
    fn operand(&mut self, depth: usize) -> Result<RBig, &'static str> {
        if self.take(&['(']).is_some() {
            if depth >= MAX_DEPTH {
                return Err("the expression is nested too deep");
            }
            let value = self.sum(depth + 1)?;
            return self.take(&[')']).map(|_| value).ok_or("a parenthesis is never closed");
        }
        let end = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Err("no number where one should stand");
        }
        let number: u64 = digits.parse().map_err(|_| "a number is too large")?;
        self.rest = rest;
        self.used.push(number);
        Ok(RBig::from(number))
    }
}

settings! {
    /// 1 where the expression in `<answer>` uses each of the row's `nums` once and equals its
    /// `target` (TinyZero, github.com/Jiayi-Pan/TinyZero).
    Countdown {
        /// Value of an expression that uses each number once but misses the target, in 0..1;
        /// TinyZero uses 0.1. Without it, 0.
        #[serde(default)]
        format_score: Option<f64>,
    }
}

impl Settings for Countdown {
    fn check(&self) -> Result<(), (&'static str, String)> {
        match self.format_score {
            // It would pay as much for a wrong expression as for a right one.
            Some(score) if !(0.0..1.0).contains(&score) => {
                Err(("format_score", format!("is {score}, and must be at least 0 and less than 1")))
            }
            _ => Ok(()),
        }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Countdown {
    fn name(&self) -> &str {
        "countdown"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.format_score.unwrap_or(0.0)))
    }

    fn judges(&self) -> bool {
        true
    }

    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let found = answer::extract(sample.completion, Extract::AnswerTag, sample.truncated, sample.think_opened());
        Some(found.ok()?.split_whitespace().collect())
    }

    /// A generated row expects an expression; one in a file names the target alone, which is no right answer.
    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let is_expression = sample.expected.contains(['+', '-', '*', '/']);
        is_expression.then(|| Gold::placed(sample.expected.trim(), Extract::AnswerTag))
    }

    fn unreadable(&self, sample: &Sample<'_>) -> Option<String> {
        let said = score(sample, 0.0);
        said.value.is_none().then_some(said.note)
    }
}

#[cfg(test)]
mod tests;
