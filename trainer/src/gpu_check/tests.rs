use super::*;
use crate::mistake::Mistake;
use model::config::DeviceChoice;

fn arguments(device: DeviceChoice) -> GpuCheckArgs {
    GpuCheckArgs { device, model: None, save: None, output: None, only_correctness: false }
}

/// The CPU device of the same tensor code: every check is within its bound, every speed is a number, all is written.
#[test]
fn the_cpu_device_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let (output, save) = (folder.path().join("deep/found.json"), folder.path().join("policy"));
    let arguments =
        GpuCheckArgs { output: Some(output.clone()), save: Some(save.clone()), ..arguments(DeviceChoice::Cpu) };
    let mut lines = Vec::new();
    let found = run(&arguments, &mut |line| {
        lines.push(line.to_owned());
        Ok(())
    })
    .unwrap();
    assert!(found.sound(), "{lines:#?}");
    // Eight families, three precisions, seven numbers each, and one of routers where there are experts.
    assert_eq!(found.checks.len(), 180);
    assert!(found.measures.iter().all(|m| m.value.is_finite() && m.value > 0.0), "{lines:#?}");
    assert_eq!(lines.len(), found.checks.len() + found.measures.len());
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    assert_eq!(written["device"], "cpu");
    assert_eq!(written["checks"].as_array().unwrap().len(), 180);
    assert!(save.join("model.safetensors").is_file() && save.join("config.json").is_file());
}

#[test]
fn a_bound_that_is_not_kept_is_told() {
    let check = Check { family: "llama", dtype: "f32", what: "weights", value: 0.5, bound: Some(1e-6), ok: false };
    assert_eq!(check.to_string(), "FAILED    llama        f32   weights: 5.00e-1 (at most 1e-6)");
    let found = Found { device: "cpu", version: "0", checks: vec![check], measures: Vec::new() };
    assert!(!found.sound());
}

/// Where there is a GPU this is no error, and the test has nothing to say.
#[test]
fn without_a_gpu_the_user_is_told() {
    let Err(error) = device::open(DeviceChoice::Cuda) else { return };
    let mistake = error.downcast_ref::<Mistake>().expect("a mistake");
    assert!(mistake.message.starts_with("no CUDA device found: "), "{mistake}");
    assert!(mistake.hint.is_some());
    assert_eq!(crate::complaint::exit_code(&error), 2);
}
