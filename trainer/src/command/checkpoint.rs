//! The checkpoint that a command is pointed at.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use model::config::PolicyConfig;
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use trainer::cli::CheckpointArgs;
use trainer::device;
use trainer::hub;
use trainer::mistake::Mistake;

/// The folder and the policy in it. Where the folder has a tokenizer, ids beyond its vocabulary have no probability,
/// as in a run.
pub(crate) fn open(arguments: &CheckpointArgs) -> Result<(PathBuf, Policy)> {
    let device = device::open(arguments.device)?;
    let folder = hub::resolve(&arguments.model)?;
    let config = PolicyConfig { dtype: arguments.dtype, device: arguments.device, ..PolicyConfig::new(folder.clone()) };
    let load = || format!("load checkpoint `{}`", folder.display());
    let mut policy = Policy::load(&folder, &config, 0).with_context(load)?;
    if folder.join("tokenizer.json").exists() {
        policy.set_vocabulary(tokenizer(&folder)?.vocab_size());
    }
    if let Some(device) = device {
        policy.compute_on(device);
    }
    Ok((folder, policy))
}

/// The tokenizer of a checkpoint's folder.
pub(crate) fn tokenizer(folder: &std::path::Path) -> Result<Arc<Tokenizer>> {
    let load = || format!("load the tokenizer of `{}`", folder.display());
    let broken = |error: anyhow::Error| Mistake::new(format!("{error:#}"));
    Tokenizer::from_folder(folder).map_err(broken).with_context(load).map(Arc::new)
}
