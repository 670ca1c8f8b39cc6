//! The data sets that lie beside the project: every problem is read, every reference solution passes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use rayon::prelude::*;
use rewards::code::{CodeGrade, Judging, Problem, Tests, Verdict, judge};
use rewards::sandbox::{Sandbox, SandboxConfig};
use serde_json::{Map, Value};

type Row = Map<String, Value>;

/// A file of the data; `None`, said aloud, where it does not lie beside the project.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn rows(name: &str) -> Option<Vec<Row>> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/code").join(name);
    let Ok(bytes) = fs::read(&path) else {
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    let mut text = String::new();
    match name.ends_with(".gz") {
        true => GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap(),
        false => bytes.as_slice().read_to_string(&mut text).unwrap(),
    };
    let rows = match text.starts_with('[') {
        true => serde_json::from_str(&text).unwrap(),
        false => text.lines().map(row).collect(),
    };
    Some(rows)
}

/// One row of MBPP+ holds infinities, which are Python's JSON alone. As text they are told from the examples beside them,
/// as the file's own complex numbers are.
fn row(line: &str) -> Row {
    let text = || line.replace("-Infinity", "\"-inf\"").replace("Infinity", "\"inf\"");
    serde_json::from_str(line).or_else(|_| serde_json::from_str(&text())).unwrap()
}

fn sandbox() -> Sandbox {
    Sandbox::open(&SandboxConfig::default()).unwrap()
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// How many problems of a file became calls, pairs of inputs and outputs, or run as they are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kinds {
    calls: usize,
    stdio: usize,
    pairs: usize,
    tests: usize,
}

impl Kinds {
    fn of(problems: &[Problem]) -> Self {
        let mut kinds = Self::default();
        for problem in problems {
            kinds.tests += problem.len();
            match &problem.tests {
                Tests::Calls(_) => kinds.calls += 1,
                Tests::Stdio(_) => kinds.stdio += 1,
                Tests::Pair { .. } => kinds.pairs += 1,
            }
        }
        kinds
    }
}

fn problems(rows: &[Row], sandbox: &Sandbox) -> Vec<Problem> {
    let read = |(place, row): (usize, &Row)| {
        Problem::read(row, "", sandbox).unwrap_or_else(|error| panic!("row {place}: {error}"))
    };
    rows.par_iter().enumerate().map(read).collect()
}

/// Judges a program for each problem; the places and grades of those that do not pass.
fn failures(sandbox: &Sandbox, problems: &[Problem], programs: &[String]) -> Vec<(usize, CodeGrade)> {
    let judging = Judging { time_limit_s: 30.0, ..Judging::default() };
    let grade = |(place, (problem, program)): (usize, (&Problem, &String))| {
        let grade = judge(sandbox, program, problem, None, &judging);
        (grade.verdict != Verdict::Ok).then_some((place, grade))
    };
    problems.par_iter().zip(programs).enumerate().filter_map(grade).collect()
}

