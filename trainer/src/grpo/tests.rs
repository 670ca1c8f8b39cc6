use std::fs;
use std::path::{Path, PathBuf};

use model::config::{Dtype, Mla};
use serde_json::{Map, Value};

use super::*;
use crate::fixture::Folder;
use crate::toy_run::{copy, metrics, options, same_files};

/// The tiny shape from fresh weights, on sums, with two updates a step, a KL and an evaluation.
fn config(extra: &str) -> RunConfig {
    tch::set_num_threads(1);
    let tiny = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    let text = format!(
        r#"
        name = "sums"
        seed = 7
        model = {{ checkpoint = {tiny:?}, random_init = true }}
        data = {{ source.chain = {{ n_problems = 40 }}, template = "plain" }}
        rollout = {{ max_tokens = 12 }}
        rewards = [
          {{ soft_overlong = {{ weight = 1.0, max_tokens = 12, buffer = 8 }} }},
          {{ accuracy = {{ weight = 1.0, kind = "exact", extract = "answer_tag" }} }},
        ]
        optimizer = {{ lr = 0.001 }}

        [grpo]
        steps = 4
        prompts_per_step = 4
        group_size = 4
        updates_per_step = 2
        microbatch_tokens = 64
        reference_every = 2
        eval_every = 2
        objective = {{ kl_coef = 0.05 }}

        [run]
        save_every = 1
        keep_last = 10
        workers = 2

        [eval]
        samples = 2
        sets = [{{ name = "chain", data = {{ source.chain = {{ n_problems = 6, split = "heldout" }}, template = "plain" }} }}]
        {extra}
        "#
    );
    toml::from_str(&text).unwrap()
}

fn same_result(a: &Path, b: &Path) {
    assert_eq!(metrics(a), metrics(b));
    let files = [
        "samples.jsonl",
        "step_0004/model.safetensors",
        "step_0004/optimizer/first_moment.safetensors",
        "step_0004/optimizer/second_moment.safetensors",
        "step_0004/reference/reference.safetensors",
        "final/model.safetensors",
    ];
    same_files(a, b, &files);
}

#[test]
fn a_run_learns_to_be_brief_and_agrees_with_itself() {
    let root = tempfile::tempdir().unwrap();
    let config = config("");
    assert_eq!(train(&config, &options(root.path(), None)).unwrap(), Ending::Finished);
    let run = root.path().join("sums/1");
    let rows = metrics(&run);
    // Evaluated before step 1 and after steps 2 and 4.
    let steps: Vec<u64> = rows.iter().map(|row| row["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 1, 2, 2, 3, 4, 4]);
    let trained: Vec<_> = rows.iter().filter(|row| row.contains_key("reward")).collect();
    for row in &trained {
        assert_eq!(row["mismatch_max"], 0.0, "sampler and trainer agree on every bit");
        assert!(row["parity_tokens"].as_f64().unwrap() > 0.0);
        assert!(row["kl"].as_f64().unwrap() >= 0.0 && row["grad"].as_f64().unwrap() > 0.0);
    }
    // The reference is the policy of the start in step 1, and the policy itself in step 3.
    assert!(trained[0]["kl"].as_f64().unwrap() < trained[1]["kl"].as_f64().unwrap());
    assert!(run.join("report.html").exists() && run.join("final/tokenizer.json").exists());

    assert_eq!(train(&config, &options(root.path(), None)).unwrap(), Ending::Finished);
    same_result(&run, &root.path().join("sums/2"));
}

#[test]
fn a_resumed_run_is_the_same_run() {
    resumed_is_the_same(&config(""));
}

/// Windows and warm-ups follow from the step alone; gates, a function of the user's and shares of each rule too.
#[test]
fn a_resumed_run_with_composed_rules_is_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reward.py");
    let function = "def reward(completions, trainer_state, **columns):\n    \
        return [None if 'x' in text else len(text) * trainer_state.global_step / 100 for text in completions]\n";
    fs::write(&file, function).unwrap();
    let mut config = config("");
    config.rewards = serde_json::from_value(serde_json::json!([
        {"soft_overlong": {"weight": 1.0, "max_tokens": 12, "buffer": 8, "steps": [2], "warmup_steps": 2}},
        {"accuracy": {"weight": 1.0, "kind": "exact", "extract": "answer_tag", "needs": {"python": 0.05}}},
        {"python": {"weight": 0.5, "file": file, "clip": [0.0, 0.3], "steps": [1, 3], "workers": 2}},
    ]))
    .unwrap();
    config.grpo.as_mut().unwrap().combine_rewards = CombineRewards::NormalizeThenSum;
    let whole = resumed_is_the_same(&config);
    let rows = metrics(&whole.path().join("sums/1"));
    let steps = |key: &str| -> Vec<u64> {
        rows.iter().filter(|row| row.contains_key(key)).map(|row| row["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("soft_overlong"), [2, 3, 4]);
    assert_eq!(steps("python"), [1, 2, 3]);
    assert_eq!(steps("accuracy"), [1, 2, 3, 4]);
    assert!(steps("python/std").len() == 3 && steps("python/failed").is_empty());
}

/// A run, gone on with from several of its checkpoints; its folder.
fn resumed_is_the_same(config: &RunConfig) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    train(config, &options(root.path(), None)).unwrap();
    let whole = root.path().join("sums/1");
    for from in ["step_0000", "step_0001", "step_0003"] {
        let cut = root.path().join("cut");
        copy(&whole, &cut);
        if cut.join(from).exists() {
            train(config, &options(root.path(), Some(cut.join(from)))).unwrap();
            same_result(&whole, &cut);
        }
        fs::remove_dir_all(&cut).unwrap();
    }
    root
}

#[test]
fn another_number_of_workers_is_told_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config("");
    train(&config, &options(root.path(), None)).unwrap();
    config.run.workers = Some(3);
    train(&config, &options(root.path(), None)).unwrap();
    same_result(&root.path().join("sums/1"), &root.path().join("sums/2"));
    let cut = Some(root.path().join("sums/1/step_0001"));
    let error = train(&config, &options(root.path(), cut)).unwrap_err();
    assert!(format!("{error:#}").contains("workers: 2 → 3"), "{error:#}");
    config.optimizer.lr = 0.002;
    let error = train(&config, &options(root.path(), Some(root.path().join("sums/1/step_0001")))).unwrap_err();
    assert!(format!("{error:#}").contains("`optimizer.lr`: 0.001 → 0.002"), "{error:#}");
}

#[test]
fn measured_log_probabilities_are_the_rollouts_own() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config("");
    train(&config, &options(root.path(), None)).unwrap();
    config.run.exactness = crate::config::Exactness::Measure;
    train(&config, &options(root.path(), None)).unwrap();
    same_result(&root.path().join("sums/1"), &root.path().join("sums/2"));
}

/// What is trained in the expanded form of latents is sampled in the other: the difference is measured, in every precision.
#[test]
fn expanded_latents_are_measured() {
    let folder = Folder { experts: true, ..Folder::default() }.write();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Fp8] {
        let mut config = config("");
        (config.model.checkpoint, config.model.dtype) = (folder.path().to_owned(), dtype);
        for mla in [Mla::Absorbed, Mla::Expanded] {
            let root = tempfile::tempdir().unwrap();
            config.model.mla = mla;
            train(&config, &options(root.path(), None)).unwrap();
            let rows = metrics(&root.path().join("sums/1"));
            let largest = rows.iter().filter_map(|row| row.get("mismatch_max")?.as_f64()).fold(0.0, f64::max);
            assert!(largest.is_finite() && (largest > 0.0) == (mla == Mla::Expanded), "{dtype:?} {mla:?}: {largest}");
        }
    }
}

