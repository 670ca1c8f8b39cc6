use std::path::Path;
use std::sync::atomic::AtomicBool;

use model::config::{Dtype, PolicyConfig};
use model::share::{Hand, Share};
use tempfile::TempDir;

use super::*;
use crate::config::RunConfig;
use crate::fixture::Folder;
use crate::optimizer::MomentsDtype;
use crate::toy_run::{copy, metrics, same_files, train};

const GRPO: &str = r#"
rollout = { max_tokens = 12 }
rewards = [
  { soft_overlong = { weight = 1.0, max_tokens = 12, buffer = 8 } },
  { accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" } },
]
grpo = { steps = 3, prompts_per_step = 4, group_size = 4, updates_per_step = 2, microbatch_tokens = 64 }
"#;

const SFT: &str = "sft = { steps = 3, batch_tokens = 300, max_tokens = 80, microbatch_tokens = 128 }";

const ALL: &str = "bias_update_rate = 0.01, sequence_balance = 0.01, aux_loss = 0.01, z_loss = 0.001";

fn folder() -> TempDir {
    Folder { experts: true, ..Folder::default() }.write()
}

/// Lets a run teach the module of multi-token prediction; when fine-tuning with another weight from the third step on.
fn teach_module(config: &mut RunConfig) {
    if let Some(sft) = &mut config.sft {
        sft.mtp = Some(toml::from_str("weight_schedule = [{ step = 3, weight = 0.1 }]").unwrap());
    }
    if let Some(grpo) = &mut config.grpo {
        grpo.mtp_weight = 0.1;
    }
}

fn config(checkpoint: &Path, stage: &str, router: &str) -> RunConfig {
    let source =
        if stage == SFT { "arithmetic = { n_problems = 40, terms = 2 }" } else { "chain = { n_problems = 40 }" };
    let text = format!(
        r#"
        name = "sums"
        seed = 5
        model = {{ checkpoint = {checkpoint:?}, random_init = true }}
        data = {{ source.{source}, template = "plain" }}
        optimizer = {{ lr = 0.003, weight_decay = 0.1 }}
        run = {{ save_every = 1, keep_last = 10, workers = 2 }}
        router = {{ {router} }}
        {stage}
        "#
    );
    toml::from_str(&text).unwrap()
}

fn policy(folder: &Path, random_init: bool) -> Policy {
    Policy::load(folder, &PolicyConfig { random_init, ..PolicyConfig::new(folder) }, 5).unwrap()
}

fn biases(policy: &Policy) -> Vec<f32> {
    let corrections = policy.layout().corrections();
    corrections.into_iter().flat_map(|(_, range)| policy.parameters()[range].to_vec()).collect()
}

/// Weights, moments, biases and numbers of a run with everything on are those of the run that was stopped, and those of
/// another number of workers; beside a module of multi-token prediction, whose experts are evened out as well, and in FP8
/// with moments in bf16.
#[test]
fn runs_whose_routers_are_evened_out_resume_to_the_same_bytes() {
    for (stage, n_mtp, fp8) in [(SFT, 0, true), (GRPO, 0, false), (SFT, 1, false), (GRPO, 1, true)] {
        let folder = Folder { experts: true, n_mtp, ..Folder::default() }.write();
        let root = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), stage, ALL);
        if n_mtp > 0 {
            teach_module(&mut config);
        }
        if fp8 {
            config.model.dtype = Dtype::Fp8;
            (config.optimizer.moments, config.optimizer.beta2) = (MomentsDtype::Bf16, 0.99);
        }
        train(&config, root.path(), None);
        let whole = root.path().join("sums/1");
        let cut = root.path().join("cut");
        copy(&whole, &cut);
        train(&config, root.path(), Some(cut.join("step_0002")));
        config.run.workers = Some(3);
        train(&config, root.path(), None);
        for other in [cut, root.path().join("sums/2")] {
            assert_eq!(metrics(&whole), metrics(&other));
            let files = ["model", "optimizer/first_moment", "optimizer/second_moment"];
            let files = files.map(|file| format!("step_0003/{file}.safetensors"));
            same_files(&whole, &other, &files.each_ref().map(String::as_str));
        }
        let rows = metrics(&whole);
        let last = rows.iter().rev().find(|row| row.contains_key("router/max_violation")).unwrap();
        let number = |key: &str| last[key].as_f64().unwrap();
        assert_eq!(number("router/dropped"), 0.0);
        assert!(number("router/max_violation") > 0.0 && (0.0..1.0).contains(&number("router/idle")));
        assert!(last.contains_key("router/max_violation/1") && last.contains_key("router/max_violation/2"));
        assert!(!last.contains_key("router/max_violation/0"), "the first block is dense");
        assert_eq!(
            (last.contains_key("router/max_violation/3"), last.contains_key("mtp/loss")),
            (n_mtp > 0, n_mtp > 0)
        );
        for key in ["router/sequence_balance", "router/aux_loss", "router/z_loss"] {
            assert!(number(key) > 0.0, "{key}");
        }
        assert!(rows.iter().all(|row| row.get("mismatch_max").is_none_or(|mismatch| *mismatch == 0.0)));
        // Two updates a step in reinforcement learning, one in fine-tuning: as many whole steps of γ.
        let biases = biases(&policy(&whole.join("step_0003"), false));
        assert!(biases.chunks(8).all(|block| block.iter().any(|bias| *bias != 0.0)), "each block's move: {biases:?}");
        let largest = biases.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(largest > 0.0 && f64::from(largest) == number("router/bias_max"));
        let steps = biases.iter().map(|bias| bias / 0.01);
        assert!(steps.map(|steps| (steps - steps.round()).abs()).fold(0.0, f32::max) < 1e-4, "{biases:?}");
    }
}

