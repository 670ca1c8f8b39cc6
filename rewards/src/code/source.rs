//! Which kind of programming problem a data row is, told from its columns.

mod cases;

use serde_json::{Map, Value};

use super::compare::Relation;
use super::problem::{CallTest, ProblemError, StdioTest};
use crate::sandbox::{Call, Plain};
pub(super) use cases::cases_to_source;
use cases::{call, live_code_bench, of_cases};

/// A problem as its data set writes it, before anything of it is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Standard input and output.
    Stdio(Vec<StdioTest>),
    /// Calls of a function, or of a method of `Solution`, with what they return.
    Calls {
        /// Its name, without `Solution().`.
        function: String,
        /// The calls.
        calls: Vec<CallTest>,
    },
    /// Tests that define `check(candidate)`: HumanEval, LeetCode.
    Check {
        /// Imports and functions that stand before the program's own: the prompt's, or LeetCode's.
        before: Before,
        /// The reference solution, if any, behind `before`.
        canonical: Option<String>,
        /// The test code.
        tests: String,
        /// The function under test; `None` where the tests end in a call of `check`.
        entry: Option<String>,
    },
    /// Asserts that name what they test: MBPP, AceCode, LeetCode.
    Asserts {
        /// What stands before the program.
        before: Before,
        /// The reference solution, if any.
        canonical: Option<String>,
        /// The test code.
        tests: String,
    },
    /// Inputs without expected values, which the reference solution gives: MBPP+.
    Inputs {
        /// The reference solution.
        canonical: String,
        /// Asserts that an input must keep.
        contract: String,
        /// The function under test.
        entry: String,
        /// Asserts that show the types of arguments.
        examples: Vec<String>,
        /// Arguments of each call, as JSON has them.
        rows: Vec<Value>,
        /// How far a float may be off.
        atol: f64,
    },
    /// LiveCodeBench's private tests, packed: base64 of zlib of a pickle. Only a sandbox opens it.
    Packed {
        /// The text.
        text: String,
        /// Tests that lie open beside it.
        open: Vec<Value>,
        /// The function under test; `None` where the program reads standard input or the pack says it.
        function: Option<String>,
    },
}

/// What a program finds defined when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// This code: what a prompt defines before the function asked for.
    Code(String),
    /// What LeetCode imports and defines for every solution.
    LeetCode,
}

impl Source {
    /// Recognises a row.
    ///
    /// # Errors
    /// Names the columns there are, and what is missing to make a problem of them.
    pub fn recognise(row: &Map<String, Value>) -> Result<Self, ProblemError> {
        let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        if row.contains_key("plus_input") || row.contains_key("base_input") {
            return inputs(row);
        }
        if let Some(tests) = row.get("test_list").or_else(|| row.get("test_cases")).filter(|tests| is_texts(tests)) {
            return asserts(row, tests);
        }
        if let Some(packed) = row.get("private_test_cases").or_else(|| row.get("public_test_cases")) {
            return live_code_bench(row, packed);
        }
        if row.contains_key("calls") {
            return calls(row);
        }
        for column in ["tests", "test", "input_output", "test_cases", "ground_truth", "verification_info"] {
            let Some(value) = row.get(column).filter(|value| !value.is_null()) else { continue };
            if let Some(source) = of_tests(row, column, value)? {
                return Ok(source);
            }
        }
        if let Some(value) = row.get("reward_model").and_then(|model| model.get("ground_truth"))
            && let Some(source) = of_tests(row, "reward_model.ground_truth", value)?
        {
            return Ok(source);
        }
        if let Some(source) = deep_mind(row) {
            return source;
        }
        if let Some(tests) = text("assertion") {
            return Ok(Self::Asserts { before: Before::Nothing, canonical: None, tests: tests.to_owned() });
        }
        Err(ProblemError::NoTests { columns: row.keys().cloned().collect() })
    }
}

impl Source {
    /// The reference solution, whole.
    pub fn canonical(&self) -> Option<&str> {
        match self {
            Self::Check { canonical, .. } | Self::Asserts { canonical, .. } => canonical.as_deref(),
            Self::Inputs { canonical, .. } => Some(canonical),
            Self::Stdio(_) | Self::Calls { .. } | Self::Packed { .. } => None,
        }
    }
}

