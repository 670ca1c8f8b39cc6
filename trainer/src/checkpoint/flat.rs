//! Flat arrays on disk: the arrays that share a policy's layout, tensor by tensor under the parameters' names.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use half::bf16;
use model::checkpoint::{self, Format, Part, Target, Weights};
use model::layout::{Layout, Parameter};
use model::team;
use safetensors::{Dtype, View, serialize_to_file};

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
    let mut read = || read_into(&open(path, layout)?, layout, numbers);
    read().with_context(|| format!("read `{}`", path.display()))
}

/// [`write`] for an array of bf16 numbers.
pub(super) fn write_half(path: &Path, layout: &Layout, numbers: &[bf16]) -> Result<()> {
    assert_eq!(numbers.len(), layout.len(), "the array must have the policy's layout");
    let halves = |p| Halves(p, &numbers[Parameter::range(p)]);
    let tensors = layout.parameters().iter().map(|p| (&p.name, halves(p)));
    serialize_to_file(tensors, None, path).with_context(|| format!("write `{}`", path.display()))
}

/// Reads back what [`write_half`] wrote, bit for bit, a tensor at a time.
pub(super) fn read_half(path: &Path, layout: &Layout, numbers: &mut [bf16]) -> Result<()> {
    let mut read = || -> Result<()> {
        let weights = open(path, layout)?;
        let mut wide = Vec::new();
        for parameter in layout.parameters() {
            let to = &mut numbers[parameter.range()];
            wide.resize(to.len(), 0.0);
            let (name, shape) = (parameter.name.as_str(), parameter.shape.as_slice());
            weights.read(vec![Target { name, shape, numbers: &mut wide }], team::cores())?;
            to.iter_mut().zip(&wide).for_each(|(half, number)| *half = bf16::from_f32(*number));
        }
        Ok(())
    };
    read().with_context(|| format!("read `{}`", path.display()))
}

/// A parameter's part of an array of bf16 numbers.
struct Halves<'a>(&'a Parameter, &'a [bf16]);

impl View for Halves<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.1.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        2 * self.1.len()
    }
}

/// A file of one flat array.
fn open(path: &Path, layout: &Layout) -> Result<Weights> {
    let weights = Weights::open_file(path)?;
    let (found, expected) = (weights.names().count(), layout.parameters().len());
    ensure!(found == expected, "it holds {found} tensors, expected {expected}");
    Ok(weights)
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
