//! What is found of a run's rules, put to the data's own answers.

use super::*;

#[test]
fn rules_that_reject_the_datas_own_answers_are_refused() {
    let folder = sound().write();
    let rows: Vec<Value> = ["12", "x + 1", "many"].map(|gold| json!({"question": "?", "answer": gold})).into();
    let (mut config, _data) = with_rows(folder.path(), &rows);
    config.rewards = toml::from_str::<std::collections::BTreeMap<String, Vec<rewards::RuleConfig>>>(
        "r = [{ accuracy = { weight = 1.0, kind = 'numeric', extract = 'boxed' } }]",
    )
    .unwrap()
    .remove("r")
    .unwrap();
    insta::assert_snapshot!(messages(&config, &[]), @r#"
    error: `rewards`: the rules reject 2 of 3 expected answers of the data itself (problem 1: accuracy: the reference answer is not a number (expected `x + 1`); problem 2: accuracy: the reference answer is not a number (expected `many`))
    hint: do the rule's `kind` and `extract` fit the field the answers are read from?
    "#);
    config.rewards.clear();
    insta::assert_snapshot!(messages(&config, &[]), @r"
    error: `rewards`: a rubric needs at least one rule
    hint: add a `[[rewards]]` table, such as `accuracy`
    ");
}

#[test]
fn a_rubric_that_tells_nothing_apart_is_a_warning() {
    let folder = sound().write();
    let mut config = run(folder.path());
    config.eval = None;
    let mut found = |rules: Value| {
        config.rewards = serde_json::from_value(rules).unwrap();
        messages(&config, &[])
    };
    let overlong = json!({"soft_overlong": {"weight": 1.0, "max_tokens": 4000, "buffer": 100}});
    insta::assert_snapshot!(found(json!([overlong])), @r"
    warning: `rewards.0.soft_overlong`: punishes nothing: it begins above 3900 tokens, and no completion has more than 64
    warning: `rewards`: the rubric does not tell completions apart: the right one, a wrong one, one without layout, a long one and an empty one of a problem have the same total in 8 of 8 problems (0)
    hint: a group of equal rewards teaches nothing
    ");
    assert_eq!(found(json!([{"soft_overlong": {"weight": 1.0, "max_tokens": 60, "buffer": 20}}])), "");
    let accuracy = json!({"accuracy": {"weight": 1.0, "kind": "gsm8k", "extract": "answer_tag"}});
    assert_eq!(found(json!([accuracy])), "");
    assert!(found(json!([{"format": {"weight": 0.0, "style": "think_answer"}}])).contains("does not tell"));
}

#[test]
fn rules_that_cannot_be_opened_are_refused() {
    let folder = sound().write();
    let mut config = run(folder.path());
    config.eval = None;
    config.rewards = serde_json::from_value(json!([
        {"format": {"weight": 1.0, "style": "boxed"}},
        {"python": {"weight": 1.0, "file": "no/such.py"}},
        {"program": {"weight": 1.0, "command": ["no-such-program"]}},
    ]))
    .unwrap();
    insta::assert_snapshot!(messages(&config, &[]), @r"
    error: `rewards.1`: python: `file` no/such.py: No such file or directory (os error 2)
    error: `rewards.2`: program: `command`: start `no-such-program`: No such file or directory (os error 2)
    ");
}

#[test]
fn rows_without_a_rule_are_told() {
    let folder = sound().write();
    let row = |source: &str| json!({"question": "?", "answer": "4", "source": source});
    let (mut config, _data) = with_rows(folder.path(), &["sums", "poems", "sums"].map(row));
    let rule = |sources: &[&str]| -> Vec<rewards::RuleConfig> {
        let rule = json!({"weight": 1.0, "kind": "exact", "extract": "any", "sources": sources});
        serde_json::from_value(json!([{ "accuracy": rule }])).unwrap()
    };
    config.rewards = rule(&["sums"]);
    insta::assert_snapshot!(messages(&config, &[]), @r"
    warning: `rewards`: no rule is for 1 of 3 problems (problem 1: poems)
    hint: name their source in a rule's `sources`: they are never scored
    ");
    config.rewards = rule(&["sums", "poems"]);
    assert_eq!(messages(&config, &[]), "");
    config.rewards = rule(&["sum"]);
    insta::assert_snapshot!(messages(&config, &[]), @r"
    error: `rewards`: no rule is for 3 of 3 problems (problem 0: sums; problem 1: poems; problem 2: sums)
    hint: name their source in a rule's `sources`: they are never scored
    ");
}

/// Every layout a rule reads from, with every layout a format rule asks for, whoever opens the thinking.
#[test]
fn layouts_that_can_be_met_are_met() {
    let opens = "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}\
                 {% if add_generation_prompt %}<|turn|>assistant\n<think>\n{% endif %}";
    for template in [crate::fixture::CHATML, opens] {
        let folder = Folder { template: Some(template), ..sound() }.write();
        for extract in ["answer_tag", "boxed", "first_boxed", "last_boxed", "hash", "final_answer", "any"] {
            for style in ["think_answer", "boxed"] {
                let mut config = run(folder.path());
                config.eval = None;
                config.rewards = serde_json::from_value(json!([
                    {"accuracy": {"weight": 1.0, "kind": "gsm8k", "extract": extract}},
                    {"format": {"weight": 1.0, "style": style}},
                ]))
                .unwrap();
                let found = messages(&config, &[]);
                assert_eq!(found, "", "{extract} {style}");
            }
        }
    }
}

#[test]
fn countdown_answers_reach_their_targets() {
    let folder = sound().write();
    let mut config = run(folder.path());
    config.eval = None;
    config.rewards = serde_json::from_value(json!([{"countdown": {"weight": 1.0}}])).unwrap();
    config.data.max_prompt_tokens = 400;
    config.rollout.max_tokens = 100;
    config.data.source = toml::from_str("countdown = { n_problems = 50 }").unwrap();
    assert_eq!(messages(&config, &[]), "");
    config.rollout.max_tokens = 30;
    insta::assert_snapshot!(messages(&config, &[]), @"warning: `rollout.max_tokens`: 50 of 50 worked solutions of the data are longer than 30 tokens (the longest has 69): completions like them will be cut");
    config.data.source = toml::from_str("chain = { n_problems = 5 }").unwrap();
    insta::assert_snapshot!(messages(&config, &[]), @r#"
    error: `rewards`: the rules reject 5 of 5 expected answers of the data itself (problem 0: countdown: no list of whole numbers in the column nums (expected `48`); problem 1: countdown: no list of whole numbers in the column nums (expected `06`); problem 2: countdown: no list of whole numbers in the column nums (expected `86`))
    hint: do the rule's `kind` and `extract` fit the field the answers are read from?
    "#);
}
