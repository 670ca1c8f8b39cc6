//! `Chart`: which numbers are drawn together, under which title.

use serde::{Serialize, Serializer};

use super::columns::{Column, Columns, stretches, thin, trend};
use super::reading::shown;
use super::timing::phases;
use crate::step_log::BESIDE;

/// Points of all plots together; each takes 12 to 16 bytes of the page.
const POINTS: usize = 60_000;
/// Points of one line at most.
const POINTS_A_LINE: usize = 1500;
const POINTS_A_TREND: usize = 200;
/// Lines of the page at most: for runs with keys by the hundred.
const LINES: usize = 80;

/// One plot.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) note: &'static str,
    /// How numbers are written: `number`, `share`, `tokens`, `nats`, `seconds`.
    unit: &'static str,
    /// Whether the vertical axis is 0 to 1.
    whole: bool,
    /// Whether layers lie on one another.
    stack: bool,
    pub(super) lines: Vec<Line>,
}

/// One line of a plot, or one layer of a stack.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) key: String,
    #[serde(serialize_with = "steps")]
    x: Column,
    #[serde(rename = "y", serialize_with = "numbers")]
    y: Column,
    #[serde(rename = "tx", serialize_with = "steps")]
    trend_x: Column,
    #[serde(rename = "ty", serialize_with = "numbers")]
    trend_y: Column,
}

fn steps<S: Serializer>(column: &Column, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(column.iter().map(|(step, _)| step))
}

/// Five significant digits: more than a plot can show, and half the bytes.
fn numbers<S: Serializer>(column: &Column, to: S) -> Result<S::Ok, S::Error> {
    let short = |number: f64| {
        let short = format!("{number:.4e}").parse().unwrap_or(number);
        // A whole number is written without its `.0`.
        match short == f64::trunc(short) && f64::abs(short) < 1e15 {
            true => serde_json::Value::from(short as i64),
            false => serde_json::Value::from(short),
        }
    };
    to.collect_seq(column.iter().map(|(_, number)| number.is_finite().then(|| short(*number))))
}

struct Wanted {
    title: &'static str,
    note: &'static str,
    unit: &'static str,
    whole: bool,
    keys: &'static [&'static str],
}

const fn wanted(
    title: &'static str,
    unit: &'static str,
    whole: bool,
    keys: &'static [&'static str],
    note: &'static str,
) -> Wanted {
    Wanted { title, note, unit, whole, keys }
}

const RULES: &str = "Accuracy and other rules";
const LOAD: &str = "Expert load";
const HELD_OUT: &str = "Held-out problems";
const TIME: &str = "Time by phase";
const SPEED: &str = "Speed";

/// In the order of the page. Rules, evaluations and phases find their keys in the run.
const WANTED: &[Wanted] = &[
    wanted("Reward", "number", false, &["reward"], "mean over the completions of a step"),
    wanted(RULES, "number", true, &["accuracy"], "mean of each rule, before its weight"),
    wanted("Loss", "number", false, &["loss"], "what the optimizer minimises"),
    wanted(HELD_OUT, "share", true, &[], "share solved: pass@1 at one try, pass@k within k"),
    wanted("Length", "tokens", false, &["len", "len_max"], "tokens of a completion, mean and longest"),
    wanted("Cut", "share", false, &["cut"], "share of completions that met the token limit"),
    wanted("KL", "nats", false, &["kl"], "policy to reference, per token"),
    wanted("Entropy", "nats", false, &["entropy"], "of the policy's next token"),
    wanted("Clip share", "share", false, &["clip"], "share of tokens whose ratio was clipped"),
    wanted("Gradient norm", "number", false, &["grad"], "before clipping"),
    wanted("Mismatch", "nats", false, &["mismatch_max"], "largest difference of sampler and trainer; 0 is exact"),
    wanted(
        LOAD,
        "number",
        false,
        &["router/max_violation"],
        "busiest expert over the mean, less 1, by block; 0 is even",
    ),
    wanted("Idle experts", "share", true, &["router/idle"], "share of experts that no token of an update went to"),
    wanted("Router bias", "number", false, &["router/bias_max"], "largest correction bias"),
    wanted(
        "Losses on routers",
        "number",
        false,
        &["router/sequence_balance", "router/aux_loss", "router/z_loss"],
        "with their factors, beside the loss",
    ),
    wanted("Learning rate", "number", false, &["lr"], "at the step's last update"),
    wanted(TIME, "seconds", false, &[], "seconds of a step, layer on layer"),
    wanted(SPEED, "number", false, &["perf/tokens_per_second"], "tokens of a step ÷ its seconds"),
    wanted(
        "Groups",
        "number",
        false,
        &["groups_all_right", "groups_all_wrong", "groups_skipped"],
        "groups of a step that teach nothing",
    ),
];

