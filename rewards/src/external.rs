//! Rules that users bring, without a rebuild: a Python file, a program, an HTTP endpoint.
//!
//! They are code that the user trusts, and run as the user: nothing here is a sandbox. What they may do is fail, and
//! every failure is named with what they said: after some retries the completions concerned have no value and leave
//! their group, while the run goes on.

mod batched;
mod http;
mod message;
mod pool;
mod process;
mod program;
mod python;

pub use http::Http;
pub use program::Program;
pub use python::{Python, Signature};

use std::fmt;

use crate::answer::{self, Extract};
use crate::score::Sample;

/// A request that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    /// What went wrong.
    what: String,
    /// What the other side printed meanwhile.
    said: String,
    /// Whether another try could end otherwise.
    again: bool,
}

/// Characters of what the other side printed that a failure shows, from the end.
const SHOWN: usize = 1500;

impl Failure {
    fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), said: String::new(), again: true }
    }

    fn saying(mut self, said: &str) -> Failure {
        let said = said.trim();
        let skipped = said.chars().count().saturating_sub(SHOWN);
        self.said = if skipped == 0 {
            said.to_owned()
        } else {
            format!("…{}", said.chars().skip(skipped).collect::<String>())
        };
        self
    }

    fn for_good(mut self) -> Failure {
        self.again = false;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.said.is_empty() { Ok(()) } else { write!(f, "; it printed:\n{}", self.said) }
    }
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn half_a_minute() -> f64 {
    30.0
}

/// The final answer of a completion, for majorities: where a user's rule looks is not known, so any of the usual places.
fn answer(sample: &Sample<'_>) -> Option<String> {
    let found = answer::extract(sample.completion, Extract::Any, sample.truncated, sample.think_opened()).ok()?;
    Some(found.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Checks the keys that all three have.
fn check(workers: usize, timeout_s: f64) -> Result<(), (&'static str, String)> {
    if workers == 0 {
        return Err(("workers", "is 0: nothing would be scored".into()));
    }
    // The longest that fits a duration of the system's clock with room to spare.
    let sound = timeout_s > 0.0 && timeout_s <= 1e6;
    if sound { Ok(()) } else { Err(("timeout_s", format!("is {timeout_s}, and must be above 0 and at most 1e6"))) }
}

#[cfg(test)]
mod tests;