/// The first test of each that did not pass.
fn shown(failures: &[(usize, CodeGrade)]) -> String {
    let line = |(place, grade): &(usize, CodeGrade)| {
        let (at, one) = grade.tests.iter().enumerate().find(|(_, one)| one.verdict != Verdict::Ok).unwrap();
        format!("{place}: test {at} of {}: {:?} {}", grade.tests.len(), one.verdict, one.note)
    };
    failures.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn humaneval() {
    let Some(rows) = rows("HumanEval.jsonl.gz") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    // `find_zero` compares the polynomial's value at what it returns with nought.
    assert_eq!(Kinds::of(&problems), Kinds { calls: 163, stdio: 0, pairs: 1, tests: 1435 });
    let programs: Vec<String> =
        rows.iter().map(|row| format!("{}{}", text(row, "prompt"), text(row, "canonical_solution"))).collect();
    let failed = failures(&sandbox, &problems, &programs);
    assert!(failed.is_empty(), "{}", shown(&failed));
    // A model often leaves out what the prompt defines already.
    let alone: Vec<String> = programs
        .iter()
        .zip(&rows)
        .map(|(program, row)| {
            let signature = format!("def {}(", text(row, "entry_point"));
            program[program.find(&signature).unwrap()..].to_owned()
        })
        .collect();
    let failed = failures(&sandbox, &problems, &alone);
    assert!(failed.is_empty(), "{}", shown(&failed));
}

#[test]
fn mbpp() {
    let Some(rows) = rows("mbpp.jsonl") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    assert_eq!(Kinds::of(&problems), Kinds { calls: 974, stdio: 0, pairs: 0, tests: 2938 });
    let programs: Vec<String> = rows.iter().map(|row| text(row, "code").to_owned()).collect();
    let failed = failures(&sandbox, &problems, &programs);
    assert!(failed.is_empty(), "{}", shown(&failed));
}

/// One problem in eight, or all of them where `RUN_SLOW` is set: there are a hundred calls to each.
#[test]
fn mbpp_plus() {
    let Some(rows) = rows("mbpp_plus.jsonl.gz") else { return };
    let step = if std::env::var_os("RUN_SLOW").is_some() { 1 } else { 8 };
    let rows: Vec<Row> = rows.into_iter().step_by(step).collect();
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    let kinds = Kinds::of(&problems);
    assert_eq!((kinds.calls, kinds.stdio, kinds.pairs), (399_usize.div_ceil(step), 0, 0));
    // Left out: what breaks the data's own contract, takes the reference solution seconds, or returns megabytes.
    assert!(kinds.tests * step > 40_000, "{kinds:?}");
    let programs: Vec<String> = rows.iter().map(|row| text(row, "canonical_solution").to_owned()).collect();
    let failed = failures(&sandbox, &problems, &programs);
    assert!(failed.is_empty(), "{}", shown(&failed));
}

#[test]
fn leetcode() {
    let Some(rows) = rows("leetcode_functional.json") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    assert_eq!(Kinds::of(&problems), Kinds { calls: 200, stdio: 0, pairs: 0, tests: 492 });
    let programs: Vec<String> = rows.iter().map(|row| text(row, "solutions").to_owned()).collect();
    let mut failed = failures(&sandbox, &problems, &programs);
    // One imports a package that is not Python's.
    failed.retain(|(_, grade)| !grade.tests[0].note.contains("sortedcontainers"));
    assert!(failed.is_empty(), "{}", shown(&failed));
}

/// No solutions come with these; the tests are read, linked lists among them, and an answer that is always the same fails.
#[test]
fn leetcode_2024() {
    let Some(rows) = rows("leetcode_2024_dscoder.jsonl.gz") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    assert_eq!(Kinds::of(&problems), Kinds { calls: 180, stdio: 0, pairs: 0, tests: 18_000 });
    let nothing = "class Solution:\n    def __getattr__(self, name):\n        return lambda *args, **kwargs: None\n";
    let failed = failures(&sandbox, &problems, &vec![nothing.to_owned(); rows.len()]);
    assert_eq!(failed.len(), rows.len());
    let lists: Vec<usize> = (0..rows.len()).filter(|place| text(&rows[*place], "test").contains("_f2(")).collect();
    assert_eq!(lists.len(), 2);
    let double = "class Solution:
    def doubleIt(self, head):
        digits = 0
        while head:
            digits, head = digits * 10 + head.val, head.next
        first = last = ListNode()
        for digit in str(2 * digits):
            last.next = ListNode(int(digit))
            last = last.next
        return first.next
";
    let place = lists.into_iter().find(|place| text(&rows[*place], "test").contains("doubleIt")).unwrap();
    let grade = judge(&sandbox, double, &problems[place], None, &Judging::default());
    assert_eq!((grade.verdict, grade.n_passed()), (Verdict::Ok, 100), "{}", shown(&[(place, grade.clone())]));
}

/// A program that knows the outputs by heart passes; with one of them changed it fails at that test alone.
#[test]
fn contests() {
    for (name, n_problems, n_tests) in [("code_contests_stdio.json", 165, 0), ("codeforces_stdio.json", 408, 468)] {
        let Some(rows) = rows(name) else { return };
        let sandbox = sandbox();
        let problems = problems(&rows, &sandbox);
        let kinds = Kinds::of(&problems);
        assert_eq!((kinds.stdio, kinds.calls, kinds.pairs), (n_problems, 0, 0));
        assert!(n_tests == 0 || kinds.tests == n_tests, "{kinds:?}");
        let by_heart = |problem: &Problem, wrong: Option<usize>| {
            let Tests::Stdio(tests) = &problem.tests else { unreachable!() };
            let known: Vec<_> = tests.iter().map(|test| (test.stdin.as_str(), test.stdout.as_str())).collect();
            let known = serde_json::to_string(&known).unwrap();
            let change = wrong.map_or(String::new(), |place| format!("known[{place}][1] += ' and more'\n"));
            format!("import json, sys\nknown = json.loads({known:?})\n{change}print(dict(known)[sys.stdin.read()])\n")
        };
        let programs: Vec<String> = problems.iter().map(|problem| by_heart(problem, None)).collect();
        let failed = failures(&sandbox, &problems, &programs);
        assert!(failed.is_empty(), "{name}: {}", shown(&failed));
        let programs: Vec<String> = problems.iter().map(|problem| by_heart(problem, Some(problem.len() - 1))).collect();
        let failed = failures(&sandbox, &problems, &programs);
        assert_eq!(failed.len(), rows.len());
        for (place, grade) in failed {
            // Some inputs stand twice among the tests of a problem.
            let Tests::Stdio(tests) = &problems[place].tests else { unreachable!() };
            let last = &tests.last().unwrap().stdin;
            let n_wrong = tests.iter().filter(|test| test.stdin == *last).count();
            assert_eq!(grade.n_passed() + n_wrong, tests.len(), "{name} {place}");
            assert_eq!(grade.tests.last().unwrap().verdict, Verdict::WrongAnswer);
        }
    }
}

/// Completions of other models with the share of tests that its makers measured.
#[test]
fn acecode() {
    let Some(rows) = rows("acecode_sample.jsonl") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    assert_eq!(Kinds::of(&problems), Kinds { calls: 1, stdio: 0, pairs: 0, tests: 19 });
    let inferences = rows[0]["inferences"].as_array().unwrap();
    assert!(inferences.len() > 50);
    for one in inferences {
        let program = one["completion"].as_str().unwrap();
        let grade = judge(&sandbox, program, &problems[0], None, &Judging::default());
        if grade.tests[0].note.contains("No module named") {
            continue;
        }
        let share = grade.n_passed() as f64 / 19.0;
        let measured = one["pass_rate"].as_f64().unwrap();
        assert!((share - measured).abs() < 1e-9, "{share} {measured} {program} {}", shown(&[(0, grade.clone())]));
    }
}

/// Tests packed as base64 of zlib of a pickle.
#[test]
fn live_code_bench() {
    let Some(rows) = rows("livecodebench_sample.jsonl") else { return };
    let sandbox = sandbox();
    let problems = problems(&rows, &sandbox);
    let kinds = Kinds::of(&problems);
    assert_eq!((kinds.stdio, kinds.calls, kinds.pairs), (2, 1, 0));
    let solutions = [
        "for _ in range(int(input())):\n    print('YES' if sum(a != b for a, b in zip(input(), 'abc')) < 3 else 'no')",
        "class Solution:\n    def countSeniors(self, details: List[str]) -> int:\n        \
         return sum(int(one[11:13]) > 60 for one in details)",
        "n, s = int(input()), input()\na, b = s.count('T'), s.count('A')\n\
         print('T' if a > b or a == b and s[-1] == 'A' else 'A')",
    ];
    let failed = failures(&sandbox, &problems, &solutions.map(str::to_owned));
    assert!(failed.is_empty(), "{}", shown(&failed));
    let wrong = [
        "for _ in range(int(input())):\n    print('YES')",
        "class Solution:\n    def countSeniors(self, details):\n        \
         return sum(int(one[11:13]) >= 60 for one in details)",
        "import sys; sys.exit(0)",
    ];
    assert_eq!(failures(&sandbox, &problems, &wrong.map(str::to_owned)).len(), 3);
}

/// Mutants of reference solutions that the data's own tests kill in plain Python, as `code/mutate.py find` established.
#[test]
fn mutants_fail() {
    let killed: Value = serde_json::from_str(include_str!("code/killed.json")).unwrap();
    let sandbox = sandbox();
    for (name, file) in [("humaneval", "HumanEval.jsonl.gz"), ("mbpp", "mbpp.jsonl")] {
        let Some(rows) = rows(file) else { return };
        let problems = problems(&rows, &sandbox);
        let (mut lines, mut owners) = (String::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            let (id, source) = match name {
                "humaneval" => {
                    (text(row, "task_id").to_owned(), text(row, "prompt").to_owned() + text(row, "canonical_solution"))
                }
                _ => (row["task_id"].to_string(), text(row, "code").to_owned()),
            };
            let mutants = killed[name][&id].as_array().unwrap();
            assert!(!mutants.is_empty(), "{name} {id}");
            for mutant in mutants {
                lines.push_str(&serde_json::json!({"source": source, "mutant": mutant}).to_string());
                lines.push('\n');
                owners.push((place, format!("{name} {id}: {mutant}")));
            }
        }
        let sources = mutated(&lines);
        assert_eq!(sources.len(), owners.len());
        let passed: Vec<&str> = owners
            .par_iter()
            .zip(&sources)
            .filter(|((place, _), source)| {
                let grade = judge(
                    &sandbox,
                    source,
                    &problems[*place],
                    None,
                    &Judging { stop_early: true, ..Judging::default() },
                );
                matches!(grade.verdict, Verdict::Ok | Verdict::Infra)
            })
            .map(|((_, name), _)| name.as_str())
            .collect();
        assert!(passed.is_empty(), "{} of {} pass: {passed:?}", passed.len(), owners.len());
    }
}

/// The changed sources, made by `code/mutate.py apply`.
fn mutated(lines: &str) -> Vec<String> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/code/mutate.py");
    let mut python =
        Command::new("python3").arg(tool).arg("apply").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
