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

/// The plan where memory is no matter.
fn plan(model: &ModelConfig, run: &RunConfig, stage: Stage, load: &Load) -> Plan {
    Plan::choose(model, run, stage, load, None)
}

const LOAD: Load = Load { cores: 2, program: 1000, longest_prompt: 40, longest_document: 128, n_heldout: 0 };

#[test]
fn every_part_is_counted() {
    // D 16, F 32, q 16, kv 8, V 264, 2 blocks; tied.
    let model = model();
    let n = model.n_parameters();
    let plan = plan(&model, &run("rollout.max_tokens = 100\nrollout.max_batch = 8"), Stage::Grpo, &LOAD);
    assert_eq!(plan.part(Phase::Update, Part::Program), 1000);
    // Masters, their panels, and the tables of cosines and sines.
    assert_eq!(plan.part(Phase::Update, Part::Weights), 8 * n + 512 * 8 * 4);
    assert_eq!(plan.part(Phase::Update, Part::Optimizer), 8 * n);
    // 4 groups of 40 + 8 × 100 tokens are 3,360: more than one microbatch of 1,024 for each of two workers.
    // The sum, for each worker the ends and one block, and what one may be ahead of the other.
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(plan.part(Phase::Update, Part::Gradients), 4 * (2 * n + 2 * share));
    assert_eq!(plan.part(Phase::Update, Part::Reference), 0);
    // 16 completions at once, from 2 groups. Prompts of 40 take 2 pages of 32; each completion ends on page 5, of which
    // the first is shared.
    let pages = 2 * 2 + 16 * 4;
    assert_eq!(plan.part(Phase::Sampling, Part::Cache), pages * KvCache::page_bytes(&model) as u64);
    assert_eq!(plan.part(Phase::Sampling, Part::Logits), 16 * 264 * 4);
    // Kept by a block; held besides until its output is there.
    let kept = 16 + 2 + 2 * 16 + 2 * 8 + 2 + 2 * 32;
    let forward = 16 + 32;
    // Two prompts being encoded are more rows than 16 completions.
    assert_eq!(plan.part(Phase::Sampling, Part::Activations), 80 * (16 + kept + forward) * 4);
    // Logits take more than the gradient of a block, which comes after; beside them are the stream and its gradient,
    // and four arrays of a chunk's rows.
    assert_eq!(plan.part(Phase::Update, Part::Logits), 2 * 256 * 264 * 4);
    let head = 2 * 1024 * 2 * 16 + 2 * 256 * 4 * 16;
    assert_eq!(plan.part(Phase::Update, Part::Activations), (2 * 1024 * 2 * (16 + kept) + head) * 4);
    assert_eq!(plan.part(Phase::Saving, Part::Gradients), 4 * (2 * n + 2 * share), "they stay");
    assert_eq!(plan.part(Phase::Saving, Part::File), 2 * 264 * 16 * 4);
    let of_update = plan.part(Phase::Update, Part::Activations) + plan.part(Phase::Update, Part::Logits);
    let slack = plan.part(Phase::Update, Part::Kept);
    assert_eq!(slack, of_update / 8 / 4 * 4);
    assert_eq!(plan.part(Phase::Saving, Part::Kept), of_update + slack);
    let of_sampling = plan.part(Phase::Sampling, Part::Activations) + plan.part(Phase::Sampling, Part::Logits);
    assert_eq!(plan.part(Phase::Sampling, Part::Kept), of_update + slack - of_sampling);
    assert_eq!(plan.peak().0, Phase::Saving);
    assert_eq!(plan.total(Phase::Evaluation), 0, "there is no held-out set");
}

