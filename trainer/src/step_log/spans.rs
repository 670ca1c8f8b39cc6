//! Wall-clock time by phase of a step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The phases of a step in their order; `perf/seconds/<phase>` is their key.
pub const PHASES: [&str; 5] = ["sample", "score", "update", "eval", "save"];

/// Time spent in each phase since it was last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Spans {
    pub(super) fn start(&self, phase: &'static str) -> Span {
        Span { phase, since: Instant::now(), spans: self.clone() }
    }

    /// What has added up, in the order the phases first ended.
    pub(super) fn take(&self) -> Vec<(&'static str, Duration)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, phase: &'static str, time: Duration) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spans.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, total)) => *total += time,
            None => spans.push((phase, time)),
        }
    }
}

/// A phase that goes on until this is dropped.
#[derive(Debug)]
#[must_use = "the phase ends when this is dropped"]
pub struct Span {
    phase: &'static str,
    since: Instant,
    spans: Spans,
}

impl Drop for Span {
    fn drop(&mut self) {
        self.spans.add(self.phase, self.since.elapsed());
    }
}
