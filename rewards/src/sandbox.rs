//! Runs Python that a model wrote, where it can do no harm and learns nothing about what is expected of it.
//!
//! A [`Sandbox`] keeps warm interpreters, *zygotes*, each the first process of namespaces of its own. A test is a process
//! forked from one: it lowers its limits, locks its files and system calls away, and only then looks at the program. This
//! side watches it through its pipes, its processor clock and a pidfd, and compares nothing: what a program printed or
//! returned comes back as bytes or [`Plain`] values, and whoever asked compares them with answers that never were inside.
//!
//! ```no_run
//! use rewards::sandbox::{Job, Limits, Sandbox, SandboxConfig, Task};
//!
//! let sandbox = Sandbox::open(&SandboxConfig::default())?;
//! let job = Job { program: "print(int(input()) * 2)", task: Task::Stdin(&[b"21"]), limits: Limits::default() };
//! assert_eq!(sandbox.run(&job)[0].stdout, b"42\n");
//! # Ok::<(), rewards::sandbox::SandboxError>(())
//! ```

mod files;
mod filter;
mod isolation;
mod job;
mod outcome;
mod plain;
mod pool;
mod run;
mod self_test;
mod watch;
mod wire;
mod zygote;

pub use isolation::Isolation;
pub use job::{Call, Job, Limits, Task};
pub use outcome::{Ended, Outcome, STDERR_BYTES};
pub use plain::{MarshalError, Plain};
pub use pool::{Sandbox, SandboxConfig, SandboxError};

#[cfg(test)]
mod tests;
