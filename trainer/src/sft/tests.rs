use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::*;
use crate::data::Source;
use crate::fixture::Folder;
use crate::toy_run::{metrics, options, same_files};

fn config(checkpoint: &Path, steps: u64) -> RunConfig {
    let text = format!(
        r#"
        name = "sums"
        seed = 5
        model = {{ checkpoint = {checkpoint:?}, random_init = true }}
        data = {{ source.arithmetic = {{ n_problems = 40, terms = 2, max_number = 9 }}, template = "plain" }}
        sft = {{ steps = {steps}, batch_tokens = 300, max_tokens = 80, microbatch_tokens = 128 }}
        optimizer = {{ lr = 0.003, beta2 = 0.99 }}
        run = {{ save_every = 3, workers = 2 }}
        "#
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn the_loss_falls_and_a_resumed_run_is_the_same_run() {
    let folder = Folder::default().write();
    let root = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 12);
    assert_eq!(train(&config, &options(root.path(), None)).unwrap(), Ending::Finished);
    let whole = root.path().join("sums/1");
    let rows = metrics(&whole);
    assert_eq!(rows.len(), 12);
    let loss = |row: &Map<String, Value>| row["loss"].as_f64().unwrap();
    // ln 264 at the start: every id is as likely as any other.
    assert!((loss(&rows[0]) - 264_f64.ln()).abs() < 0.1, "{}", loss(&rows[0]));
    assert!(loss(&rows[11]) < loss(&rows[0]) - 0.5, "{}", loss(&rows[11]));

    // Out of time before the first step, and once more.
    let stopped = RunOptions { max_hours: Some(0.0), ..options(root.path(), None) };
    assert_eq!(train(&config, &stopped).unwrap(), Ending::Stopped);
    let cut = root.path().join("sums/2");
    assert_eq!(train(&config, &RunOptions { resume: Some(PathBuf::new()), ..stopped }).unwrap(), Ending::Stopped);
    assert_eq!(metrics(&cut).len(), 0);
    // What the log says of steps after the checkpoint is taken back.
    let log = cut.join("metrics.jsonl");
    fs::write(&log, fs::read_to_string(&log).unwrap() + "{\"step\": 1, \"loss\": 0}\n").unwrap();
    assert_eq!(train(&config, &options(root.path(), Some(cut.clone()))).unwrap(), Ending::Finished);
    assert_eq!(metrics(&cut), rows);
    let moment = "step_0012/optimizer/second_moment.safetensors";
    same_files(&whole, &cut, &["step_0012/model.safetensors", moment, "final/model.safetensors"]);
}

#[test]
fn the_configuration_lies_in_the_runs_folder() {
    let folder = Folder::default().write();
    let root = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 1);
    train(&config, &options(root.path(), None)).unwrap();
    let read = fs::read_to_string(root.path().join("sums/1").join(run::CONFIG)).unwrap();
    assert_eq!(read, toml::to_string_pretty(&config).unwrap());
}

#[test]
fn what_is_missing_is_named() {
    let folder = Folder::default().write();
    let root = tempfile::tempdir().unwrap();
    let without = RunConfig { sft: None, ..config(folder.path(), 1) };
    let error = train(&without, &options(root.path(), None)).unwrap_err();
    assert!(crate::complaint::text(&error, false).contains("`grouper sft` needs the table `[sft]`"), "{error}");
}

#[test]
fn the_tiny_policys_demonstrations_are_long_enough_and_keep_the_heldout_side_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = RunConfig::load(&root.join("configs/sft_tiny.toml"), &[]).unwrap();
    config.model.checkpoint = root.join(&config.model.checkpoint);
    let Source::ChainDemonstrations(demonstrations) = &mut config.data.source else { panic!("{config:?}") };
    demonstrations.n_problems = 5000;
    let checked = preflight::check(&config, Stage::Sft, &std::env::temp_dir());
    assert_eq!(checked.findings, []);
    let sequences = checked.sequences.unwrap();
    assert_eq!((sequences.n_too_long, sequences.n_empty), (0, 0));
    let n_learned: usize = sequences.all.iter().map(Sequence::n_learned).sum();
    let mean = n_learned as f64 / sequences.all.len() as f64;
    assert!(mean > 40.0, "a completion has {mean} tokens");
    let end = i64::from(checked.tokenizer.unwrap().eos_id().unwrap());
    assert!(sequences.all.iter().all(|sequence| sequence.tokens.last() == Some(&end)));
}

/// What a GPU would run, on libtorch's CPU device: the same losses but for their last places.
#[test]
fn a_device_learns_the_same() {
    let folder = Folder::default().write();
    let root = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), 4);
    train(&config, &options(root.path(), None)).unwrap();
    config.model.device = model::config::DeviceChoice::Libtorch;
    train(&config, &options(root.path(), None)).unwrap();
    let [host, device] = ["sums/1", "sums/2"].map(|run| metrics(&root.path().join(run)));
    assert_eq!(host.len(), 4);
    for (host, device) in host.iter().flatten().zip(device.iter().flatten()) {
        let (a, b) = (host.1.as_f64().unwrap(), device.1.as_f64().unwrap());
        assert!(host.0 == device.0 && (a - b).abs() <= 1e-3 * (1e-3 + a.abs()), "{host:?}, on the device {device:?}");
    }
}
