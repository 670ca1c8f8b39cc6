//! What a step measured: one ordered list of numbers for console, `metrics.jsonl`, TensorBoard.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use serde_json::{Map, Value};

use crate::append_file::AppendFile;
use crate::durable::{At, DiskError};
use crate::tensorboard::EventWriter;

/// The log's file name inside a run folder.
pub const METRICS: &str = "metrics.jsonl";

/// Numbers under their keys, in the order they were set.
///
/// Keys that start with `perf/` depend on the machine; all others repeat bit for bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepMetrics(Vec<(String, f64)>);

impl StepMetrics {
    /// No numbers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a number; a key that is there already keeps its place.
    pub fn set(&mut self, key: impl Into<String>, number: f64) {
        let key = key.into();
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = number,
            None => self.0.push((key, number)),
        }
    }

    /// The number under a key.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, number)| *number)
    }

    /// All numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(key, number)| (key.as_str(), *number))
    }

    /// One line of `metrics.jsonl`; a number JSON has no word for (NaN, infinity) is `null`.
    pub fn json(&self, step: u64) -> String {
        let mut line = Map::new();
        line.insert("step".into(), step.into());
        line.extend(self.iter().map(|(key, number)| (key.to_owned(), Value::from(number))));
        Value::Object(line).to_string()
    }

    /// The console's line for a training step; numbers that are not set are left out.
    pub fn console(&self, step: u64, steps: u64, colour: bool) -> String {
        let width = steps.to_string().len();
        let mut line = format!("step {step:>width$}/{steps}");
        for (key, label, format) in CONSOLE {
            let Some(number) = self.get(key) else { continue };
            if key == "loss" && self.get("reward").is_some() {
                // A policy-gradient loss says nothing about progress; its file has it.
                continue;
            }
            line.push_str("  ");
            if !label.is_empty() {
                // Dim labels let the numbers stand out; writing to a String cannot fail.
                let _ = match colour {
                    true => write!(line, "\x1b[2m{label}\x1b[0m "),
                    false => write!(line, "{label} "),
                };
            }
            line.push_str(&format(number));
        }
        line
    }
}

type Format = fn(f64) -> String;

/// Key, label and number format, in the console's fixed order.
const CONSOLE: [(&str, &str, Format); 13] = [
    ("loss", "loss", |n| format!("{n:.4}")),
    ("reward", "reward", |n| format!("{n:.3}")),
    ("accuracy", "accuracy", |n| format!("{n:.2}")),
    ("format", "format", |n| format!("{n:.2}")),
    ("len", "len", |n| format!("{n:.0}")),
    ("cut", "cut", |n| format!("{:.0}%", 100.0 * n)),
    ("kl", "kl", |n| format!("{n:.4}")),
    ("clip", "clip", |n| format!("{:.1}%", 100.0 * n)),
    ("entropy", "entropy", |n| format!("{n:.2}")),
    ("grad", "grad", |n| format!("{n:.2}")),
    ("lr", "lr", |n| format!("{n:.1e}")),
    ("perf/seconds", "", |n| format!("{n:.2}s")),
    ("perf/tokens_per_second", "", |n| match n < 1000.0 {
        true => format!("{n:.0} tok/s"),
        false => format!("{:.1}k tok/s", n / 1000.0),
    }),
];

/// Whether standard output takes colour: a terminal, and `NO_COLOR` unset or empty.
pub fn colour() -> bool {
    wants_colour(std::env::var_os("NO_COLOR").as_deref(), io::stdout().is_terminal())
}

fn wants_colour(no_color: Option<&std::ffi::OsStr>, terminal: bool) -> bool {
    terminal && no_color.is_none_or(|value| value.is_empty())
}

/// Appends each step to `metrics.jsonl` and, under the same keys, to TensorBoard.
#[derive(Debug)]
pub struct MetricsLog {
    file: AppendFile,
    events: EventWriter,
}

impl MetricsLog {
    /// Starts the logs of a new run.
    pub fn create(run: &Path) -> Result<Self, DiskError> {
        Self::resume(run, 0, 1)
    }

    /// Goes on at `next_step`: what the log holds past `length` bytes, the [`Self::length`]
    /// that the checkpoint recorded, belongs to steps that will be taken again and is cut off.
    pub fn resume(run: &Path, length: u64, next_step: u64) -> Result<Self, DiskError> {
        let file = AppendFile::resume(run.join(METRICS), length)?;
        let events = EventWriter::create(&run.join("tensorboard"), next_step)?;
        Ok(Self { file, events })
    }

    /// Appends one step.
    pub fn append(&mut self, step: u64, metrics: &StepMetrics) -> Result<(), DiskError> {
        self.file.append((metrics.json(step) + "\n").as_bytes())?;
        self.events.scalars(step, metrics.iter())
    }

    /// The event file, for texts.
    pub fn events(&mut self) -> &mut EventWriter {
        &mut self.events
    }

    /// Length of `metrics.jsonl` in bytes, flushed or not.
    pub fn written(&self) -> u64 {
        self.file.length()
    }

    /// Flushes `metrics.jsonl` to disk and gives its length, for a checkpoint to record.
    pub fn length(&self) -> Result<u64, DiskError> {
        self.file.synced_length()
    }
}

/// The step of the last whole line of a run's `metrics.jsonl`; `None` where there is none.
pub fn last_step(run: &Path) -> Result<Option<u64>, DiskError> {
    let path = run.join(METRICS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.at("read", &path)?,
    };
    let step = |line: &str| serde_json::from_str::<Value>(line).ok()?["step"].as_u64();
    Ok(text.lines().rev().find_map(step))
}

#[cfg(test)]
mod tests;
