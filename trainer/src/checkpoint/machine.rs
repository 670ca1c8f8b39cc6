//! `Machine`: what a resumed run must have in common with the run it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Inputs;
use crate::config::{RunConfig, RunSettings};
use crate::durable::{At, DiskError};
use crate::manifest;

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
    /// What the resolved configuration says of the run's numbers, as [`config_text`] gives it.
    pub config: String,
    /// Fingerprints of the files it reads; checkpoints of older programs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
}

impl Machine {
    /// Each difference as `name: there → here`, `self` being the checkpoint's machine, and each file that is another.
    pub fn differences(&self, here: &Machine) -> Vec<String> {
        let counts = |one: &Machine| [one.workers.to_string(), one.threads.to_string()];
        let ([workers, threads], [workers_here, threads_here]) = (counts(self), counts(here));
        let fields = [
            ("program", &self.program, &here.program),
            ("workers", &workers, &workers_here),
            ("intra-op threads", &threads, &threads_here),
            ("kernel route", &self.route, &here.route),
        ];
        let differing = fields.into_iter().filter(|(_, there, here)| there != here);
        let mut list: Vec<String> = differing.map(|(name, there, here)| format!("{name}: {there} → {here}")).collect();
        if self.config != here.config {
            let (there, here) = (keys(&self.config), keys(&here.config));
            let all: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
            let value =
                |keys: &BTreeMap<String, String>, key| keys.get(key).map_or("nothing", String::as_str).to_owned();
            let both = all.into_iter().map(|key| (key, value(&there, key), value(&here, key)));
            list.extend(both.filter(|(_, a, b)| a != b).map(|(key, a, b)| format!("`{key}`: {a} → {b}")));
        }
        if let (Some(there), Some(here)) = (&self.inputs, &here.inputs) {
            list.extend(there.differences(here));
        }
        list
    }
}

/// The program's version and the start of its file's BLAKE3 hash: `0.1.0 (1f0c…)`.
pub fn program() -> Result<String, DiskError> {
    let path = env::current_exe().at("find", "the running program".as_ref())?;
    Ok(format!("{} ({})", env!("CARGO_PKG_VERSION"), &manifest::hash(&path)?[..16]))
}

/// What a run's configuration says about its numbers, as JSON. Its name, how often and in which format it is saved
/// and how many checkpoints are kept may change on resume, and so may how many microbatches go side by side, whether
/// activations are computed again, and how many replicas sample; the number of workers is compared by itself.
pub fn config_text(config: &RunConfig) -> String {
    let RunSettings { save_every, keep_last, workers, parallel_microbatches, save_dtype, .. } = RunSettings::default();
    let mut config = config.clone();
    config.name = String::new();
    config.rollout.replicas = None;
    config.grpo.iter_mut().for_each(|grpo| grpo.activation_checkpointing = None);
    config.sft.iter_mut().for_each(|sft| sft.activation_checkpointing = None);
    config.run = RunSettings { save_every, keep_last, workers, parallel_microbatches, save_dtype, ..config.run };
    serde_json::to_string(&config).expect("a configuration is plain values")
}

/// Every value of a JSON text under its path: `grpo.steps`, `rewards.0.accuracy.weight`.
fn keys(text: &str) -> BTreeMap<String, String> {
    fn walk(path: String, value: Value, keys: &mut BTreeMap<String, String>) {
        let below = |name: String| if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Object(map) => map.into_iter().for_each(|(name, value)| walk(below(name), value, keys)),
            Value::Array(list) => {
                list.into_iter().enumerate().for_each(|(i, value)| walk(below(i.to_string()), value, keys));
            }
            value => drop(keys.insert(path, value.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    // A text that is no JSON is shown as it is.
    walk(String::new(), serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)), &mut found);
    found
}
