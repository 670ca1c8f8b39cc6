use model::kv_cache::KvCache;

use super::*;
use crate::fixture::Folder;

fn model() -> ModelConfig {
    ModelConfig::from_folder(Folder::default().write().path()).unwrap()
}

fn run(more: &str) -> RunConfig {
    let text = format!(
        "model.checkpoint = 'x'\ndata.source.chain = {{ n_problems = 9 }}\n{more}\n\
         [grpo]\nsteps = 1\nprompts_per_step = 4\ngroup_size = 8\nmicrobatch_tokens = 1024"
    );
    toml::from_str(&text).unwrap()
}

const LOAD: Load = Load { cores: 2, program: 1000, longest_prompt: 40, n_heldout: 0 };

#[test]
fn every_part_is_counted() {
    // D 16, F 32, q 16, kv 8, V 264, 2 blocks; tied.
    let model = model();
    let n = model.n_parameters();
    let plan = Plan::new(&model, &run("rollout.max_tokens = 100\nrollout.max_batch = 8"), Stage::Grpo, &LOAD);
    assert_eq!(plan.part(Phase::Update, Part::Program), 1000);
    // Masters, their panels, and the tables of cosines and sines.
    assert_eq!(plan.part(Phase::Update, Part::Weights), 8 * n + 512 * 8 * 4);
    assert_eq!(plan.part(Phase::Update, Part::Optimizer), 8 * n);
    // 4 groups of 40 + 8 × 100 tokens are 3,360: more than one microbatch of 1,024 for each of two workers.
    // The sum, and for each worker the ends and one block.
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(plan.part(Phase::Update, Part::Gradients), 4 * (n + 2 * share));
    assert_eq!(plan.part(Phase::Update, Part::Reference), 0);
    // 16 completions at once, from 2 groups. Prompts of 40 take 2 pages of 32; each completion ends on page 5, of which
    // the first is shared.
    let pages = 2 * 2 + 16 * 4;
    assert_eq!(plan.part(Phase::Sampling, Part::Cache), pages * KvCache::page_bytes(&model) as u64);
    assert_eq!(plan.part(Phase::Sampling, Part::Logits), 16 * 264 * 4);
    // Kept by a block; held besides until its output is there.
    let kept = 16 + 2 + 2 * 16 + 2 * 8 + 2 + 2 * 32;
    let forward = 3 * 16 + 2 * 16 + 3 * 8 + 32;
    // Two prompts being encoded are more rows than 16 completions.
    assert_eq!(plan.part(Phase::Sampling, Part::Activations), 80 * (16 + kept + forward) * 4);
    // Logits take more than the gradient of a block, which comes after; beside them are the stream and its gradient,
    // and four arrays of a chunk's rows.
    assert_eq!(plan.part(Phase::Update, Part::Logits), 2 * 1024 * 264 * 4);
    let head = 2 * 1024 * (2 * 16 + 4 * 16);
    assert_eq!(plan.part(Phase::Update, Part::Activations), (2 * 1024 * 2 * (16 + kept) + head) * 4);
    assert_eq!(plan.part(Phase::Saving, Part::Gradients), 4 * (n + 2 * share), "they stay");
    assert_eq!(plan.part(Phase::Saving, Part::File), 2 * 264 * 16 * 4);
    assert_eq!(plan.peak().0, Phase::Update);
    assert_eq!(plan.total(Phase::Evaluation), 0, "there is no held-out set");
}