#[test]
fn keys_turn_the_parts_they_name() {
    let model = model();
    let with = |more: &str| plan(&model, &run(more), Stage::Grpo, &LOAD);
    let plain = with("rollout.max_tokens = 100");
    assert_eq!(plain.hint_for_phase(Phase::Update), "set `grpo.activation_checkpointing = true`");
    assert_eq!(plain.hint_for_phase(Phase::Sampling), "lower `rollout.kv_bytes`");
    let weights = plain.part(Phase::Update, Part::Weights);
    let half = with("model.dtype = 'bf16'");
    assert_eq!(half.part(Phase::Update, Part::Weights), weights - 2 * model.n_parameters());
    // What oneDNN is made of and leaves in two threads' heaps, and the products that it keeps.
    let code = |plan: &Plan| plan.part(Phase::Update, Part::Code);
    assert_eq!((code(&plain), code(&half)), (28 << 20, (28 + 12 + 2 * 12 + 32 * 5 / 4) << 20));
    let small = with("rollout.kv_bytes = 4096");
    assert_eq!(small.part(Phase::Sampling, Part::Cache), 4096);
    let logits = |more: &str| with(more).part(Phase::Sampling, Part::Logits);
    assert_eq!(logits("rollout.max_batch = 1\nrollout.speculate = 4"), 6 * logits("rollout.max_batch = 1"));
    assert_eq!(logits("rollout.max_batch = 8\nrollout.speculate = 4"), logits("rollout.max_batch = 8"));
    let mut config = run("rollout.max_tokens = 100");
    let grpo = config.grpo.as_mut().unwrap();
    grpo.activation_checkpointing = Some(true);
    grpo.objective.kl_coef = 0.001;
    config.grpo.as_mut().unwrap().microbatch_tokens = 256;
    config.rollout.kv_bytes = 4096;
    let spared = plan(&model, &config, Stage::Grpo, &LOAD);
    assert!(spared.part(Phase::Update, Part::Activations) < plain.part(Phase::Update, Part::Activations));
    assert_eq!(spared.part(Phase::Update, Part::Reference), weights);
    assert_eq!(
        spared.hint_for_phase(Phase::Update),
        "set `run.parallel_microbatches = 1`: each holds a chunk of logits"
    );
    config.grpo.as_mut().unwrap().microbatch_tokens = 4096;
    let long = plan(&model, &config, Stage::Grpo, &LOAD);
    assert_eq!(long.hint_for_phase(Phase::Update), "lower `grpo.microbatch_tokens`");
    config.run.workers = Some(1);
    let one = plan(&model, &config, Stage::Grpo, &LOAD);
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(one.part(Phase::Update, Part::Gradients), 4 * (model.n_parameters() + share));
}

#[test]
fn memory_decides_how_backward_passes_are_made() {
    let model = model();
    let mut config = run("rollout.max_tokens = 100");
    let choose = |config: &RunConfig, available| Plan::choose(&model, config, Stage::Grpo, &LOAD, available);
    let way = |config: &RunConfig, available| {
        let Passes { side_by_side, checkpointing } = choose(config, available).passes();
        (side_by_side, checkpointing)
    };
    let plenty = choose(&config, Some(1 << 30));
    assert_eq!((plenty.passes(), plenty.saving_way()), (choose(&config, None).passes(), None));
    let ways = Passes::ways(Work { run: &config, stage: Stage::Grpo, load: &LOAD });
    let [both, _, one, least] = ways.map(|way| Plan::new(&model, &config, Stage::Grpo, &LOAD, way).peak().1);
    assert!(both > one && one > least);
    assert_eq!(
        [both, both - 1, one, one - 1, least, 1].map(|bytes| way(&config, Some(bytes))),
        [(2, false), (1, false), (1, false), (1, true), (1, true), (1, true)]
    );
    insta::assert_snapshot!(choose(&config, Some(one - 1)).saving_way().unwrap(), @"one microbatch at a time, activations are computed again for the gradient: more does not fit into 31 MiB");
    config.run.workers = Some(4);
    assert_eq!(way(&config, None), (4, false), "a microbatch for each worker where that takes little");
    let four = choose(&config, None).peak().1;
    assert_eq!([four, four - 1].map(|bytes| way(&config, Some(bytes))), [(4, false), (2, false)]);
    let side_by_side = [1 << 13, 1 << 14].map(|ffn_dim| {
        let wide = ModelConfig { ffn_dim, ..model.clone() };
        Plan::choose(&wide, &config, Stage::Grpo, &LOAD, None).passes().side_by_side
    });
    assert_eq!(side_by_side, [2, 1], "fewer where activations are large");
    config.run.workers = None;
    config.run.parallel_microbatches = Some(2);
    assert_eq!(way(&config, Some(1)), (2, true));
    config.grpo.as_mut().unwrap().activation_checkpointing = Some(false);
    assert_eq!(way(&config, Some(1)), (2, false), "what is asked for stands");
    assert_eq!(choose(&config, Some(1)).saving_way(), None);
    config.run.parallel_microbatches = None;
    assert_eq!(way(&config, Some(1)), (1, false));
}

