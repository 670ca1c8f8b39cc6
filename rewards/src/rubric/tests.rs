use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn rules(value: serde_json::Value) -> Vec<RuleConfig> {
    serde_json::from_value(value).unwrap()
}

fn all_rules() -> Vec<RuleConfig> {
    rules(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any"}},
        {"format": {"weight": 0.5, "style": "think_answer"}},
        {"soft_overlong": {"weight": 1.0, "max_tokens": 100, "buffer": 40}},
        {"length_k15": {"weight": 0.25}},
    ]))
}

fn group<'a>(
    texts: &'a [(String, usize)],
    expected: &'a str,
    columns: &'a Map<String, serde_json::Value>,
) -> Vec<Sample<'a>> {
    let sample = |(completion, n_tokens): &'a (String, usize)| Sample {
        prompt: "p",
        completion,
        n_tokens: *n_tokens,
        expected,
        columns,
        ..Sample::default()
    };
    texts.iter().map(sample).collect()
}

#[test]
fn adds_the_weighted_parts_up() {
    let rubric = Rubric::new(&all_rules()).unwrap();
    let texts = [
        ("<think>a</think><answer>5</answer>".to_owned(), 20),
        ("<think>a</think><answer>6</answer>".to_owned(), 80),
        ("<answer>5</answer>".to_owned(), 40),
    ];
    let scores = rubric.score_group(&group(&texts, "5", &Map::new()));
    let totals: Vec<_> = scores.iter().map(|s| s.total.unwrap()).collect();
    assert_eq!(totals[0], 1.0 + 0.5 + 0.125);
    assert_eq!(totals[1], 0.5 - 0.5 - 0.125);
    assert!((totals[2] - (1.0 + 0.25 * (0.5 - 1.0 / 3.0))).abs() < 1e-12);
    let names: Vec<_> = scores[0].parts.iter().map(|p| p.rule.as_str()).collect();
    assert_eq!(names, ["accuracy", "format", "soft_overlong", "length_k15"]);
    let unknown = rubric.score_group(&group(&texts, "five", &Map::new()));
    assert!(unknown.iter().all(|s| s.total.is_none() && s.parts[1].value.is_some()));
    assert_eq!(rubric.score_group(&[]), []);
}

#[test]
fn partial_credit_is_not_a_right_answer() {
    let config = rules(json!([
        {"countdown": {"weight": 1.0, "format_score": 0.1}}, {"length_k15": {"weight": 1.0}},
    ]));
    let row = Map::from_iter([("nums".into(), json!([2, 3])), ("target".into(), json!(6))]);
    let texts = [("<answer>2+3</answer>".to_owned(), 1), ("<answer>2*3</answer>".to_owned(), 2)];
    let scores = Rubric::new(&config).unwrap().score_group(&group(&texts, "", &row));
    assert_eq!(scores[0].total, Some(0.1));
    assert_eq!(scores[1].total, Some(0.5));
}

#[test]
fn refuses_rules_that_make_no_sense() {
    let refused = |config: serde_json::Value| Rubric::new(&rules(config)).unwrap_err().to_string();
    assert_eq!(Rubric::new(&[]).unwrap_err(), RubricError::Empty);
    let nan = RuleConfig::Format(crate::Format::new(f64::NAN, crate::FormatStyle::Boxed, false));
    let nan = Rubric::new(&[nan]).unwrap_err().to_string();
    assert_eq!(nan, "format: `weight` is NaN, and must be finite");
    let with = |terms: serde_json::Value| {
        let mut rule = json!({"weight": 1.0, "style": "boxed"});
        rule.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        json!([{"format": rule}])
    };
    let table = [
        (
            json!([{"length_k15": {"weight": 1.0}}]),
            "length_k15 needs a rule in the same rubric that says what is right",
        ),
        (json!([{"countdown": {"weight": 1.0, "format_score": 1.0}}]), "countdown: `format_score` is 1"),
        (json!([{"soft_overlong": {"weight": 1.0, "max_tokens": 10, "buffer": 0}}]), "soft_overlong: `buffer` is 0"),
        (json!([{"soft_overlong": {"weight": 1.0, "max_tokens": 10, "buffer": 11}}]), "soft_overlong: `buffer` is 11"),
        (with(json!({"clip": [1.0, 0.5]})), "format: `clip` is [1, 0.5]"),
        (with(json!({"steps": [0, 5]})), "format: `steps` begins at 0"),
        (with(json!({"steps": [5, 4]})), "format: `steps` is [5, 4], and ends before it begins"),
        (with(json!({"steps": [5, 6, 7]})), "format: `steps` has more than a first and a last step"),
        (with(json!({"name": "a b"})), "a b: `name` is `a b`"),
        (with(json!({"needs": {"accuracy": 1.0}})), "format needs accuracy, and no other rule of this rubric"),
        (with(json!({"needs": {"format": 1.0}})), "format needs format"),
        (json!([{"length_k15": {"weight": 1.0}}, {"length_k15": {"weight": 2.0}}]), "length_k15 needs a rule"),
        (
            json!([{"format": {"weight": 1.0, "style": "boxed"}}, {"format": {"weight": 1.0, "style": "think_answer"}}]),
            "two rules are called format",
        ),
    ];
    for (config, message) in table {
        let error = refused(config.clone());
        assert!(error.starts_with(message), "{config}: {error}");
    }
}

