use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

mod cases;

use cases::cases;

fn value(columns: &Value, completion: &str, strictness: Strictness, credit: Credit) -> Option<f64> {
    let columns = columns.as_object().unwrap();
    let sample = Sample { completion, columns, ..Sample::default() };
    score(&sample, strictness, credit).value
}

fn one(id: &str, kwargs: &Value) -> Value {
    json!({"instruction_id_list": [id], "kwargs": [kwargs]})
}

#[test]
fn every_kind_is_judged() {
    for case in cases() {
        assert!(case.follow.len() >= 3 && case.violate.len() >= 3, "{}", case.id);
        let columns = one(case.id, &case.kwargs);
        for (texts, want) in [(&case.follow, 1.0), (&case.violate, 0.0)] {
            for text in texts {
                for credit in [Credit::All, Credit::Share] {
                    let value = value(&columns, text, Strictness::Strict, credit);
                    assert_eq!(value, Some(want), "{} {}: {text:?}", case.id, case.kwargs);
                }
            }
        }
    }
    let kinds: BTreeSet<&str> = cases().iter().map(|case| case.id).collect();
    assert_eq!(kinds.len(), 25);
}

/// What is followed strictly is followed loosely, and nothing follows when nothing is said.
#[test]
fn loose_forgives_and_never_refuses() {
    for case in cases() {
        let columns = one(case.id, &case.kwargs);
        for text in &case.follow {
            assert_eq!(value(&columns, text, Strictness::Loose, Credit::All), Some(1.0), "{}: {text:?}", case.id);
        }
        for blank in ["", " \n\t", "***"] {
            let strict = value(&columns, blank, Strictness::Strict, Credit::All);
            assert!(blank == "***" || strict == Some(0.0), "{} {blank:?}", case.id);
        }
    }
    let table = [
        ("startend:quotation", json!({}), "Sure, here it is:\n\"A quoted text.\""),
        ("startend:quotation", json!({}), "\"A quoted text.\"\nI hope that helps!"),
        ("startend:quotation", json!({}), "Sure:\n\"A quoted text.\"\nI hope that helps!"),
        ("startend:quotation", json!({}), "**\"A quoted text.\"**"),
        ("punctuation:no_comma", json!({}), "Sure, here it is:\nNo such mark."),
        ("combination:repeat_prompt", json!({"prompt_to_repeat": "Say it"}), "Of course:\nSay it. Yes."),
        ("startend:end_checker", json!({"end_phrase": "The end"}), "It was. *The end*"),
    ];
    for (id, kwargs, text) in table {
        let columns = one(id, &kwargs);
        assert_eq!(value(&columns, text, Strictness::Strict, Credit::All), Some(0.0), "{id}: {text:?}");
        assert_eq!(value(&columns, text, Strictness::Loose, Credit::All), Some(1.0), "{id}: {text:?}");
    }
}

#[test]
fn several_instructions_are_judged_together() {
    let columns = json!({
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words", "startend:quotation"],
        "kwargs": [{}, {"relation": "at least", "num_words": 3, "end_phrase": null}, {}],
    });
    let table = [
        ("\"one two three\"", 1.0, 1.0),
        ("one two three", 0.0, 2.0 / 3.0),
        ("one two", 0.0, 1.0 / 3.0),
        ("one, two", 0.0, 0.0),
        ("<think>one, two</think>\"one two three\"", 1.0, 1.0),
        ("<think>so</think> <answer>\"one two three\"</answer>\n", 1.0, 1.0),
        ("<think>\"one two three\"", 0.0, 0.0),
        ("", 0.0, 0.0),
    ];
    for (text, all, share) in table {
        assert_eq!(value(&columns, text, Strictness::Strict, Credit::All), Some(all), "{text}");
        assert_eq!(value(&columns, text, Strictness::Strict, Credit::Share), Some(share), "{text}");
    }
    let as_text = json!({"instruction_id_list": ["punctuation:no_comma"], "kwargs": "[{\"num_words\": null}]"});
    assert_eq!(value(&as_text, "none", Strictness::Strict, Credit::All), Some(1.0));
}

