//! `--profile`: where the time of a run's first steps went, as `profile.json` in its folder.
//!
//! The file is a trace in Chrome's format, which <https://ui.perfetto.dev> opens: a track for each thread, and on it the
//! spans that our crates open with `tracing`, once a batch and never once a token. It is a whole JSON document after
//! every step, whatever ends the run then. Nothing is recorded, and a span costs one load, where no profile is asked for.

mod recorder;
mod trace;

use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;

use tracing::debug_span;
use tracing::span::EnteredSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::durable::DiskError;
use crate::step_log::StepLog;
use recorder::Recorder;
use trace::Trace;

pub use trace::PROFILE;

/// Spans of a trace, at most: some 60 MB, which a browser still opens.
const MAX_SPANS: usize = 500_000;

/// The process's one recorder.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

fn recorder() -> &'static Recorder {
    RECORDER.get_or_init(|| {
        let recorder = Recorder::new(MAX_SPANS);
        // Where a program has a subscriber of its own, that one stays and the trace is empty.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(recorder.clone()));
        recorder
    })
}

/// Records from now on: what comes before a run has a folder is part of its trace. One run of a process is traced at a
/// time.
pub fn begin() {
    recorder().begin();
}

/// The trace of a run, where it has one.
#[derive(Default)]
pub struct Profile {
    trace: Option<Trace>,
    step: Option<EnteredSpan>,
}

impl Profile {
    /// Traces `steps` steps into a run's folder, over an older trace; none where there is no number.
    pub fn open(run: &Path, steps: Option<NonZero<u64>>) -> Result<Profile, DiskError> {
        let trace = steps.map(|steps| Trace::create(recorder().clone(), run, steps)).transpose()?;
        Ok(Profile { trace, step: None })
    }

    /// Goes on with step `number`, or ends the trace where it has all the steps that were asked for.
    pub fn begin_step(&mut self, number: u64, log: &mut StepLog) {
        let Some(trace) = &mut self.trace else { return };
        match trace.before_step() {
            Ok(true) => self.step = Some(debug_span!("step", number).entered()),
            Ok(false) => self.end(log),
            Err(error) => {
                // The run does not end for want of a trace.
                log.warn(&format!("{error}; the trace ends here"));
                self.trace = None;
            }
        }
    }

    /// Ends the step that goes on, if any.
    pub fn end_step(&mut self) {
        self.step = None;
    }

    /// Writes the last of the trace and says where it is.
    pub fn end(&mut self, log: &mut StepLog) {
        self.end_step();
        let Some(mut trace) = self.trace.take() else { return };
        match trace.write() {
            Ok(()) => log.line(&format!("profile {}; https://ui.perfetto.dev opens it", trace.path().display())),
            Err(error) => log.warn(&error.to_string()),
        }
        if trace.n_left_out() > 0 {
            log.warn(&format!("the trace is full: its last {} spans are left out", trace.n_left_out()));
        }
    }
}

#[cfg(test)]
mod tests;
