//! Test code turned into calls and expected values, by trusted Python in a sandbox of its own.
//!
//! Python reads Python best: `convert/*.py` takes each assert apart with Python's own `ast`, evaluates what is expected
//! (`3 * 19`, a loop over drawn numbers, the reference solution's value) and says how the program is to be called. No
//! program is in that process, and no expected value is in the one where a program runs.

use super::compare::{Relation, Tolerance};
use super::problem::{CallTest, CallTests, LEETCODE, Problem, ProblemError, Tests};
use super::source::{self, Before, Source};
use crate::sandbox::{Call, Ended, Job, Limits, Plain, Sandbox, Task};

/// One module in several files.
const CONVERT: &str = concat!(
    include_str!("convert/asserts.py"),
    include_str!("convert/entries.py"),
    include_str!("convert/inputs.py"),
    include_str!("convert/packed.py"),
);

/// What reading the tests of one problem may use. Reference solutions run over all inputs here.
const LIMITS: Limits =
    Limits { cpu_s: 60.0, wall_s: 300.0, memory_bytes: 2 << 30, output_bytes: 256 << 20, threads: 16, files: false };

/// Processor time for the reference solution of one problem, in seconds: inputs beyond it are left out.
const BUDGET_S: f64 = 10.0;

/// Makes a problem of what a row holds.
pub(super) fn problem(source: Source, sandbox: &Sandbox) -> Result<Problem, ProblemError> {
    match source {
        Source::Stdio(tests) => Ok(Problem::of(Tests::Stdio(tests), Before::Nothing)),
        Source::Calls { function, calls } => Ok(of_calls(&function, calls)),
        Source::Packed { text, open, function } => unpacked(sandbox, &text, open, function),
        Source::Check { before, canonical, tests, entry } => {
            let code = code(&before, canonical.as_deref());
            let entry_value = entry.as_deref().map_or(Plain::None, Plain::from);
            let args = vec![code.as_str().into(), tests.as_str().into(), entry_value];
            let answer = run(sandbox, "check", args)?;
            let function = entry.unwrap_or_default();
            let whole = if function.is_empty() { tests } else { format!("{tests}\ncheck({function})") };
            converted(answer, whole, &function, before, canonical)
        }
        Source::Asserts { before, canonical, tests } => {
            let code = code(&before, canonical.as_deref());
            let answer = run(sandbox, "asserts", vec![code.as_str().into(), tests.as_str().into(), Plain::None])?;
            let function = called(&tests).unwrap_or_default();
            converted(answer, tests, &function, before, canonical)
        }
        Source::Inputs { canonical, contract, entry, examples, rows, atol } => {
            let tolerance = [("rel_tol", Plain::Float(1e-7)), ("abs_tol", Plain::Float(atol.max(1e-6)))];
            let args = vec![
                canonical.as_str().into(),
                contract.as_str().into(),
                entry.as_str().into(),
                Plain::List(examples.iter().map(|text| text.as_str().into()).collect()),
                Plain::List(rows.iter().map(Plain::from).collect()),
                Plain::Dict(tolerance.map(|(name, value)| (name.into(), value)).into()),
                Plain::Float(BUDGET_S),
            ];
            let answer = run(sandbox, "inputs", args)?;
            converted(answer, examples.concat(), &entry, Before::Nothing, Some(canonical))
        }
    }
}

/// What tests may use: what stands before programs, and the reference solution.
fn code(before: &Before, canonical: Option<&str>) -> String {
    match (before, canonical) {
        (Before::LeetCode, canonical) => format!("{LEETCODE}\n{}", canonical.unwrap_or_default()),
        // HumanEval's solution repeats the prompt.
        (_, Some(canonical)) => canonical.to_owned(),
        (Before::Code(code), None) => code.clone(),
        (Before::Nothing, None) => String::new(),
    }
}

/// Calls one of the converter's functions.
fn run(sandbox: &Sandbox, function: &str, args: Vec<Plain>) -> Result<Plain, ProblemError> {
    let calls = [Call { args, kwargs: Vec::new() }];
    let job = Job { program: CONVERT, task: Task::Calls { function, calls: &calls }, limits: LIMITS };
    let outcome = sandbox.run(&job).into_iter().next();
    let malformed = |reason: String| ProblemError::Malformed { column: "tests".to_owned(), reason };
    match outcome {
        None => Err(ProblemError::Infra("the sandbox gave no answer".to_owned())),
        Some(outcome) => match (outcome.ended, outcome.returned) {
            (Ended::Infra(reason), _) => Err(ProblemError::Infra(reason)),
            (_, Some(value)) => Ok(value),
            (Ended::Exception { kind, message }, None) => Err(malformed(format!("{kind}: {message}"))),
            (ended, None) => Err(malformed(format!("reading them ended with {ended:?}"))),
        },
    }
}