/// The plots of a run, most important first, and one for each key that none of them shows.
pub(super) fn charts(columns: &Columns, rules: &[String]) -> (Vec<Chart>, Vec<Chart>) {
    let mut seen: Vec<String> = Vec::new();
    let mut main = Vec::new();
    let mut chosen: Vec<(&Wanted, Vec<String>)> = Vec::new();
    for wanted in WANTED {
        let mut keys: Vec<String> = wanted.keys.iter().map(|key| key.to_string()).collect();
        match wanted.title {
            RULES => keys.extend(rules.iter().filter(|rule| *rule != "accuracy").cloned()),
            LOAD => keys.extend(columns.keys.keys().filter(|key| key.starts_with("router/max_violation/")).cloned()),
            HELD_OUT => keys.extend(columns.keys.keys().filter(|key| is_share_solved(key)).cloned()),
            TIME => keys.extend(phases(columns).map(|phase| format!("perf/seconds/{phase}"))),
            _ => {}
        }
        keys.retain(|key| columns.keys.contains_key(key) && !seen.contains(key));
        keys.truncate(LINES - seen.len());
        seen.extend(keys.iter().cloned());
        if !keys.is_empty() {
            chosen.push((wanted, keys));
        }
    }
    let rest: Vec<&String> = columns.keys.keys().filter(|key| !seen.contains(key)).collect();
    let n_lines = (seen.len() + rest.len()).clamp(1, LINES);
    let limit = (POINTS / n_lines).min(POINTS_A_LINE + POINTS_A_TREND);
    let room = LINES - seen.len();

    for (wanted, keys) in chosen {
        let stack = wanted.title == TIME;
        let lines = match stack {
            true => layers(columns, &keys),
            false => keys.iter().map(|key| Line::new(key, columns, limit)).collect(),
        };
        // A rule may give less than 0 or more than 1.
        let within = |line: &Line| line.y.iter().all(|(_, number)| !(*number < 0.0 || *number > 1.0));
        let whole = wanted.whole && lines.iter().all(within);
        let title = wanted.title.to_owned();
        main.push(Chart { title, note: wanted.note, unit: wanted.unit, whole, stack, lines });
    }
    let rest = rest.into_iter().take(room).map(|key| Chart {
        title: shown(key, 100),
        note: "",
        unit: if key.starts_with("perf/seconds") { "seconds" } else { "number" },
        whole: false,
        stack: false,
        lines: vec![Line::new(key, columns, limit)],
    });
    (main, rest.collect())
}

impl Chart {
    /// Whether it belongs to the section on timing.
    pub(super) fn is_timing(&self) -> bool {
        [TIME, SPEED].contains(&self.title.as_str())
    }
}

/// Whether a key is `eval/…/pass@k` or `eval/…/maj@k`.
pub(super) fn is_share_solved(key: &str) -> bool {
    let name = key.strip_prefix("eval/").map(|key| key.rsplit('/').next().unwrap_or(key));
    name.is_some_and(|name| name.starts_with("pass@") || name.starts_with("maj@"))
}

impl Line {
    fn new(key: &str, columns: &Columns, limit: usize) -> Self {
        let column = columns.get(key);
        let trend = trend(column, POINTS_A_TREND.min(limit / 4));
        let points = thin(column, limit - trend.len());
        Self { key: shown(key, 100), x: points.clone(), y: points, trend_x: trend.clone(), trend_y: trend }
    }
}

/// Time by phase as layers over the same steps, each point the mean of a stretch of steps; a phase that a step did not
/// have took no time. The last layer is the rest of `perf/seconds`.
fn layers(columns: &Columns, keys: &[String]) -> Vec<Line> {
    const STRETCHES: usize = 250;
    let total = columns.get("perf/seconds");
    let at = |key: &str, range: &std::ops::Range<usize>| {
        let (first, last) = (total[range.start].0, total[range.end - 1].0);
        let column = columns.get(key);
        let (from, to) = (column.partition_point(|p| p.0 < first), column.partition_point(|p| p.0 <= last));
        column[from..to].iter().map(|p| p.1).filter(|n| n.is_finite()).sum::<f64>() / range.len() as f64
    };
    let ranges: Vec<_> = stretches(total.len(), STRETCHES).collect();
    let layer = |key: &str, seconds: &dyn Fn(&std::ops::Range<usize>) -> f64| {
        let points: Column = ranges.iter().map(|range| (total[range.end - 1].0, seconds(range))).collect();
        Line { key: key.to_owned(), x: points.clone(), y: points, trend_x: Vec::new(), trend_y: Vec::new() }
    };
    let mut lines: Vec<Line> = keys.iter().map(|key| layer(key, &|range| at(key, range))).collect();
    let own = |key: &&String| !BESIDE.iter().any(|phase| key.strip_prefix("perf/seconds/") == Some(phase));
    let rest = |range: &_| at("perf/seconds", range) - keys.iter().filter(own).map(|key| at(key, range)).sum::<f64>();
    lines.push(layer("other", &|range| rest(range).max(0.0)));
    lines
}
