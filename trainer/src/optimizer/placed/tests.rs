//! Runs on libtorch's CPU device, whose masters, moments and gradient are that device's.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use model::config::{DeviceChoice, PolicyConfig};
use serde_json::{Map, Value};
use tch::Device;

use super::*;
use crate::config::RunConfig;
use crate::fixture::Folder;
use crate::toy_run::{copy, metrics, same_files, train};

const SFT: &str = r#"
data = { source.arithmetic = { n_problems = 40, terms = 2, max_number = 9 }, template = "plain" }
sft = { steps = 4, batch_tokens = 300, max_tokens = 80, microbatch_tokens = 128, mtp.weight = 0.3 }
"#;

const GRPO: &str = r#"
data = { source.chain = { n_problems = 40 }, template = "plain" }
rewards = [{ soft_overlong = { weight = 1.0, max_tokens = 12, buffer = 8 } }]
grpo = { steps = 4, prompts_per_step = 4, group_size = 4, updates_per_step = 2, microbatch_tokens = 64, mtp_weight = 0.1, reference_every = 2, objective = { kl_coef = 0.01 } }
"#;

const ROUTER: &str = "bias_update_rate = 0.01, sequence_balance = 0.01, aux_loss = 0.01, z_loss = 0.001";

/// A run of `stage` that learns everything there is: experts, evened out, and a module of multi-token prediction.
fn config(checkpoint: &Path, stage: &str, router: &str, moments: &str) -> RunConfig {
    let text = format!(
        r#"
        name = "sums"
        seed = 5
        model = {{ checkpoint = {checkpoint:?}, random_init = true, device = "libtorch" }}
        rollout = {{ max_tokens = 12 }}
        optimizer = {{ lr = 0.003, beta2 = 0.95, weight_decay = 0.1, moments = "{moments}" }}
        run = {{ save_every = 1, keep_last = 10, workers = 2 }}
        router = {{ {router} }}
        {stage}
        "#
    );
    toml::from_str(&text).unwrap()
}

fn folder() -> tempfile::TempDir {
    Folder { experts: true, n_mtp: 1, ..Folder::default() }.write()
}

/// What routers and modules learn and tell is what it is on the host but for last places.
#[test]
fn a_device_learns_and_tells_what_the_host_does() {
    let folder = folder();
    for stage in [SFT, GRPO] {
        let root = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), stage, ROUTER, "f32");
        train(&config, root.path(), None);
        config.model.device = DeviceChoice::Cpu;
        train(&config, root.path(), None);
        let [device, host] = ["sums/1", "sums/2"].map(|run| metrics(&root.path().join(run)));
        assert_eq!(device.len(), host.len());
        for (device, host) in device.iter().zip(&host) {
            let keys = |row: &Map<String, Value>| row.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(device), keys(host));
            let told = ["router/aux_loss", "router/z_loss", "router/bias_max", "mtp/loss", "grad", "loss"];
            let told = told.iter().chain(&["router/sequence_balance", "router/bias_step", "router/dropped"]);
            for key in told.filter(|key| host.contains_key(**key)) {
                let [a, b] = [device, host].map(|row| row[*key].as_f64().unwrap());
                assert!((a - b).abs() <= 1e-2 * (1e-3 + b.abs()), "{key}: {a}, on the host {b}");
            }
        }
        let learned =
            |row: &Map<String, Value>| row.contains_key("router/max_violation") && row.contains_key("mtp/loss");
        assert!(device.iter().any(learned), "{device:?}");
    }
}

/// Masters and moments that were fetched for a checkpoint go on from it as if they had never left: the same bytes.
#[test]
fn a_run_on_a_device_goes_on_byte_by_byte() {
    let folder = folder();
    for (stage, moments) in [(SFT, "f32"), (SFT, "bf16"), (GRPO, "f32")] {
        let root = tempfile::tempdir().unwrap();
        let config = config(folder.path(), stage, ROUTER, moments);
        train(&config, root.path(), None);
        let (whole, cut) = (root.path().join("sums/1"), root.path().join("cut"));
        copy(&whole, &cut);
        train(&config, root.path(), Some(cut.join("step_0001")));
        assert_eq!(metrics(&cut), metrics(&whole));
        let moments = ["step_0004/optimizer/first_moment.safetensors", "step_0004/optimizer/second_moment.safetensors"];
        same_files(&cut, &whole, &[&moments[..], &["final/model.safetensors"]].concat());
    }
}

/// Routers that are frozen keep their bits.
#[test]
fn frozen_routers_stay_on_a_device() {
    let (folder, root) = (folder(), tempfile::tempdir().unwrap());
    train(&config(folder.path(), SFT, "frozen = true", "f32"), root.path(), None);
    let load = |folder: &Path, random_init| {
        Policy::load(folder, &PolicyConfig { random_init, ..PolicyConfig::new(folder) }, 5).unwrap()
    };
    let (before, after) = (load(folder.path(), true), load(&root.path().join("sums/1/final"), false));
    let ranges = before.layout().router_ranges();
    assert!(!ranges.is_empty() && before.parameters() != after.parameters());
    assert!(ranges.into_iter().all(|range| before.parameters()[range.clone()] == after.parameters()[range]));
}

/// The sum on a device: in the order of the microbatches, of none zero, and none where it was cancelled.
#[test]
fn gradients_add_up_on_a_device() {
    let folder = folder();
    let config = PolicyConfig { random_init: true, ..PolicyConfig::new(folder.path()) };
    let mut policy = Policy::load(folder.path(), &config, 5).unwrap();
    policy.compute_on(Device::Cpu);
    let mut gradient = Gradient::beside(&policy, 2, 2);
    let go = AtomicBool::new(false);
    let mut sum = |items: &[f64], cancel: &AtomicBool| {
        let found = gradient.sum(items, cancel, |item, share, _| {
            drop(share.on_device().unwrap().g_add_scalar_(*item));
            *item
        });
        (found, gradient.on_device().unwrap().mean(tch::Kind::Float).double_value(&[]))
    };
    for _ in 0..2 {
        assert_eq!(sum(&[1.0, 2.0, 4.0], &go), (Some(vec![1.0, 2.0, 4.0]), 7.0));
    }
    assert_eq!(sum(&[], &go), (Some(Vec::new()), 0.0));
    assert_eq!(sum(&[1.0], &AtomicBool::new(true)).0, None);
    gradient.clear(0..10);
    assert!(gradient.total().is_empty());
}
