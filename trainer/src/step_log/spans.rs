//! Wall-clock time by phase of a step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug_span;
use tracing::span::EnteredSpan;

/// The phases of a step in their order; `perf/seconds/<phase>` is their key.
pub const PHASES: [&str; 7] = ["sample", "score", "reference", "update", "optimizer", "eval", "save"];

/// The phases that `perf/seconds` leaves out.
pub const BESIDE: [&str; 2] = ["eval", "save"];

/// Time spent in each phase since it was last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Arc<Mutex<Clock>>);

#[derive(Debug, Default)]
struct Clock {
    /// What has added up, in the order the phases first ended.
    times: Vec<(&'static str, Duration)>,
    /// Phases that go on, the innermost last.
    open: Vec<&'static str>,
    /// Since when the innermost does.
    since: Option<Instant>,
}

impl Clock {
    /// Gives the time until now to the innermost phase.
    fn turn(&mut self) {
        let now = Instant::now();
        let Some(since) = self.since.replace(now) else { return };
        let Some(phase) = self.open.last() else { return };
        match self.times.iter_mut().find(|(known, _)| known == phase) {
            Some((_, total)) => *total += now - since,
            None => self.times.push((phase, now - since)),
        }
    }
}

impl Spans {
    pub(super) fn start(&self, phase: &'static str) -> Span {
        let mut clock = self.lock();
        clock.turn();
        clock.open.push(phase);
        Span { spans: self.clone(), _traced: debug_span!("phase", name = phase).entered() }
    }

    /// What has added up.
    pub(super) fn take(&self) -> Vec<(&'static str, Duration)> {
        std::mem::take(&mut self.lock().times)
    }

    fn lock(&self) -> MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A phase that goes on until this is dropped.
#[derive(Debug)]
#[must_use = "the phase ends when this is dropped"]
pub struct Span {
    spans: Spans,
    _traced: EnteredSpan,
}

impl Drop for Span {
    fn drop(&mut self) {
        let mut clock = self.spans.lock();
        clock.turn();
        clock.open.pop();
    }
}
