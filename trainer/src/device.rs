//! Opens the device that a policy computes on.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use model::config::DeviceChoice;
use model::device::{beside_libtorch, load_cuda};
use tch::{Cuda, Device, Kind, Tensor};

use crate::mistake::Mistake;

/// Names a folder that holds libtorch's CUDA library, before all others.
pub const VARIABLE: &str = "GROUPER_LIBTORCH_CUDA";

/// The device that libtorch's kernels compute on by `choice`, or `None` where the CPU's own kernels do. For CUDA its
/// library is loaded, which has to happen before the first tensor is made.
///
/// # Errors
/// A [`Mistake`] where CUDA is asked for and its library, or a device, is not there.
pub fn open(choice: DeviceChoice) -> Result<Option<Device>> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(None),
        DeviceChoice::Libtorch => Ok(Some(Device::Cpu)),
        DeviceChoice::Cuda => open_cuda().map(Some),
    }
}

/// How a device is called where a run's numbers stand.
pub fn name(device: Option<Device>) -> &'static str {
    match device {
        None => "cpu",
        Some(Device::Cuda(_)) => "cuda",
        Some(_) => "cpu by libtorch",
    }
}

fn open_cuda() -> Result<Device> {
    let library = load_cuda(&folders(|name| std::env::var_os(name))).map_err(|error| {
        let hint = format!(
            "set {VARIABLE} to the folder that holds it, such as `torch/lib` of a Python with torch 2.11.0 for CUDA"
        );
        Mistake::new(format!("no CUDA device found: {error}")).hint(hint)
    })?;
    let tried = match Cuda::device_count() {
        ..1 => Tensor::f_zeros([1], (Kind::Float, Device::Cuda(0))).err(),
        1.. => return Ok(Device::Cuda(0)),
    };
    let reason = tried.map_or_else(|| "it sees none".into(), |error| first_line(&error.to_string()));
    let message = format!("no CUDA device found: `{}` is loaded: {reason}", library.display());
    Err(Mistake::new(message).hint("`nvidia-smi` tells which devices the driver shows").into())
}

/// What libtorch says of an error, without where in its source.
fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("Internal torch error: ")
        .trim_end_matches('.')
        .to_owned()
}

/// Where libtorch's CUDA library may lie: where the user says, beside the libtorch in use, in the `LIBTORCH` of a build.
fn folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut folders: Vec<PathBuf> = named(VARIABLE).into_iter().chain(beside_libtorch()).collect();
    folders.extend(named("LIBTORCH").map(|folder| folder.join("lib")));
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_comes_first() {
        let found = folders(|name| Some(format!("/{name}").into()));
        assert_eq!(found.first(), Some(&PathBuf::from("/GROUPER_LIBTORCH_CUDA")));
        assert_eq!(found.last(), Some(&PathBuf::from("/LIBTORCH/lib")));
        assert!(folders(|_| Some("".into())).iter().all(|folder| folder.join("libtorch_cpu.so").is_file()));
    }
}
