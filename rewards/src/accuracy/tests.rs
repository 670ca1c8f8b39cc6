use std::io::BufRead;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use AccuracyKind::{Exact, Gsm8k, Numeric};

fn value_of(completion: &str, expected: &str, kind: AccuracyKind, how: Extract) -> Option<f64> {
    let sample = Sample { completion, n_tokens: 1, expected, ..Sample::default() };
    score(&sample, kind, how, &MathOptions::default()).value
}

#[test]
fn mathematics_is_compared_as_such_and_blames_who_is_at_fault() {
    let table = [
        (r"\boxed{\frac{\sqrt3}{3}}", r"$\frac{1}{\sqrt{3}}$", Some(1.0)),
        (r"\boxed{2x-y+1=0}", "y = 2x + 1", Some(1.0)),
        (r"\boxed{1 or 2}", "2", Some(0.0)),
        (r"\boxed{2 +}", "2", Some(0.0)),
        // What cannot be decided because of the answer is no way out; because of the row, it is.
        (r"\boxed{9^{9^{9^9}}}", "2", Some(0.0)),
        (r"\boxed{2}", "2 + +", None),
        (r"\boxed{2}", "", None),
    ];
    for (completion, expected, value) in table {
        assert_eq!(value_of(completion, expected, AccuracyKind::Math, Extract::Boxed), value, "{completion}");
    }
    let options = Some(MathOptions::lenient());
    let lenient = Accuracy::new(1.0, AccuracyKind::Math, Extract::Boxed, options);
    assert!(lenient.check().is_ok());
    let sample = Sample { completion: r"\boxed{(-\infty, 3)}", n_tokens: 1, expected: "x < 3", ..Sample::default() };
    assert_eq!(lenient.judge(&sample).and_then(|verdict| verdict.value), Some(1.0));
    assert_eq!(lenient.answer(&sample).as_deref(), Some("(-∞, 3)"));
    assert!(Accuracy::new(1.0, Numeric, Extract::Boxed, options).check().is_err());
}

#[test]
fn compares_with_the_reference() {
    let table = [
        (Exact, "<answer>a  b</answer>", "a b", Some(1.0)),
        (Exact, "<answer>A b</answer>", "a b", Some(0.0)),
        (Exact, "<answer>1.0</answer>", "1", Some(0.0)),
        (Exact, "<answer>1</answer>", " ", None),
        (Numeric, "<answer>1,200.00</answer>", "1200", Some(1.0)),
        (Numeric, "<answer>$0.5</answer>", "1/2", Some(1.0)),
        (Numeric, "<answer>1201</answer>", "1200", Some(0.0)),
        (Numeric, "<answer>1200 clips</answer>", "1200", Some(0.0)),
        (Numeric, "1200", "1200", Some(0.0)),
        (Numeric, "<answer>1</answer>", "one", None),
        (Gsm8k, "<answer>72</answer>", "48+24 = 72\n#### 72", Some(1.0)),
        (Gsm8k, "#### 72", "72", Some(1.0)),
        (Gsm8k, r"\boxed{48}", "48+24 = 72\n#### 72", Some(0.0)),
        (Gsm8k, "<answer>72</answer>", "####", None),
    ];
    for (kind, completion, expected, want) in table {
        assert_eq!(value_of(completion, expected, kind, Extract::Any), want, "{completion}");
    }
}

#[test]
fn every_gsm8k_reference_scores_itself() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.ancestors().map(|a| a.join("shared/data/math/gsm8k_train.jsonl"));
    let Some(path) = file.into_iter().find(|p| p.is_file()) else {
        println!("skipped: no shared/data/math/gsm8k_train.jsonl above {}", here.display());
        return;
    };
    let mut rows = 0;
    for line in std::io::BufReader::new(std::fs::File::open(path).unwrap()).lines() {
        let row: Map<String, Value> = serde_json::from_str(&line.unwrap()).unwrap();
        let gold = row["answer"].as_str().unwrap();
        assert_eq!(value_of(gold, gold, Gsm8k, Extract::Hash), Some(1.0), "{gold}");
        let last = gold.rsplit_once("####").unwrap().1;
        let tagged = format!("<answer>{last}</answer>");
        assert_eq!(value_of(&tagged, gold, Gsm8k, Extract::AnswerTag), Some(1.0), "{gold}");
        let boxed = format!("\\boxed{{{}1}}", last.trim());
        assert_eq!(value_of(&boxed, gold, Gsm8k, Extract::Boxed), Some(0.0), "{gold}");
        rows += 1;
    }
    assert!(rows > 0);
    println!("{rows} references scored");
}

proptest! {
    #[test]
    fn text_after_the_answer_does_not_raise(
        answer in "[0-9]{1,2}", expected in "[0-9]{1,2}",
        added in r"(<answer>|</answer>|<think>|</think>|\\boxed\{|\}|#### |[0-9]| ){0,10}",
    ) {
        let text = format!("<think>a</think><answer>{answer}</answer>");
        for kind in [Exact, Numeric, Gsm8k] {
            for how in [Extract::AnswerTag, Extract::Any] {
                let before = value_of(&text, &expected, kind, how).unwrap();
                for added in [added.clone(), format!("{added}<answer>{expected}</answer>")] {
                    let after = value_of(&format!("{text}{added}"), &expected, kind, how);
                    prop_assert!(after.unwrap() <= before);
                }
            }
        }
    }
}
