use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(expected: &str, completion: &str, place: JsonPlace) -> Option<f64> {
    let sample = Sample { completion, expected, ..Sample::default() };
    score(&sample, place, None).value
}

const WANTED: &str = r#"{"name": "Ada", "born": 1815, "works": ["notes", null, true], "rate": 0.10}"#;

#[test]
fn the_same_document_is_right() {
    let table = [
        (WANTED, WANTED),
        (WANTED, r#"{"works":["notes",null,true],"rate":1e-1,"born":1815.0,"name":"\u0041da"}"#),
        (WANTED, "{\n \"born\" : 18.15E+2, \"name\":\"Ada\",\t\"rate\": 0.1000, \"works\": [\"notes\",null , true]}\n"),
        ("[]", " [ ] "),
        ("{}", "{ }"),
        ("0", "-0.0e5"),
        ("\"a/b\"", r#""a\/b""#),
        ("12345678901234567890123", "12345678901234567890123.0"),
        ("1e400", "10e399"),
        ("1e99999999999999999999", "1E99999999999999999999"),
        ("null", "null"),
    ];
    for (wanted, text) in table {
        for place in [JsonPlace::Whole, JsonPlace::Marked] {
            assert_eq!(value(wanted, text, place), Some(1.0), "{text}");
        }
    }
}

#[test]
fn another_document_is_wrong() {
    let table = [
        (WANTED, ""),
        (WANTED, "Ada"),
        (WANTED, r#"{"name": "Ada", "born": 1815, "works": ["notes", null, true]}"#),
        (WANTED, r#"{"name": "Ada", "born": 1815, "works": ["notes", null, true], "rate": 0.10, "more": 1}"#),
        (WANTED, r#"{"name": "ada", "born": 1815, "works": ["notes", null, true], "rate": 0.10}"#),
        (WANTED, r#"{"name": "Ada", "born": "1815", "works": ["notes", null, true], "rate": 0.10}"#),
        (WANTED, r#"{"name": "Ada", "born": 1815, "works": [null, "notes", true], "rate": 0.10}"#),
        (WANTED, r#"{"name": "Ada", "born": 1815, "born": 1815, "works": ["notes", null, true], "rate": 0.10}"#),
        (WANTED, r#"{"name": "Ada", "born": 1815, "works": ["notes", null, true], "rate": 0.10,}"#),
        (WANTED, r#"{"name": "Ada", "born": 1815, "works": ["notes", null, true], "rate": 0.10} ok"#),
        (WANTED, r#"{'name': 'Ada'}"#),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.10000000000000000001"),
        ("1", "-1"),
        ("1", "01"),
        ("1", "\"1\""),
        ("[1]", "[1, 1]"),
        ("[1, 1]", "[1]"),
        ("{}", "[]"),
        ("null", "NaN"),
        ("1e99999999999999999999", "1e99999999999999999998"),
    ];
    for (wanted, text) in table {
        for place in [JsonPlace::Whole, JsonPlace::Marked] {
            assert_eq!(value(wanted, text, place), Some(0.0), "{text}");
        }
    }
}

#[test]
fn is_found_where_it_is_marked() {
    use JsonPlace::{Marked, Whole};
    let table = [
        (Marked, "<think>so</think>[1]", 1.0),
        (Marked, "<think>so</think><answer>[1]</answer>", 1.0),
        (Marked, "Here: <answer>\n```json\n[1]\n```\n</answer>", 1.0),
        (Marked, "Here it is:\n```json\n[1]\n```\nDone.", 1.0),
        (Marked, "```\n[1]\n```", 1.0),
        (Marked, "```[1]```", 1.0),
        (Marked, "Here: [1]", 0.0),
        (Marked, "```\n[1]\n```\n```\n[2]\n```", 0.0),
        (Marked, "```\n[1]", 0.0),
        (Marked, "<answer>[1]</answer><answer>[1]</answer>", 0.0),
        (Marked, "<answer>[1]", 0.0),
        (Marked, "<think>[1]", 0.0),
        (Whole, "<think>so</think>\n[1]\n", 1.0),
        (Whole, "```json\n[1]\n```", 0.0),
        (Whole, "<answer>[1]</answer>", 0.0),
    ];
    for (place, text, want) in table {
        assert_eq!(value("[1]", text, place), Some(want), "{place:?} {text}");
    }
}

#[test]
fn a_column_may_hold_the_document() {
    let columns = json!({"call": {"f": "add", "args": [1, 2]}, "text": "{\"f\": 1.50}", "bad": "{", "twice": "{\"a\":1,\"a\":1}"});
    let of = |column: &str, completion: &str| {
        let columns = columns.as_object().unwrap();
        let sample = Sample { completion, columns, ..Sample::default() };
        score(&sample, JsonPlace::Whole, Some(column)).value
    };
    assert_eq!(of("call", r#"{"args":[1,2],"f":"add"}"#), Some(1.0));
    assert_eq!(of("call", r#"{"args":[2,1],"f":"add"}"#), Some(0.0));
    assert_eq!(of("text", r#"{"f":1.5}"#), Some(1.0));
    for column in ["bad", "absent", "twice"] {
        assert_eq!(of(column, "{}"), None, "{column}");
    }
}

#[test]
fn no_depth_is_too_much() {
    for depth in [100, 1_000, 200_000] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let want = if depth <= MAX_DEPTH { Some(1.0) } else { None };
        assert_eq!(value(&text, &text, JsonPlace::Whole), want);
        assert_eq!(value("[[]]", &text, JsonPlace::Whole), Some(0.0));
    }
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn is_zero_or_one(text in any::<String>(), marks in r#"(\{|\}|\[|\]|"|a|:|,|1|e|```|<answer>|</answer>){0,16}"#) {
        for text in [&text, &marks] {
            for place in [JsonPlace::Whole, JsonPlace::Marked] {
                let value = value("[1]", text, place);
                prop_assert!(value == Some(0.0) || value == Some(1.0));
            }
            let _ = value(text, "[1]", JsonPlace::Whole);
        }
    }

    /// Written otherwise, a document is the same; with another in its place, it is not.
    #[test]
    fn documents_equal_themselves_alone(one in documents(), other in documents()) {
        let pretty = serde_json::to_string_pretty(&one).unwrap();
        prop_assert_eq!(value(&one.to_string(), &pretty, JsonPlace::Whole), Some(1.0));
        let want = f64::from(u8::from(one == other));
        prop_assert_eq!(value(&one.to_string(), &other.to_string(), JsonPlace::Whole), Some(want));
    }
}
