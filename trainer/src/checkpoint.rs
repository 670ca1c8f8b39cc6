//! A run's state on disk.
//!
//! `step_NNNN/` is itself a policy in the Hugging Face layout (f32 masters, config and tokenizer), with what only the
//! trainer needs beside it:
//!
//! ```text
//! step_0020/
//!   config.json, model.safetensors, tokenizer.json, …
//!   optimizer/first_moment.safetensors, second_moment.safetensors
//!   reference/reference.safetensors        where the run keeps a reference
//!   state.json                             Progress
//!   manifest.json                          lengths and BLAKE3 hashes, written last
//! ```
//!
//! Draws are keyed by position ([`model::philox`]), so there is no generator state to save, and data are a function of
//! the step.

mod flat;
mod inputs;
mod machine;
mod progress;
mod retention;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::checkpoint::Format;
use model::policy::Policy;

pub use inputs::Inputs;
pub use machine::{Machine, config_text, program};
pub use progress::{Evaluated, Progress, STATE};
pub use retention::best;

use crate::config::SaveDtype;
use crate::durable::{self, At};
use crate::manifest::{self, Sound};
use crate::mistake::Mistake;
use crate::optimizer::{Moments, Optimizer};
use crate::run_dir::RunDir;

/// The folder of a run's result.
pub const FINAL: &str = "final";

const FIRST_MOMENT: &str = "optimizer/first_moment.safetensors";
const SECOND_MOMENT: &str = "optimizer/second_moment.safetensors";
const REFERENCE: &str = "reference/reference.safetensors";

/// What a checkpoint is made of.
#[derive(Clone, Copy)]
pub struct State<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its moments, and how often it moved the weights.
    pub optimizer: &'a Optimizer,
    /// The reference's weights in the policy's layout, where the run keeps them.
    pub reference: Option<&'a [f32]>,
    /// How far the run has come.
    pub progress: &'a Progress,
}

/// What a checkpoint is loaded into.
pub struct StateMut<'a> {
    /// The policy.
    pub policy: &'a mut Policy,
    /// The optimizer.
    pub optimizer: &'a mut Optimizer,
    /// The reference's weights in the policy's layout, where the run keeps them.
    pub reference: Option<&'a mut [f32]>,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// How far it had come.
    pub progress: Progress,
    /// What the person at the console must know: damaged checkpoints, differing machines, checkpoints set aside.
    pub warnings: Vec<String>,
}

/// Writes the checkpoint of `state.progress.step`, then removes old ones: the last `keep_last` and the best by
/// `eval/pass@1` stay. Returns its folder.
///
/// A crash leaves the checkpoint whole or not there, and the older ones untouched until it is.
pub fn save(run: &RunDir, state: &State, keep_last: usize) -> Result<PathBuf> {
    let folder = run.step(state.progress.step);
    durable::replace_folder(&folder, |inside| fill(inside, state))
        .with_context(|| format!("save checkpoint `{}`", folder.display()))?;
    retention::remove_old(run.path(), keep_last)?;
    Ok(folder)
}

fn fill(folder: &Path, state: &State) -> Result<()> {
    let layout = state.policy.layout();
    state.policy.save(folder, Format::F32)?;
    let (moments, moves) = state.optimizer.state();
    assert_eq!(moves, state.progress.update, "progress counts the optimizer's updates");
    match moments {
        Moments::F32([first, second]) => {
            flat::write(&inside(folder, FIRST_MOMENT)?, layout, first)?;
            flat::write(&inside(folder, SECOND_MOMENT)?, layout, second)?;
        }
        Moments::Bf16([first, second]) => {
            flat::write_half(&inside(folder, FIRST_MOMENT)?, layout, first)?;
            flat::write_half(&inside(folder, SECOND_MOMENT)?, layout, second)?;
        }
    }
    if let Some(reference) = state.reference {
        flat::write(&inside(folder, REFERENCE)?, layout, reference)?;
    }
    let text = serde_json::to_vec_pretty(state.progress).context("word the state as JSON")?;
    durable::write_file(&folder.join(STATE), &text)?;
    manifest::write(folder)?;
    Ok(())
}

/// Where a file of a checkpoint is to be written; its folder is there.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    Ok(path)
}

/// Writes a run's result: the policy alone, in the Hugging Face layout, with a manifest. Returns its folder.
pub fn save_final(run: &RunDir, policy: &Policy, dtype: SaveDtype) -> Result<PathBuf> {
    let folder = run.path().join(FINAL);
    let format = match dtype {
        SaveDtype::F32 => Format::F32,
        SaveDtype::Bf16 => Format::Bf16,
        SaveDtype::Fp8 => Format::Fp8,
    };
    let fill = |inside: &Path| -> Result<()> {
        policy.save(inside, format)?;
        manifest::write(inside)?;
        Ok(())
    };
    durable::replace_folder(&folder, fill).with_context(|| format!("save `{}`", folder.display()))?;
    Ok(folder)
}

/// Reads a checkpoint, bit for bit what was saved, into `state`. Whether it is sound is for the caller to have found
/// out ([`crate::run_dir::find_resume`]).
pub fn load(folder: &Path, state: &mut StateMut) -> Result<Progress> {
    read_all(folder, state).with_context(|| format!("load checkpoint `{}`", folder.display()))
}

fn read_all(folder: &Path, state: &mut StateMut) -> Result<Progress> {
    let progress = Progress::read(folder)?;
    let layout = state.policy.layout().clone();
    flat::read_folder(folder, &layout, state.policy.parameters_mut())?;
    state.policy.refresh();
    match state.optimizer.restore(progress.update) {
        Moments::F32([first, second]) => {
            flat::read(&folder.join(FIRST_MOMENT), &layout, first)?;
            flat::read(&folder.join(SECOND_MOMENT), &layout, second)?;
        }
        Moments::Bf16([first, second]) => {
            flat::read_half(&folder.join(FIRST_MOMENT), &layout, first)?;
            flat::read_half(&folder.join(SECOND_MOMENT), &layout, second)?;
        }
    }
    if let Some(reference) = state.reference.as_deref_mut() {
        flat::read(&folder.join(REFERENCE), &layout, reference)?;
    }
    Ok(progress)
}

/// Goes on from a checkpoint that [`crate::run_dir::find_resume`] found sound: loads it, and gives newer ones another
/// name, since the run will write those steps again.
///
/// A machine that could not compute the same run is refused unless `allow_inexact`.
pub fn resume(
    run: &RunDir,
    from: &Sound,
    here: &Machine,
    allow_inexact: bool,
    state: &mut StateMut,
) -> Result<Resumed> {
    let mut warnings: Vec<String> = from.damaged.iter().map(|one| format!("checkpoint passed over: {one}")).collect();
    let differences = Progress::read(&from.path)?.machine.differences(here);
    if !differences.is_empty() {
        let list = differences.join("\n  ");
        if !allow_inexact {
            let path = from.path.display();
            let message = format!("`{path}` cannot be resumed as the same run; in the checkpoint → here:\n  {list}");
            let hint = "put it back, or go on all the same with `--allow-inexact`, and results may differ";
            bail!(Mistake::new(message).hint(hint));
        }
        warnings.push(format!("resumed inexactly, results may differ; in the checkpoint → here:\n  {list}"));
    }
    let progress = load(&from.path, state)?;
    for aside in retention::set_aside(run.path(), from.step)? {
        warnings.push(format!("a newer checkpoint is not part of this run any more: `{}`", aside.display()));
    }
    Ok(Resumed { progress, warnings })
}

#[cfg(test)]
mod tests;
