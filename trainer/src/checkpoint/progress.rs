//! `Progress`: how far a run has come, as a checkpoint's `state.json` says it.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::manifest;
use crate::step_log::Lengths;

/// The file's name inside a checkpoint folder.
pub const STATE: &str = "state.json";

/// How far a run has come: what a resumed run needs beside weights and moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Updates of the weights done, skipped ones left out: Adam's t.
    pub update: u64,
    /// The run's seed.
    pub seed: u64,
    /// Where resume cuts `metrics.jsonl` and `samples.jsonl`.
    pub lengths: Lengths,
    /// The latest evaluation; of these very weights where its step is `step`.
    pub evaluated: Option<Evaluated>,
    /// The evaluation with the highest `eval/pass@1` so far, whether or not its weights were saved.
    pub best: Option<Evaluated>,
    /// Updates skipped because a loss or gradient was not finite.
    pub skipped: u64,
    /// Those of them since the last update that was made.
    pub skipped_in_a_row: u64,
    /// The step whose weights the reference has; `None` where the run keeps no reference.
    pub reference_step: Option<u64>,
    /// Replicas that sample side by side, as the run's first start measured it; its bits do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
    /// What the run's bits depend on beside its seed.
    pub machine: Machine,
}

/// An evaluation and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluated {
    /// Steps done then.
    pub step: u64,
    /// `eval/pass@1` then.
    #[serde(with = "exact")]
    pub pass_at_1: f64,
}

impl Progress {
    /// The start of a run.
    pub fn new(seed: u64, machine: Machine) -> Self {
        Self {
            step: 0,
            update: 0,
            seed,
            lengths: Lengths::default(),
            evaluated: None,
            best: None,
            skipped: 0,
            skipped_in_a_row: 0,
            reference_step: None,
            replicas: None,
            machine,
        }
    }

    /// Notes `eval/pass@1` of the weights as they are after `self.step`.
    pub fn note_evaluation(&mut self, pass_at_1: f64) {
        let evaluated = Evaluated { step: self.step, pass_at_1 };
        self.evaluated = Some(evaluated);
        if self.best.is_none_or(|best| pass_at_1 > best.pass_at_1) {
            self.best = Some(evaluated);
        }
    }

    /// `eval/pass@1` of exactly these weights, where they were evaluated.
    pub fn pass_at_1(&self) -> Option<f64> {
        self.evaluated.filter(|evaluated| evaluated.step == self.step).map(|evaluated| evaluated.pass_at_1)
    }

    /// Reads a checkpoint's, checked against its manifest.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = manifest::read_verified(folder, STATE)?;
        serde_json::from_slice(&text).with_context(|| format!("read `{}`", folder.join(STATE).display()))
    }
}

/// A number as decimal text: a JSON number may come back one unit in the last place off.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a number")))
    }
}
