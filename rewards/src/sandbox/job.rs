//! What is to be run, and within which limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plain;

/// A program and what to do with it.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Python source, not trusted.
    pub program: &'a str,
    /// What it is run on.
    pub task: Task<'a>,
    /// What each run may use.
    pub limits: Limits,
}

/// What a program is run on. What it *should* answer is not part of it: answers are compared outside.
#[derive(Debug, Clone, Copy)]
pub enum Task<'a> {
    /// The program as a script, once for each of these standard inputs, each time in a process of its own.
    /// One [`Outcome`](super::Outcome) for each input.
    Stdin(&'a [&'a [u8]]),
    /// The program as a module whose function is called with each of these arguments. Calls share a process, so the
    /// module's state goes from call to call, as it would in one file of tests; a call that ends the process is answered
    /// so, and the rest go on in a fresh one. One outcome for each call.
    Calls {
        /// `solve`, or `Solution().solve` for a method on an object made anew for each call.
        function: &'a str,
        /// Arguments of each call.
        calls: &'a [Call],
    },
    /// Test code that is trusted (it comes with the data) against a program that is not, each in a process of its own. The
    /// tests see the program's functions under their names; a call of one goes to the other process and back as plain
    /// data, and lists, dictionaries and sets among the arguments come back as the call left them. One outcome:
    /// [`Ended::Exited(0)`](super::Ended::Exited) where the tests ran to their end, else how they or the program failed.
    Pair {
        /// Python source: asserts, `unittest` or whatever raises at a failure.
        tests: &'a str,
        /// Functions of the program that the tests call.
        functions: &'a [&'a str],
    },
}

/// Arguments of one call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// Positional arguments.
    pub args: Vec<Plain>,
    /// Arguments by name.
    pub kwargs: Vec<(String, Plain)>,
}

impl Call {
    /// A call with positional arguments, as JSON has them.
    pub fn from_json(args: &[serde_json::Value]) -> Self {
        Self { args: args.iter().map(Plain::from).collect(), kwargs: Vec::new() }
    }
}

/// What one run may use: each input of [`Task::Stdin`], each call of [`Task::Calls`] (loading the module counts as one
/// more), the whole of a [`Task::Pair`]. Memory is counted for each process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Processor time, in seconds: what a verdict depends on.
    pub cpu_s: f64,
    /// Time on the clock, in seconds: for programs that wait. Wide, because the clock runs on while this machine is busy
    /// with other work.
    pub wall_s: f64,
    /// Memory a program may map beyond the interpreter's own, in bytes.
    pub memory_bytes: u64,
    /// Standard output, in bytes; a returned value may be as large. What is more ends the run. Of standard error the
    /// first [`STDERR_BYTES`](super::STDERR_BYTES) are kept.
    pub output_bytes: u64,
    /// Threads, the main one included. Held at level `namespaces`; below it, memory is what limits them.
    pub threads: u32,
    /// Whether `/tmp` can be written: a file system in memory, empty at the start of each run, private to it.
    pub files: bool,
}

impl Default for Limits {
    /// Ten seconds of processor time and 512 MiB: what judges of programming contests commonly allow, and then some.
    fn default() -> Self {
        Self { cpu_s: 10.0, wall_s: 50.0, memory_bytes: 512 << 20, output_bytes: 16 << 20, threads: 16, files: false }
    }
}