#[test]
fn attention_sums_grow_as_a_sequence_does() {
    let model = model();
    let text = "model.checkpoint = 'x'\ndata.source.chain = { n_problems = 9 }\nrun.parallel_microbatches = 1\n\
                [sft]\nsteps = 1\nbatch_tokens = 512\nmax_tokens = 65536";
    let config: RunConfig = toml::from_str(text).unwrap();
    let activations = [4096, 8192, 16384].map(|longest_document| {
        let load = Load { longest_document, ..LOAD };
        plan(&model, &config, Stage::Sft, &load).part(Phase::Update, Part::Activations) as f64
    });
    let [first, second] = [activations[1] / activations[0], activations[2] / activations[1]];
    assert!((1.9..2.1).contains(&first) && (1.9..2.1).contains(&second), "{activations:?}");
}

#[test]
fn fine_tuning_and_evaluation_have_their_own_phases() {
    let model = model();
    let text = "model.checkpoint = 'x'\ndata.source.chain = { n_problems = 9 }\n\
                [sft]\nsteps = 1\nbatch_tokens = 512\nmicrobatch_tokens = 512\nmax_tokens = 128";
    let config: RunConfig = toml::from_str(text).unwrap();
    let tuning = plan(&model, &config, Stage::Sft, &LOAD);
    assert_eq!((tuning.total(Phase::Sampling), tuning.part(Phase::Update, Part::Cache)), (0, 0));
    // The document that reaches the limit may open a second microbatch, so both workers run.
    let share = ModelConfig { n_layers: 1, ..model.clone() }.n_parameters();
    assert_eq!(tuning.part(Phase::Update, Part::Gradients), 4 * (2 * model.n_parameters() + 2 * share));
    let eval = "[eval]\nsets = [{ name = 'a', data = { source = { chain = { n_problems = 9 } } } }]";
    let config: RunConfig = toml::from_str(&format!("{text}\n{eval}")).unwrap();
    let plan = plan(&model, &config, Stage::Eval, &Load { n_heldout: 9, ..LOAD });
    assert_eq!((plan.total(Phase::Update), plan.total(Phase::Saving)), (0, 0));
    assert_eq!(plan.part(Phase::Evaluation, Part::Optimizer), 0);
    assert_eq!(plan.part(Phase::Evaluation, Part::Logits), 72 * 264 * 4);
}

#[test]
fn a_plan_is_a_table_and_is_compared_with_what_was_measured() {
    let load = Load { program: 50 << 20, ..LOAD };
    let plan = plan(&model(), &run("rollout.max_tokens = 100\nrollout.max_batch = 8"), Stage::Grpo, &load);
    insta::assert_snapshot!(plan.to_string(), @r#"
    memory plan       sampling      update      saving
    program, data       50 MiB      50 MiB      50 MiB
    code, threads       28 MiB      28 MiB      28 MiB
    weights             86 KiB      86 KiB      86 KiB
    optimizer           70 KiB      70 KiB      70 KiB
    gradients          122 KiB     122 KiB     122 KiB
    kv cache           408 KiB     408 KiB     408 KiB
    activations         61 KiB     2.7 MiB           –
    logits              16 KiB     528 KiB           –
    file                     –           –      33 KiB
    kept               3.5 MiB     410 KiB     3.6 MiB
    total               82 MiB      82 MiB      82 MiB
    update          up to 2 microbatches side by side, activations are kept for the gradient
    "#);
    insta::assert_snapshot!(plan.compare(60 << 20), @"memory  planned 82 MiB, peak 60 MiB");
    let finding = plan.check(50 << 20, Some(1 << 20)).unwrap();
    insta::assert_snapshot!(finding.to_string(), @"`model`: saving needs about 82 MiB, 51 MiB can be had");
    assert_eq!(plan.check(50 << 20, Some(1 << 30)), None);
    assert_eq!(plan.check(50 << 20, None), None);
}

#[test]
fn the_peak_of_this_process_is_known() {
    let before = measured_peak().unwrap();
    let held = vec![1_u8; 64 << 20];
    assert!(measured_peak().unwrap() >= before.max(held.iter().map(|&b| u64::from(b)).sum()));
}