#[test]
fn a_row_at_fault_has_no_value() {
    let table = [
        json!({}),
        json!({"instruction_id_list": [], "kwargs": []}),
        json!({"instruction_id_list": ["punctuation:no_comma"]}),
        json!({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}),
        json!({"instruction_id_list": ["punctuation:no_comma"], "kwargs": "{}"}),
        json!({"instruction_id_list": [3], "kwargs": [{}]}),
        one("punctuation:no_full_stop", &json!({})),
        one("length_constraints:number_words", &json!({"num_words": 3})),
        one("length_constraints:number_words", &json!({"num_words": 3, "relation": "exactly"})),
        one("length_constraints:number_words", &json!({"num_words": 3.5, "relation": "at least"})),
        one("keywords:existence", &json!({"keywords": []})),
        one("keywords:existence", &json!({"keywords": [1]})),
        one("language:response_language", &json!({"language": "xx"})),
        one("startend:end_checker", &Value::Null),
    ];
    for columns in table {
        assert_eq!(value(&columns, "text", Strictness::Strict, Credit::All), None, "{columns}");
    }
}

#[test]
fn sentences_are_counted() {
    let table = [
        ("", 0),
        ("...", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ("It is 3.14 here. Really", 2),
        ("Dr. Smith met Mr. J. R. Jones. They spoke.", 2),
        ("Apples, pears, etc. are fruit. So are plums, etc. Eat them.", 3),
        ("He left at 5 p.m. on Monday. It rained.", 2),
        ("She lives in the U.S. They do not.", 2),
        ("Wait... what? Yes... Now.", 3),
        ("He said \"Stop!\" Then he left. (It was late.) Good.", 4),
        ("1. Wash it.\n2. Dry it.", 2),
        ("A heading\n\nA sentence below it. Another", 2),
        ("No. It is not.", 2),
        ("See No. 5 of it. Fine.", 2),
        ("你好。今天很好！是吗？", 3),
        ("यह एक वाक्य है। यह दूसरा है।", 2),
        ("hello. how are you.", 2),
        ("Yes! :)", 1),
    ];
    for (text, want) in table {
        assert_eq!(measure::sentences(text), want, "{text}");
    }
}

/// Every row of IFEval's file can be read, and its kinds are the twenty-five known ones.
#[test]
fn every_row_of_the_data_is_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ifeval/input_data.jsonl");
    let Ok(rows) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no {}", path.display());
        return;
    };
    let mut kinds = BTreeSet::new();
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let instructions = read(row.as_object().unwrap()).unwrap();
        kinds.extend(instructions.iter().map(|(id, _)| (*id).to_owned()));
        for text in ["", "A short text, with a comma.", row["prompt"].as_str().unwrap()] {
            let strict = value(&row, text, Strictness::Strict, Credit::Share).unwrap();
            let loose = value(&row, text, Strictness::Loose, Credit::Share).unwrap();
            assert!((0.0..=1.0).contains(&strict) && strict <= loose && loose <= 1.0, "{row}");
        }
    }
    assert_eq!(kinds, cases().iter().map(|case| case.id.to_owned()).collect());
}

proptest! {
    #[test]
    fn stays_within_bounds(
        any_text in any::<String>(),
        marks in r#"(\*|\*\*\*|\[|\]|<<|>>|"|'|\n|\n\n|- |P\.S\. |a\. |B|Section 1|```|\{|\}|,|é|我| ){0,30}"#,
    ) {
        for case in cases() {
            let columns = one(case.id, &case.kwargs);
            for text in [&any_text, &marks] {
                let strict = value(&columns, text, Strictness::Strict, Credit::All).unwrap();
                let loose = value(&columns, text, Strictness::Loose, Credit::All).unwrap();
                prop_assert!((strict == 0.0 || strict == 1.0) && (loose == 1.0 || loose == strict));
            }
        }
    }

    #[test]
    fn any_row_is_read_or_refused(id in 0..25_usize, name in "[a-z_]{0,12}", text in any::<String>(), n in any::<f64>()) {
        let case = &cases()[id];
        let mut kwargs = case.kwargs.clone();
        for (_, argument) in kwargs.as_object_mut().unwrap().iter_mut() {
            *argument = if argument.is_number() { json!(n) } else { json!(text) };
        }
        kwargs[name] = json!(n);
        let value = value(&one(case.id, &kwargs), &text, Strictness::Loose, Credit::Share);
        prop_assert!(value.is_none_or(|value| (0.0..=1.0).contains(&value)));
    }
}
