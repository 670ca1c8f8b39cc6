//! Tests as LiveCodeBench lists them, and calls whose arguments and value are JSON.

use serde_json::{Map, Value};

use super::{Source, piece};
use crate::code::compare::Relation;
use crate::code::json;
use crate::code::problem::{CallTest, ProblemError, StdioTest};
use crate::sandbox::{Call, Plain};

/// LiveCodeBench: open tests as JSON in text, private ones the same or packed.
pub(super) fn live_code_bench(row: &Map<String, Value>, packed: &Value) -> Result<Source, ProblemError> {
    let cases = |column: &str| match row.get(column) {
        Some(Value::String(text)) => serde_json::from_str::<Vec<Value>>(text).ok(),
        Some(Value::Array(cases)) => Some(cases.clone()),
        _ => Some(Vec::new()),
    };
    let open = cases("public_test_cases").ok_or_else(|| ProblemError::Malformed {
        column: "public_test_cases".to_owned(),
        reason: "no JSON list of tests".to_owned(),
    })?;
    match (cases("private_test_cases"), packed) {
        (Some(private), _) => of_cases(row, open.into_iter().chain(private).collect()),
        (None, Value::String(text)) => Ok(Source::Packed { text: text.clone(), open, function: function_name(row) }),
        (None, _) => {
            Err(ProblemError::Malformed { column: "private_test_cases".to_owned(), reason: "no tests".to_owned() })
        }
    }
}

/// The function that LiveCodeBench's `metadata` or `starter_code` asks for.
fn function_name(row: &Map<String, Value>) -> Option<String> {
    let metadata = match row.get("metadata")? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    metadata.get("func_name").and_then(Value::as_str).map(str::to_owned)
}

/// Tests as LiveCodeBench lists them: `{"input", "output", "testtype"}`.
pub(in crate::code) fn cases_to_source(cases: &[Value], function: Option<String>) -> Result<Source, ProblemError> {
    let malformed =
        |reason: &str| ProblemError::Malformed { column: "test cases".to_owned(), reason: reason.to_owned() };
    let field = |case: &Value, name: &str| piece(case.get(name)?);
    let functional = cases.iter().any(|case| case.get("testtype").and_then(Value::as_str) == Some("functional"));
    let pairs: Option<Vec<_>> =
        cases.iter().map(|case| Some((field(case, "input")?, field(case, "output")?))).collect();
    let pairs = pairs.ok_or_else(|| malformed("a test without `input` and `output`"))?;
    if pairs.is_empty() {
        return Err(malformed("no test in them"));
    }
    if !functional {
        let test = |(stdin, stdout)| StdioTest { stdin, stdout };
        return Ok(Source::Stdio(pairs.into_iter().map(test).collect()));
    }
    let function =
        function.ok_or(ProblemError::Missing { column: "metadata", of: "functional tests (its `func_name`)" })?;
    let calls: Result<Vec<_>, _> =
        pairs.into_iter().map(|(input, output)| call(&Value::String(input), &Value::String(output))).collect();
    Ok(Source::Calls { function, calls: calls.map_err(|reason| malformed(&reason))? })
}

pub(super) fn of_cases(row: &Map<String, Value>, cases: Vec<Value>) -> Result<Source, ProblemError> {
    cases_to_source(&cases, function_name(row))
}

/// A call: arguments as a list or, in text, as JSON on a line each; the value as JSON or as JSON in text.
pub(super) fn call(input: &Value, output: &Value) -> Result<CallTest, String> {
    let args = match input {
        Value::String(lines) => {
            lines.lines().filter(|line| !line.trim().is_empty()).map(json::read).collect::<Result<Vec<_>, _>>()?
        }
        Value::Array(args) => args.iter().map(Plain::from).collect(),
        other => return Err(format!("arguments that are no list: {other}")),
    };
    let expected = match output {
        Value::String(text) => json::read(text).unwrap_or_else(|_| Plain::Str(text.clone())),
        // APPS and TACO wrap the value in a list of one.
        Value::Array(items) if items.len() == 1 => Plain::from(&items[0]),
        other => Plain::from(other),
    };
    Ok(CallTest { form: 0, call: Call { args, kwargs: Vec::new() }, expected: Relation::Equal(expected) })
}
