use super::*;
use crate::fixture::Folder;

const LOAD: Load = Load { cores: 2, program: 1000, longest_prompt: 40, longest_document: 128, n_heldout: 0 };

fn model() -> ModelConfig {
    ModelConfig::from_folder(Folder::default().write().path()).unwrap()
}

fn plan(more: &str, grpo: &str) -> Option<DevicePlan> {
    let text = format!(
        "model.checkpoint = 'x'\nmodel.dtype = 'bf16'\ndata.source.chain = {{ n_problems = 9 }}\n\
         rollout = {{ max_tokens = 100, max_batch = 8 }}\n{more}\n\
         [grpo]\nsteps = 1\nprompts_per_step = 4\ngroup_size = 8\nmicrobatch_tokens = 1024\n{grpo}"
    );
    DevicePlan::new(&model(), &toml::from_str(&text).unwrap(), Stage::Grpo, &LOAD)
}

#[test]
fn every_part_is_counted() {
    assert_eq!(plan("", ""), None, "the CPU's own kernels have no device");
    let plan = plan("model.device = 'cuda'\noptimizer.moments = 'bf16'", "objective.kl_coef = 0.1").unwrap();
    let model = model();
    let n = Layout::new(&model).len() as u64;
    let weights = 6 * n + 512 * 8 * 4;
    assert_eq!(
        plan.standing,
        [("weights", weights), ("reference", weights), ("optimizer", 4 * n), ("gradient", 4 * n)]
    );
    // Eight rows of 140 positions, kept in steps of 64; keys and values of 8 numbers in two blocks, in bf16.
    assert_eq!(plan.sampling, [("kv cache", 8 * 192 * 2 * 16 * 2), ("draws", 8 * 264 * 40)]);
    let total = |parts: &Parts| plan.standing.iter().chain(parts).map(|(_, bytes)| bytes).sum::<u64>();
    assert_eq!(plan.peak(), total(&plan.sampling).max(total(&plan.update)));
    insta::assert_snapshot!(plan.to_string(), @r"
    on the device     sampling      update
    weights             69 KiB      69 KiB
    reference           69 KiB      69 KiB
    optimizer           35 KiB      35 KiB
    gradient            35 KiB      35 KiB
    kv cache            96 KiB           –
    draws               82 KiB           –
    activations              –     2.1 MiB
    logits                   –     5.2 MiB
    total              386 KiB     7.4 MiB
    update          activations are kept for the gradient
    ");
}

/// What blocks keep is computed again where it does not fit, unless the configuration says what is done.
#[test]
fn a_device_that_is_short_computes_blocks_again() {
    let plan = plan("model.device = 'libtorch'", "").unwrap();
    let peak = plan.peak();
    let [roomy, unknown, short] = [Some(peak), None, Some(peak - 1)].map(|free| plan.clone().fit(free));
    assert!(!roomy.checkpointing() && !unknown.checkpointing() && short.checkpointing());
    assert!(short.peak() < peak);
    assert_eq!(short.check(Some(peak)), None);
    assert_eq!(short.check(None), None);
    let finding = short.check(Some(1 << 20)).unwrap();
    assert_eq!(finding.key, "model.device");
    assert!(finding.message.ends_with("1.0 MiB can be had"), "{finding}");
    let said = self::plan("model.device = 'libtorch'", "activation_checkpointing = false").unwrap();
    assert!(!said.fit(Some(1)).checkpointing());
}
