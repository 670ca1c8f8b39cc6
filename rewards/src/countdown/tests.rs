use std::io::BufRead;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn columns(nums: Value, target: Value) -> Map<String, Value> {
    Map::from_iter([("nums".to_owned(), nums), ("target".to_owned(), target)])
}

fn value_of(completion: &str, columns: &Map<String, Value>) -> Option<f64> {
    let sample = Sample { completion, n_tokens: 1, columns, ..Sample::default() };
    score(&sample, 0.1).value
}

#[test]
fn scores_expressions() {
    let row = columns(json!([2, 3, 4, 4]), json!(20));
    let nested = |n: usize| format!("{}2{}*3+4*4-2", "(".repeat(n), ")".repeat(n));
    let table = [
        ("(2+3)*4*4/4", 0.0),
        ("(2 + 3 - 4 / 4) * 5", 0.0),
        ("4*4+2*3", 0.1),
        ("2*(3+4)+4", 0.1),
        ("4*(4+3-2)", 1.0),
        ("  4*(4 + 3 - 2) = 20 ", 1.0),
        ("(4*((4+3)-2))", 1.0),
        ("4*(3-2+4)=20.0", 1.0),
        ("4*(4+3-2) = 21", 0.0),
        ("4*(4+3-2) = 20 = 20", 0.0),
        ("20", 0.0),
        ("20 = 20", 0.0),
        ("4*(4+3-2", 0.0),
        ("4*(4+3-2))", 0.0),
        ("4(4+3-2)", 0.0),
        ("2/(4-4)+3", 0.0),
        ("4**4+3-2", 0.0),
        ("-2+4+3+4", 0.0),
        ("99999999999999999999999+4", 0.0),
        ("4 4+3+2", 0.0),
        ("x", 0.0),
        (&nested(400), 0.0),
        (&nested(100), 0.0),
    ];
    for (text, want) in table {
        let got = value_of(&format!("<answer>{text}</answer>"), &row);
        assert_eq!(got, Some(want), "{text}");
    }
    assert_eq!(value_of("4*(4+3-2)", &row), Some(0.0), "no tags");
}

#[test]
fn divides_exactly() {
    let row = columns(json!([8, 3, 8, 3]), json!(24));
    assert_eq!(value_of("<answer>8/(3-8/3)</answer>", &row), Some(1.0));
}

#[test]
fn a_row_without_a_game_has_no_value() {
    let rows = [
        Map::new(),
        columns(json!([]), json!(1)),
        columns(json!("1 2"), json!(1)),
        columns(json!([1, -2]), json!(1)),
        columns(json!([1, 2]), json!("x")),
        columns(json!([1, 2]), json!(null)),
    ];
    for row in rows {
        assert_eq!(value_of("<answer>1</answer>", &row), None, "{row:?}");
    }
}

#[test]
fn accepts_every_solution_of_the_training_set() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.ancestors().map(|a| a.join("shared/data/countdown/train.jsonl"));
    let Some(path) = file.into_iter().find(|p| p.is_file()) else {
        println!("skipped: no shared/data/countdown/train.jsonl above {}", here.display());
        return;
    };
    let mut rows = 0;
    for line in std::io::BufReader::new(std::fs::File::open(path).unwrap()).lines() {
        let row: Map<String, Value> = serde_json::from_str(&line.unwrap()).unwrap();
        let solution = row["solution"].as_str().unwrap();
        assert_eq!(value_of(&format!("<answer>{solution}</answer>"), &row), Some(1.0), "{row:?}");
        let wrong = format!("<answer>{solution} + 1</answer>");
        assert_eq!(value_of(&wrong, &row), Some(0.0), "{row:?}");
        rows += 1;
    }
    assert!(rows > 0);
    println!("{rows} solutions accepted");
}

proptest! {
    #[test]
    fn any_text_is_within_bounds(
        text in r"([0-9]|[-+*/()= ]|é){0,40}", any_text in any::<String>(),
    ) {
        let row = columns(json!([2, 3]), json!(6));
        for text in [text, any_text] {
            let value = value_of(&format!("<answer>{text}</answer>"), &row).unwrap();
            prop_assert!([0.0, 0.1, 1.0].contains(&value));
        }
    }

    #[test]
    fn sums_are_what_integers_say(a in any::<u32>(), b in any::<u32>(), c in any::<u32>()) {
        let want = i128::from(a) - i128::from(b) - i128::from(c) * i128::from(a);
        let (value, used) = evaluate(&format!("{a} - {b} - {c}*{a}")).unwrap();
        prop_assert_eq!(value, RBig::from(want));
        prop_assert_eq!(used, [a, b, c, a].map(u64::from).to_vec());
    }
}
