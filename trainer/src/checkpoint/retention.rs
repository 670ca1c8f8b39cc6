//! Which checkpoints stay: the last few and the best.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::progress::Progress;
use crate::durable::{self, At};
use crate::manifest;

/// Ends the name of a checkpoint that is not part of the run any more.
const ASIDE: &str = "aside";

/// The checkpoint with the highest `eval/pass@1`, the older one among equals; `None` where none was evaluated.
///
/// Read from the checkpoints themselves: there is no pointer that a crash could leave behind. One whose state does
/// not fit its manifest is passed over.
pub fn best(run: &Path) -> Result<Option<(PathBuf, f64)>> {
    let mut best: Option<(PathBuf, f64)> = None;
    for (_, path) in manifest::checkpoints(run)?.into_iter().rev() {
        let Some(pass) = Progress::read(&path).ok().and_then(|progress| progress.pass_at_1()) else { continue };
        if best.as_ref().is_none_or(|(_, known)| pass > *known) {
            best = Some((path, pass));
        }
    }
    Ok(best)
}

/// Removes the checkpoints that are neither among the last `keep_last` (at least 1) nor the best.
///
/// One whose state does not fit its manifest does not count towards the last: no damage makes a sound one go.
pub(super) fn remove_old(run: &Path, keep_last: usize) -> Result<()> {
    let best = best(run)?.map(|(path, _)| path);
    let mut kept = 0;
    for (_, path) in manifest::checkpoints(run)? {
        let spent = kept >= keep_last.max(1);
        if spent && best.as_ref() != Some(&path) {
            durable::remove_folder(&path).with_context(|| format!("remove old checkpoint `{}`", path.display()))?;
        } else if !spent && Progress::read(&path).is_ok() {
            kept += 1;
        }
    }
    remove_aside(run)
}

/// Removes the checkpoints set aside whose steps the run has come to again.
fn remove_aside(run: &Path) -> Result<()> {
    let newest = manifest::checkpoints(run)?.into_iter().find(|(_, path)| Progress::read(path).is_ok());
    let Some((newest, _)) = newest else { return Ok(()) };
    for entry in fs::read_dir(run).at("read", run)? {
        let path = entry.at("read", run)?.path();
        let aside = path.extension().is_some_and(|end| end == ASIDE);
        if aside && manifest::step_of(&path.with_extension("")).is_some_and(|step| step <= newest) {
            durable::remove_folder(&path).with_context(|| format!("remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Gives every checkpoint newer than `step` another name, `step_0030.aside`, and returns the new paths.
///
/// A run that goes on from `step` will write those steps again; they must not be taken for its own, and are there until it
/// has come as far again.
pub(super) fn set_aside(run: &Path, step: u64) -> Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for (_, path) in manifest::checkpoints(run)?.into_iter().filter(|(newer, _)| *newer > step) {
        let mut name = path.clone().into_os_string();
        name.push(".");
        name.push(ASIDE);
        let to = PathBuf::from(name);
        if to.exists() {
            durable::remove_folder(&to)?;
        }
        durable::rename_folder(&path, &to).with_context(|| format!("set aside `{}`", path.display()))?;
        aside.push(to);
    }
    Ok(aside)
}
