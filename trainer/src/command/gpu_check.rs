//! `grouper gpu-check`: what a GPU computes and how fast.

use std::io::Write;

use anyhow::{Context, Result, bail};
use trainer::cli::GpuCheckArgs;
use trainer::config::Ending;
use trainer::gpu_check;

/// Prints each number as it is found; fails where a check does.
pub(crate) fn run(arguments: &GpuCheckArgs) -> Result<Ending> {
    let mut out = std::io::stdout();
    let found = gpu_check::run(arguments, &mut |line| writeln!(out, "{line}").context("write to standard output"))?;
    if !found.sound() {
        bail!("check the device: some numbers are not those of the CPU");
    }
    Ok(Ending::Finished)
}
