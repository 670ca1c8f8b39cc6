//! docs/rewards.md tells these values to its readers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

use rewards::{Rubric, RuleConfig, Sample};
use serde_json::{Value, json};

/// The value of one rule.
fn value(rule: Value, row: &Value, expected: &str, completion: &str, n_tokens: usize) -> Option<f64> {
    let rules: Vec<RuleConfig> = serde_json::from_value(json!([rule])).unwrap();
    let sample = Sample { completion, n_tokens, expected, columns: row.as_object().unwrap(), ..Sample::default() };
    Rubric::new(&rules).unwrap().score_group(&[sample])[0].parts[0].value
}

#[test]
fn format_with_other_tags() {
    let rule = json!({"format": {"weight": 1.0, "style": {"tags": ["plan", "solution"]}}});
    for (completion, want) in [
        ("<plan>add</plan> <solution>72</solution>", 1.0),
        ("<plan>add</plan> <solution>72</solution> Done.", 0.0),
        ("<solution>72</solution>", 0.0),
    ] {
        assert_eq!(value(rule.clone(), &json!({}), "", completion, 1), Some(want), "{completion}");
    }
}

#[test]
fn lengths_that_depend_on_the_answer() {
    let rules: Vec<RuleConfig> = serde_json::from_value(json!([
        {"accuracy": {"weight": 1.0, "kind": "exact", "extract": "answer_tag"}},
        {"length_cosine": {"weight": 1.0, "max_tokens": 512}},
        {"target_length": {"weight": 1.0, "mode": "max", "alpha": 0.004,
                           "budgets": {"low": 96, "medium": 192, "high": 384}}},
    ]))
    .unwrap();
    let rubric = Rubric::new(&rules).unwrap();
    let row = json!({"effort": "low"});
    let middle = |n: f64| 1.5 + (std::f64::consts::PI * n / 512.0).cos() / 2.0;
    for (n_tokens, answer, cosine, target) in [
        (0, "4", 2.0, 0.884),
        (96, "4", middle(96.0), 0.5),
        (46, "4", middle(46.0), 0.7),
        (221, "4", middle(221.0), 0.0),
        (256, "4", 1.5, 0.0),
        (512, "4", -10.0, 0.0),
        (0, "5", -10.0, 0.0),
        (256, "5", -5.0, 0.0),
        (512, "5", -10.0, 0.0),
    ] {
        let completion = format!("<answer>{answer}</answer>");
        let sample = Sample {
            completion: &completion,
            n_tokens,
            expected: "4",
            columns: row.as_object().unwrap(),
            ..Sample::default()
        };
        let parts = &rubric.score_group(&[sample])[0].parts;
        assert!((parts[1].value.unwrap() - cosine).abs() < 1e-4, "{n_tokens} {answer}: {:?}", parts[1]);
        assert!((parts[2].value.unwrap() - target).abs() < 1e-9, "{n_tokens} {answer}: {:?}", parts[2]);
    }
    assert!(Rubric::new(&rules[1..]).is_err(), "nothing says what is right");
    // A row that names no effort is at fault, not the completion.
    let exact = json!({"target_length": {"weight": 1.0, "budgets": {"low": 96, "medium": 192, "high": 384}}});
    assert_eq!(value(exact.clone(), &row, "", "", 96), Some(0.0));
    assert_eq!(value(exact, &json!({}), "", "", 96), None);
}

#[test]
fn repetition_and_language() {
    let repetition = json!({"repetition": {"weight": 1.0, "ngram": 2}});
    for (completion, want) in
        [("first we add two, then we take three", 0.0), ("a b a b a b", -0.6), ("我们我们我们", -0.6)]
    {
        let found = value(repetition.clone(), &json!({}), "", completion, 1).unwrap();
        assert!((found - want).abs() < 1e-12, "{completion}: {found}");
    }
    for (completion, english, chinese) in [
        ("First we add the two numbers.", 1.0, 0.0),
        ("我们 let 两个数相加 then 除以三", 2.0 / 12.0, 10.0 / 12.0),
        ("<think>我们把 $x$ 加一</think>", 0.0, 1.0),
        ("$x = 4$", 0.0, 0.0),
    ] {
        for (language, want) in [("en", english), ("zh", chinese)] {
            let rule = json!({"language": {"weight": 1.0, "language": language}});
            assert_eq!(value(rule, &json!({}), "", completion, 1), Some(want), "{completion}");
        }
    }
}

