//! `Recorder`: keeps the spans of this program's crates until they are written.
//!
//! A track is a thread's name, not a thread: replicas and workers live for one call each, and those of the next call
//! go on where they were.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The crates whose spans are kept.
const CRATES: [&str; 3] = ["model", "rollout", "trainer"];

/// The field that names a span where its name is known at run time only.
const NAME: &str = "name";

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: String,
    /// Which track it lies on, from 0.
    pub(super) track: usize,
    /// Nanoseconds since recording began.
    pub(super) start: u64,
    /// The same, of its end.
    pub(super) end: u64,
    pub(super) args: Map<String, Value>,
}

/// Records spans while it is on. Clones are the same recorder.
#[derive(Clone)]
pub(super) struct Recorder {
    on: Arc<AtomicBool>,
    recording: Arc<Mutex<Recording>>,
}

struct Recording {
    since: Instant,
    tracks: Vec<String>,
    events: Vec<Event>,
    /// Spans kept so far, those that were taken included.
    n_kept: usize,
    max: usize,
    n_left_out: usize,
}

impl Recording {
    fn new(max: usize) -> Recording {
        Recording { since: Instant::now(), tracks: Vec::new(), events: Vec::new(), n_kept: 0, max, n_left_out: 0 }
    }

    /// The place of the calling thread's track.
    fn track(&mut self) -> usize {
        let thread = thread::current();
        let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
        let known = self.tracks.iter().position(|track| *track == name);
        known.unwrap_or_else(|| {
            self.tracks.push(name);
            self.tracks.len() - 1
        })
    }
}

impl Recorder {
    /// Keeps at most `max` spans; off at first.
    pub(super) fn new(max: usize) -> Recorder {
        Recorder { on: Arc::default(), recording: Arc::new(Mutex::new(Recording::new(max))) }
    }

    /// Turns on, with nothing from before and the calling thread's track as the first; what is on goes on.
    pub(super) fn begin(&self) {
        if !self.on.load(Ordering::Relaxed) {
            let mut recording = self.lock();
            *recording = Recording::new(recording.max);
            recording.track();
            self.on.store(true, Ordering::Relaxed);
        }
    }

    /// Turns off.
    pub(super) fn end(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// The tracks after the first `n`, and the spans that ended since the last call.
    pub(super) fn take(&self, n: usize) -> (Vec<String>, Vec<Event>) {
        let mut recording = self.lock();
        (recording.tracks[n..].to_vec(), std::mem::take(&mut recording.events))
    }

    /// Spans that there was no room for.
    pub(super) fn n_left_out(&self) -> usize {
        self.lock().n_left_out
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that has not ended.
struct Open {
    name: String,
    args: Map<String, Value>,
    start: Instant,
}

impl Visit for Open {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.args.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.args.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            NAME => self.name = value.to_owned(),
            other => drop(self.args.insert(other.to_owned(), value.into())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.args.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let ours = metadata.is_span() && CRATES.contains(&metadata.target().split("::").next().unwrap_or_default());
        if ours { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut open = Open { name: span.name().to_owned(), args: Map::new(), start: Instant::now() };
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            open.start = Instant::now();
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let end = Instant::now();
        let Some(span) = context.span(id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let mut recording = self.lock();
        // What was open when the trace was closed, or began before it, belongs to no trace.
        if !self.on.load(Ordering::Relaxed) || open.start < recording.since {
            return;
        }
        if recording.n_kept == recording.max {
            recording.n_left_out += 1;
            return;
        }
        recording.n_kept += 1;
        let nanos = |at: Instant| u64::try_from((at - recording.since).as_nanos()).unwrap_or(u64::MAX);
        let (start, end) = (nanos(open.start), nanos(end));
        let track = recording.track();
        recording.events.push(Event { name: open.name, track, start, end, args: open.args });
    }
}
