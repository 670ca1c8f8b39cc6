use proptest::prelude::*;
use serde_json::json;

use super::*;

fn recognise(row: Value) -> Result<Source, ProblemError> {
    Source::recognise(row.as_object().unwrap())
}

fn stdio(pairs: &[(&str, &str)]) -> Source {
    let test = |(stdin, stdout): &(&str, &str)| StdioTest { stdin: (*stdin).into(), stdout: (*stdout).into() };
    Source::Stdio(pairs.iter().map(test).collect())
}

#[test]
fn standard_input_in_many_columns() {
    let one = stdio(&[("1\n", "2\n")]);
    let text = r#"{"inputs": ["1\n"], "outputs": ["2\n"]}"#;
    for row in [
        json!({"tests": [{"input": "1\n", "output": "2\n"}]}),
        json!({"tests": [{"stdin": "1\n", "stdout": "2\n"}], "time_limit_s": 3}),
        json!({"tests": {"inputs": ["1\n"], "outputs": ["2\n"]}}),
        json!({"tests": text}),
        json!({"input_output": text, "solutions": "[]"}),
        json!({"input_output": {"inputs": ["1\n"], "outputs": ["2\n"], "fn_name": null}}),
        json!({"ground_truth": text}),
        json!({"reward_model": {"ground_truth": text, "style": "rule"}, "data_source": "taco"}),
        json!({"public_tests": {"input": ["1\n"], "output": ["2\n"]}, "private_tests": {"input": [], "output": []}}),
        json!({"verification_info": r#"{"test_cases": [{"type": "stdin_stdout", "input": "1\n", "output": "2\n"}]}"#}),
        json!({"public_test_cases": r#"[{"input": "1\n", "output": "2\n", "testtype": "stdin"}]"#}),
    ] {
        assert_eq!(recognise(row.clone()).as_ref(), Ok(&one), "{row}");
    }
    // Lines may be a list.
    let lines = json!({"tests": {"inputs": [["1", "2"]], "outputs": [[3]]}});
    assert_eq!(recognise(lines), Ok(stdio(&[("1\n2", "3")])));
    let open = json!([{"input": "a", "output": "b", "testtype": "stdin"}]);
    let private = json!([{"input": "c", "output": "d", "testtype": "stdin"}]).to_string();
    let row = json!({"public_test_cases": open, "private_test_cases": private, "metadata": "{}"});
    assert_eq!(recognise(row), Ok(stdio(&[("a", "b"), ("c", "d")])));
}

#[test]
fn calls_in_many_columns() {
    let expected = |source: Source| match source {
        Source::Calls { function, calls } => {
            let value = |one: CallTest| (one.call.args, one.expected.value().cloned().unwrap());
            (function, calls.into_iter().map(value).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    let list = || Plain::List(vec![1.into(), 2.into()]);
    let one = ("add".to_owned(), vec![(vec![list(), Plain::from(3)], Plain::from(6))]);
    for row in [
        json!({"function": "add", "calls": [{"args": [[1, 2], 3], "expected": 6}]}),
        json!({"input_output": r#"{"fn_name": "add", "inputs": [[[1, 2], 3]], "outputs": [6]}"#}),
        json!({"input_output": {"fn_name": "add", "inputs": [[[1, 2], 3]], "outputs": [[6]]}}),
        json!({"tests": [{"type": "function_call", "fn_name": "add", "input": [[1, 2], 3], "output": [6]}]}),
        json!({
            "private_test_cases": json!([{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]).to_string(),
            "metadata": r#"{"func_name": "add"}"#,
        }),
    ] {
        assert_eq!(expected(recognise(row.clone()).unwrap()), one, "{row}");
    }
}

#[test]
fn test_code_by_its_shape() {
    let check = "def check(candidate):\n    assert candidate(1) == 2\n";
    let prompt = "import math\n\ndef helper(x):\n    return x\n\ndef add(x):\n    \"\"\"Adds.\"\"\"\n";
    let row =
        json!({"prompt": prompt, "entry_point": "add", "test": check, "canonical_solution": "    return x + 1\n"});
    let Ok(Source::Check { before, canonical, entry, .. }) = recognise(row) else { panic!() };
    assert_eq!(before, Before::Code("import math\n\ndef helper(x):\n    return x\n\n".into()));
    assert_eq!(canonical, Some(format!("{prompt}    return x + 1\n")));
    assert_eq!(entry.as_deref(), Some("add"));
    let leetcode = json!({"tests": {"functional": format!("{check}\ncheck(Solution().add)")}});
    assert!(matches!(recognise(leetcode), Ok(Source::Check { before: Before::LeetCode, entry: None, .. })));
    let list = json!(["assert add(1) == 2", "assert add(2) == 3"]);
    for column in ["test_list", "test_cases", "tests", "ground_truth"] {
        let row = json!({column: list, "test_setup_code": "import math", "code": "def add(x): return x + 1"});
        let Ok(Source::Asserts { tests, canonical, .. }) = recognise(row) else { panic!("{column}") };
        assert_eq!(tests, "import math\nassert add(1) == 2\nassert add(2) == 3");
        assert!(canonical.is_some());
    }
    let packed = json!({"test": "eJxrYJmqwQABPdYpmXkFpSXx+aUlqUV5"});
    assert!(matches!(recognise(packed), Ok(Source::Packed { .. })));
}

#[test]
fn errors_name_the_column() {
    for (row, said) in [
        (json!({"question": "?", "answer": "!"}), "(the row has question, answer)"),
        (json!({"tests": {"inputs": ["1"]}}), "`tests`: an object without `inputs` and `outputs`"),
        (json!({"tests": {"inputs": ["1"], "outputs": []}}), "`tests`: 1 inputs and 0 outputs"),
        (json!({"tests": [{"input": "1"}]}), "`tests`: a test without `input` and `output`"),
        (json!({"tests": []}), "`tests`: no test in it"),
        (json!({"tests": 5}), "`tests`: neither text, a list nor an object"),
        (json!({"input_output": "{broken"}), "`input_output`: no JSON"),
        (json!({"test": "see below"}), "`test`: neither asserts"),
        (json!({"calls": [{"args": [1]}], "function": "f"}), "`calls`: a call without `args` and `expected`"),
        (json!({"calls": []}), "the column `function` is missing"),
        (json!({"base_input": [], "entry_point": "f"}), "the column `canonical_solution` is missing"),
        (json!({"public_test_cases": "nothing"}), "`public_test_cases`: no JSON list of tests"),
        (
            json!({"public_test_cases": r#"[{"input": "1", "output": "2", "testtype": "functional"}]"#}),
            "the column `metadata` is missing, which functional tests (its `func_name`) needs",
        ),
    ] {
        let error = recognise(row.clone()).unwrap_err().to_string();
        assert!(error.contains(said), "{row}: {error}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("assert f(1) == 2")),
        Just(json!("[1, 2]")),
        Just(json!("eJx")),
    ];
    let name = prop_oneof![
        Just("inputs"),
        Just("outputs"),
        Just("input"),
        Just("output"),
        Just("args"),
        Just("expected"),
        Just("fn_name"),
        Just("functional"),
        Just("testtype"),
        Just("func_name"),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone().prop_map(str::to_owned), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(value in values(), other in values()) {
        for column in [
            "tests", "test", "test_list", "test_cases", "input_output", "ground_truth", "reward_model", "calls", "base_input",
            "public_test_cases", "private_test_cases", "private_tests", "assertion",
        ] {
            let _ = recognise(json!({column: value.clone(), "function": "f", "metadata": other.clone(), "prompt": "p"}));
        }
    }
}
