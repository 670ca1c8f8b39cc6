use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::data::{ProblemSet, Source};

fn files(path: &Path) -> Files {
    Files { paths: vec![path.to_owned()], layout: None, fields: Fields::default(), limit: None }
}

fn open(path: &Path) -> Result<ProblemSet> {
    ProblemSet::open(&Source::Files(files(path)), 0)
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn message(text: &str) -> String {
    let file = written(text);
    let error = format!("{:#}", open(file.path()).unwrap_err());
    let name = file.path().display().to_string();
    assert!(error.contains(&name), "{error}");
    error.replace(&name, "FILE")
}

#[test]
fn every_shared_file_is_recognised() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/math"));
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    // Name, rows, rows whose answer is null or empty, the first answer.
    let cases = [
        ("aime24.jsonl", 30, 0, "204"),
        ("aime25.jsonl", 30, 0, "70"),
        ("aime_1983_2023.json", 975, 0, "60"),
        ("amc23.jsonl", 40, 0, "27"),
        ("college_math.jsonl", 2818, 0, "$10-4 n$"),
        ("deepmath_5k.jsonl.gz", 4994, 0, "1"),
        ("gaokao2023en.jsonl", 385, 2, "$\\{x|-2\\leq x < 1\\}$"),
        ("gsm8k_test.jsonl", 1319, 0, "18"),
        ("gsm8k_train.jsonl", 7473, 0, "72"),
        ("math500.jsonl", 500, 0, "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("math_test.jsonl.gz", 5000, 0, "2"),
        ("math_train.json", 7474, 4, "0"),
        ("minerva_math.jsonl", 272, 0, "1.6"),
        ("olympiadbench.jsonl", 675, 0, "2"),
    ];
    for (name, rows, skipped, first) in cases {
        let set = open(&folder.join(name)).unwrap();
        assert_eq!((set.len() + set.skipped(), set.skipped()), (rows, skipped), "{name}");
        assert_eq!(set.get(0).unwrap().expected, first, "{name}");
        for problem in set.iter() {
            assert!(!problem.expected.trim().is_empty(), "{name}: {problem:?}");
            assert!(!problem.prompt.text().trim().is_empty(), "{name}: {problem:?}");
        }
    }
    let countdown = open(&folder.join("../countdown/test.jsonl")).unwrap();
    assert_eq!(countdown.len(), 500);
    assert!(countdown.get(0).unwrap().prompt.text().starts_with("Using the numbers ["));
}

#[test]
fn messages_can_be_read_in_place_of_a_prompt() {
    let row = r#"{"prompt": "p", "messages": "[{\"role\": \"user\", \"content\": \"m\"}]", "a": 2}"#;
    let file = written(row);
    let fields = Fields { messages: Some("messages".into()), expected: Some("a".into()), ..Fields::default() };
    let (problems, _) = read(&Files { fields, ..files(file.path()) }).unwrap();
    assert!(matches!(problems[0].prompt, PromptText::Messages(_)));
    assert_eq!((problems[0].prompt.text().as_str(), problems[0].expected.as_str()), ("m", "2"));
    let nested = r#"{"prompt": [{"role": "user", "content": "m"}], "reward_model": {"ground_truth": "3"}}"#;
    let set = open(written(nested).path()).unwrap();
    assert_eq!(set.get(0).unwrap().expected, "3");
}

#[test]
fn options_stand_below_the_question() {
    let open = |row: &str, options: &str| {
        let file = written(row);
        let fields = Fields { options: Some(options.into()), expected: Some("right".into()), ..Fields::default() };
        ProblemSet::open(&Source::Files(Files { fields, ..files(file.path()) }), 0)
            .map(|set| set.get(0).unwrap().prompt.text())
    };
    let plain = r#"{"question": "Which?", "choices": ["one", 2, "three"], "right": 1}"#;
    assert_eq!(open(plain, "choices").unwrap(), "Which?\nA) one\nB) 2\nC) three");
    let lettered = r#"{"question": "Which?", "options": ["A)one", "B)two"], "right": "A"}"#;
    assert_eq!(open(lettered, "options").unwrap(), "Which?\nA)one\nB)two");
    let parenthesised = r#"{"question": "Which?", "options": ["(A) one", "(B) two"], "right": "A"}"#;
    assert_eq!(open(parenthesised, "options").unwrap(), "Which?\n(A) one\n(B) two");
    for row in [
        r#"{"question": "Which?", "options": [], "right": "A"}"#,
        r#"{"question": "Which?", "options": "A, B", "right": "A"}"#,
        r#"{"question": "Which?", "right": "A"}"#,
    ] {
        assert!(open(row, "options").is_err(), "{row}");
    }
}

#[test]
fn rows_without_an_answer_field_may_have_instructions_or_documents() {
    let open = |row: &str| open(written(row).path()).unwrap().get(0).unwrap().expected.clone();
    let row = r#"{"key": 1, "prompt": "Write.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}"#;
    assert_eq!(open(row), "punctuation:no_comma");
    assert_eq!(open(r#"{"prompt": "Write.", "answer": {"a": [1, null]}}"#), r#"{"a":[1,null]}"#);
}

#[test]
fn a_limit_keeps_the_first_problems() {
    let file = written("{\"question\":\"a\",\"answer\":\"1\"}\n\n{\"question\":\"b\",\"answer\":\"2\"}\n");
    let (problems, _) = read(&Files { limit: Some(1), ..files(file.path()) }).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(open(file.path()).unwrap().len(), 2);
}

#[test]
fn errors_name_file_place_and_key() {
    let good = "{\"question\": \"a\", \"answer\": \"1\"}\n";
    assert_eq!(message(&format!("{good}{good}{{\"answer\": \"1\"}}\n")), "in FILE: missing field `question` at line 3");
    assert_eq!(
        message("[{\"problem\": \"a\", \"answer\": \"1\"}, {\"problem\": \"a\"}]"),
        "in FILE: missing field `answer` at item 2"
    );
    assert_eq!(message(&format!("{good}\n[1]\n")), "in FILE: expected a JSON object at line 3");
    let error = message(&format!("{good}{{\"question\": }}\n"));
    assert!(error.starts_with("in FILE: not valid JSON at line 2, column 14: expected"), "{error}");
    assert_eq!(
        message(&format!("{{\"question\": \"a\", \"answer\": \"x\\n#### 1\"}}\n{good}")),
        "in FILE: field `answer` has no `####` before an answer at line 2"
    );
    let error = message("{\"text\": \"a\", \"answer\": \"1\"}");
    assert!(error.contains("name the field in `fields.prompt` (the row has `text`, `answer`)"), "{error}");
    assert_eq!(message(""), "in FILE: the file holds no row");
    let error = format!("{:#}", open(Path::new("/nowhere/x.jsonl")).unwrap_err());
    assert!(error.starts_with("in /nowhere/x.jsonl: No such file"), "{error}");
}

#[test]
fn answers_are_cut_out_of_solutions() {
    assert_eq!(last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}}."), Some(r"\frac{1}{2}"));
    assert_eq!(last_boxed(r"so $\boxed{\{1, 2\}}$"), Some(r"\{1, 2\}"));
    assert_eq!(last_boxed(r"so $\boxed 7$."), Some("7"));
    assert_eq!(last_boxed(r"so $\fbox{C}$."), Some("C"));
    assert_eq!(last_boxed(r"\boxed{1"), None);
    assert_eq!(last_boxed("nothing"), None);
    assert_eq!(plain(&serde_json::json!(27.0)).as_deref(), Some("27"));
    assert_eq!(plain(&serde_json::json!(0.5)).as_deref(), Some("0.5"));
    assert_eq!(plain(&serde_json::json!(["$1$", "$2$"])).as_deref(), Some("1, 2"));
    assert_eq!(plain(&serde_json::json!(["$1$,$2$"])).as_deref(), Some("$1$,$2$"));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_rows_come_back_as_they_were_written() {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    let questions: ArrayRef = Arc::new(StringArray::from(vec!["1+1?", "2+2?\n", "none"]));
    let answers: ArrayRef = Arc::new(StringArray::from(vec![Some("2"), Some("4"), None]));
    let levels: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("question", questions), ("answer", answers), ("level", levels)]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let set = open(file.path()).unwrap();
    assert_eq!((set.len(), set.skipped()), (2, 1));
    let second = set.get(1).unwrap();
    assert_eq!(second.prompt, PromptText::Text("2+2?\n".into()));
    assert_eq!(second.expected, "4");
    assert_eq!(second.columns["level"], 2);
}