/// Neither gradient, norm nor decay knows of frozen routers; all else moves.
#[test]
fn frozen_routers_stay_as_they_are() {
    let folder = folder();
    let moved = |router: &str| -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        train(&config(folder.path(), SFT, router), root.path(), None);
        let (before, after) = (policy(folder.path(), true), policy(&root.path().join("sums/1/step_0003"), false));
        let differs = |p: &&model::layout::Parameter| before.parameters()[p.range()] != after.parameters()[p.range()];
        before.layout().parameters().iter().filter(differs).map(|p| p.name.clone()).collect()
    };
    let (free, frozen) = (moved("frozen = false"), moved("frozen = true"));
    let router = |name: &String| name.ends_with("mlp.gate.weight");
    assert_eq!(free.iter().filter(|name| router(name)).count(), 2, "{free:?}");
    assert!(frozen.iter().all(|name| !router(name)), "{frozen:?}");
    assert_eq!(frozen.len() + 2, free.len());
    assert!(!free.iter().any(|name| name.contains("e_score_correction_bias")), "no gradient reaches a bias");
}

#[test]
fn frozen_routers_are_not_in_the_norm() {
    let folder = folder();
    let policy = policy(folder.path(), true);
    let mut gradient = Gradient::new(policy.layout(), 1, 1);
    let ones = |_: &(), _: &mut Share, hand: &mut Hand<'_>| {
        hand(0, 0..policy.layout().len(), &vec![1.0; policy.layout().len()])
    };
    gradient.sum(&[()], &AtomicBool::new(false), ones);
    RouterConfig::default().hold(policy.layout(), &mut gradient);
    assert!(gradient.total().iter().all(|g| *g == 1.0));
    RouterConfig { frozen: true, ..RouterConfig::default() }.hold(policy.layout(), &mut gradient);
    assert_eq!(
        gradient.total().iter().filter(|g| **g == 0.0).count(),
        2 * 8 * 16,
        "E × D numbers in each of two blocks"
    );
}

#[test]
fn settings_fit_the_policy() {
    let told = |model: &ModelConfig, router: &str| -> Vec<String> {
        let router: RouterConfig = toml::from_str(&router.replace(", ", "\n")).unwrap();
        router.check(model).iter().map(ToString::to_string).collect()
    };
    let dense = ModelConfig::from_folder(Folder::default().write().path()).unwrap();
    assert_eq!(told(&dense, ""), [""; 0]);
    insta::assert_snapshot!(told(&dense, &format!("{ALL}, frozen = true")).join("\n"), @r"
    `router.bias_update_rate`: is set, and the policy has no experts
    `router.sequence_balance`: is set, and the policy has no experts
    `router.aux_loss`: is set, and the policy has no experts
    `router.z_loss`: is set, and the policy has no experts
    `router.frozen`: is set, and the policy has no experts
    ");
    let mut experts = ModelConfig::from_folder(folder().path()).unwrap();
    assert_eq!(told(&experts, ALL), [""; 0]);
    experts.experts.as_mut().unwrap().correction_bias = false;
    insta::assert_snapshot!(told(&experts, ALL).join("\n"), @"`router.bias_update_rate`: is set, and the policy's routers have no correction bias");
}
