//! The numbers at the top of the page: how far the run is, what it took, what it changed.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use super::charts::is_share_solved;
use super::columns::Columns;
use super::reading::shown;

/// How far a run is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct State {
    /// The last step taken; none before the first.
    step: Option<u64>,
    /// The steps it is to take, where the configuration says so.
    steps: Option<u64>,
    finished: bool,
}

impl State {
    pub(super) fn of(run: &Path, config: &Table, columns: &Columns) -> Self {
        let steps = |stage: &str| config.get(stage)?.get("steps")?.as_integer().and_then(|n| u64::try_from(n).ok());
        let steps = steps("grpo").or_else(|| steps("sft"));
        let step = columns.last_step.filter(|step| *step > 0);
        let all = step.is_some() && steps.is_none_or(|steps| step >= Some(steps));
        State { step, steps, finished: all && run.join("final").is_dir() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// The numbers at the top of the page.
pub(super) fn facts(config: &Table, columns: &Columns, state: &State) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| Fact { name, value }));
    let step = state.step.map_or("none yet".to_owned(), |step| step.to_string());
    fact("Steps", Some(state.steps.map_or(step.clone(), |steps| format!("{step} of {steps}"))));
    let seconds = ["perf/seconds", "perf/seconds/eval", "perf/seconds/save"].map(|key| columns.sum(key)).iter().sum();
    fact("Time", (seconds > 0.0).then(|| duration(seconds)));
    let tokens = columns.sum("tokens");
    fact("Tokens", (tokens > 0.0).then(|| number(tokens)));
    fact("Tokens a second", median(columns.get("perf/tokens_per_second")).map(number));
    let mismatch = columns.get("mismatch_max").iter().map(|(_, number)| *number).fold(f64::NAN, f64::max);
    fact(
        "Largest mismatch",
        (!mismatch.is_nan()).then(|| if mismatch == 0.0 { "0, exact".into() } else { number(mismatch) }),
    );
    let skipped = columns.sum("skipped_updates");
    fact("Skipped updates", (skipped > 0.0).then(|| number(skipped)));
    fact("Seed", config.get("seed").map(|seed| shown(&seed.to_string(), 40)));
    let policy = config.get("model").and_then(|model| model.get("checkpoint")).and_then(Value::as_str);
    fact("Started from", policy.map(|policy| shown(policy, 100)));
    facts
}

/// The median of a key's numbers.
pub(super) fn median(column: &[(u64, f64)]) -> Option<f64> {
    let mut numbers: Vec<f64> = column.iter().map(|(_, number)| *number).filter(|number| number.is_finite()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

/// A row of the table of before and after.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    key: String,
    before: f64,
    after: f64,
    /// The steps of the two.
    when: String,
    /// Better, worse, or neither: `up`, `down`, or empty.
    verdict: &'static str,
}

/// Evaluations at their first and last step; then training numbers, as means over the first and last tenth.
pub(super) fn changes(columns: &Columns) -> Vec<Change> {
    const ROWS: usize = 40;
    let verdict = |better: f64| match better {
        _ if better > 0.0 => "up",
        _ if better < 0.0 => "down",
        _ => "",
    };
    let mut rows = Vec::new();
    for (key, column) in columns.keys.iter().filter(|(key, _)| key.starts_with("eval/")) {
        let known = || column.iter().filter(|(_, number)| number.is_finite());
        let (Some(first), Some(last)) = (known().next(), known().next_back()) else { continue };
        if first.0 < last.0 {
            let better = if is_share_solved(key) { last.1 - first.1 } else { 0.0 };
            let when = format!("steps {} and {}", first.0, last.0);
            rows.push(Change { key: shown(key, 100), before: first.1, after: last.1, when, verdict: verdict(better) });
        }
    }
    rows.sort_by_key(|row| !is_share_solved(&row.key));
    for (key, sign) in
        [("reward", 1.0), ("accuracy", 1.0), ("format", 1.0), ("loss", -1.0), ("len", 0.0), ("entropy", 0.0)]
    {
        // A policy-gradient loss says nothing about progress.
        if key == "loss" && columns.keys.contains_key("reward") {
            continue;
        }
        let numbers: Vec<f64> = columns.get(key).iter().map(|(_, n)| *n).filter(|n| n.is_finite()).collect();
        let n = (numbers.len() / 10).clamp(1, 50);
        if numbers.len() < 2 * n {
            continue;
        }
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / n as f64;
        let (before, after) = (mean(&numbers[..n]), mean(&numbers[numbers.len() - n..]));
        let when = if n == 1 { "first and last step".into() } else { format!("means of the first and last {n} steps") };
        rows.push(Change { key: key.into(), before, after, when, verdict: verdict(sign * (after - before)) });
    }
    rows.truncate(ROWS);
    rows
}

/// `0.36`, `1234`, `5.1M`, `1.0e-6`.
pub(super) fn number(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => "–".into(),
        size if size >= 1e9 => format!("{:.2}G", number / 1e9),
        size if size >= 1e6 => format!("{:.2}M", number / 1e6),
        size if size >= 1e4 => format!("{:.1}k", number / 1e3),
        size if size >= 100.0 || number == number.trunc() => format!("{number:.0}"),
        size if size >= 1e-3 => format!("{:.digits$}", number, digits = if size < 1.0 { 3 } else { 2 }),
        _ => format!("{number:.1e}"),
    }
}

/// `0.25 ms`, `42 ms`, `1.85 s`, `1 min 12 s`.
pub(super) fn seconds(seconds: f64) -> String {
    let three = |number: f64| match number {
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    match seconds {
        ..0.9995 => format!("{} ms", three(1e3 * seconds)),
        ..60.0 => format!("{} s", three(seconds)),
        _ => duration(seconds),
    }
}

/// `41.2%`.
pub(super) fn share(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// `42 s`, `3 min 5 s`, `2 h 7 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}
