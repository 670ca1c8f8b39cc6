//! `Machine`: what a resumed run must have in common with the run it goes on.

use std::env;
use std::fs::File;

use serde::{Deserialize, Serialize};

use crate::config::{RunConfig, RunSettings};
use crate::durable::{At, DiskError};

/// What the bits of a run depend on beside its seed. Two equal machines compute the same run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The program's version and the hash of its file.
    pub program: String,
    /// Threads that compute side by side.
    pub workers: usize,
    /// Threads inside one tensor operation of a worker.
    pub threads: usize,
    /// The kernels that the probe at the start chose, in words.
    pub route: String,
    /// BLAKE3 hash of the resolved configuration, as [`config_hash`] gives it.
    pub config: String,
}

impl Machine {
    /// Each difference as `name: there → here`, `self` being the checkpoint's machine.
    pub fn differences(&self, here: &Machine) -> Vec<String> {
        let counts = |one: &Machine| [one.workers.to_string(), one.threads.to_string()];
        let ([workers, threads], [workers_here, threads_here]) = (counts(self), counts(here));
        let fields = [
            ("program", &self.program, &here.program),
            ("workers", &workers, &workers_here),
            ("intra-op threads", &threads, &threads_here),
            ("kernel route", &self.route, &here.route),
            ("configuration", &self.config, &here.config),
        ];
        let differing = fields.into_iter().filter(|(_, there, here)| there != here);
        differing.map(|(name, there, here)| format!("{name}: {there} → {here}")).collect()
    }
}

/// The program's version and the start of its file's BLAKE3 hash: `0.1.0 (1f0c…)`.
pub fn program() -> Result<String, DiskError> {
    let path = env::current_exe().at("find", "the running program".as_ref())?;
    let mut hasher = blake3::Hasher::new();
    File::open(&path).and_then(|file| hasher.update_reader(file).map(|_| ())).at("read", &path)?;
    Ok(format!("{} ({})", env!("CARGO_PKG_VERSION"), &hasher.finalize().to_hex()[..16]))
}

/// Hash of what a run's configuration says about its numbers. Its name, how often and in which format it is saved
/// and how many checkpoints are kept may change on resume; the number of workers is compared by itself.
pub fn config_hash(config: &RunConfig) -> String {
    let RunSettings { save_every, keep_last, workers, save_dtype, .. } = RunSettings::default();
    let mut config = config.clone();
    config.name = String::new();
    config.run = RunSettings { save_every, keep_last, workers, save_dtype, ..config.run };
    let text = serde_json::to_vec(&config).expect("a configuration is plain values");
    blake3::hash(&text).to_hex()[..16].to_owned()
}
