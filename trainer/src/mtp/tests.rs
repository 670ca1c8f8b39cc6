use std::fs;
use std::path::Path;

use model::config::Dtype;
use serde_json::{Map, Value};

use super::*;
use crate::config::{Ending, RunOptions};
use crate::fixture::Folder;
use crate::preflight;
use crate::sft;
use crate::toy_run::{metrics, options, same_files, train};

fn fine_tuning(checkpoint: &Path, mtp: &str) -> RunConfig {
    let text = format!(
        r#"
        name = "sums"
        seed = 5
        model = {{ checkpoint = {checkpoint:?}, random_init = true }}
        data = {{ source.arithmetic = {{ n_problems = 40, terms = 2, max_number = 9 }}, template = "plain" }}
        sft = {{ steps = 12, batch_tokens = 300, max_tokens = 80, microbatch_tokens = 128, {mtp} }}
        optimizer = {{ lr = 0.003, beta2 = 0.99, weight_decay = 0.1 }}
        run = {{ save_every = 3, workers = 2 }}
        "#
    );
    toml::from_str(&text).unwrap()
}

/// Samples with drafts of so many tokens by the module.
fn reinforcement(checkpoint: &Path, mtp_weight: f64, speculate: usize) -> RunConfig {
    let text = format!(
        r#"
        name = "sums"
        seed = 7
        model = {{ checkpoint = {checkpoint:?}, random_init = true }}
        data = {{ source.chain = {{ n_problems = 40 }}, template = "plain" }}
        rollout = {{ max_tokens = 12, max_batch = 1, speculate = {speculate}, draft = "mtp" }}
        rewards = [{{ soft_overlong = {{ weight = 1.0, max_tokens = 12, buffer = 8 }} }}]
        optimizer = {{ lr = 0.001 }}
        grpo = {{ steps = 3, prompts_per_step = 4, group_size = 4, microbatch_tokens = 64, mtp_weight = {mtp_weight} }}
        run = {{ save_every = 1, keep_last = 10, workers = 2 }}
        "#
    );
    toml::from_str(&text).unwrap()
}

