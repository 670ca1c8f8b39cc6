//! Is there room for the checkpoints?

use std::path::Path;

use super::{Finding, Stage, memory::bytes};
use crate::config::{RunConfig, SaveDtype};

/// Bytes of everything a run keeps on disk at once: f32 weights and both moments for each checkpoint (and the
/// reference's weights where there is one), and the weights of `final/`.
pub(super) fn needed(n_parameters: u64, run: &RunConfig, stage: Stage) -> u64 {
    if stage == Stage::Eval {
        return 0;
    }
    let has_reference = run.grpo.as_ref().is_some_and(|grpo| grpo.objective.has_reference());
    let arrays = if stage == Stage::Grpo && has_reference { 2 } else { 1 };
    let checkpoint = n_parameters * (4 * arrays + run.optimizer.moments.width() as u64);
    // The newest ones, the best, and the one being written before the oldest goes.
    let n_checkpoints = if run.run.save_every == 0 { 2 } else { run.run.keep_last as u64 + 2 };
    // In FP8 it is less, by how much of the policy is no embedding.
    let last = n_parameters * if run.run.save_dtype == SaveDtype::F32 { 4 } else { 2 };
    n_checkpoints * checkpoint + last
}

/// Bytes free to us in the file system that holds `folder`, or will hold it.
pub(super) fn free(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().map(|one| if one.as_os_str().is_empty() { Path::new(".") } else { one });
    let stat = existing.into_iter().find_map(|one| rustix::fs::statvfs(one).ok())?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Compares the two.
pub(super) fn check(n_parameters: u64, run: &RunConfig, stage: Stage, free: Option<u64>) -> Option<Finding> {
    let needed = needed(n_parameters, run, stage);
    let free = free.filter(|free| *free < needed)?;
    let message = format!("checkpoints need up to {} of disk, {} are free", bytes(needed), bytes(free));
    Some(
        Finding::error("run.keep_last", message).hint("lower `run.keep_last`, or write the run elsewhere with `--run`"),
    )
}
