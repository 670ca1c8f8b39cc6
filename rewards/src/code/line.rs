//! A program and its tests in one line of JSON, and its verdicts in another.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::Relation;
use super::convert;
use super::json;
use super::judge::{CodeGrade, Judging, TestVerdict, Verdict, judge};
use super::problem::{CallTest, Problem, StdioTest, Tests};
use super::source::Before;
use crate::sandbox::{Call, Plain, Sandbox};

/// What a line says: `{"id", "program", "tests": [{"stdin", "stdout"}, …]}` or, for calls, `{"id", "program", "tests":
/// {"function", "calls": [{"args", "expected"}, …]}}`, whose `function` and `calls` may stand in the line itself; either
/// with `"time_limit_s"`. Other keys of a line are not read.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeLine {
    /// Whatever the line is known by; null where it has none.
    pub id: Value,
    /// Python source.
    pub program: String,
    /// Its tests.
    pub problem: Problem,
}

/// Why a line cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}{reason}", .key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// The key at fault, with its place in lists: `calls[2].args`.
    pub key: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// The answer to a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeResult {
    /// The line's.
    pub id: Value,
    /// The verdict on all tests.
    pub verdict: Verdict,
    /// How many tests passed.
    pub n_passed: usize,
    /// Each test, in order.
    pub tests: Vec<TestVerdict>,
}

impl CodeLine {
    /// Reads a line; `line` is its number in the file, from 1.
    ///
    /// # Errors
    /// Names the line and the key that is missing, unknown or of the wrong kind.
    pub fn parse(line: usize, text: &str) -> Result<Self, LineError> {
        let wrong = |key: Option<&str>, reason: &str| LineError {
            line,
            key: key.map(str::to_owned),
            reason: reason.to_owned(),
        };
        let value = json::read(text).map_err(|reason| wrong(None, &format!("not valid JSON: {reason}")))?;
        let fields = Fields::of(&value, line, "")?;
        fields.once()?;
        let program = fields.text("program")?;
        let calls = match (fields.get("tests"), fields.get("calls")) {
            (Some(_), Some(_)) => return Err(wrong(Some("calls"), "stands beside `tests`; a line has one of them")),
            (None, None) => return Err(wrong(Some("tests"), "missing, and so is `calls`")),
            (Some(tests @ Plain::Dict(_)), None) => {
                let tests = Fields::of(tests, line, "tests")?;
                tests.only(&["function", "calls"])?;
                Some(tests)
            }
            (Some(_), None) if fields.get("function").is_some() => {
                return Err(wrong(Some("function"), "needs `calls`"));
            }
            (Some(_), None) => None,
            (None, Some(_)) => Some(Fields::of(&value, line, "")?),
        };
        let mut problem = match calls {
            Some(calls) => calls.calls()?,
            None => {
                let mut read = Vec::new();
                for (place, test) in list(fields.need("tests")?, line, "tests")?.iter().enumerate() {
                    let test = Fields::of(test, line, &format!("tests[{place}]"))?;
                    test.only(&["stdin", "stdout"])?;
                    let stdin = if test.get("stdin").is_some() { test.text("stdin")? } else { String::new() };
                    read.push(StdioTest { stdin, stdout: test.text("stdout")? });
                }
                Problem::of(Tests::Stdio(read), Before::Nothing)
            }
        };
        if problem.is_empty() {
            let key = if matches!(problem.tests, Tests::Stdio(_)) { "tests" } else { "calls" };
            return Err(wrong(Some(key), "holds no test"));
        }
        problem.before = String::new();
        problem.statement.time_limit_s = match fields.get("time_limit_s") {
            None | Some(Plain::None) => None,
            Some(value) => {
                let seconds = match value {
                    Plain::Int(whole) => whole.to_f64().value(),
                    Plain::Float(seconds) => *seconds,
                    _ => f64::NAN,
                };
                if !(seconds > 0.0 && seconds.is_finite()) {
                    return Err(wrong(Some("time_limit_s"), "is no number of seconds above 0"));
                }
                Some(seconds)
            }
        };
        let id = match fields.get("id") {
            Some(Plain::Str(text)) => text.as_str().into(),
            Some(Plain::Int(whole)) => i64::try_from(whole).map_or_else(|_| whole.to_string().into(), Value::from),
            None | Some(Plain::None) => Value::Null,
            Some(_) => return Err(wrong(Some("id"), "is neither text nor a whole number")),
        };
        Ok(Self { id, program, problem })
    }