/// What a GPU would run, on libtorch's CPU device: the same loop, with old log-probabilities measured and close.
#[test]
fn a_device_takes_the_same_steps() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config("");
    train(&config, &options(root.path(), None)).unwrap();
    config.model.device = model::config::DeviceChoice::Libtorch;
    train(&config, &options(root.path(), None)).unwrap();
    let [host, device] = ["sums/1", "sums/2"].map(|run| metrics(&root.path().join(run)));
    assert_eq!(host.len(), device.len());
    let number = |row: &Map<String, Value>, key: &str| row.get(key).and_then(Value::as_f64);
    for (host, device) in host.iter().zip(&device) {
        let keys = |row: &Map<String, Value>| row.keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys(host), keys(device));
        // Draws and sums part only in last places; over four steps of drawn weights nothing grows.
        for key in ["reward", "len", "loss", "kl", "grad", "entropy"] {
            let (a, b) = (number(host, key), number(device, key));
            let apart = a.zip(b).map(|(a, b)| (a - b).abs() / (1e-3 + a.abs()));
            assert!(apart.is_none_or(|apart| apart < 1e-2), "{key}: {a:?}, on the device {b:?}");
        }
        let mismatch = number(device, "mismatch_max");
        assert!(mismatch.is_none_or(|largest| largest < 1e-4), "{mismatch:?}");
    }
    // A device has one replica: there is nothing to measure.
    let state = std::fs::read_to_string(root.path().join("sums/2/step_0003/state.json")).unwrap();
    assert!(!state.contains("\"replicas\""), "{state}");
    // It goes on from its own checkpoint, and elsewhere only where that is allowed.
    let cut = Some(root.path().join("sums/2/step_0003"));
    assert_eq!(train(&config, &options(root.path(), cut.clone())).unwrap(), Ending::Finished);
    config.model.device = model::config::DeviceChoice::Cpu;
    let error = train(&config, &options(root.path(), cut)).unwrap_err();
    assert!(format!("{error:#}").contains("f32 on cpu by libtorch, libtorch's kernels"), "{error:#}");
}

#[test]
fn a_gradient_that_is_not_finite_never_reaches_the_weights() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config("");
    config.grpo.as_mut().unwrap().objective.kl_coef = 1e300;
    config.run.max_skipped_updates = 3;
    let error = train(&config, &options(root.path(), None)).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("3 updates in a row were skipped"), "{text}");
    let run = root.path().join("sums/1");
    assert!(run.join("dump").read_dir().unwrap().count() > 0, "the batches lie there");
}