#[test]
fn keys_turn_the_parts_they_name() {
    let model = model();
    let plan = |more: &str, stage| Plan::new(&model, &run(more), stage, &LOAD);
    let plain = plan("rollout.max_tokens = 100", Stage::Grpo);
    assert_eq!(plain.hint_for_phase(Phase::Update), "set `grpo.activation_checkpointing = true`");
    assert_eq!(plain.hint_for_phase(Phase::Sampling), "lower `rollout.kv_bytes`");
    let weights = plain.part(Phase::Update, Part::Weights);
    let half = plan("model.dtype = 'bf16'", Stage::Grpo);
    assert_eq!(half.part(Phase::Update, Part::Weights), weights - 2 * model.n_parameters());
    let small = plan("rollout.kv_bytes = 4096", Stage::Grpo);
    assert_eq!(small.part(Phase::Sampling, Part::Cache), 4096);
    let mut config = run("rollout.max_tokens = 100");
    let grpo = config.grpo.as_mut().unwrap();
    grpo.activation_checkpointing = true;
    grpo.objective.kl_coef = 0.001;
    let plan = Plan::new(&model, &config, Stage::Grpo, &LOAD);
    assert!(plan.part(Phase::Update, Part::Activations) < plain.part(Phase::Update, Part::Activations));
    assert_eq!(plan.part(Phase::Update, Part::Reference), weights);
    assert_eq!(plan.hint_for_phase(Phase::Update), "set `run.parallel_microbatches = 1`: each holds a chunk of logits");
    config.grpo.as_mut().unwrap().microbatch_tokens = 4096;
    let long = Plan::new(&model, &config, Stage::Grpo, &LOAD);
    assert_eq!(long.hint_for_phase(Phase::Update), "lower `grpo.microbatch_tokens`");
    config.run.workers = Some(1);
    let one = Plan::new(&model, &config, Stage::Grpo, &LOAD);
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(one.part(Phase::Update, Part::Gradients), 4 * (model.n_parameters() + share));
}

#[test]
fn fine_tuning_and_evaluation_have_their_own_phases() {
    let model = model();
    let text = "model.checkpoint = 'x'\ndata.source.chain = { n_problems = 9 }\n\
                [sft]\nsteps = 1\nbatch_tokens = 512\nmax_tokens = 128";
    let config: RunConfig = toml::from_str(text).unwrap();
    let plan = Plan::new(&model, &config, Stage::Sft, &LOAD);
    assert_eq!((plan.total(Phase::Sampling), plan.part(Phase::Update, Part::Cache)), (0, 0));
    // The document that reaches the limit may open a second microbatch, so both workers run.
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(plan.part(Phase::Update, Part::Gradients), 4 * (model.n_parameters() + 2 * share));
    let eval = "[eval]\nsets = [{ name = 'a', data = { source = { chain = { n_problems = 9 } } } }]";
    let config: RunConfig = toml::from_str(&format!("{text}\n{eval}")).unwrap();
    let plan = Plan::new(&model, &config, Stage::Eval, &Load { n_heldout: 9, ..LOAD });
    assert_eq!((plan.total(Phase::Update), plan.total(Phase::Saving)), (0, 0));
    assert_eq!(plan.part(Phase::Evaluation, Part::Optimizer), 0);
    assert_eq!(plan.part(Phase::Evaluation, Part::Logits), 72 * 264 * 4);
}

#[test]
fn a_plan_is_a_table_and_is_compared_with_what_was_measured() {
    let load = Load { program: 50 << 20, ..LOAD };
    let plan = Plan::new(&model(), &run("rollout.max_tokens = 100\nrollout.max_batch = 8"), Stage::Grpo, &load);
    insta::assert_snapshot!(plan.to_string(), @r#"
    memory plan       sampling      update      saving
    program, data       50 MiB      50 MiB      50 MiB
    weights             86 KiB      86 KiB      86 KiB
    optimizer           70 KiB      70 KiB      70 KiB
    gradients           87 KiB      87 KiB      87 KiB
    kv cache           408 KiB     408 KiB     408 KiB
    activations         89 KiB     3.1 MiB           –
    logits              16 KiB     2.1 MiB           –
    file                     –           –      33 KiB
    total               51 MiB      56 MiB      51 MiB
    "#);
    insta::assert_snapshot!(plan.compare(60 << 20), @"memory  planned 56 MiB, peak 60 MiB");
    let finding = plan.check(50 << 20, Some(1 << 20)).unwrap();
    insta::assert_snapshot!(finding.to_string(), @"`model`: update needs about 56 MiB, 51 MiB can be had");
    assert_eq!(plan.check(50 << 20, Some(1 << 30)), None);
    assert_eq!(plan.check(50 << 20, None), None);
}

#[test]
fn the_peak_of_this_process_is_known() {
    let before = measured_peak().unwrap();
    let held = vec![1_u8; 64 << 20];
    assert!(measured_peak().unwrap() >= before.max(held.iter().map(|&b| u64::from(b)).sum()));
}
