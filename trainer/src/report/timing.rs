//! `Timing`: where a step's time goes.

use serde::Serialize;

use super::columns::{Column, Columns};
use super::summary::{Fact, median, number, share};
use crate::step_log::{BESIDE, PHASES};

/// What is left of a step when its phases are taken away.
const OTHER: &str = "other";

/// The numbers of the section.
#[derive(Debug, Serialize)]
pub(super) struct Timing {
    rows: Vec<Row>,
    facts: Vec<Fact>,
}

/// One phase.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    note: &'static str,
    /// Steps that had it.
    steps: usize,
    /// Of those steps, in seconds.
    median: f64,
    /// Of the time of all steps, evaluations and checkpoints included: 0 to 1.
    share: f64,
}

/// The phases that a run had, in their order, without what is left.
pub(super) fn phases(columns: &Columns) -> impl Iterator<Item = &'static str> {
    PHASES.into_iter().filter(|phase| columns.keys.contains_key(&key(phase)))
}

fn key(phase: &str) -> String {
    format!("perf/seconds/{phase}")
}

/// Nothing where no step was timed.
pub(super) fn timing(columns: &Columns) -> Option<Timing> {
    let steps = columns.get("perf/seconds");
    let beside: f64 = BESIDE.iter().map(|phase| columns.sum(&key(phase))).sum();
    let total = columns.sum("perf/seconds") + beside;
    if total <= 0.0 {
        return None;
    }
    let own: Vec<String> = phases(columns).filter(|phase| !BESIDE.contains(phase)).map(key).collect();
    let left = |(step, seconds): &(u64, f64)| (*step, (seconds - seconds_at(columns, &own, *step)).max(0.0));
    let left: Column = steps.iter().map(left).collect();
    let row = |phase: &'static str, column: &[(u64, f64)]| {
        let seconds = || column.iter().map(|(_, seconds)| *seconds).filter(|seconds| seconds.is_finite());
        let (name, note) = words(phase);
        let share = seconds().sum::<f64>() / total;
        Row { name, note, steps: seconds().count(), median: median(column).unwrap_or(0.0), share }
    };
    let mut rows: Vec<Row> = phases(columns).map(|phase| row(phase, columns.get(&key(phase)))).collect();
    rows.push(row(OTHER, &left));
    Some(Timing { rows, facts: facts(columns) })
}

/// What a phase is called on the page, and what it is.
fn words(phase: &str) -> (&'static str, &'static str) {
    match phase {
        "sample" => ("sampling", "replicas prefill and decode; rules score beside them"),
        "score" => ("scoring, exposed", "what is scored after the last completion"),
        "reference" => ("reference", "log-probabilities of the reference, and its refresh"),
        "update" => ("update", "forward and backward of all microbatches"),
        "optimizer" => ("optimizer", "the gradient's norm, the move, the copy that products read"),
        "eval" => ("evaluation", "sampling and judging held-out problems"),
        "save" => ("checkpoint", "written, synced and checked"),
        _ => (OTHER, "advantages, packing, logs"),
    }
}

/// The seconds that a step had in all of `phases` together.
fn seconds_at(columns: &Columns, phases: &[String], step: u64) -> f64 {
    let of = |key: &String| {
        let column = columns.get(key);
        column.binary_search_by_key(&step, |(at, _)| *at).map_or(0.0, |place| column[place].1)
    };
    phases.iter().map(of).sum()
}

/// Rates, and what scoring cost.
fn facts(columns: &Columns) -> Vec<Fact> {
    let rate = |phases: &[&str]| {
        let keys: Vec<String> = phases.iter().map(|phase| key(phase)).collect();
        let rates = columns.get("tokens").iter().map(|(step, n)| (*step, n / seconds_at(columns, &keys, *step)));
        median(&rates.collect::<Column>()).map(number)
    };
    let hidden = median(columns.get("perf/score_hidden")).map(share);
    let all = [
        ("Tokens a second, sampled", rate(&["sample"])),
        ("Tokens a second, trained", rate(&["reference", "update", "optimizer"])),
        ("Tokens a second, of the whole step", median(columns.get("perf/tokens_per_second")).map(number)),
        ("Scoring hidden behind sampling", hidden),
    ];
    all.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}