#[test]
fn multiple_choice() {
    let row = json!({"options": ["Mars", "Venus", "Io"]});
    let rule = json!({"multiple_choice": {"weight": 1.0, "extract": "answer_tag"}});
    let right = ["B", "(b)", "B.", "**B**", "\\boxed{B}", "B) Venus", "Venus"];
    let wrong = ["A", "A or B", "B) Mars", "B) Venus or Io", "The answer is B", "D"];
    for (answers, want) in [(&right[..], 1.0), (&wrong[..], 0.0)] {
        for answer in answers {
            let completion = format!("<answer>{answer}</answer>");
            assert_eq!(value(rule.clone(), &row, "B", &completion, 1), Some(want), "{answer}");
        }
    }
}

#[test]
fn instructions_and_json() {
    let row = json!({
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{}, {"relation": "at least", "num_words": 3}],
    });
    for (credit, want) in [("all", 0.0), ("share", 0.5)] {
        let rule = json!({"instructions": {"weight": 1.0, "strictness": "strict", "credit": credit}});
        assert_eq!(value(rule, &row, "", "<think>Well, now</think>Just two", 1), Some(want));
    }
    let rule = json!({"json": {"weight": 1.0}});
    for (completion, want) in [
        (r#"{"b": [1, 2.0], "a": 1e-1}"#, 1.0),
        (r#"{"a": 0.1, "b": [2, 1]}"#, 0.0),
        (r#"{"a": "0.1", "b": [1, 2]}"#, 0.0),
        (r#"{"a": 0.1, "a": 0.1, "b": [1, 2]}"#, 0.0),
        (r#"Here: {"a": 0.1, "b": [1, 2]}"#, 0.0),
    ] {
        assert_eq!(value(rule.clone(), &json!({}), r#"{"a": 0.1, "b": [1, 2]}"#, completion, 1), Some(want));
    }
}

/// A rule's settings are refused where they make no sense, and read back as they were written.
#[test]
fn settings_are_checked() {
    let bad = [
        json!({"format": {"weight": 1.0, "style": {"tags": []}}}),
        json!({"format": {"weight": 1.0, "style": {"tags": ["a", "a"]}}}),
        json!({"repetition": {"weight": 1.0, "ngram": 0}}),
        json!({"target_length": {"weight": 1.0, "budgets": {"low": 2, "medium": 2, "high": 3}}}),
        json!({"target_length": {"weight": 1.0, "alpha": 0.0, "budgets": {"low": 1, "medium": 2, "high": 3}}}),
    ];
    for rule in bad {
        let rules: Vec<RuleConfig> = serde_json::from_value(json!([rule])).unwrap();
        assert!(Rubric::new(&rules).is_err(), "{rule}");
    }
    let unknown = [
        json!({"language": {"weight": 1.0, "language": "xx"}}),
        json!({"json": {"weight": 1.0, "place": "anywhere"}}),
        json!({"instructions": {"weight": 1.0, "strict": true}}),
    ];
    for rule in unknown {
        assert!(serde_json::from_value::<RuleConfig>(rule.clone()).is_err(), "{rule}");
    }
    let good = [
        json!({"language": {"weight": 1.0, "language": "de", "scope": "thinking"}}),
        json!({"length_cosine": {"weight": 1.0, "max_tokens": 10, "corners": {"exceeded": -1.0}}}),
        json!({"multiple_choice": {"weight": 1.0, "extract": "any", "gold": "text"}}),
        json!({"json": {"weight": 1.0, "place": "whole", "column": "call"}}),
    ];
    for rule in good {
        let read: RuleConfig = serde_json::from_value(rule).unwrap();
        assert_eq!(serde_json::from_value::<RuleConfig>(serde_json::to_value(&read).unwrap()).unwrap(), read);
    }
}
