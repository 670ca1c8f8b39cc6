//! groups + scores → a better policy: the stages, the optimizer, the `grouper` program.

pub mod advantage;
pub mod append_file;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod complaint;
pub mod config;
pub mod data;
pub mod durable;
pub mod eval;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gradient;
pub mod grpo;
pub mod hub;
pub mod interrupt;
pub mod manifest;
pub mod metrics;
pub mod mistake;
pub mod objective;
pub mod optimizer;
pub mod preflight;
pub mod prompting;
pub mod report;
pub mod run;
pub mod run_dir;
pub mod samples;
pub mod schedule;
pub mod scoring;
pub mod sft;
pub mod step_log;
pub mod stopping;
pub mod tensorboard;
mod workers;