fn rows(run: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(row: &Map<String, Value>, key: &str) -> f64 {
    row.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{key} in {row:?}"))
}

/// The numbers of the modules' tensors in a checkpoint of the fixture, whose policy has two layers or three.
fn modules(folder: &Path) -> Vec<f32> {
    let config = model::config::PolicyConfig::new(folder);
    let policy = Policy::load(folder, &config, 0).unwrap();
    policy.layout().mtp_ranges().into_iter().flat_map(|range| policy.parameters()[range].to_vec()).collect()
}

#[test]
fn the_weight_follows_its_schedule() {
    let mtp: MtpConfig =
        toml::from_str("weight_schedule = [{ step = 3, weight = 0.1 }, { step = 5, weight = 0 }]").unwrap();
    assert_eq!([1, 2, 3, 4, 5, 9].map(|step| mtp.weight(step)), [0.3, 0.3, 0.1, 0.1, 0.0, 0.0]);
}

/// Two modules, one of them of experts: their loss falls beside the policy's, and a run that was stopped ends in the same
/// bytes.
#[test]
fn modules_learn_and_a_resumed_run_is_the_same_run() {
    for folder in [Folder { n_mtp: 2, ..Folder::default() }, Folder { n_mtp: 1, experts: true, ..Folder::default() }] {
        let folder = folder.write();
        let root = tempfile::tempdir().unwrap();
        let config = fine_tuning(folder.path(), "mtp.weight_schedule = [{ step = 9, weight = 0.1 }]");
        train(&config, root.path(), None);
        let whole = root.path().join("sums/1");
        let found = rows(&whole);
        assert_eq!(found.len(), 12);
        assert!((number(&found[0], "mtp/loss") - 264_f64.ln()).abs() < 0.1, "{:?}", found[0]);
        assert!(number(&found[11], "mtp/loss") < number(&found[0], "mtp/loss") - 0.3, "{:?}", found[11]);
        assert!(found.iter().all(|row| (0.0..=1.0).contains(&number(row, "mtp/accuracy"))));
        assert!(number(&found[11], "mtp/accuracy") > number(&found[0], "mtp/accuracy"));

        let stopped = RunOptions { max_hours: Some(0.0), ..options(root.path(), None) };
        assert_eq!(sft::train(&config, &stopped).unwrap(), Ending::Stopped);
        let cut = root.path().join("sums/2");
        train(&config, root.path(), Some(cut.clone()));
        assert_eq!(metrics(&cut), metrics(&whole));
        let moments = ["step_0012/optimizer/first_moment.safetensors", "step_0012/optimizer/second_moment.safetensors"];
        same_files(&whole, &cut, &[&moments[..], &["step_0012/model.safetensors", "final/model.safetensors"]].concat());
    }
}

/// Without a table they stay as they are, weight decay or not, and so does what the policy learns beside them.
#[test]
fn modules_that_do_not_learn_stay() {
    let folder = Folder { n_mtp: 1, ..Folder::default() }.write();
    let root = tempfile::tempdir().unwrap();
    for (run, mtp) in [("sums/1", ""), ("sums/2", "mtp.weight = 0")] {
        let config = fine_tuning(folder.path(), mtp);
        train(&config, root.path(), None);
        assert!(rows(&root.path().join(run)).iter().all(|row| !row.contains_key("mtp/loss")));
    }
    let config = model::config::PolicyConfig { random_init: true, ..model::config::PolicyConfig::new(folder.path()) };
    let fresh = Policy::load(folder.path(), &config, 5).unwrap();
    let fresh: Vec<f32> =
        (fresh.layout().mtp_ranges().into_iter()).flat_map(|range| fresh.parameters()[range].to_vec()).collect();
    assert!(modules(&root.path().join("sums/1/final")) == fresh);
    same_files(&root.path().join("sums/1"), &root.path().join("sums/2"), &["final/model.safetensors"]);
}

/// Modules learn in reinforcement learning where they are asked to; whether they draft changes no byte of the run, in any
/// precision.
#[test]
fn drafts_of_the_module_change_no_byte_of_a_run() {
    for (experts, dtype) in [(false, Dtype::F32), (false, Dtype::Fp8), (true, Dtype::Bf16), (true, Dtype::Fp8)] {
        drafts_change_no_byte(&Folder { n_mtp: 1, experts, ..Folder::default() }, dtype);
    }
}

fn drafts_change_no_byte(folder: &Folder, dtype: Dtype) {
    let (folder, root) = (folder.write(), tempfile::tempdir().unwrap());
    for speculate in [0, 2] {
        let mut config = reinforcement(folder.path(), 0.3, speculate);
        config.model.dtype = dtype;
        train(&config, root.path(), None);
    }
    let [plain, drafting] = ["sums/1", "sums/2"].map(|run| root.path().join(run));
    assert_eq!(metrics(&plain), metrics(&drafting));
    same_files(&plain, &drafting, &["samples.jsonl", "final/model.safetensors"]);
    let found = rows(&drafting);
    assert!(found.iter().any(|row| row.contains_key("mtp/loss")), "{found:?}");
    for row in &found {
        assert!((0.0..=1.0).contains(&number(row, "perf/draft_overlap")));
        assert!((0.0..=1.0).contains(&number(row, "perf/draft_accepted")));
        assert!(number(row, "perf/tokens_per_decode") >= 1.0 && number(row, "mismatch_max") == 0.0);
    }
    assert!(rows(&plain).iter().all(|row| !row.contains_key("perf/draft_overlap")));
}

#[test]
fn keys_that_need_a_module_are_refused_without_one() {
    let folder = Folder::default().write();
    let keys = |config: &RunConfig, stage| -> Vec<String> {
        let checked = preflight::check(config, stage, &std::env::temp_dir());
        let about = |message: &str| message.contains("multi-token prediction");
        checked.findings.iter().filter(|f| about(&f.message)).map(|f| f.key.clone()).collect()
    };
    assert_eq!(keys(&fine_tuning(folder.path(), "mtp = {}"), Stage::Sft), ["sft.mtp"]);
    let drafting = reinforcement(folder.path(), 0.1, 2);
    assert_eq!(keys(&drafting, Stage::Grpo), ["grpo.mtp_weight", "rollout.draft"]);
    let folder = Folder { n_mtp: 1, ..Folder::default() }.write();
    assert!(keys(&reinforcement(folder.path(), 0.1, 2), Stage::Grpo).is_empty());
}