/// A column that holds tests in one of many ways, some of them JSON in text.
fn of_tests(row: &Map<String, Value>, column: &str, value: &Value) -> Result<Option<Source>, ProblemError> {
    let malformed = |reason: &str| ProblemError::Malformed { column: column.to_owned(), reason: reason.to_owned() };
    let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    match value {
        Value::String(tests) if tests.trim_start().starts_with(['{', '[']) => {
            let parsed =
                serde_json::from_str::<Value>(tests).map_err(|error| malformed(&format!("no JSON: {error}")))?;
            of_tests(row, column, &parsed)
        }
        Value::String(tests) if tests.contains("def check(") => {
            let entry = text("entry_point").map(str::to_owned);
            let canonical = text("canonical_solution");
            let prompt = text("prompt").unwrap_or_default();
            Ok(Some(Source::Check {
                before: entry.as_deref().map_or(Before::LeetCode, |entry| Before::of_prompt(prompt, entry)),
                // HumanEval's solutions go on where the prompt ends.
                canonical: canonical.map(|body| {
                    if body.contains("\ndef ") || body.starts_with("def ") {
                        body.into()
                    } else {
                        format!("{prompt}{body}")
                    }
                }),
                tests: tests.clone(),
                entry,
            }))
        }
        Value::String(tests) if tests.contains("assert") => {
            let before = if tests.contains("Solution()") { Before::LeetCode } else { Before::Nothing };
            Ok(Some(Source::Asserts { before, canonical: canonical(row), tests: tests.clone() }))
        }
        Value::String(tests) if tests.starts_with("eJ") || tests.starts_with("gA") => {
            Ok(Some(Source::Packed { text: tests.clone(), open: Vec::new(), function: None }))
        }
        Value::String(_) => Err(malformed("neither asserts, `check(candidate)`, JSON nor packed tests")),
        Value::Object(tests) => {
            if let Some(functional) = tests.get("functional").and_then(Value::as_str) {
                return of_tests(row, column, &Value::String(functional.to_owned()));
            }
            if let Some(cases) =
                tests.get("assert_case").or_else(|| tests.get("asserts")).filter(|cases| is_texts(cases))
            {
                return asserts(row, cases).map(Some);
            }
            if let Some(cases) = tests.get("test_cases").filter(|cases| cases.is_array()) {
                return of_tests(row, column, cases);
            }
            let (Some(inputs), Some(outputs)) = (list(tests, "inputs", "input"), list(tests, "outputs", "output"))
            else {
                return Err(malformed("an object without `inputs` and `outputs`"));
            };
            if inputs.len() != outputs.len() {
                return Err(malformed(&format!("{} inputs and {} outputs", inputs.len(), outputs.len())));
            }
            let function = tests.get("fn_name").or_else(|| tests.get("function")).and_then(Value::as_str);
            let pairs = inputs.iter().zip(outputs);
            match function.filter(|name| !name.is_empty()) {
                Some(function) => {
                    let calls: Result<Vec<_>, _> = pairs.map(|(input, output)| call(input, output)).collect();
                    let calls = calls.map_err(|reason| malformed(&reason))?;
                    Ok(Some(Source::Calls { function: function.to_owned(), calls }))
                }
                None => {
                    let tests: Option<Vec<_>> = pairs
                        .map(|(input, output)| Some(StdioTest { stdin: piece(input)?, stdout: piece(output)? }))
                        .collect();
                    let tests = tests.ok_or_else(|| malformed("an input or output that is no text"))?;
                    Ok(Some(Source::Stdio(tests)))
                }
            }
        }
        Value::Array(_) if is_texts(value) => asserts(row, value).map(Some),
        Value::Array(tests) if !tests.is_empty() => {
            let field = |test: &Value, names: [&str; 2]| names.iter().find_map(|name| piece(test.get(*name)?));
            let read = |test: &Value| {
                Some(StdioTest { stdin: field(test, ["input", "stdin"])?, stdout: field(test, ["output", "stdout"])? })
            };
            if tests.iter().any(|test| test.get("testtype").and_then(Value::as_str) == Some("functional")) {
                return of_cases(row, tests.clone()).map(Some);
            }
            if let Some(function) = tests[0].get("fn_name").and_then(Value::as_str) {
                let read = |test: &Value| call(test.get("input")?, test.get("output")?).ok();
                let calls: Option<Vec<_>> = tests.iter().map(read).collect();
                let calls = calls.ok_or_else(|| malformed("a call without `input` and `output`"))?;
                return Ok(Some(Source::Calls { function: function.to_owned(), calls }));
            }
            let tests: Option<Vec<_>> = tests.iter().map(read).collect();
            tests
                .map(|tests| Some(Source::Stdio(tests)))
                .ok_or_else(|| malformed("a test without `input` and `output`"))
        }
        Value::Array(_) => Err(malformed("no test in it")),
        _ => Err(malformed("neither text, a list nor an object")),
    }
}

impl Before {
    /// What a prompt defines before the function that it asks for.
    fn of_prompt(prompt: &str, entry: &str) -> Self {
        let signature = format!("def {entry}(");
        let code = match prompt.rfind(&signature) {
            Some(at) => &prompt[..at],
            None => "",
        };
        // A method's class or a decorator would be cut in two; such a prompt defines nothing that can stand alone.
        let whole = code.is_empty() || code.ends_with('\n');
        if whole && !code.trim().is_empty() && !code.trim_end().ends_with(':') {
            Self::Code(code.to_owned())
        } else {
            Self::Nothing
        }
    }
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_string))
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn list<'a>(fields: &'a Map<String, Value>, many: &str, one: &str) -> Option<&'a Vec<Value>> {
    fields.get(many).or_else(|| fields.get(one))?.as_array()
}

