use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(columns: &Value, gold: ChoiceGold, expected: &str, answer: &str) -> Option<f64> {
    let completion = format!("<answer>{answer}</answer>");
    let sample =
        Sample { completion: &completion, expected, columns: columns.as_object().unwrap(), ..Sample::default() };
    score(&sample, gold, Extract::AnswerTag).value
}

fn planets() -> Value {
    json!({"options": ["Mars", "the planet Venus", "$5(\\sqrt3 + 1)$", "None of these", "0.5 m"]})
}

#[test]
fn names_the_right_option() {
    let table = [
        ("B", "B"),
        ("B", "(B)"),
        ("B", "[B]"),
        ("B", "B."),
        ("B", "B)"),
        ("B", "b"),
        ("B", " (b) "),
        ("B", "**B**"),
        ("B", "$B$"),
        ("B", "$\\text{B}$"),
        ("B", "\\textbf{(B)}"),
        ("B", "\\boxed{B}"),
        ("B", "Option B"),
        ("B", "B) the planet Venus"),
        ("B", "(B) the  planet Venus."),
        ("B", "B. the planet Venus"),
        ("B", "B: the planet Venus"),
        ("B", "the planet Venus"),
        ("B", "the planet Venus."),
        ("(B)", "B"),
        ("b.", "B"),
        ("C", "5(\\sqrt3 + 1)"),
        ("C", "C) $5(\\sqrt3 + 1)$"),
        ("A", "Mars"),
        ("E", "0.5 m"),
    ];
    for (expected, answer) in table {
        assert_eq!(value(&planets(), ChoiceGold::Letter, expected, answer), Some(1.0), "{expected}: {answer}");
    }
}

#[test]
fn anything_else_is_wrong() {
    let answers = [
        "A",
        "",
        "F",
        "A or B",
        "A, B",
        "B) or C)",
        "B) Mars",
        "B) the planet Venus or Mars",
        "AB",
        "not B",
        "The answer is B",
        "Be careful",
        "Mars",
        "venus",
        "Venus",
        "B because it is hot",
        "(B) (C)",
        "((B)",
        "2",
        "ß",
        "é) the planet Venus",
    ];
    for answer in answers {
        assert_eq!(value(&planets(), ChoiceGold::Letter, "B", answer), Some(0.0), "{answer}");
    }
}

#[test]
fn options_stand_in_columns_of_many_shapes() {
    let shapes = [
        json!({"options": ["A)5(√3 + 1)", "B)6(√3 + √2)", "C)None of these"]}),
        json!({"options": ["(A) 5(√3 + 1)", "(B) 6(√3 + √2)", "(C) None of these"]}),
        json!({"choices": ["5(√3 + 1)", "6(√3 + √2)", "None of these"]}),
        json!({"choices": {"text": ["5(√3 + 1)", "6(√3 + √2)", "None of these"], "label": ["A", "B", "C"]}}),
        json!({"options": {"A": "5(√3 + 1)", "B": "6(√3 + √2)", "C": "None of these"}}),
    ];
    for columns in shapes {
        for (answer, want) in
            [("B", 1.0), ("6(√3 + √2)", 1.0), ("B) 6(√3 + √2)", 1.0), ("C", 0.0), ("B) None of these", 0.0), ("D", 0.0)]
        {
            assert_eq!(value(&columns, ChoiceGold::Letter, "B", answer), Some(want), "{columns}: {answer}");
        }
        assert_eq!(value(&columns, ChoiceGold::Letter, "D", "D"), None, "{columns}");
    }
    // Without options only letters can be read.
    for (answer, want) in [("B", 1.0), ("B) Venus", 1.0), ("Venus", 0.0), ("B) or C", 0.0), ("B, (C)", 0.0), ("C", 0.0)]
    {
        assert_eq!(value(&json!({}), ChoiceGold::Letter, "B", answer), Some(want), "{answer}");
    }
}

#[test]
fn the_row_names_the_option_in_its_own_way() {
    let numbers = json!({"choices": ["1", "2", "3", 4]});
    let table = [
        (ChoiceGold::Index, "2", "C", Some(1.0)),
        (ChoiceGold::Index, "2", "3", Some(1.0)),
        (ChoiceGold::Index, "2", "2", Some(0.0)),
        (ChoiceGold::Index, "4", "D", None),
        (ChoiceGold::Index, "-1", "D", None),
        (ChoiceGold::Index, "C", "C", None),
        (ChoiceGold::Text, "2", "B", Some(1.0)),
        (ChoiceGold::Text, "4", "D", Some(1.0)),
        (ChoiceGold::Text, "B", "2", Some(1.0)),
        (ChoiceGold::Text, "five", "2", None),
        (ChoiceGold::Letter, "2", "B", None),
        (ChoiceGold::Letter, "", "B", None),
    ];
    for (gold, expected, answer, want) in table {
        assert_eq!(value(&numbers, gold, expected, answer), want, "{gold:?} {expected} {answer}");
    }
    let twins = json!({"options": ["same", "same", "other"]});
    assert_eq!(value(&twins, ChoiceGold::Letter, "A", "same"), Some(0.0), "which of the two?");
    assert_eq!(value(&twins, ChoiceGold::Letter, "A", "A) same"), Some(1.0));
}

/// Every row of real data is answered by its letter and by its option's text, and by no other letter.
#[test]
fn rows_of_real_data_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mcq");
    for (file, gold) in [("aqua_rat.jsonl", ChoiceGold::Letter), ("mmlu_stem.jsonl", ChoiceGold::Index)] {
        let Ok(rows) = std::fs::read_to_string(folder.join(file)) else {
            eprintln!("skipped: no {}", folder.join(file).display());
            continue;
        };
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            let expected = match gold {
                ChoiceGold::Index => row["answer"].to_string(),
                _ => row["correct"].as_str().unwrap().to_owned(),
            };
            let options = Options::of(row.as_object().unwrap());
            let right = options.gold(&expected, gold).unwrap();
            for (letter, text) in ('A'..).zip(&options.texts) {
                let want = Some(f64::from(u8::from(letter == right)));
                assert_eq!(value(&row, gold, &expected, &letter.to_string()), want, "{row}");
                assert_eq!(value(&row, gold, &expected, &format!("({letter}) {text}")), want, "{row}");
                let twin = options.texts.iter().filter(|other| *other == text).count() > 1;
                if !twin && alone(text).is_none() {
                    assert_eq!(value(&row, gold, &expected, text), want, "{row}: {text}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn is_zero_or_one(
        any_text in any::<String>(), marks in r"(\(|\)|A|B|b|\.|\$|\*\*|\\text\{|\}|é| |:){0,12}",
        expected in "[A-C0-2é]{0,2}", options in prop::collection::vec(any::<String>(), 0..30),
    ) {
        let columns = json!({"options": options});
        for text in [&any_text, &marks] {
            for gold in [ChoiceGold::Letter, ChoiceGold::Index, ChoiceGold::Text] {
                let value = value(&columns, gold, &expected, text);
                prop_assert!(value.is_none_or(|value| value == 0.0 || value == 1.0));
            }
        }
    }
}
