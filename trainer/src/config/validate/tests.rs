use super::*;
use crate::config::load::parse;
use crate::preflight::Level;

const SOUND: &str = r#"
name = "tiny"
[model]
checkpoint = "tiny"
[data.source.chain]
n_problems = 100
[[rewards]]
accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" }
[grpo]
steps = 10
prompts_per_step = 4
group_size = 4
"#;

const SETS: &str = r#"[{ name = "a", data = { source = { chain = { n_problems = 8 } } } }]"#;

fn findings(stage: Stage, sets: &[&str]) -> Vec<Finding> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    parse::<crate::config::RunConfig>(SOUND, &sets).unwrap().validate(stage)
}

/// Exactly one finding, of this level, at this key.
#[track_caller]
fn check(set: &str, level: Level, key: &str) {
    let found: Vec<_> = findings(Stage::Grpo, &[set]).into_iter().map(|f| (f.level, f.key)).collect();
    assert_eq!(found, [(level, key.to_owned())], "{set}");
}

#[test]
fn a_sound_config_has_no_finding() {
    assert_eq!(findings(Stage::Grpo, &[]), []);
    assert_eq!(findings(Stage::Grpo, &["grpo.updates_per_step=2", "grpo.objective.clip_high=10"]), []);
    assert_eq!(findings(Stage::Eval, &[&format!("eval.sets={SETS}")]), []);
}