/// The problem of the converter's answer; where that says the tests do not fit, the tests run as they are.
fn converted(
    answer: Plain,
    tests: String,
    function: &str,
    before: Before,
    canonical: Option<String>,
) -> Result<Problem, ProblemError> {
    let malformed = |reason: &str| ProblemError::Malformed { column: "tests".to_owned(), reason: reason.to_owned() };
    if let Some(reason) = field(&answer, "broken").and_then(Plain::text) {
        return Err(malformed(reason));
    }
    if let Some(reason) = field(&answer, "unfit").and_then(Plain::text) {
        if function.is_empty() || matches!(before, Before::LeetCode) {
            return Err(malformed(reason));
        }
        let pair = Tests::Pair {
            tests: with(&before, tests),
            functions: vec![function.to_owned()],
            reason: reason.to_owned(),
        };
        return Ok(Problem { canonical, ..Problem::of(pair, before) });
    }
    let read = || {
        let texts = |name: &str| -> Option<Vec<String>> {
            field(&answer, name)?.items()?.iter().map(|one| Some(one.text()?.to_owned())).collect()
        };
        let (forms, notes) = (texts("forms")?, texts("notes")?);
        let calls: Option<Vec<CallTest>> = field(&answer, "cases")?.items()?.iter().map(case).collect();
        Some((forms, notes, calls?))
    };
    let (forms, notes, calls) = read().ok_or_else(|| malformed("the converter answers in no known form"))?;
    let json = matches!(before, Before::LeetCode);
    let tests = Tests::Calls(CallTests { forms, calls, json });
    Ok(Problem { canonical, notes, ..Problem::of(tests, before) })
}

/// Test code with what it may use before it.
fn with(before: &Before, tests: String) -> String {
    match before {
        Before::Code(code) => format!("{code}\n{tests}"),
        Before::Nothing | Before::LeetCode => tests,
    }
}

fn field<'a>(answer: &'a Plain, name: &str) -> Option<&'a Plain> {
    let Plain::Dict(entries) = answer else { return None };
    entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
}

/// `(form, args, kwargs, how, expected, tolerance)`.
fn case(one: &Plain) -> Option<CallTest> {
    let [Plain::Int(form), args, kwargs, how, expected, tolerance] = one.items()? else { return None };
    let Plain::Dict(named) = kwargs else { return None };
    let kwargs =
        named.iter().map(|(name, value)| Some((name.text()?.to_owned(), value.clone()))).collect::<Option<_>>()?;
    let float = |name: &str| match field(tolerance, name) {
        Some(Plain::Float(float)) => *float,
        _ => 0.0,
    };
    let expected = expected.clone();
    let expected = match how.text()? {
        "==" => Relation::Equal(expected),
        "!=" => Relation::NotEqual(expected),
        "is" => Relation::Is(expected),
        "near" => Relation::Near(expected, Tolerance { rel: float("rel_tol"), abs: float("abs_tol") }),
        "in" => match expected {
            Plain::List(items) | Plain::Tuple(items) | Plain::Set(items) => Relation::OneOf(items),
            _ => return None,
        },
        _ => return None,
    };
    let form = usize::try_from(form).ok()?;
    Some(CallTest { form, call: Call { args: args.items()?.to_vec(), kwargs }, expected })
}

/// Calls of a function whose arguments and values were JSON. Data sets name a method of `Solution` by its own name, so
/// both are looked for.
pub(super) fn of_calls(function: &str, calls: Vec<CallTest>) -> Problem {
    let form = match function.split_once('.') {
        Some(_) => format!("return {function}(*args, **kwargs)"),
        None => format!(
            "if 'Solution' in globals() and hasattr(Solution, '{function}'):\n    \
             return Solution().{function}(*args, **kwargs)\nreturn {function}(*args, **kwargs)"
        ),
    };
    Problem::of(Tests::Calls(CallTests { forms: vec![form], calls, json: true }), Before::LeetCode)
}

/// LiveCodeBench's private tests.
fn unpacked(
    sandbox: &Sandbox,
    text: &str,
    open: Vec<serde_json::Value>,
    function: Option<String>,
) -> Result<Problem, ProblemError> {
    let malformed = |reason: String| ProblemError::Malformed { column: "packed tests".to_owned(), reason };
    let json = run(sandbox, "unpacked", vec![text.into()])?;
    let json = json.text().ok_or_else(|| malformed("no text in the pack".to_owned()))?.to_owned();
    let value: serde_json::Value =
        serde_json::from_str(&json).map_err(|error| malformed(format!("no JSON in the pack: {error}")))?;
    let source = match value {
        serde_json::Value::Array(private) => {
            let cases: Vec<_> = open.into_iter().chain(private).collect();
            source::cases_to_source(&cases, function)?
        }
        serde_json::Value::Object(mut tests) => {
            if let Some(function) = function {
                tests.insert("fn_name".to_owned(), function.into());
            }
            let row = serde_json::Map::from_iter([("tests".to_owned(), tests.into())]);
            Source::recognise(&row)?
        }
        _ => return Err(malformed("neither a list nor an object in the pack".to_owned())),
    };
    match source {
        Source::Packed { .. } => Err(malformed("a pack within the pack".to_owned())),
        source => problem(source, sandbox),
    }
}

/// The function that the first assert calls, for tests that run as they are.
fn called(tests: &str) -> Option<String> {
    let asserted = tests.lines().find_map(|line| line.trim_start().strip_prefix("assert "))?;
    let name = |text: &str| text.trim_start_matches(|c: char| c == '(' || c.is_whitespace()).to_owned();
    let asserted = name(asserted.strip_prefix("not ").unwrap_or(asserted));
    let end = asserted.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    asserted[end..].starts_with('(').then(|| asserted[..end].to_owned())
}
