//! Pairs of a gold answer and another one, compared as mathematics.

use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;
use rewards::math::{self, Grade, MathOptions, MathVerdict};
use serde_json::{Value, json};

use super::summary::count;
use super::{Judged, Row, required, text};
use crate::workers;

const SHAPE: &str = r#"a line is `{"gold": "\\frac{1}{2}", "answer": "0.5"}`"#;

/// A line and the two texts in it.
pub(super) struct Pair {
    row: Row,
    gold: String,
    answer: String,
}

/// The pairs of a file's rows.
pub(super) fn read(rows: Vec<(String, Row)>) -> Result<Vec<Pair>> {
    let pair = |(place, row): (String, Row)| {
        let one = |key| text(required(&row, &place, key, SHAPE)?, &place, key);
        let (gold, answer) = (one("gold")?, one("answer")?);
        Ok(Pair { row, gold, answer })
    };
    rows.into_iter().map(pair).collect()
}

/// Every pair with its `verdict` and `reason`; with `explain` also how both texts were `read`.
pub(super) fn judge(
    pairs: Vec<Pair>,
    options: &MathOptions,
    explain: bool,
    workers: usize,
    bar: &dyn Fn(usize) -> ProgressBar,
) -> Judged {
    let (start, bar) = (Instant::now(), bar(pairs.len()));
    let grades = workers::map(&pairs, workers, |pair| {
        let grade = math::grade_texts(&pair.gold, &pair.answer, options);
        bar.inc(1);
        grade
    });
    bar.finish_and_clear();
    let of = |verdict: MathVerdict| grades.iter().filter(|grade| grade.verdict == verdict).count();
    let (n, seconds) = (pairs.len(), start.elapsed().as_secs_f64());
    let summary = format!(
        "{} pairs in {seconds:.2} s: {} correct, {} wrong, {} undecided\n",
        count(n),
        count(of(MathVerdict::Correct)),
        count(of(MathVerdict::Wrong)),
        count(of(MathVerdict::Undecided))
    );
    let line = |(pair, grade): (Pair, Grade)| {
        let mut row = pair.row;
        row.insert("verdict".to_owned(), word(grade.verdict).into());
        row.insert("reason".to_owned(), grade.reason.to_string().into());
        if explain {
            let read: Value = json!({"gold": grade.gold, "answer": grade.answer});
            row.insert("read".to_owned(), read);
        }
        row
    };
    Judged { lines: pairs.into_iter().zip(grades).map(line).collect(), summary }
}

fn word(verdict: MathVerdict) -> &'static str {
    match verdict {
        MathVerdict::Correct => "correct",
        MathVerdict::Wrong => "wrong",
        MathVerdict::Undecided => "undecided",
    }
}
