use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::run;
use crate::cli::ScoreArgs;
use crate::complaint;

const RULES: &str = r#"
[model]
whatever = "other tables are not read"

[[rewards]]
accuracy = { weight = 1.0, kind = "numeric", extract = "answer_tag" }
[[rewards]]
length_k15 = { weight = 0.5 }
"#;

/// A folder with a rubric, and what to ask of it.
struct Asked {
    folder: TempDir,
    arguments: ScoreArgs,
}

fn asked(rules: &str, input: &str) -> Asked {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rubric.toml"), rules).unwrap();
    fs::write(at("in.jsonl"), input).unwrap();
    let arguments = ScoreArgs {
        rubric: Some(at("rubric.toml")),
        math: false,
        code: false,
        lenient: false,
        explain: false,
        input: at("in.jsonl"),
        output: Some(at("out.jsonl")),
        tokenizer: None,
        workers: None,
    };
    Asked { folder, arguments }
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Asked {
    fn output(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    /// What a user would read of the error, paths cut to file names.
    fn complaint(&self) -> String {
        let error = run(&self.arguments, true).unwrap_err();
        assert_eq!(complaint::exit_code(&error), 2, "{error:#}");
        assert!(!self.output().exists(), "nothing is written");
        complaint::text(&error, false).replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn totals(lines: &[Value]) -> Vec<f64> {
    lines.iter().map(|line| line["score"]["total"].as_f64().unwrap()).collect()
}

#[test]
fn completions_of_a_prompt_that_follow_each_other_are_a_group() {
    let line = |prompt: &str, answer: u32, n_tokens: u32| {
        let completion = format!("<answer>{answer}</answer>");
        json!({"prompt": prompt, "completion": completion, "expected": 2, "n_tokens": n_tokens, "kept": [1]})
            .to_string()
    };
    let input = [line("1 + 1", 2, 10), line("1 + 1", 2, 20), line("1 + 1", 3, 10), line("2 · 1", 2, 20)].join("\n");
    let asked = asked(RULES, &input);
    run(&asked.arguments, true).unwrap();
    let found = lines(&asked.output());
    // 0.5 for the shortest of a group, −0.5 for the longest, none above 0 where the answer is wrong; alone, nothing.
    assert_eq!(totals(&found), [1.25, 0.75, 0.0, 1.0]);
    assert_eq!(found[2]["kept"], json!([1]), "the line's own keys stay");
    let keys: Vec<&str> = found[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["prompt", "completion", "expected", "n_tokens", "kept", "score"]);
}

#[test]
fn a_list_of_completions_is_a_group_and_gets_a_list_of_scores() {
    let input = json!([
        {"completions": ["<answer>4</answer>", "worked out<answer>4</answer>", ""], "answer": "4"},
        {"completions": [], "answer": "4"},
    ]);
    let asked = asked(RULES, &input.to_string());
    run(&asked.arguments, true).unwrap();
    let found = lines(&asked.output());
    let totals: Vec<f64> =
        found[0]["scores"].as_array().unwrap().iter().map(|one| one["total"].as_f64().unwrap()).collect();
    // Lengths are 5, 7 and 0 tokens, estimated from the bytes.
    assert_eq!(totals, [1.0 + 0.5 * (0.5 - 5.0 / 7.0), 0.75, 0.0]);
    assert_eq!(found[1]["scores"], json!([]));
}

#[test]
fn every_number_of_threads_writes_the_same_bytes() {
    let line = |i: u32| json!({"completion": format!("<answer>{}</answer>", i % 7), "expected": 3}).to_string() + "\n";
    let asked = asked(RULES, &(0..500).map(line).collect::<String>());
    let mut written = [1, 2, 5].map(|workers| {
        let arguments = ScoreArgs { workers: std::num::NonZero::new(workers), ..asked.arguments.clone() };
        run(&arguments, true).unwrap();
        fs::read(asked.output()).unwrap()
    });
    assert_eq!(written.iter().collect::<std::collections::BTreeSet<_>>().len(), 1);
    let found = std::mem::take(&mut written[0]);
    assert_eq!(found.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 500);
}

#[test]
fn a_line_that_is_not_as_it_should_be_is_named() {
    let complaint = |input: &str| asked(RULES, input).complaint();
    let fine = r#"{"completion": "a"}"#;
    insta::assert_snapshot!(complaint(&format!("{fine}\n\n{{\"prompt\": \"a\"}}")), @r#"
    error: read `in.jsonl`
      caused by: line 3: `completion` is missing
    hint: a line is `{"prompt": "1 + 1?", "completion": "2", "expected": "2"}`, or has a list `completions`
    "#);
    insta::assert_snapshot!(complaint(&format!("{fine}\n{{\"completion\": }}")), @r"
    error: read `in.jsonl`
      caused by: not valid JSON at line 2, column 16: expected value
    ");
    let wrong = [
        (json!({"completion": null}), "line 1: `completion` is null, and must be a text or a number"),
        (json!({"completions": "a"}), "line 1: `completions` is a text, and must be a list"),
        (json!({"completions": ["a", {}]}), "line 1: `completions[1]` is an object, and must be a text or a number"),
        (json!({"completion": "", "n_tokens": -1}), "line 1: `n_tokens` is -1, and must be a whole number"),
        (json!({"completion": "", "truncated": 1}), "line 1: `truncated` is a number, and must be true or false"),
        (
            json!({"completion": "", "prompt": [{"role": "user"}]}),
            "line 1: `prompt` is a list, and not every message in it has a `content`",
        ),
        (
            json!({"completions": ["a"], "n_tokens": 4}),
            "line 1: `n_tokens` is of one completion, and `completions` are several",
        ),
    ];
    for (line, said) in wrong {
        let complaint = complaint(&line.to_string());
        assert!(complaint.contains(said), "{complaint}");
    }
}

#[test]
fn a_rubric_that_cannot_be_used_is_named() {
    let complaint = |rules: &str| asked(rules, r#"{"completion": "a"}"#).complaint();
    insta::assert_snapshot!(complaint("[[rewards]]\nformat = { weight = 1, stile = \"boxed\" }"), @r"
    error: read config `rubric.toml`
      caused by: line 2, column 24: `rewards`: unknown field `stile`, expected one of `weight`, `style`, `think_opened`, `name`, `needs`, `clip`, `steps`, `warmup_steps`, `sources`
    hint: did you mean `style`?
    ");
    insta::assert_snapshot!(complaint("[[rewards]]\nlength_k15 = { weight = 1 }"), @r"
    error: use the rubric `rubric.toml`
      caused by: rubric.toml, line 1: `rewards`: length_k15 needs a rule in the same rubric that says what is right, such as accuracy
    ");
    insta::assert_snapshot!(complaint("\n[[rewards]]\naccuracy = { weight = 1, kind = 'exact', extract = 'any', clip = [1, 0] }"), @r"
    error: use the rubric `rubric.toml`
      caused by: rubric.toml, line 2: `rewards.0`: accuracy: `clip` is [1, 0], and must be two finite numbers, the lower first
    ");
    insta::assert_snapshot!(complaint("rewards = []"), @r"
    error: use the rubric `rubric.toml`
      caused by: rubric.toml, line 1: `rewards`: a rubric needs at least one rule
    ");
}

#[test]
fn pairs_of_answers_keep_their_order_and_their_keys() {
    let input = [
        json!({"id": 1, "gold": "\\frac{1}{2}", "answer": "0.5"}),
        json!({"gold": 5, "answer": 6}),
        json!({"gold": "x^2 - 1", "answer": "So it is $(x-1)(x+1)$."}),
    ];
    let mut asked = asked("", &input.map(|line| line.to_string()).join("\n"));
    asked.arguments = ScoreArgs { rubric: None, math: true, ..asked.arguments };
    run(&asked.arguments, true).unwrap();
    let verdicts =
        |asked: &Asked| -> Vec<Value> { lines(&asked.output()).iter().map(|line| line["verdict"].clone()).collect() };
    assert_eq!(verdicts(&asked), ["correct", "wrong", "wrong"]);
    let first = lines(&asked.output()).remove(0);
    let keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "gold", "answer", "verdict", "reason"]);

    asked.arguments.lenient = true;
    asked.arguments.explain = true;
    run(&asked.arguments, true).unwrap();
    assert_eq!(verdicts(&asked), ["correct", "wrong", "correct"]);
    assert_eq!(lines(&asked.output())[0]["read"], json!({"gold": "1/2", "answer": "1/2"}));
}

#[test]
fn a_pair_without_an_answer_is_named() {
    let mut asked = asked("", "{\"gold\": \"1\", \"answer\": \"1\"}\n{\"gold\": \"1\"}");
    asked.arguments = ScoreArgs { rubric: None, math: true, ..asked.arguments };
    insta::assert_snapshot!(asked.complaint(), @r#"
    error: read `in.jsonl`
      caused by: line 2: `answer` is missing
    hint: a line is `{"gold": "\\frac{1}{2}", "answer": "0.5"}`
    "#);
}

#[test]
fn programs_are_run_in_the_sandbox_and_keep_their_lines_keys() {
    let tests = json!([{"stdin": "2 3\n", "stdout": "5"}, {"stdin": "10 -4", "stdout": "6\n"}]);
    let calls =
        json!({"function": "add", "calls": [{"args": [2, 3], "expected": 5}, {"args": ["a", "b"], "expected": "ab"}]});
    let input = [
        json!({"id": "sum", "program": "print(sum(map(int, input().split())))", "tests": tests, "origin": "x"}),
        json!({"id": 2, "program": "print(5)", "tests": tests}),
        json!({"id": 3, "program": "def add(a, b):\n    return a + b", "tests": calls}),
        json!({"program": "def add(a, b):\n    return 5", "function": "add", "calls": calls["calls"]}),
        json!({"id": 5, "program": "while True: pass", "tests": tests, "time_limit_s": 0.2}),
    ];
    let mut asked = asked("", &input.map(|line| line.to_string()).join("\n"));
    asked.arguments = ScoreArgs { rubric: None, code: true, ..asked.arguments };
    run(&asked.arguments, true).unwrap();
    let found = lines(&asked.output());
    let verdicts: Vec<&Value> = found.iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["ok", "wrong_answer", "ok", "wrong_answer", "time_cpu"]);
    assert_eq!((&found[0]["id"], &found[0]["origin"], &found[0]["n_passed"]), (&json!("sum"), &json!("x"), &json!(2)));
    assert_eq!(
        (&found[1]["tests"][0]["verdict"], &found[1]["tests"][1]["verdict"]),
        (&json!("ok"), &json!("wrong_answer"))
    );
    assert!(found[0].get("program").is_none());
}

#[test]
fn a_program_without_tests_is_named() {
    let mut asked = asked("", "{\"program\": \"\", \"tests\": {\"function\": \"f\", \"calls\": [{\"args\": []}]}}");
    asked.arguments = ScoreArgs { rubric: None, code: true, ..asked.arguments };
    insta::assert_snapshot!(asked.complaint(), @r"
    error: read `in.jsonl`
      caused by: line 1: `tests.calls[0].expected`: missing
    ");
}
