//! `Trace`: the file that spans are written to.

use std::fs::File;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::recorder::{Event, Recorder};
use crate::durable::{At, DiskError};

/// The trace's file name inside a run folder.
pub const PROFILE: &str = "profile.json";

/// What ends the file.
const END: &[u8] = b"\n]\n";

/// A trace in the making.
pub(super) struct Trace {
    recorder: Recorder,
    path: PathBuf,
    file: File,
    /// Where [`END`] begins.
    end: u64,
    n_tracks: usize,
    /// Steps that are still to be traced.
    left: u64,
}

impl Trace {
    /// Writes what `recorder` records of `steps` steps into a run's folder, over an older trace.
    pub(super) fn create(recorder: Recorder, run: &Path, steps: NonZero<u64>) -> Result<Trace, DiskError> {
        recorder.begin();
        let path = run.join(PROFILE);
        let file = File::create(&path).at("create", &path)?;
        let left = steps.get();
        let mut trace = Trace { recorder, path, file, end: 0, n_tracks: 0, left };
        let process = json!({"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "grouper"}});
        trace.append("[\n", &[process.to_string()])?;
        Ok(trace)
    }

    /// Where the trace lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Before a step: writes what was recorded since the last call. True where the step is still to be traced.
    pub(super) fn before_step(&mut self) -> Result<bool, DiskError> {
        self.write()?;
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        Ok(more)
    }

    /// Spans that there was no room for.
    pub(super) fn n_left_out(&self) -> usize {
        self.recorder.n_left_out()
    }

    /// Appends what was recorded and not written yet.
    pub(super) fn write(&mut self) -> Result<(), DiskError> {
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

impl Drop for Trace {
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
