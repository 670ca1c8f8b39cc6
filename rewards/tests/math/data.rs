//! The tables beside these tests, and the expected answers of the public data sets where they are.

use std::io::Read;
use std::path::{Path, PathBuf};

use rewards::math::MathVerdict;
use rewards::{Extract, extract};
use serde_json::Value;

/// The verdict a case wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Correct,
    Wrong,
    /// Wrong or undecided: anything but correct.
    Not,
    /// Reasonable people differ.
    Any,
}

impl Wanted {
    fn read(word: &str) -> Self {
        match word {
            "correct" => Self::Correct,
            "wrong" => Self::Wrong,
            "not" => Self::Not,
            "any" => Self::Any,
            _ => panic!("no such verdict: {word}"),
        }
    }

    pub(crate) fn is(self, found: MathVerdict) -> bool {
        match self {
            Self::Correct => found == MathVerdict::Correct,
            Self::Wrong => found == MathVerdict::Wrong,
            Self::Not => found != MathVerdict::Correct,
            Self::Any => true,
        }
    }
}

/// A line of a table.
pub(crate) struct Case {
    pub(crate) gold: String,
    pub(crate) answer: String,
    pub(crate) training: Wanted,
    pub(crate) lenient: Wanted,
}

/// The cases of one kind.
pub(crate) fn cases(kind: &str) -> Vec<Case> {
    let read = |fields: Vec<String>| {
        let training = Wanted::read(&fields[2]);
        let lenient = fields.get(3).map_or(training, |word| Wanted::read(word));
        Case { gold: fields[0].clone(), answer: fields[1].clone(), training, lenient }
    };
    table(kind).into_iter().map(read).collect()
}

/// The fields of the lines of `cases/NAME.tsv`.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.tsv"))).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Where the tables are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/math/cases")
}

/// An expected answer of a data set.
pub(crate) struct Gold {
    pub(crate) set: &'static str,
    pub(crate) text: String,
}

/// Where a data set keeps its expected answers.
enum Column {
    /// The text or number of this column.
    Plain(&'static str),
    /// Behind the last `####` of this column.
    Hash(&'static str),
    /// In the last box of this column.
    Boxed(&'static str),
    /// The joined items of this column.
    Items(&'static str),
}

/// The math sets of shared/data and their columns.
const SETS: [(&str, Column); 14] = [
    ("aime24.jsonl", Column::Plain("answer")),
    ("aime25.jsonl", Column::Plain("answer")),
    ("aime_1983_2023.json", Column::Plain("answer")),
    ("amc23.jsonl", Column::Plain("answer")),
    ("college_math.jsonl", Column::Plain("answer")),
    ("deepmath_5k.jsonl.gz", Column::Plain("ground_truth")),
    ("gaokao2023en.jsonl", Column::Plain("answer")),
    ("gsm8k_test.jsonl", Column::Hash("answer")),
    ("gsm8k_train.jsonl", Column::Hash("answer")),
    ("math500.jsonl", Column::Plain("answer")),
    ("math_test.jsonl.gz", Column::Boxed("solution")),
    ("math_train.json", Column::Plain("answer")),
    ("minerva_math.jsonl", Column::Boxed("solution")),
    ("olympiadbench.jsonl", Column::Items("final_answer")),
];

/// Every expected answer of the math sets, once for each set; empty, and said, where the sets are not there.
pub(crate) fn golds() -> Vec<Gold> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(folder) = here.ancestors().map(|a| a.join("shared/data/math")).find(|path| path.is_dir()) else {
        println!("skipped: no shared/data/math above {}", here.display());
        return Vec::new();
    };
    let mut golds = Vec::new();
    for (set, column) in &SETS {
        let mut seen = std::collections::HashSet::new();
        for row in rows(&folder.join(set)) {
            let text = column.read(&row);
            if !text.trim().is_empty() && seen.insert(text.clone()) {
                golds.push(Gold { set, text });
            }
        }
    }
    golds
}

fn rows(path: &Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    if path.extension().is_some_and(|ending| ending == "json") {
        return serde_json::from_str(&text).unwrap();
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Column {
    fn read(&self, row: &Value) -> String {
        match self {
            Self::Plain(name) => match &row[*name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            Self::Hash(name) => row[*name].as_str().unwrap().rsplit_once("####").unwrap().1.trim().to_owned(),
            Self::Boxed(name) => {
                extract(row[*name].as_str().unwrap(), Extract::LastBoxed, false, false).unwrap_or_default().to_owned()
            }
            Self::Items(name) => {
                let items = row[*name].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
                items.map(undollared).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// `$x$` without its dollars; text with more than one pair stays as it is.
fn undollared(text: &str) -> &str {
    let inner = text.trim().strip_prefix('$').and_then(|rest| rest.strip_suffix('$'));
    inner.filter(|inner| !inner.contains('$')).unwrap_or(text)
}
