use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sandbox::SandboxConfig;

fn wrong(line: &str) -> String {
    CodeLine::parse(7, line).unwrap_err().to_string()
}

#[test]
fn errors_name_line_and_key() {
    for (line, said) in [
        ("{", "line 7: not valid JSON: a key in quotes is missing at byte 2"),
        ("[]", "line 7: is no JSON object"),
        (r#"{"id": 1}"#, "line 7: `program`: missing"),
        (r#"{"program": 5}"#, "line 7: `program`: is no text"),
        (r#"{"program": "p"}"#, "line 7: `tests`: missing, and so is `calls`"),
        (r#"{"program": "p", "tests": []}"#, "line 7: `tests`: holds no test"),
        (r#"{"program": "p", "tests": 5}"#, "line 7: `tests`: is no list"),
        (r#"{"program": "p", "tests": [{"stdin": "1"}]}"#, "line 7: `tests[0].stdout`: missing"),
        (r#"{"program": "p", "tests": [{"stdin": 1, "stdout": ""}]}"#, "line 7: `tests[0].stdin`: is no text"),
        (
            r#"{"program": "p", "tests": [{"stdin": "", "stdout": "", "out": ""}]}"#,
            "line 7: `tests[0].out`: unknown key, expected one of stdin, stdout",
        ),
        (r#"{"program": "p", "calls": []}"#, "line 7: `function`: missing"),
        (r#"{"program": "p", "function": "f", "tests": []}"#, "line 7: `function`: needs `calls`"),
        (r#"{"program": "p", "function": "f", "calls": [], "tests": []}"#, "line 7: `calls`: stands beside `tests`"),
        (r#"{"program": "p", "function": "f(", "calls": []}"#, "line 7: `function`: is no name"),
        (r#"{"program": "p", "function": "f", "calls": [5]}"#, "line 7: `calls[0]`: is no JSON object"),
        (r#"{"program": "p", "function": "f", "calls": [{"args": 5}]}"#, "line 7: `calls[0].args`: is no list"),
        (r#"{"program": "p", "function": "f", "calls": [{"args": []}]}"#, "line 7: `calls[0].expected`: missing"),
        (r#"{"program": "p", "program": "p"}"#, "line 7: `program`: stands twice"),
        (
            r#"{"program": "p", "tests": {"function": "f", "calls": [{"args": [], "expect": 1}]}}"#,
            "line 7: `tests.calls[0].expect`: unknown key, expected one of args, kwargs, expected",
        ),
        (r#"{"program": "p", "tests": {"calls": []}}"#, "line 7: `tests.function`: missing"),
        (
            r#"{"program": "p", "tests": [{"stdin": "", "stdout": ""}], "time_limit_s": 0}"#,
            "line 7: `time_limit_s`: is no number of seconds above 0",
        ),
        (r#"{"id": [], "program": "p", "tests": [{"stdin": "", "stdout": ""}]}"#, "line 7: `id`: is neither"),
    ] {
        assert!(wrong(line).starts_with(said), "{line}: {}", wrong(line));
    }
}

#[test]
fn lines_are_judged() {
    let sandbox = Sandbox::open(&SandboxConfig::default()).unwrap();
    let judged = |line: Value| {
        let line = CodeLine::parse(1, &line.to_string()).unwrap();
        let result = line.judge(&sandbox, &Judging::default());
        let verdicts: Vec<Verdict> = result.tests.iter().map(|one| one.verdict).collect();
        (result.id, result.verdict, result.n_passed, verdicts)
    };
    let tests = json!([{"stdin": "2 3\n", "stdout": "5\n"}, {"stdin": "2 -3", "stdout": "-1"}]);
    let line = json!({"id": "a", "program": "print(sum(map(int, input().split())))", "tests": tests});
    assert_eq!(judged(line), (json!("a"), Verdict::Ok, 2, vec![Verdict::Ok; 2]));
    let line = json!({"id": 8, "program": "print(5)", "tests": tests, "time_limit_s": 2.5});
    assert_eq!(judged(line), (json!(8), Verdict::WrongAnswer, 1, vec![Verdict::Ok, Verdict::WrongAnswer]));
    let calls = json!([
        {"args": [[1, 2]], "expected": [[2, 1], null]},
        {"args": [], "kwargs": {"items": []}, "expected": [[], null]},
    ]);
    for (program, function) in [
        ("def f(items):\n    return items[::-1], None", "f"),
        ("class Solution:\n    def f(self, items):\n        return items[::-1], None", "f"),
        ("class Solution:\n    def f(self, items):\n        return items[::-1], None", "Solution().f"),
        ("class Other:\n    @staticmethod\n    def f(items):\n        return (items[::-1], None)", "Other.f"),
    ] {
        let line = json!({"program": program, "function": function, "calls": calls});
        assert_eq!(judged(line), (Value::Null, Verdict::Ok, 2, vec![Verdict::Ok; 2]), "{program}");
        let line = json!({"program": program, "tests": {"function": function, "calls": calls}, "origin": "not read"});
        assert_eq!(judged(line), (Value::Null, Verdict::Ok, 2, vec![Verdict::Ok; 2]), "{program}");
    }
    // Whole numbers of any size and floats to the bit, as the text has them.
    let line = r#"{"program": "def f(x): return x + 1", "function": "f",
                   "calls": [{"args": [123456789012345678901], "expected": 123456789012345678902},
                             {"args": [123456789012345678901], "expected": 123456789012345678903}]}"#;
    let result = CodeLine::parse(1, line).unwrap().judge(&sandbox, &Judging::default());
    assert_eq!((result.tests[0].verdict, result.tests[1].verdict), (Verdict::Ok, Verdict::WrongAnswer));
    let text = serde_json::to_value(&result).unwrap();
    assert_eq!(text["verdict"], "wrong_answer");
    assert_eq!(text["tests"][1]["note"], "expected 123456789012345678903, got 123456789012345678902");
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), marks in r#"[{}\[\]":,0-9a-z ]{0,40}"#) {
        let _ = CodeLine::parse(1, &text);
        let _ = CodeLine::parse(1, &marks);
    }
}
