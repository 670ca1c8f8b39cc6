//! `report.html`: a run on one page that works from disk.
//!
//! Made from `metrics.jsonl`, `samples.jsonl`, `config.toml` and `run.log`, whatever of them is there: a run that goes
//! on, has just begun or was killed has a page too. The page is one file below 2 MB, asks no network (its own policy
//! forbids it), and treats every text of the run as text: completions are written by a model.

mod charts;
mod columns;
mod reading;
mod summary;
mod timing;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use toml::{Table, Value};

use crate::durable;
use crate::metrics::METRICS;
use crate::mistake::Mistake;
use crate::samples::SAMPLES;
use crate::step_log::RUN_LOG;
use charts::{Chart, charts};
use columns::Columns;
use reading::{Reading, shown};
use summary::{Change, Fact, State, changes, facts, number, seconds, share};
use timing::{Timing, timing};

/// The page's file name inside a run folder.
pub const REPORT: &str = "report.html";
/// The resolved configuration's file name inside a run folder.
const CONFIG: &str = "config.toml";
const CONFIG_CHARS: usize = 60_000;

/// Writes `report.html` into a run's folder and gives its path.
pub fn write(run: &Path) -> Result<PathBuf> {
    let html = page(run).with_context(|| format!("report run `{}`", run.display()))?;
    let path = run.join(REPORT);
    durable::write_file(&path, html.as_bytes())?;
    Ok(path)
}

fn page(run: &Path) -> Result<String> {
    if ![METRICS, CONFIG, SAMPLES].iter().any(|name| run.join(name).is_file()) {
        let message = format!("no `{METRICS}`, `{CONFIG}` or `{SAMPLES}` there");
        bail!(Mistake::new(message).hint("a run's folder is `runs/<name>/<n>`"));
    }
    let config_text = text(&run.join(CONFIG))?;
    // A file that no longer parses is shown as it is.
    let config: Table = config_text.parse().unwrap_or_default();
    let columns = Columns::read(&run.join(METRICS))?;
    let reading = Reading::read(&run.join(SAMPLES))?;
    let (charts, more) = charts(&columns, &rules(&config));

    let state = State::of(run, &config, &columns);
    let page = Page {
        title: shown(&title(run, &config), 200),
        header: shown(text(&run.join(RUN_LOG))?.lines().next().unwrap_or_default(), 500),
        facts: facts(&config, &columns, &state),
        state,
        changes: changes(&columns),
        timing: timing(&columns),
        charts: headings(&charts, 0, |chart| !chart.is_timing()),
        timing_charts: headings(&charts, 0, Chart::is_timing),
        more: headings(&more, charts.len(), |_| true),
        data: Data { charts: charts.into_iter().chain(more).collect() },
        reading,
        config: shown(&config_text, CONFIG_CHARS),
        css: include_str!("report/page.css"),
        js: include_str!("report/page.js"),
    };
    Ok(environment()?.get_template(REPORT)?.render(Serde(page))?)
}

/// What the template reads.
#[derive(Serialize)]
struct Page {
    title: String,
    header: String,
    state: State,
    facts: Vec<Fact>,
    changes: Vec<Change>,
    charts: Vec<Heading>,
    timing: Option<Timing>,
    timing_charts: Vec<Heading>,
    more: Vec<Heading>,
    data: Data,
    reading: Reading,
    config: String,
    css: &'static str,
    js: &'static str,
}

/// What the page's script reads.
#[derive(Serialize)]
struct Data {
    charts: Vec<Chart>,
}

/// Title and note of a plot with its place in [`Data::charts`].
#[derive(Serialize)]
struct Heading {
    n: usize,
    title: String,
    note: &'static str,
}

/// Of those that are wanted; `first` is the place of the first of all.
fn headings(charts: &[Chart], first: usize, wanted: impl Fn(&Chart) -> bool) -> Vec<Heading> {
    let heading = |(i, chart): (usize, &Chart)| Heading { n: first + i, title: chart.title.clone(), note: chart.note };
    charts.iter().enumerate().filter(|(_, chart)| wanted(chart)).map(heading).collect()
}

fn environment() -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("number", number);
    environment.add_filter("seconds", seconds);
    environment.add_filter("share", share);
    environment.add_template(REPORT, include_str!("report/page.html"))?;
    Ok(environment)
}

/// A file's text; none where there is no file.
fn text(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("read `{}`", path.display())),
    }
}

/// `runs/<name>/<n>` → `<name> / <n>`.
fn title(run: &Path, config: &Table) -> String {
    let run = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
    let part = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let number = part(Some(&run)).unwrap_or_default();
    let name = config.get("name").and_then(Value::as_str).map(str::to_owned).or_else(|| part(run.parent()));
    name.map_or_else(|| number.clone(), |name| format!("{name} / {number}"))
}

/// Names of the run's rules, for keys that hold a rule's mean.
fn rules(config: &Table) -> Vec<String> {
    let rules = config.get("rewards").and_then(Value::as_array).into_iter().flatten();
    let mut rules: Vec<String> = rules.filter_map(Value::as_table).flat_map(|rule| rule.keys().cloned()).collect();
    rules.extend(["format", "countdown", "soft_overlong", "length_k15"].map(String::from));
    let mut seen = std::collections::BTreeSet::new();
    rules.retain(|rule| seen.insert(rule.clone()));
    rules
}

#[cfg(test)]
mod tests;
