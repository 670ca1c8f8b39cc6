//! groups + scores → a better policy: the stages, the optimizer, the `grouper` program.

pub mod advantage;
pub mod data;
pub mod durable;
pub mod manifest;
pub mod metrics;
pub mod run_dir;
pub mod schedule;
pub mod tensorboard;
