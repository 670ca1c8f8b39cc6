//! `StepLog`: the one object a training loop logs into.
//!
//! It owns all that a person sees of a run: console lines, `run.log`, `metrics.jsonl`, TensorBoard, `samples.jsonl`
//! and the clock. A number has one key in all of them; docs/metrics.md lists the keys.

mod console;
mod spans;

use std::io;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use console::{Progress, RUN_LOG, Verbosity};
pub use spans::{BESIDE, PHASES, Span};

use crate::append_file::AppendFile;
use crate::durable::{At, DiskError};
use crate::eval::Evaluation;
use crate::metrics::{MetricsLog, StepMetrics};
use crate::samples::{SAMPLES, SampleRecord};
use console::Console;
use spans::Spans;

/// Byte lengths of the files that a resumed run goes on with; a checkpoint records them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// Of `metrics.jsonl`.
    pub metrics: u64,
    /// Of `samples.jsonl`.
    pub samples: u64,
}

/// Collects the numbers of a step and writes them everywhere at [`Self::finish`].
pub struct StepLog {
    steps: u64,
    numbers: StepMetrics,
    means: Vec<Mean>,
    metrics: MetricsLog,
    samples: AppendFile,
    console: Console,
    spans: Spans,
    since: Instant,
}

/// A weighted mean in the making.
struct Mean {
    key: String,
    sum: f64,
    weight: f64,
}

impl StepLog {
    /// Starts the logs of a new run of `steps` steps and prints its header, `<title> · <run>`.
    pub fn create(run: &Path, title: &str, steps: u64, verbosity: Verbosity) -> Result<Self, DiskError> {
        Self::resume(run, title, steps, verbosity, Lengths::default(), 1)
    }

    /// Goes on at `next_step` with the lengths its checkpoint recorded: what the files hold past them belongs to
    /// steps that will be taken again and is cut off. `run.log` keeps what was printed.
    pub fn resume(
        run: &Path,
        title: &str,
        steps: u64,
        verbosity: Verbosity,
        lengths: Lengths,
        next_step: u64,
    ) -> Result<Self, DiskError> {
        Self::open(run, title, steps, Console::open(run, verbosity)?, lengths, next_step)
    }

    fn open(
        run: &Path,
        title: &str,
        steps: u64,
        console: Console,
        lengths: Lengths,
        next_step: u64,
    ) -> Result<Self, DiskError> {
        let mut log = Self {
            steps,
            numbers: StepMetrics::new(),
            means: Vec::new(),
            metrics: MetricsLog::resume(run, lengths.metrics, next_step)?,
            samples: AppendFile::resume(run.join(SAMPLES), lengths.samples)?,
            console,
            spans: Spans::default(),
            since: Instant::now(),
        };
        log.line(&format!("{title} · {}", run.display()));
        log.console.failure()?;
        Ok(log)
    }

    /// Sets a number of this step.
    pub fn set(&mut self, key: &str, number: f64) {
        self.numbers.set(key, number);
    }

    /// Adds to a number of this step, 0 at first.
    pub fn add(&mut self, key: &str, number: f64) {
        self.numbers.set(key, self.numbers.get(key).unwrap_or(0.0) + number);
    }

    /// Raises a number of this step to `number` where it is less; NaN stays.
    pub fn max(&mut self, key: &str, number: f64) {
        match self.numbers.get(key) {
            Some(known) if known >= number || known.is_nan() => {}
            _ => self.numbers.set(key, number),
        }
    }

    /// Takes `number` into a mean of this step with a weight, such as a count of tokens.
    ///
    /// The order of calls is the order of summation: where workers run side by side, call this from one of them.
    pub fn mean(&mut self, key: &str, number: f64, weight: f64) {
        let place = self.means.iter().position(|mean| mean.key == key).unwrap_or_else(|| {
            self.means.push(Mean { key: key.to_owned(), sum: 0.0, weight: 0.0 });
            self.means.len() - 1
        });
        let mean = &mut self.means[place];
        mean.sum += number * weight;
        mean.weight += weight;
        if mean.weight != 0.0 {
            self.numbers.set(key, mean.sum / mean.weight);
        }
    }

