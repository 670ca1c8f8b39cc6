//! Flat arrays on disk: the arrays that share a policy's layout, tensor by tensor under the parameters' names.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use model::checkpoint::{self, Format, Part, Target, Weights};
use model::layout::Layout;
use model::team;

/// Writes a flat array as f32 safetensors; numbers between parameters are left out.
pub(super) fn write(path: &Path, layout: &Layout, numbers: &[f32]) -> Result<()> {
    assert_eq!(numbers.len(), layout.len(), "the array must have the policy's layout");
    let parameters = layout.parameters().iter();
    let parts: Vec<Part<'_>> = parameters
        .map(|p| Part { name: &p.name, shape: &p.shape, numbers: &numbers[p.range()], format: Format::F32 })
        .collect();
    checkpoint::write(path, &parts).with_context(|| format!("write `{}`", path.display()))
}

/// Reads back what [`write`] wrote, bit for bit; numbers between parameters stay as they are.
pub(super) fn read(path: &Path, layout: &Layout, numbers: &mut [f32]) -> Result<()> {
    let mut read = || {
        let weights = Weights::open_file(path)?;
        let (found, expected) = (weights.names().count(), layout.parameters().len());
        ensure!(found == expected, "it holds {found} tensors, expected {expected}");
        read_into(&weights, layout, numbers)
    };
    read().with_context(|| format!("read `{}`", path.display()))
}

/// Reads the weights of a policy's folder.
pub(super) fn read_folder(folder: &Path, layout: &Layout, numbers: &mut [f32]) -> Result<()> {
    read_into(&Weights::open(folder)?, layout, numbers)
}

fn read_into(weights: &Weights, layout: &Layout, numbers: &mut [f32]) -> Result<()> {
    let targets = layout.parts_mut(numbers);
    let targets = targets.map(|(p, numbers)| Target { name: &p.name, shape: &p.shape, numbers });
    Ok(weights.read(targets.collect(), team::cores())?)
}