#[test]
fn refuses_unknown_names() {
    let table = [
        json!({"accuracy": {"weight": 1.0, "kind": "exact", "extract": "any", "extra": 1}}),
        json!({"accuracy": {"weight": 1.0, "kind": "fuzzy", "extract": "any"}}),
        json!({"length_k15": {"weight": 1.0, "wait": 1}}),
        json!({"vibes": {"weight": 1.0}}),
        json!({"format": {"style": "boxed"}}),
    ];
    for config in table {
        assert!(serde_json::from_value::<RuleConfig>(config.clone()).is_err(), "{config}");
    }
    for rule in all_rules() {
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<RuleConfig>(&text).unwrap(), rule);
    }
}

fn texts() -> impl Strategy<Value = Vec<(String, usize)>> {
    let text = prop_oneof![
        any::<String>(),
        r"(<think>|</think>|<answer>|</answer>|\\boxed\{|\}|####|5| ){0,10}",
        Just("<think>a</think><answer>5</answer>".to_owned()),
    ];
    prop::collection::vec((text, 0..200_usize), 0..8)
}

proptest! {
    #[test]
    fn totals_are_within_bounds(texts in texts()) {
        let scores =
            Rubric::new(&all_rules()).unwrap().score_group(&group(&texts, "5", &Map::new()));
        prop_assert_eq!(scores.len(), texts.len());
        for score in scores {
            prop_assert!((-1.125..=1.625).contains(&score.total.unwrap()));
        }
    }

    #[test]
    fn a_permuted_group_scores_the_same(
        (texts, shuffled) in texts().prop_flat_map(|t| {
            let order: Vec<usize> = (0..t.len()).collect();
            (Just(t), Just(order).prop_shuffle())
        }),
    ) {
        let rubric = Rubric::new(&all_rules()).unwrap();
        let columns = Map::new();
        let samples = group(&texts, "5", &columns);
        let permuted: Vec<_> = shuffled.iter().map(|&i| samples[i]).collect();
        let scores = rubric.score_group(&samples);
        let want: Vec<_> = shuffled.iter().map(|&i| scores[i].clone()).collect();
        prop_assert_eq!(rubric.score_group(&permuted), want);
    }

    /// Scored one by one, in any order, a group has the scores that it has as a whole.
    #[test]
    fn completions_scored_as_they_come_score_the_same(
        (texts, shuffled) in texts().prop_flat_map(|t| {
            let order: Vec<usize> = (0..t.len()).collect();
            (Just(t), Just(order).prop_shuffle())
        }),
    ) {
        let rubric = Rubric::new(&all_rules()).unwrap();
        let columns = Map::new();
        let samples = group(&texts, "5", &columns);
        let mut alone: Vec<_> = shuffled.iter().map(|&i| (i, rubric.score_alone(&samples[i]))).collect();
        alone.sort_by_key(|(i, _)| *i);
        let scores = rubric.complete(&samples, alone.into_iter().map(|(_, one)| one).collect());
        prop_assert_eq!(scores, rubric.score_group(&samples));
    }
}

#[test]
fn a_prompt_that_ends_with_think_is_noticed_by_every_rule() {
    let config = rules(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any"}},
        {"format": {"weight": 1.0, "style": "think_answer"}},
    ]));
    let rubric = Rubric::new(&config).unwrap();
    let columns = Map::new();
    let total = |prompt: &str, completion: &str| {
        let sample = Sample { prompt, completion, n_tokens: 1, expected: "4", columns: &columns, ..Sample::default() };
        rubric.score_group(&[sample])[0].total.unwrap()
    };
    let inside = "2 + 2</think><answer>4</answer>";
    assert_eq!(total("2 + 2? Assistant: <think>\n", inside), 2.0);
    assert_eq!(total("2 + 2? Assistant:", inside), 1.0, "the layout lacks <think>");
    assert_eq!(total("2 + 2? Assistant: <think>\n", "<answer>4</answer>"), 0.0, "still thinking");
    assert_eq!(total("2 + 2? Assistant:", "<answer>4</answer>"), 1.0);
}

