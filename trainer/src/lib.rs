//! groups + scores → a better policy: the stages, the optimizer, the `grouper` program.
//!
//! The only crate that knows an algorithm, prints, reads argv or opens a run folder. [`grpo::train`] is the loop to read
//! first; ARCHITECTURE.md is the map. A training from Rust is a config and where to write:
//!
//! ```
//! use std::path::Path;
//! use trainer::config::{Ending, RunConfig, RunOptions};
//!
//! # std::env::set_current_dir("..")?;
//! let sets = ["grpo.steps=1", "grpo.prompts_per_step=2", "eval.sets.0.n_problems=4", "optimizer.schedule.warmup_steps=1"];
//! let config = RunConfig::load(Path::new("configs/r1_zero_tiny.toml"), &sets.map(String::from))?;
//! # let folder = tempfile::tempdir()?;
//! # let runs = folder.path();
//! let root = runs.to_owned(); // the run goes to `<root>/r1_zero_tiny/<n>`
//! let options = RunOptions { root, resume: None, allow_inexact: false, max_hours: None, profile: None, verbosity: -1 };
//! assert_eq!(trainer::grpo::train(&config, &options)?, Ending::Finished);
//! # assert!(runs.join("r1_zero_tiny/1/final/model.safetensors").exists());
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod advantage;
pub mod append_file;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod complaint;
pub mod config;
pub mod data;
pub mod device;
pub mod durable;
pub mod eval;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gpu_check;
pub mod gradient;
pub mod grpo;
pub mod hub;
pub mod interrupt;
pub mod manifest;
pub mod metrics;
pub mod mistake;
pub mod mtp;
pub mod objective;
pub mod optimizer;
pub mod preflight;
pub mod profile;
pub mod prompting;
pub mod report;
pub mod router;
pub mod run;
pub mod run_dir;
pub mod samples;
pub mod schedule;
pub mod score;
pub mod scoring;
pub mod sft;
pub mod step_log;
pub mod stopping;
pub mod tensorboard;
#[cfg(test)]
pub(crate) mod toy_run;
mod workers;
