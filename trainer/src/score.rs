//! `grouper score`: the lines of a file, judged. By a rubric, as pairs of answers, or as programs with tests.

mod answers;
mod completions;
mod programs;
mod stopwatch;
mod summary;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rewards::math::MathOptions;
use serde_json::{Map, Value};

use crate::cli::ScoreArgs;
use crate::data;
use crate::durable;
use crate::mistake::Mistake;

/// A line of input or output.
type Row = Map<String, Value>;

/// Lines in, lines out.
#[derive(Debug)]
struct Judged {
    /// The input's lines in their order, with what was found added to each.
    lines: Vec<Row>,
    /// What a person reads at the end.
    summary: String,
}

/// Reads every line, judges them on all threads, and writes them in their order. Where no output file is named the lines
/// go to standard output, and the summary to standard error.
///
/// # Errors
/// For a line that is not as it should be, with its place and key, before anything is judged; for a rubric that cannot be
/// used.
pub fn run(arguments: &ScoreArgs, quiet: bool) -> Result<()> {
    let path = &arguments.input;
    let reading = || format!("read `{}`", path.display());
    let rows = || data::rows(path).map_err(|error| Mistake::new(format!("{error:#}"))).with_context(reading);
    let bar = |n: usize| if quiet { ProgressBar::hidden() } else { progress(n as u64) };
    let workers = arguments.workers.map_or_else(model::team::cores, Into::into);
    let judged = if let Some(rubric) = &arguments.rubric {
        let lines = completions::read(rows()?).with_context(reading)?;
        completions::Judge::open(rubric, arguments.tokenizer.as_deref())?.judge(lines, workers, &bar)
    } else if arguments.code {
        let text = fs::read(path).map_err(anyhow::Error::new).and_then(data::text);
        let text = text.map_err(|error| Mistake::new(format!("{error:#}"))).with_context(reading)?;
        programs::judge(programs::read(&text).with_context(reading)?, workers, &bar)?
    } else {
        let options = if arguments.lenient { MathOptions::lenient() } else { MathOptions::default() };
        let pairs = answers::read(rows()?).with_context(reading)?;
        answers::judge(pairs, &options, arguments.explain, workers, &bar)
    };
    write(&judged, arguments.output.as_deref(), quiet)
}

/// A bar for `n` things on standard error; invisible without a terminal.
fn progress(n: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("scored {bar:24} {pos}/{len}  {elapsed}").expect("a sound template");
    ProgressBar::new(n).with_style(style)
}

fn write(judged: &Judged, output: Option<&Path>, quiet: bool) -> Result<()> {
    let mut text = Vec::new();
    for line in &judged.lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let summary = if quiet { "" } else { &judged.summary };
    match output {
        Some(path) => {
            durable::write_file(path, &text)?;
            io::stdout().write_all(summary.as_bytes()).context("write to standard output")
        }
        None => {
            io::stdout().write_all(&text).context("write to standard output")?;
            io::stderr().write_all(summary.as_bytes()).context("write to standard error")
        }
    }
}

/// The value of `key`, which a line must have.
fn required<'a>(row: &'a Row, place: &str, key: &str, hint: &str) -> Result<&'a Value, Mistake> {
    row.get(key).ok_or_else(|| Mistake::new(format!("{place}: `{key}` is missing")).hint(hint))
}

/// The text of a value that is a string or a number.
fn text(value: &Value, place: &str, key: &str) -> Result<String, Mistake> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Mistake::new(format!("{place}: `{key}` is {}, and must be a text or a number", kind(other)))),
    }
}

/// What a JSON value is, for an error.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