    /// Judges the program by all its tests. The line's own time limit is taken as it is.
    pub fn judge(&self, sandbox: &Sandbox, judging: &Judging) -> CodeResult {
        let judging = Judging { time_factor: 1.0, ..*judging };
        let CodeGrade { verdict, tests } = judge(sandbox, &self.program, &self.problem, None, &judging);
        let n_passed = tests.iter().filter(|one| one.verdict == Verdict::Ok).count();
        CodeResult { id: self.id.clone(), verdict, n_passed, tests }
    }
}

fn list<'a>(value: &'a Plain, line: usize, key: &str) -> Result<&'a [Plain], LineError> {
    value.items().ok_or_else(|| LineError { line, key: Some(key.to_owned()), reason: "is no list".to_owned() })
}

/// The keys of an object in a line.
struct Fields<'a> {
    entries: &'a [(Plain, Plain)],
    line: usize,
    /// Where the object stands: `calls[2]`, or nothing for the line itself.
    place: String,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Plain, line: usize, place: &str) -> Result<Self, LineError> {
        match value {
            Plain::Dict(entries) => Ok(Self { entries, line, place: place.to_owned() }),
            _ => {
                let key = (!place.is_empty()).then(|| place.to_owned());
                Err(LineError { line, key, reason: "is no JSON object".to_owned() })
            }
        }
    }

    fn wrong(&self, name: &str, reason: &str) -> LineError {
        let key = if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) };
        LineError { line: self.line, key: Some(key), reason: reason.to_owned() }
    }

    fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Plain)> {
        self.entries.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    fn get(&self, name: &str) -> Option<&'a Plain> {
        self.entries().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn need(&self, name: &str) -> Result<&'a Plain, LineError> {
        self.get(name).ok_or_else(|| self.wrong(name, "missing"))
    }

    fn text(&self, name: &str) -> Result<String, LineError> {
        self.need(name)?.text().map(str::to_owned).ok_or_else(|| self.wrong(name, "is no text"))
    }

    /// The problem of a `function` and the `calls` of it.
    fn calls(&self) -> Result<Problem, LineError> {
        let function = self.text("function")?;
        let is_name = |part: &str| {
            part.chars().all(|c| c.is_alphanumeric() || c == '_') && !part.starts_with(|c: char| c.is_numeric())
        };
        let bare = function.replacen("().", ".", 1);
        if !bare.split('.').all(|part| !part.is_empty() && is_name(part)) {
            return Err(self.wrong("function", "is no name such as `solve` or `Solution().solve`"));
        }
        let within = if self.place.is_empty() { "calls".to_owned() } else { format!("{}.calls", self.place) };
        let mut read = Vec::new();
        for (place, call) in list(self.need("calls")?, self.line, &within)?.iter().enumerate() {
            let key = format!("{within}[{place}]");
            let call = Fields::of(call, self.line, &key)?;
            call.only(&["args", "kwargs", "expected"])?;
            let args = list(call.need("args")?, self.line, &format!("{key}.args"))?.to_vec();
            let kwargs = match call.get("kwargs") {
                None => Vec::new(),
                Some(named) => {
                    let named = Fields::of(named, self.line, &format!("{key}.kwargs"))?;
                    named.entries().map(|(name, value)| (name.to_owned(), value.clone())).collect()
                }
            };
            let expected = Relation::Equal(call.need("expected")?.clone());
            read.push(CallTest { form: 0, call: Call { args, kwargs }, expected });
        }
        Ok(convert::of_calls(&function, read))
    }

    /// Refuses other keys than these, and one that stands twice.
    fn only(&self, known: &[&str]) -> Result<(), LineError> {
        for (name, _) in self.entries() {
            if !known.contains(&name) {
                return Err(self.wrong(name, &format!("unknown key, expected one of {}", known.join(", "))));
            }
        }
        self.once()
    }

    /// Refuses a key that stands twice.
    fn once(&self) -> Result<(), LineError> {
        for (place, (name, _)) in self.entries().enumerate() {
            if self.entries().take(place).any(|(earlier, _)| earlier == name) {
                return Err(self.wrong(name, "stands twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
