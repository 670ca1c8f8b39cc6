//! `--profile`: where the time of a run's first steps went, as `profile.json` in its folder.
//!
//! The file is a trace in Chrome's format, which <https://ui.perfetto.dev> opens: a track for each thread, on it the
//! spans that the crates open with `tracing`, once a batch and never once a token. It is a whole JSON document after every step,
//! whatever ends the run then. Nothing is recorded, and a span costs one load, where no profile is asked for.

mod recorder;

use std::fs::File;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::durable::{At, DiskError};
use recorder::{Event, Recorder};

/// The trace's file name inside a run folder.
pub const PROFILE: &str = "profile.json";

/// Spans of a trace, at most: some 60 MB, which a browser still opens.
const MAX_SPANS: usize = 500_000;

/// What ends the file.
const END: &[u8] = b"\n]\n";

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

/// A trace in the making.
pub struct Profile {
    recorder: Recorder,
    path: PathBuf,
    file: File,
    /// Where [`END`] begins.
    end: u64,
    n_tracks: usize,
    /// Steps that are still to be traced.
    left: u64,
}

impl Profile {
    /// Writes the trace of `steps` steps into a run's folder, over an older one.
    pub fn create(run: &Path, steps: NonZero<u64>) -> Result<Profile, DiskError> {
        Self::of(recorder().clone(), run, steps)
    }

    fn of(recorder: Recorder, run: &Path, steps: NonZero<u64>) -> Result<Profile, DiskError> {
        recorder.begin();
        let path = run.join(PROFILE);
        let file = File::create(&path).at("create", &path)?;
        let left = steps.get();
        let mut profile = Profile { recorder, path, file, end: 0, n_tracks: 0, left };
        let process = json!({"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "grouper"}});
        profile.append("[\n", &[process.to_string()])?;
        Ok(profile)
    }

    /// Where the trace lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Before a step: writes what was recorded since the last call. True where the step is still to be traced.
    pub fn before_step(&mut self) -> Result<bool, DiskError> {
        self.write()?;
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        Ok(more)
    }

    /// Spans that there was no room for.
    pub fn n_left_out(&self) -> usize {
        self.recorder.n_left_out()
    }

    /// Appends what was recorded and not written yet.
    pub fn write(&mut self) -> Result<(), DiskError> {
        let (tracks, events) = self.recorder.take(self.n_tracks);
        let first = self.n_tracks + 1;
        self.n_tracks += tracks.len();
        let names = tracks.iter().enumerate().map(
            |(i, name)| json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": first + i, "args": {"name": name}}),
        );
        let lines: Vec<String> = names.chain(events.iter().map(line)).map(|line| line.to_string()).collect();
        if lines.is_empty() { Ok(()) } else { self.append(",\n", &lines) }
    }

    /// One write a call: whoever reads meanwhile, or after a kill, finds a whole document.
    fn append(&mut self, before: &str, lines: &[String]) -> Result<(), DiskError> {
        let text = before.to_owned() + &lines.join(",\n");
        let bytes = [text.as_bytes(), END].concat();
        self.file.write_all_at(&bytes, self.end).at("write", &self.path)?;
        self.end += text.len() as u64;
        Ok(())
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // A run that fails shows how far it came.
        let _ = self.write();
        self.recorder.end();
    }
}

/// A span as a complete event; times in microseconds.
fn line(event: &Event) -> Value {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    json!({
        "name": event.name, "ph": "X", "pid": 1, "tid": event.track + 1,
        "ts": micros(event.start), "dur": micros(event.end - event.start), "args": event.args,
    })
}

#[cfg(test)]
mod tests;
