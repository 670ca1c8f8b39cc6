//! What came of one run.

use std::time::Duration;

use super::Plain;

/// Bytes of standard error that are kept.
pub const STDERR_BYTES: usize = 16 << 10;

/// What came of one input, call or pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Standard output up to its end. For a call, what was written since the call before it.
    pub stdout: Vec<u8>,
    /// The first bytes of standard error, at most [`STDERR_BYTES`].
    pub stderr: Vec<u8>,
    /// What a call returned; `None` where it did not return, and for tasks that are no calls.
    pub returned: Option<Plain>,
    /// Processor time it took, interpreter's start excluded.
    pub cpu: Duration,
    /// Time it took on the clock.
    pub wall: Duration,
    /// Most memory its process held, in bytes, the interpreter's own included; 0 for calls whose process went on.
    pub peak_bytes: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status; 0 also for a call that returned.
    Exited(i32),
    /// An exception nobody caught.
    Exception {
        /// Name of its class. `NotPlain` is ours, for a value that is no plain data.
        kind: String,
        /// Its text.
        message: String,
    },
    /// Killed by this signal: a crash of the interpreter.
    Signal(i32),
    /// Used its processor time up.
    TimeCpu,
    /// Ran out of time on the clock.
    TimeWall,
    /// Ran out of memory.
    Memory,
    /// Wrote more than it may.
    Output,
    /// Made a system call that no honest program makes; its name.
    Forbidden(String),
    /// The source is no Python; the interpreter's message.
    Compile(String),
    /// The sandbox itself failed, twice over: says nothing about the program.
    Infra(String),
}

impl Ended {
    /// Whether the run came to its end without fault: status 0.
    pub fn well(&self) -> bool {
        *self == Self::Exited(0)
    }
}
