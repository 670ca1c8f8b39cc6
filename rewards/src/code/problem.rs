//! A programming problem: what its programs are run on, and what must come out.

use serde_json::{Map, Value};

use super::compare::{Leeway, Relation};
use super::convert;
use super::output::OutputRules;
use super::source::{Before, Source};
use super::statement::Statement;
use crate::sandbox::{Call, Sandbox};

/// A problem, ready for programs to be judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What is run, and what must come out.
    pub tests: Tests,
    /// Source that stands before every program: what its prompt or its judge defines.
    pub before: String,
    /// What its statement says.
    pub statement: Statement,
    /// The reference solution, whole, where the data has one.
    pub canonical: Option<String>,
    /// What was left out of the tests, and why.
    pub notes: Vec<String>,
}

/// The tests of a problem.
#[derive(Debug, Clone, PartialEq)]
pub enum Tests {
    /// The program reads an input and prints an output.
    Stdio(Vec<StdioTest>),
    /// The program defines a function that is called.
    Calls(CallTests),
    /// Test code that could not be taken apart, run in a process of its own against the program in another. It passes or
    /// fails as a whole.
    Pair {
        /// The test code.
        tests: String,
        /// The functions of the program that it calls.
        functions: Vec<String>,
        /// Why it is not calls.
        reason: String,
    },
}

/// An input and the output asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StdioTest {
    /// All of standard input.
    pub stdin: String,
    /// Standard output.
    pub stdout: String,
}

/// Calls of a program's functions.
#[derive(Debug, Clone, PartialEq)]
pub struct CallTests {
    /// How the program is called: bodies of functions of `args` and `kwargs`, such as `return set(f(*args, **kwargs))`.
    /// They run beside the program and hold no expected value.
    pub forms: Vec<String>,
    /// The calls, in order.
    pub calls: Vec<CallTest>,
    /// Whether arguments and values were JSON, which knows no tuple.
    pub json: bool,
}

/// One call and what it must return.
#[derive(Debug, Clone, PartialEq)]
pub struct CallTest {
    /// Which of the forms it goes through.
    pub form: usize,
    /// The arguments.
    pub call: Call,
    /// What the value must be. Never enters a sandbox with a program in it.
    pub expected: Relation,
}

/// Why a row makes no problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// No column holds tests.
    #[error(
        "no tests in the row: none of `tests`, `test`, `test_list`, `test_cases`, `input_output`, `public_test_cases`, \
         `private_tests`, `calls` is there (the row has {})", .columns.join(", ")
    )]
    NoTests {
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A column is missing that the others call for.
    #[error("the column `{column}` is missing, which {of} needs")]
    Missing {
        /// The column.
        column: &'static str,
        /// What needs it.
        of: &'static str,
    },
    /// A column is not what its name says.
    #[error("the column `{column}`: {reason}")]
    Malformed {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The sandbox that reads the tests failed; another try may succeed.
    #[error("the tests could not be read: {0}")]
    Infra(String),
}

impl Problem {
    /// Reads a data row. `statement` is the text of the problem where the row does not hold it. Test code is run in the
    /// sandbox, apart from any program, to find what it expects.
    ///
    /// # Errors
    /// What is missing from the row or wrong in it; [`ProblemError::Infra`] where the sandbox failed.
    pub fn read(row: &Map<String, Value>, statement: &str, sandbox: &Sandbox) -> Result<Self, ProblemError> {
        let source = Source::recognise(row)?;
        let columns = ["problem", "question", "content", "description", "question_content", "text", "prompt"];
        let own = columns.iter().filter_map(|name| row.get(*name).and_then(Value::as_str));
        let text: String = own.chain([statement]).collect::<Vec<_>>().join("\n");
        let mut problem = convert::problem(source, sandbox)?;
        problem.statement = Statement::read(&text);
        if let Some(seconds) =
            row.get("time_limit").and_then(seconds).or(row.get("time_limit_s").and_then(Value::as_f64))
        {
            problem.statement.time_limit_s = Some(seconds);
        }
        if let Some(bytes) = row.get("memory_limit_bytes").and_then(Value::as_u64) {
            problem.statement.memory_mib = Some(bytes >> 20);
        }
        match problem.is_empty() {
            true => Err(ProblemError::Malformed { column: "tests".to_owned(), reason: "no test in it".to_owned() }),
            false => Ok(problem),
        }
    }

    /// A problem of tests alone.
    pub fn of(tests: Tests, before: Before) -> Self {
        let before = match before {
            Before::Nothing => String::new(),
            Before::Code(code) => code,
            Before::LeetCode => LEETCODE.to_owned(),
        };
        Self { tests, before, statement: Statement::default(), canonical: None, notes: Vec::new() }
    }

    /// How many tests there are; one where they pass or fail as a whole.
    pub fn len(&self) -> usize {
        match &self.tests {
            Tests::Stdio(tests) => tests.len(),
            Tests::Calls(tests) => tests.calls.len(),
            Tests::Pair { .. } => 1,
        }
    }

    /// Whether there is no test.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the values of calls may differ in.
    pub(super) fn leeway(&self) -> Leeway {
        let json = matches!(&self.tests, Tests::Calls(tests) if tests.json);
        Leeway { json, any_order: self.statement.any_order }
    }

    /// What outputs may differ in, as far as the statement says.
    pub(super) fn output_rules(&self, layout: super::output::Layout) -> OutputRules {
        OutputRules { layout, any_case: self.statement.any_case, tolerance: self.statement.tolerance }
    }
}

/// Imports and classes that LeetCode has for every solution.
pub(super) const LEETCODE: &str = include_str!("prelude.py");

/// A time limit: a number, or CodeContests' seconds and nanoseconds.
fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            Some(part("seconds") + 1e-9 * part("nanos"))
        }
        _ => None,
    }
    .filter(|seconds| *seconds > 0.0)
}
