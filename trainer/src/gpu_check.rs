//! `grouper gpu-check`: what a device computes against what the CPU's kernels compute, then how fast it is.
//!
//! `scripts/gpu_check` drives it: finds the library, runs this, sets transformers' numbers beside ours and prints tables.

mod correctness;
mod generation;
mod measures;
mod policies;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use tch::Device;

use crate::cli::GpuCheckArgs;
use crate::device;
pub use correctness::Check;
pub use measures::Measure;

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// `cuda` or `cpu`.
    pub device: &'static str,
    /// This program's version.
    pub version: &'static str,
    /// What was compared with the CPU's kernels.
    pub checks: Vec<Check>,
    /// How fast it was; none where a check failed.
    pub measures: Vec<Measure>,
}

impl Found {
    /// Whether every check kept its bound.
    pub fn sound(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// Checks, measures, tells each line to `say` as it comes, and writes everything to `arguments.output`.
///
/// # Errors
/// Where there is no such device, or a file cannot be read or written.
pub fn run(arguments: &GpuCheckArgs, say: &mut dyn FnMut(&str) -> Result<()>) -> Result<Found> {
    let device = device::open(arguments.device)?.unwrap_or(Device::Cpu);
    let kind = if device.is_cuda() { "cuda" } else { "cpu" };
    let mut found =
        Found { device: kind, version: env!("CARGO_PKG_VERSION"), checks: Vec::new(), measures: Vec::new() };
    correctness::check(device, &mut |check| {
        say(&check.to_string())?;
        found.checks.push(check);
        Ok(())
    })?;
    // Written before anything is measured, too: what is measured may be too large for the device.
    save(arguments, &found)?;
    if found.sound() && !arguments.only_correctness {
        measures::measure(device, arguments, &mut |measure| {
            say(&measure.to_string())?;
            found.measures.push(measure);
            Ok(())
        })?;
    }
    save(arguments, &found)?;
    Ok(found)
}

fn save(arguments: &GpuCheckArgs, found: &Found) -> Result<()> {
    match &arguments.output {
        Some(path) => write(path, found).with_context(|| format!("write `{}`", path.display())),
        None => Ok(()),
    }
}

fn write(path: &Path, found: &Found) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    serde_json::to_writer_pretty(File::create(path)?, found)?;
    Ok(())
}

/// Waits until a device has done what it was given.
fn settle(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

#[cfg(test)]
mod tests;
