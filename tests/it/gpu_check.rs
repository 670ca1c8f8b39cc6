//! The one command that a machine with a GPU is checked with.

use std::path::Path;
use std::process::{Command, Output};

fn gpu_check(device: &str, output: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/gpu_check");
    let mut command = Command::new("python3");
    command.arg(script).args(["--device", device, "--only-correctness"]);
    command.args(["--program", env!("CARGO_BIN_EXE_grouper"), "--output"]).arg(output).output().unwrap()
}

/// The GPU's code on libtorch's CPU device.
#[test]
fn the_cpu_device_passes() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("found.json");
    let done = gpu_check("cpu", &output);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("124 numbers compared with the CPU's kernels, 0 out of bounds."), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    let runs = found["grpo"].as_array().unwrap();
    assert!(runs.len() >= 2 && runs.iter().all(|run| run["mismatch_max"].as_f64().unwrap() < 0.5), "{runs:?}");
    assert_eq!((found["device"].as_str(), found["checks"].as_array().map(Vec::len)), (Some("cpu"), Some(180)));
}

/// Without a GPU it says what it looked for, and with one it passes.
#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let done = gpu_check("cuda", &folder.path().join("found.json"));
    let said = String::from_utf8_lossy(&done.stderr);
    let without = done.status.code() == Some(2) && said.contains("no CUDA device found: ");
    assert!(done.status.success() || without, "{said}");
}

/// A run's check says beforehand what the run would fail with.
#[test]
fn a_check_finds_a_device_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let there = gpu_check("cuda", &folder.path().join("found.json")).status.success();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/r1_zero_tiny.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
    command.current_dir(config.parent().unwrap().join("..")).arg("check").arg(&config);
    let done = command.args(["--set", "model.device=cuda"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let refused = done.status.code() == Some(2)
        && said.contains("error: `--set model.device=cuda`: `model.device`: no CUDA device found: ");
    assert_eq!((done.status.success(), refused), (there, !there), "{said}");
}
