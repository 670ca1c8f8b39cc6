//! Small runs inside a test, and what they leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use crate::config::{Ending, RunConfig, RunOptions};
use crate::{grpo, sft};

/// Options of a run below `root` that says nothing, or of one that goes on.
pub(crate) fn options(root: &Path, resume: Option<PathBuf>) -> RunOptions {
    RunOptions { root: root.to_owned(), resume, allow_inexact: false, max_hours: None, profile: None, verbosity: -1 }
}

/// Runs the config below `root`, or goes on with a run there, to its end.
pub(crate) fn train(config: &RunConfig, root: &Path, resume: Option<PathBuf>) {
    let stage = if config.grpo.is_some() { grpo::train } else { sft::train };
    assert_eq!(stage(config, &options(root, resume)).unwrap(), Ending::Finished);
}

/// Makes `to` a copy of the folder `from`.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// `metrics.jsonl` without what depends on the machine.
pub(crate) fn metrics(run: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let row: Map<String, Value> = serde_json::from_str(line).unwrap();
        row.into_iter().filter(|(key, _)| !key.starts_with("perf/")).collect()
    };
    text.lines().map(row).collect()
}

/// Holds files of two folders to be the same, byte for byte.
#[track_caller]
pub(crate) fn same_files(a: &Path, b: &Path, files: &[&str]) {
    for file in files {
        assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file}");
    }
}