#[test]
fn each_rule_names_its_key() {
    for (set, key) in [
        ("name='../up'", "name"),
        ("model.checkpoint=''", "model.checkpoint"),
        ("run.workers=0", "run.workers"),
        ("run.keep_last=0", "run.keep_last"),
        ("run.max_skipped_updates=0", "run.max_skipped_updates"),
        ("data.source={ files = { paths = [] } }", "data.source.files.paths"),
        ("data.max_prompt_tokens=0", "data.max_prompt_tokens"),
        ("rollout.max_tokens=0", "rollout.max_tokens"),
        ("rollout.max_batch=0", "rollout.max_batch"),
        ("rollout.replicas=0", "rollout.replicas"),
        ("rollout.kv_bytes=0", "rollout.kv_bytes"),
        ("rollout.speculate=33", "rollout.speculate"),
        ("rollout.stop=['']", "rollout.stop"),
        ("rollout.sampling.temperature=0", "rollout.sampling.temperature"),
        ("rollout.sampling.temperature=-1", "rollout.sampling.temperature"),
        ("rollout.sampling.temperature=nan", "rollout.sampling.temperature"),
        ("rollout.sampling.top_p=0", "rollout.sampling.top_p"),
        ("rollout.sampling.top_p=1.01", "rollout.sampling.top_p"),
        ("rollout.sampling.min_p=1", "rollout.sampling.min_p"),
        ("rewards=[]", "rewards"),
        ("rewards=[{ length_k15 = { weight = 1.0 } }]", "rewards"),
        ("rewards.0.accuracy.weight=inf", "rewards.0"),
        ("rewards.0.accuracy.name=loss", "rewards.0"),
        ("rewards.0.accuracy.needs={ format = 1.0 }", "rewards"),
        ("grpo.steps=0", "grpo.steps"),
        ("grpo.prompts_per_step=0", "grpo.prompts_per_step"),
        ("grpo.group_size=1", "grpo.group_size"),
        ("grpo.updates_per_step=0", "grpo.updates_per_step"),
        ("grpo.updates_per_step=3", "grpo.updates_per_step"),
        ("grpo.epochs_per_step=0", "grpo.epochs_per_step"),
        ("grpo.std_epsilon=-1e-4", "grpo.std_epsilon"),
        ("grpo.microbatch_tokens=0", "grpo.microbatch_tokens"),
        (
            "grpo.max_tokens_schedule=[{ step = 5, max_tokens = 8 }, { step = 5, max_tokens = 9 }]",
            "grpo.max_tokens_schedule",
        ),
        ("grpo.max_tokens_schedule=[{ step = 5, max_tokens = 0 }]", "grpo.max_tokens_schedule.0.max_tokens"),
        ("grpo.objective.clip_low=0", "grpo.objective.clip_low"),
        ("grpo.objective.clip_high=inf", "grpo.objective.clip_high"),
        ("grpo.objective.dual_clip=1", "grpo.objective.dual_clip"),
        ("grpo.objective.normalize={ constant = 0.0 }", "grpo.objective.normalize.constant"),
        ("grpo.objective.kl_coef=-0.1", "grpo.objective.kl_coef"),
        ("optimizer.lr=0", "optimizer.lr"),
        ("optimizer.lr=nan", "optimizer.lr"),
        ("optimizer.beta1=1", "optimizer.beta1"),
        ("optimizer.beta2=-0.1", "optimizer.beta2"),
        ("optimizer.epsilon=0", "optimizer.epsilon"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay"),
        ("optimizer.max_grad_norm=inf", "optimizer.max_grad_norm"),
        ("optimizer.schedule.floor=1.5", "optimizer.schedule.floor"),
        ("sft={ steps = 1, batch_tokens = 1, max_tokens = 2 }", "sft"),
        ("eval.sets=[]", "eval.sets"),
    ] {
        check(set, Level::Error, key);
    }
}

/// The CPU's kernels promise bits, libtorch's do not.
#[test]
fn exactness_is_required_of_kernels_that_promise_it() {
    for (device, keys) in
        [("auto", vec![]), ("cpu", vec![]), ("cuda", vec!["run.exactness"]), ("libtorch", vec!["run.exactness"])]
    {
        let found = findings(Stage::Grpo, &["run.exactness=require", &format!("model.device={device}")]);
        assert_eq!(found.into_iter().map(|f| f.key).collect::<Vec<_>>(), keys, "{device}");
        assert_eq!(findings(Stage::Grpo, &[&format!("model.device={device}")]), []);
    }
    let keys = findings(Stage::Grpo, &["run.exactness=require", "model.mla=expanded"]).into_iter().map(|f| f.key);
    assert_eq!(keys.collect::<Vec<_>>(), ["run.exactness"]);
    assert_eq!(findings(Stage::Grpo, &["model.mla=expanded"]), []);
}

#[test]
fn a_kl_in_the_reward_is_summed_with_it() {
    let apart = "grpo.combine_rewards=normalize_then_sum";
    assert_eq!(findings(Stage::Grpo, &[apart]), []);
    let kl = ["grpo.objective.kl=k1", "grpo.objective.kl_coef=0.1"];
    assert_eq!(findings(Stage::Grpo, &kl), []);
    let keys = findings(Stage::Grpo, &[apart, kl[0], kl[1]]).into_iter().map(|found| found.key);
    assert_eq!(keys.collect::<Vec<_>>(), ["grpo.combine_rewards"]);
}

#[test]
fn odd_but_possible_values_are_warned_of() {
    for (set, key) in [
        ("grpo.eval_every=5", "grpo.eval_every"),
        ("grpo.reference_every=5", "grpo.reference_every"),
        ("grpo.objective.kl=k2", "grpo.objective.kl"),
        ("grpo.max_tokens_schedule=[{ step = 11, max_tokens = 8 }]", "grpo.max_tokens_schedule.0.step"),
        ("optimizer.schedule.warmup_steps=10", "optimizer.schedule.warmup_steps"),
        ("rollout.draft=mtp", "rollout.draft"),
    ] {
        check(set, Level::Warning, key);
    }
    let late =
        "sft={ steps = 4, batch_tokens = 1, max_tokens = 2, mtp = { weight_schedule = [{ step = 5, weight = 0.1 }] } }";
    let found = findings(Stage::Sft, &[late]).into_iter().filter(|found| found.level == Level::Warning);
    assert_eq!(found.map(|found| found.key).collect::<Vec<_>>(), ["sft.mtp.weight_schedule.0.step"]);
    let overlong = "rewards=[{ soft_overlong = { weight = 1.0, max_tokens = 2048, buffer = 1024 } }]";
    check(overlong, Level::Warning, "rewards.0.soft_overlong");
    let longer = "grpo.max_tokens_schedule=[{ step = 5, max_tokens = 2048 }]";
    assert_eq!(findings(Stage::Grpo, &[overlong, longer]), []);
}

#[test]
fn evaluation_is_checked_with_every_stage() {
    let sets = format!("eval.sets={SETS}");
    for (set, level, key) in [
        ("eval.samples=0", Level::Error, "eval.samples"),
        ("eval.max_tokens=0", Level::Error, "eval.max_tokens"),
        ("eval.sampling.top_p=0", Level::Error, "eval.sampling.top_p"),
        ("eval.sampling.temperature=0", Level::Warning, "eval.samples"),
        ("eval.rule={ length_k15 = { weight = 1.0 } }", Level::Error, "eval.rule"),
        ("rewards=[{ format = { weight = 1.0, style = \"think_answer\" } }]", Level::Error, "eval.rule"),
        ("eval.sets.0.name=a/b", Level::Error, "eval.sets.0.name"),
        ("eval.sets.0.n_problems=0", Level::Error, "eval.sets.0.n_problems"),
        ("eval.sets.0.data.max_prompt_tokens=0", Level::Error, "eval.sets.0.data.max_prompt_tokens"),
    ] {
        for stage in [Stage::Grpo, Stage::Eval] {
            let found: Vec<_> = findings(stage, &[&sets, set]).into_iter().map(|f| (f.level, f.key)).collect();
            assert_eq!(found, [(level, key.to_owned())], "{set}");
        }
    }
}

#[test]
fn a_stage_needs_its_own_table() {
    let keys = |stage, sets: &[&str]| findings(stage, sets).into_iter().map(|f| f.key).collect::<Vec<_>>();
    assert_eq!(keys(Stage::Sft, &[]), ["sft", "grpo"]);
    assert_eq!(keys(Stage::Eval, &[]), ["eval"]);
}

#[test]
fn all_findings_come_at_once() {
    let sets = ["grpo.group_size=1", "optimizer.lr=-1", "grpo.steps=0", "rewards=[]"];
    let keys: Vec<_> = findings(Stage::Grpo, &sets).into_iter().map(|f| f.key).collect();
    assert_eq!(keys, ["rewards", "grpo.steps", "grpo.group_size", "optimizer.lr"]);
}
