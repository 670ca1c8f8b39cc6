//! `Inputs`: fingerprints of the files that a run reads and that its checkpoints do not hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::tokenizer;
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::data::Source;
use crate::durable::DiskError;
use crate::manifest;

/// BLAKE3 of every local file that a run's numbers follow from, under the path that the configuration gives it: data,
/// held-out sets, users' rules, and of the policy's folder all but the weights, which checkpoints hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Reads the files that `config` names, and those of the policy's `folder`. Files that are not there, since this
    /// stage needs none of them, have no fingerprint.
    pub fn read(config: &RunConfig, folder: &Path) -> Result<Inputs, DiskError> {
        let beside = tokenizer::FILES.into_iter().chain(["config.json", "generation_config.json"]);
        let policy = beside.map(|name| (config.model.checkpoint.join(name), folder.join(name)));
        let sets = config.eval.iter().flat_map(|eval| &eval.sets).map(|set| &set.data.source);
        let data = [&config.data.source].into_iter().chain(sets).flat_map(|source| match source {
            Source::Files(files) => &files.paths[..],
            _ => &[],
        });
        let rules = config.rewards.iter().chain(config.eval.iter().flat_map(|eval| &eval.rule));
        let named = data.cloned().chain(rules.flat_map(|rule| rule.files())).map(|path| (path.clone(), path));
        // Each once: a file may be named in several places.
        let found: BTreeMap<PathBuf, PathBuf> = policy.chain(named).filter(|(_, path)| path.is_file()).collect();
        let print = |(name, path): (PathBuf, PathBuf)| Ok((name.display().to_string(), manifest::hash(&path)?));
        Ok(Inputs(found.into_iter().map(print).collect::<Result<_, DiskError>>()?))
    }

    /// The files that `here` has otherwise, each as a line.
    pub(super) fn differences(&self, here: &Inputs) -> Vec<String> {
        let line = |path: &String| {
            let what = match (self.0.get(path), here.0.get(path)) {
                (Some(there), Some(here)) if there != here => "has changed since the checkpoint was written",
                (Some(_), None) => "is no longer there",
                (None, Some(_)) => "was not there when the checkpoint was written",
                _ => return None,
            };
            Some(format!("file `{path}` {what}"))
        };
        let new = here.0.keys().filter(|path| !self.0.contains_key(*path));
        self.0.keys().chain(new).filter_map(line).collect()
    }
}
