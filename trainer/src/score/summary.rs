//! [`Summary`]: what a rubric made of a file, in a table.

use std::time::Duration;

use rewards::{Lack, Part, Score};

/// What is known beside the scores.
pub(super) struct Summary<'a> {
    pub(super) groups: usize,
    pub(super) seconds: f64,
    pub(super) workers: usize,
    /// Whether lengths in tokens are estimates.
    pub(super) estimated: bool,
    /// The rules' names, and the time that all threads spent in each.
    pub(super) spent: Vec<(&'a str, Duration)>,
}

/// Mean and spread of numbers.
struct Spread {
    mean: f64,
    sd: f64,
}

fn spread(values: &[f64]) -> Option<Spread> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (!values.is_empty()).then(|| Spread { mean, sd: variance.sqrt() })
}

impl Summary<'_> {
    /// A line on the totals, and one for each rule.
    pub(super) fn of(&self, scores: &[Score]) -> String {
        let totals: Vec<f64> = scores.iter().filter_map(|score| score.total).collect();
        let mean =
            spread(&totals).map_or_else(String::new, |of| format!(", mean total {:.3} (sd {:.3})", of.mean, of.sd));
        let without = scores.len() - totals.len();
        let excluded = if without > 0 { format!(", {} without a total", count(without)) } else { String::new() };
        let mut text = format!(
            "{} completions in {} groups, {:.2} s on {} threads{mean}{excluded}\n",
            count(scores.len()),
            count(self.groups),
            self.seconds,
            self.workers
        );
        if self.estimated {
            text +=
                "lengths are estimates, a token for every four bytes: name a `--tokenizer`, or give lines `n_tokens`\n";
        }
        let head = ["rule", "values", "mean", "sd", "lowest", "highest", "undecided", "failed", "µs each"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.spent.iter().map(|&(rule, spent)| line(rule, spent, scores)));
        text + &table(&rows)
    }
}

/// A rule's cells.
fn line(rule: &str, spent: Duration, scores: &[Score]) -> [String; 9] {
    let parts: Vec<&Part> = scores.iter().flat_map(|score| &score.parts).filter(|part| part.rule == rule).collect();
    let values: Vec<f64> = parts.iter().filter_map(|part| part.value).collect();
    let lacking = |lack| count(parts.iter().filter(|part| part.lack == Some(lack)).count());
    let at = |bound: f64| {
        let share = values.iter().filter(|value| **value == bound).count() as f64 / values.len() as f64;
        if values.is_empty() { "–".to_owned() } else { format!("{} ({:.0} %)", short(bound), 100.0 * share) }
    };
    let (mean, sd) = spread(&values).map_or(("–".to_owned(), "–".to_owned()), |of| (short(of.mean), short(of.sd)));
    [
        rule.to_owned(),
        count(values.len()),
        mean,
        sd,
        at(values.iter().copied().fold(f64::INFINITY, f64::min)),
        at(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        lacking(Lack::Undecided),
        lacking(Lack::Failed),
        format!("{:.1}", 1e6 * spent.as_secs_f64() / parts.len().max(1) as f64),
    ]
}

/// Up to three decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with its thousands apart.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let apart = digits.bytes().enumerate().flat_map(|(i, digit)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([char::from(digit)])
    });
    apart.collect()
}

/// Columns one under the other, the first to the left and the others to the right.
fn table(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..9).map(width).collect();
    let cell = |(column, text): (usize, &String)| match column {
        0 => format!("{text:<0$}", widths[0]),
        _ => format!("  {text:>0$}", widths[column]),
    };
    rows.iter().map(|row| row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned() + "\n").collect()
}