    /// A number of this step so far.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.numbers.get(key)
    }

    /// Measures a phase of the step, one of [`PHASES`], until the guard is dropped. While a phase goes on inside another,
    /// its time is its own and not the other's.
    pub fn span(&self, phase: &'static str) -> Span {
        self.spans.start(phase)
    }

    /// Shows a progress bar on a terminal until the guard is dropped.
    pub fn progress(&mut self, label: &str, n: u64) -> Progress {
        self.console.progress(label, n)
    }

    /// Appends a completion to `samples.jsonl`.
    pub fn sample(&mut self, sample: &SampleRecord) -> Result<(), DiskError> {
        let line = serde_json::to_string(sample).map_err(io::Error::from).at("write", self.samples.path())?;
        self.samples.append((line + "\n").as_bytes())
    }

    /// Prints a line. Should `run.log` refuse it, [`Self::finish`] says so.
    pub fn line(&mut self, text: &str) {
        self.console.line(Verbosity::Normal, text, text);
    }

    /// Prints a line under `-v`.
    pub fn detail(&mut self, text: &str) {
        self.console.line(Verbosity::Verbose, text, text);
    }

    /// Prints a warning on standard error, also under `-q`.
    pub fn warn(&mut self, text: &str) {
        self.console.alert(&format!("warning: {text}"));
    }

    /// Leaves what came before the first step out of its time.
    pub fn begin_step(&mut self) {
        self.since = Instant::now();
    }

    /// Ends a step: its numbers go to `metrics.jsonl`, then TensorBoard, then the console.
    ///
    /// `perf/seconds` is the step's time without evaluation and checkpoints, which have keys of their own. A
    /// checkpoint is written after its step's line, so its time stands in the next one.
    pub fn finish(&mut self, step: u64) -> Result<(), DiskError> {
        let mut own = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        for (phase, time) in self.spans.take() {
            let seconds = time.as_secs_f64();
            self.numbers.set(format!("perf/seconds/{phase}"), seconds);
            if BESIDE.contains(&phase) {
                own -= seconds;
            }
        }
        if step > 0 {
            self.numbers.set("perf/seconds", own);
            if let Some(tokens) = self.numbers.get("tokens") {
                self.numbers.set("perf/tokens_per_second", tokens / own);
            }
        }
        let numbers = std::mem::take(&mut self.numbers);
        self.means.clear();
        self.metrics.append(step, &numbers)?;
        if step > 0 {
            let plain = numbers.console(step, self.steps, false);
            let shown = numbers.console(step, self.steps, self.console.colour);
            self.console.line(Verbosity::Normal, &plain, &shown);
        }
        self.console.failure()
    }

    /// Logs the evaluations of the weights after `step`: a line of `metrics.jsonl` and one of the console for each
    /// set, and their completions in `samples.jsonl`.
    ///
    /// The line of `metrics.jsonl` follows that of the step itself; step 0, before the first update, has no other.
    pub fn evaluations(&mut self, step: u64, evaluations: &[Evaluation]) -> Result<(), DiskError> {
        let mut numbers = StepMetrics::new();
        for evaluation in evaluations {
            evaluation.add_to(&mut numbers);
            self.line(&evaluation.console(step, self.steps));
            for shown in &evaluation.shown {
                self.sample(&SampleRecord { set: Some(evaluation.name.clone()), ..shown.record.clone() })?;
            }
        }
        for (phase, time) in self.spans.take() {
            numbers.set(format!("perf/seconds/{phase}"), time.as_secs_f64());
        }
        self.since = Instant::now();
        self.metrics.append(step, &numbers)?;
        self.console.failure()
    }

    /// The files' lengths as they are, flushed or not.
    pub fn written(&self) -> Lengths {
        Lengths { metrics: self.metrics.written(), samples: self.samples.length() }
    }

    /// Flushes `metrics.jsonl` and `samples.jsonl` to disk and gives their lengths, for a checkpoint to record.
    pub fn lengths(&self) -> Result<Lengths, DiskError> {
        Ok(Lengths { metrics: self.metrics.length()?, samples: self.samples.synced_length()? })
    }
}

#[cfg(test)]
mod tests;