/// An input or output: text, or lines of it.
fn piece(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(lines) => {
            let lines: Option<Vec<_>> = lines.iter().map(piece).collect();
            Some(lines?.join("\n"))
        }
        _ => None,
    }
}

fn canonical(row: &Map<String, Value>) -> Option<String> {
    let names = ["canonical_solution", "code", "solutions", "solution"];
    let code = names.iter().find_map(|name| row.get(*name).and_then(Value::as_str))?;
    code.contains("def ").then(|| code.to_owned())
}

/// MBPP and AceCode: a list of asserts, with imports and objects set up before them.
fn asserts(row: &Map<String, Value>, tests: &Value) -> Result<Source, ProblemError> {
    let setup = row.get("test_setup_code").and_then(Value::as_str).unwrap_or_default();
    let mut lines = texts(row.get("test_imports"));
    lines.push(setup);
    lines.extend(texts(Some(tests)));
    lines.extend(texts(row.get("challenge_test_list")));
    Ok(Source::Asserts { before: Before::Nothing, canonical: canonical(row), tests: lines.join("\n") })
}

fn inputs(row: &Map<String, Value>) -> Result<Source, ProblemError> {
    let text = |name: &'static str| {
        row.get(name)
            .and_then(Value::as_str)
            .ok_or(ProblemError::Missing { column: name, of: "a row with `base_input`" })
    };
    let mut rows = Vec::new();
    for column in ["base_input", "plus_input"] {
        match row.get(column) {
            Some(Value::Array(inputs)) => rows.extend(inputs.iter().cloned()),
            // An empty set of inputs is written as an empty object.
            Some(Value::Object(none)) if none.is_empty() => {}
            None | Some(Value::Null) => {}
            Some(_) => {
                return Err(ProblemError::Malformed {
                    column: column.to_owned(),
                    reason: "no list of arguments".to_owned(),
                });
            }
        }
    }
    let prompt = row.get("prompt").and_then(Value::as_str).unwrap_or_default();
    let mut examples = vec![row.get("assertion").and_then(Value::as_str).unwrap_or_default().to_owned()];
    examples.extend(prompt.lines().filter(|line| line.starts_with("assert ")).map(str::to_owned));
    Ok(Source::Inputs {
        canonical: text("canonical_solution")?.to_owned(),
        contract: row.get("contract").and_then(Value::as_str).unwrap_or_default().to_owned(),
        entry: text("entry_point")?.to_owned(),
        examples,
        rows,
        atol: row.get("atol").and_then(Value::as_f64).unwrap_or(0.0),
    })
}

/// The very columns of a line that is scored alone: `function` and `calls`.
fn calls(row: &Map<String, Value>) -> Result<Source, ProblemError> {
    let function = row.get("function").and_then(Value::as_str);
    let function = function.ok_or(ProblemError::Missing { column: "function", of: "a row with `calls`" })?;
    let malformed = |reason: &str| ProblemError::Malformed { column: "calls".to_owned(), reason: reason.to_owned() };
    let list = row.get("calls").and_then(Value::as_array).ok_or_else(|| malformed("no list"))?;
    let read = |one: &Value| {
        let args = one.get("args").and_then(Value::as_array)?.iter().map(Plain::from).collect();
        let kwargs = one.get("kwargs").and_then(Value::as_object);
        let kwargs = kwargs.map(|named| named.iter().map(|(name, value)| (name.clone(), Plain::from(value))).collect());
        let expected = Relation::Equal(Plain::from(one.get("expected")?));
        Some(CallTest { form: 0, call: Call { args, kwargs: kwargs.unwrap_or_default() }, expected })
    };
    let calls: Option<Vec<_>> = list.iter().map(read).collect();
    let calls = calls.ok_or_else(|| malformed("a call without `args` and `expected`"))?;
    Ok(Source::Calls { function: function.to_owned(), calls })
}

/// DeepMind's CodeContests: `{"input": […], "output": […]}` in up to three columns.
fn deep_mind(row: &Map<String, Value>) -> Option<Result<Source, ProblemError>> {
    let mut found = Vec::new();
    let mut any = false;
    for column in ["public_tests", "private_tests", "generated_tests"] {
        let Some(Value::Object(tests)) = row.get(column) else { continue };
        any = true;
        let (Some(inputs), Some(outputs)) = (list(tests, "input", "inputs"), list(tests, "output", "outputs")) else {
            let reason = "no `input` and `output` in it".to_owned();
            return Some(Err(ProblemError::Malformed { column: column.to_owned(), reason }));
        };
        let test = |(a, b): (&Value, &Value)| Some(StdioTest { stdin: piece(a)?, stdout: piece(b)? });
        found.extend(inputs.iter().zip(outputs).filter_map(test));
    }
    any.then_some(Ok(Source::Stdio(found)))
}

#[cfg(test)]
mod tests;
