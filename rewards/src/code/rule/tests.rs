use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rubric::{Rubric, RuleConfig};

fn config(value: Value) -> RuleConfig {
    serde_json::from_value(json!({ "code": value })).unwrap()
}

fn row() -> Map<String, Value> {
    let calls: Vec<Value> = (0..4).map(|n| json!({"args": [n], "expected": 2 * n})).collect();
    json!({"function": "double", "calls": calls}).as_object().unwrap().clone()
}

const RIGHT: &str = "<think>easy</think>\n```python\ndef double(n): return 2 * n\n```";
const HALF: &str = "```python\ndef double(n): return 2 * n if n < 2 else 0\n```";
const RAISES: &str = "```python\ndef double(n): return 2 * n if n else 1 / n\n```";
const NONE: &str = "I do not know.";
const BROKEN: &str = "```python\ndef double(n) return n\n```";

#[test]
fn values_by_score() {
    let columns = row();
    let points = json!({"wrong_answer": 0.0, "runtime": -0.5, "compile": -1.0});
    let table = [
        ("all", json!({}), [1.0, 0.0, 0.0, 0.0, 0.0]),
        ("share", json!({}), [1.0, 0.5, 0.75, 0.0, 0.0]),
        ("per_test", points, [1.0, 0.5, 0.625, -1.0, -1.0]),
        ("per_test", json!({}), [1.0, 0.35, 0.6, -1.0, -1.0]),
    ];
    for (score, points, expected) in table {
        let rubric = Rubric::new(&[config(json!({"weight": 1.0, "score": score, "points": points}))]).unwrap();
        assert_eq!(rubric.open(), []);
        for (completion, expected) in [RIGHT, HALF, RAISES, NONE, BROKEN].into_iter().zip(expected) {
            let sample = Sample { completion, columns: &columns, ..Sample::default() };
            let total = rubric.score_group(&[sample])[0].total.unwrap();
            assert!((total - expected).abs() < 1e-12, "{score} {completion}: {total}");
        }
    }
}

#[test]
fn notes_say_what_happened() {
    let columns = row();
    let rubric = Rubric::new(&[config(json!({"weight": 1.0, "score": "share"}))]).unwrap();
    let note = |completion: &str| {
        let sample = Sample { completion, columns: &columns, ..Sample::default() };
        rubric.score_group(&[sample])[0].parts[0].note.clone()
    };
    assert_eq!(note(RIGHT), "4 of 4 tests");
    assert_eq!(note(HALF), "2 of 4 tests; test 3: wrong_answer, expected 4, got 0");
    assert_eq!(note(RAISES), "3 of 4 tests; test 1: runtime, ZeroDivisionError: division by zero");
    assert_eq!(note(NONE), "no ```python block");
    assert!(note(BROKEN).starts_with("0 of 4 tests; test 1: compile, SyntaxError"), "{}", note(BROKEN));
}

/// A fault of the row leaves the value open, whatever the completion.
#[test]
fn a_row_that_cannot_be_judged_has_no_value() {
    let rubric = Rubric::new(&[config(json!({"weight": 1.0}))]).unwrap();
    let no_value = |columns: Value, prompt: &str| {
        let columns = columns.as_object().unwrap();
        let samples = [RIGHT, NONE].map(|completion| Sample { completion, columns, prompt, ..Sample::default() });
        let scores = rubric.score_group(&samples);
        assert!(scores.iter().all(|score| score.total.is_none()), "{scores:?}");
        scores[0].parts[0].note.clone()
    };
    assert!(no_value(json!({"question": "?", "answer": "!"}), "").contains("no tests in the row"));
    assert!(no_value(json!({"tests": "assert double("}), "").contains("no Python"));
    assert!(no_value(json!({"test_list": ["assert double(1) == missing.value"]}), "").contains("missing"));
    let stdio = json!({"tests": [{"input": "1", "output": "2"}]});
    assert!(no_value(stdio, "If there are several answers, print any of them.").contains("several answers"));
    let broken = config(json!({"weight": 1.0, "sandbox": {"python": "no-such-python"}}));
    let rubric = Rubric::new(&[broken]).unwrap();
    assert!(rubric.open()[0].1.contains("no-such-python"));
    let columns = row();
    let sample = Sample { completion: RIGHT, columns: &columns, ..Sample::default() };
    assert_eq!(rubric.score_group(&[sample])[0].total, None);
}

#[test]
fn the_row_s_reference_solution_is_its_gold() {
    let columns = json!({"test_list": ["assert double(2) == 4"], "code": "def double(n):\r\n    return 2 * n\r\n"});
    let columns = columns.as_object().unwrap();
    let rule = config(json!({"weight": 1.0})).rule();
    let sample = Sample { columns, ..Sample::default() };
    let gold = rule.gold(&sample).unwrap();
    assert_eq!(gold.written, "\n```python\ndef double(n):\n    return 2 * n\n```\n");
    let sample = Sample { completion: &gold.written, ..sample };
    assert_eq!(rule.judge(&sample).unwrap().value, Some(1.0));
    assert_eq!(rule.unreadable(&sample), None);
    let nothing = json!({"a": 1});
    let sample = Sample { columns: nothing.as_object().unwrap(), ..Sample::default() };
    assert!(rule.gold(&sample).is_none() && rule.unreadable(&sample).is_some());
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (settings, key) in [
        (json!({"time_limit_s": 0.0}), "time_limit_s"),
        (json!({"time_factor": -1.0}), "time_factor"),
        (json!({"memory_mib": 1}), "memory_mib"),
        (json!({"points": {"runtime": 1.0}}), "points"),
    ] {
        let mut all = settings.as_object().unwrap().clone();
        all.insert("weight".into(), json!(1.0));
        let error = config(Value::Object(all)).check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    for unknown in [
        json!({"weight": 1.0, "score": "some"}),
        json!({"weight": 1.0, "limit": 1}),
        json!({"weight": 1.0, "max_tests": 0}),
    ] {
        assert!(serde_json::from_value::<RuleConfig>(json!({ "code": unknown })).is_err());
    }
}

fn rule(max_tests: usize, which_tests: Selection) -> CodeRule {
    let max_tests = NonZeroUsize::new(max_tests);
    let RuleConfig::Code(settings) = config(json!({"weight": 1.0})) else { unreachable!() };
    CodeRule {
        settings: Code { max_tests, which_tests, ..settings },
        sandbox: Mutex::new(None),
        problems: Mutex::default(),
    }
}

proptest! {
    #[test]
    fn drawn_tests_are_the_row_s_own(n in 0..200_usize, k in 1..50_usize, seed in any::<u64>()) {
        let random = rule(k, Selection::Random);
        let places = random.places(n, seed).unwrap();
        prop_assert_eq!(places.len(), n.min(k));
        prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(places.iter().all(|place| *place < n));
        prop_assert_eq!(random.places(n, seed).unwrap(), places);
        prop_assert_eq!(rule(k, Selection::First).places(n, seed).unwrap(), (0..n.min(k)).collect::<Vec<_>>());
        prop_assert_eq!(rule(0, Selection::First).places(n, seed), None);
    }
}

/// Every test has the same chance to be drawn.
#[test]
fn all_tests_are_drawn_alike() {
    let random = rule(3, Selection::Random);
    let mut times = [0_u32; 10];
    for seed in 0..10_000 {
        for place in random.places(10, mixed(seed)).unwrap() {
            times[place] += 1;
        }
    }
    // 3000 each; five standard deviations of a binomial are 230.
    assert!(times.iter().all(|n| n.abs_diff(3000) < 230), "{times:?}");
}
