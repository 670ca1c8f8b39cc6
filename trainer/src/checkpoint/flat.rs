//! Flat arrays on disk: the arrays that share a policy's layout, tensor by tensor under the parameters' names.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use memmap2::Mmap;
use model::layout::{Layout, Parameter};
use safetensors::tensor::{Dtype, SafeTensors, View};

/// One parameter's part of a flat array.
struct Part<'a> {
    parameter: &'a Parameter,
    numbers: &'a [f32],
}

impl View for Part<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.parameter.shape
    }

    // Made when the writer comes to it, so that one tensor is copied at a time.
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        for (to, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(self.numbers) {
            *to = number.to_le_bytes();
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        size_of_val(self.numbers)
    }
}

/// Writes a flat array as f32 safetensors; numbers between parameters are left out.
pub(super) fn write(path: &Path, layout: &Layout, numbers: &[f32]) -> Result<()> {
    assert_eq!(numbers.len(), layout.len(), "the array must have the policy's layout");
    let parts = layout.parameters().iter().map(|parameter| {
        let numbers = &numbers[parameter.range()];
        (parameter.name.as_str(), Part { parameter, numbers })
    });
    safetensors::serialize_to_file(parts, None, path).with_context(|| format!("write `{}`", path.display()))
}

/// Reads back what [`write`] wrote, bit for bit; numbers between parameters stay as they are.
pub(super) fn read(path: &Path, layout: &Layout, numbers: &mut [f32]) -> Result<()> {
    assert_eq!(numbers.len(), layout.len(), "the array must have the policy's layout");
    read_tensors(path, layout, numbers).with_context(|| format!("read `{}`", path.display()))
}

fn read_tensors(path: &Path, layout: &Layout, numbers: &mut [f32]) -> Result<()> {
    let file = fs::File::open(path)?;
    // SAFETY: the map is only read, and whoever holds the run folder's lock is its only writer; a checkpoint's files
    // never change after the rename that made them visible.
    let map = unsafe { Mmap::map(&file)? };
    let tensors = SafeTensors::deserialize(&map)?;
    for parameter in layout.parameters() {
        let tensor = tensors.tensor(&parameter.name)?;
        let (found, expected) = (tensor.shape(), &parameter.shape);
        ensure!(
            tensor.dtype() == Dtype::F32 && found == expected,
            "`{}` is {:?} {found:?}, expected F32 {expected:?}",
            parameter.name,
            tensor.dtype(),
        );
        let bytes = tensor.data().as_chunks::<4>().0;
        for (number, bytes) in numbers[parameter.range()].iter_mut().zip(bytes) {
            *number = f32::from_le_bytes(*bytes);
        }
    }
    let (found, expected) = (tensors.len(), layout.parameters().len());
    ensure!(found == expected, "it holds {found} tensors, expected {expected}");
    Ok(())
}