#[test]
fn equal_answers_are_the_same_text() {
    let columns = Map::new();
    let of = |rule: serde_json::Value, completion: &str| {
        let sample = Sample { completion, n_tokens: 1, columns: &columns, ..Sample::default() };
        Rubric::new(&rules(json!([rule]))).unwrap().answer(&sample)
    };
    let numeric = json!({"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "answer_tag"}});
    for same in ["72", " 72.0 ", "$72", "144/2", "+72."] {
        assert_eq!(of(numeric.clone(), &format!("<answer>{same}</answer>")).as_deref(), Some("72"), "{same}");
    }
    assert_eq!(of(numeric.clone(), "<answer>-1,000.5</answer>").as_deref(), Some("-2001/2"));
    assert_eq!(of(numeric.clone(), "<answer>about  ten</answer>").as_deref(), Some("about ten"));
    assert_eq!(of(numeric, "72"), None);
    let exact = json!({"accuracy": {"weight": 1.0, "kind": "exact", "extract": "boxed"}});
    assert_eq!(of(exact, "\\boxed{72.0\n m}").as_deref(), Some("72.0 m"));
    let countdown = json!({"countdown": {"weight": 1.0}});
    assert_eq!(of(countdown, "<answer> (3 + 4)*2</answer>").as_deref(), Some("(3+4)*2"));
    assert_eq!(of(json!({"format": {"weight": 1.0, "style": "boxed"}}), "<answer>72</answer>"), None);
}

/// docs/rewards.md tells these values to its readers.
#[test]
fn the_examples_of_the_page_hold() {
    let columns = json!({"nums": [3, 5, 7], "target": 26});
    let columns = columns.as_object().unwrap();
    let of = |rule: serde_json::Value, expected: &str, completion: &str, n_tokens: usize| {
        let sample = Sample { completion, n_tokens, expected, columns, ..Sample::default() };
        Rubric::new(&rules(json!([rule]))).unwrap().score_group(&[sample])[0].total
    };
    let accuracy = |kind: &str| json!({"accuracy": {"weight": 1.0, "kind": kind, "extract": "answer_tag"}});
    let format = json!({"format": {"weight": 1.0, "style": "think_answer"}});
    let countdown = json!({"countdown": {"weight": 1.0, "format_score": 0.1}});
    let overlong = json!({"soft_overlong": {"weight": 1.0, "max_tokens": 512, "buffer": 128}});
    for (kind, expected, answer, value) in [
        ("exact", "42", "42", Some(1.0)),
        ("exact", "42", "42.0", Some(0.0)),
        ("numeric", "0.5", "1/2", Some(1.0)),
        ("numeric", "0.5", "\\frac{1}{2}", Some(1.0)),
        ("numeric", "0.5", ".5", Some(1.0)),
        ("numeric", "0.5", "0.49", Some(0.0)),
        ("gsm8k", "so #### 1,200", "1200", Some(1.0)),
        ("gsm8k", "so #### 1,200", "$1,200.", Some(1.0)),
        ("gsm8k", "so #### 1,200", "12,00", Some(0.0)),
        ("numeric", "x^2-1", "x^2-1", None),
    ] {
        let completion = format!("<answer>{answer}</answer>");
        assert_eq!(of(accuracy(kind), expected, &completion, 9), value, "{kind} {expected} {answer}");
    }
    for (completion, value) in [
        ("<think>48 + 24 = 72</think> <answer>72</answer>", 1.0),
        ("<think>48 + 24 = 72</think> <answer>72</answer> I am sure.", 0.0),
        ("<answer>72</answer>", 0.0),
    ] {
        assert_eq!(of(format.clone(), "72", completion, 9), Some(value), "{completion}");
    }
    for (expression, value) in
        [("3*7+5", 1.0), ("(3 * 7) + 5 = 26", 1.0), ("3*5+7", 0.1), ("26", 0.0), ("5*5+1", 0.0), ("3*7+5+5-5", 0.0)]
    {
        let completion = format!("<answer>{expression}</answer>");
        assert_eq!(of(countdown.clone(), "", &completion, 9), Some(value), "{expression}");
    }
    for (n_tokens, value) in [(384, 0.0), (448, -0.5), (512, -1.0)] {
        assert_eq!(of(overlong.clone(), "", "", n_tokens), Some(value), "{n_tokens}");
    }
}
