//! What is said of a config that cannot be read, and what is said of every key.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;
use trainer::complaint;
use trainer::config::{RunConfig, Stage};

use crate::cli::grouper;

const SOUND: &str = r#"seed = 7

[model]
checkpoint = "configs/checkpoints/tiny"

[data.source.chain]
n_problems = 100

[[rewards]]
accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" }

[grpo]
steps = 10
prompts_per_step = 4
group_size = 4
"#;

fn load(text: &str, sets: &[&str]) -> Result<RunConfig, String> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("tiny.toml");
    fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    RunConfig::load(&path, &sets)
        .map_err(|error| complaint::text(&error, false).replace(&*path.to_string_lossy(), "tiny.toml"))
}

/// What is said of `SOUND` with `from` replaced by `to`.
fn told(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from));
    load(&SOUND.replace(from, to), &[]).unwrap_err()
}

fn told_of(sets: &[&str]) -> String {
    load(SOUND, sets).unwrap_err()
}

#[test]
fn what_is_absent_has_its_default() {
    let config = load(SOUND, &[]).unwrap();
    assert_eq!(config.name, "tiny");
    assert_eq!(config.seed, 7);
    assert_eq!(config.grpo.unwrap().objective.clip_low, 0.2);
    assert_eq!(load(&format!("name = \"other\"\n{SOUND}"), &[]).unwrap().name, "other");
}

#[test]
fn a_table_is_called_a_table() {
    insta::assert_snapshot!(told("[grpo]", "[sft]\nmtp = 0.3\n[grpo]"), @r"
    error: read config `tiny.toml`
      caused by: line 13, column 7: `sft.mtp`: invalid type: floating point `0.3`, expected a table
    ");
}

#[test]
fn the_start_of_a_key() {
    let told = told("group_size = 4", "group_size = 4\nmtp = 0.3");
    assert!(told.ends_with("hint: did you mean `mtp_weight`?\n"), "{told}");
}

#[test]
fn a_typo_in_a_key() {
    insta::assert_snapshot!(told("group_size", "gruop_size"), @r"
    error: read config `tiny.toml`
      caused by: line 15, column 1: `grpo`: unknown field `gruop_size`, expected one of `steps`, `prompts_per_step`, `group_size`, `updates_per_step`, `epochs_per_step`, `combine_rewards`, `std`, `std_epsilon`, `mask_truncated`, `reference_every`, `microbatch_tokens`, `activation_checkpointing`, `mtp_weight`, `eval_every`, `max_tokens_schedule`, `objective`
    hint: did you mean `group_size`?
    ");
    insta::assert_snapshot!(told("weight", "wieght"), @r"
    error: read config `tiny.toml`
      caused by: line 10, column 14: `rewards`: unknown field `wieght`, expected one of `weight`, `kind`, `extract`, `options`, `name`, `needs`, `clip`, `steps`, `warmup_steps`, `sources`
    hint: did you mean `weight`?
    ");
    insta::assert_snapshot!(told("[grpo]", "[gpro]"), @r"
    error: read config `tiny.toml`
      caused by: line 12, column 2: unknown field `gpro`, expected one of `name`, `seed`, `model`, `data`, `rollout`, `rewards`, `grpo`, `sft`, `optimizer`, `router`, `eval`, `run`
    hint: did you mean `grpo`?
    ");
}

/// What `grouper check` says of a config whose every key can be read.
fn found(text: &str, arguments: &[&str]) -> String {
    let folder = tempdir().unwrap();
    let path = folder.path().join("tiny.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let assert = grouper(&[&["check", path], arguments].concat()).assert().code(2);
    String::from_utf8_lossy(&assert.get_output().stderr).replace(path, "tiny.toml")
}

/// A finding names the line of its key, or of the nearest table around it; or the `--set` that gave it.
#[test]
fn findings_say_where() {
    let more = r#"
[router]
bias_update_rate = 0.001
z_loss = -1

[optimizer]
lr = 0
schedule.floor = 2

[eval]
sets = [
  { name = "a", data = { source.chain = { n_problems = 9, split = "heldout" }, template = "plain" } },
  { name = "a/b", data = { source.chain = { n_problems = 9, split = "heldout" }, template = "plain" } },
]
"#;
    let text = SOUND.replace("\"exact\"", "\"exact\", steps = [3, 2]") + more;
    insta::assert_snapshot!(found(&text, &["--set", "grpo.steps=0", "--set", "data.template=plain"]), @r"
    error: check config `tiny.toml`
      caused by: 8 findings against this run
      error: tiny.toml, line 9: `rewards.0`: accuracy: `steps` is [3, 2], and ends before it begins
      error: `--set grpo.steps=0`: `grpo.steps`: is 0: nothing would be learned
      error: tiny.toml, line 22: `optimizer.lr`: is 0, and must be finite and above 0
      error: tiny.toml, line 23: `optimizer.schedule.floor`: is 2, and must be between 0 and 1: it is a share of `optimizer.lr`
      error: tiny.toml, line 19: `router.z_loss`: is -1, and must be finite and at least 0
      error: tiny.toml, line 28: `eval.sets.1.name`: `a/b` cannot stand in the name of a metric: it must have letters, and no `/` or `@`
      error: tiny.toml, line 18: `router.bias_update_rate`: is set, and the policy has no experts
      error: tiny.toml, line 19: `router.z_loss`: is set, and the policy has no experts
    ");
    // A table that is not there has no line.
    let told = found(SOUND.split("[grpo]").next().unwrap(), &[]);
    assert!(told.contains("error: tiny.toml: `eval`: `grouper eval` needs the table `[eval]`"), "{told}");
}

#[test]
fn a_key_in_the_wrong_table() {
    insta::assert_snapshot!(told("group_size = 4", "group_size = 4\nclip_low = 0.2"), @r"
    error: read config `tiny.toml`
      caused by: line 16, column 1: `grpo`: unknown field `clip_low`, expected one of `steps`, `prompts_per_step`, `group_size`, `updates_per_step`, `epochs_per_step`, `combine_rewards`, `std`, `std_epsilon`, `mask_truncated`, `reference_every`, `microbatch_tokens`, `activation_checkpointing`, `mtp_weight`, `eval_every`, `max_tokens_schedule`, `objective`
    hint: `clip_low` is a key of `[grpo.objective]`
    ");
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(told("steps = 10", "steps = \"ten\""), @r#"
    error: read config `tiny.toml`
      caused by: line 13, column 9: `grpo.steps`: invalid type: string "ten", expected u64
    "#);
    insta::assert_snapshot!(told("steps = 10", "steps = -1"), @r"
    error: read config `tiny.toml`
      caused by: line 13, column 9: `grpo.steps`: invalid value: integer `-1`, expected u64
    ");
    insta::assert_snapshot!(told("weight = 1.0", "weight = true"), @r"
    error: read config `tiny.toml`
      caused by: line 10, column 23: `rewards.weight`: invalid type: boolean `true`, expected f64
    ");
}

#[test]
fn an_unknown_variant() {
    insta::assert_snapshot!(told("\"exact\"", "\"exactly\""), @r"
    error: read config `tiny.toml`
      caused by: line 10, column 35: `rewards.kind`: unknown variant `exactly`, expected one of `exact`, `numeric`, `gsm8k`, `math`
    ");
    insta::assert_snapshot!(told("source.chain", "source.chains"), @r"
    error: read config `tiny.toml`
      caused by: line 6, column 14: `data.source`: unknown variant `chains`, expected one of `files`, `arithmetic`, `countdown`, `chain`, `chain_demonstrations`
    ");
    insta::assert_snapshot!(told("accuracy =", "acuracy ="), @r"
    error: read config `tiny.toml`
      caused by: line 10, column 1: `rewards`: unknown variant `acuracy`, expected one of `accuracy`, `format`, `countdown`, `code`, `soft_overlong`, `length_k15`, `length_cosine`, `target_length`, `repetition`, `language`, `multiple_choice`, `instructions`, `json`, `python`, `program`, `http`
    ");
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(told("steps = 10\n", ""), @r"
    error: read config `tiny.toml`
      caused by: line 12, column 1: `grpo`: missing field `steps`
    ");
    insta::assert_snapshot!(told("[model]\ncheckpoint = \"configs/checkpoints/tiny\"\n", ""), @r"
    error: read config `tiny.toml`
      caused by: missing field `model`
    ");
}

#[test]
fn no_toml() {
    insta::assert_snapshot!(told("steps = 10", "steps = "), @r"
    error: read config `tiny.toml`
      caused by: line 13, column 9: string values must be quoted, expected literal string
    ");
    insta::assert_snapshot!(told("steps = 10", "steps = 10\nsteps = 11"), @r"
    error: read config `tiny.toml`
      caused by: line 14, column 1: duplicate key
    ");
}

#[test]
fn settings_change_what_the_file_says() {
    let config = load(
        SOUND,
        &[
            "grpo.steps=20",
            "grpo.objective.clip_high=0.28",
            "model.checkpoint=some/where",
            "rewards.0.accuracy.kind=numeric",
            "data.source={ countdown = { n_problems = 5 } }",
            "grpo.steps = 30",
            "name='7'",
        ],
    );
    let config = config.unwrap();
    assert_eq!(config.name, "7");
    assert_eq!(config.model.checkpoint, PathBuf::from("some/where"));
    let value = toml::Value::try_from(&config).unwrap();
    assert_eq!(value["rewards"][0]["accuracy"]["kind"].as_str(), Some("numeric"));
    assert_eq!(value["data"]["source"]["countdown"]["n_problems"].as_integer(), Some(5));
    let grpo = config.grpo.unwrap();
    assert_eq!((grpo.steps, grpo.objective.clip_high, grpo.objective.clip_low), (30, 0.28, 0.2));
}

#[test]
fn a_setting_at_fault_is_named() {
    insta::assert_snapshot!(told_of(&["seed=1", "grpo.gruop_size=3"]), @r"
    error: read config `tiny.toml`
      caused by: `--set grpo.gruop_size=3`: `grpo`: unknown field `gruop_size`, expected one of `steps`, `prompts_per_step`, `group_size`, `updates_per_step`, `epochs_per_step`, `combine_rewards`, `std`, `std_epsilon`, `mask_truncated`, `reference_every`, `microbatch_tokens`, `activation_checkpointing`, `mtp_weight`, `eval_every`, `max_tokens_schedule`, `objective`
    hint: did you mean `group_size`?
    ");
    insta::assert_snapshot!(told_of(&["grpo.steps=many", "seed=1"]), @r#"
    error: read config `tiny.toml`
      caused by: `--set grpo.steps=many`: `grpo.steps`: invalid type: string "many", expected u64
    "#);
    insta::assert_snapshot!(told_of(&["seed"]), @r"
    error: read config `tiny.toml`
      caused by: `--set seed`: there is no `=` in it
    hint: write it as `--set grpo.steps=100`
    ");
    insta::assert_snapshot!(told_of(&["grpo..steps=1"]), @r"
    error: read config `tiny.toml`
      caused by: `--set grpo..steps=1`: `grpo..steps` is not a key
    hint: write it as `--set grpo.steps=100`
    ");
    insta::assert_snapshot!(told_of(&["rollout.stop=['a'"]), @r"
    error: read config `tiny.toml`
      caused by: `--set rollout.stop=['a'`: unclosed array, expected `]`
    hint: write it as `--set grpo.steps=100`
    ");
    insta::assert_snapshot!(told_of(&["rewards.1.accuracy.weight=2"]), @r"
    error: read config `tiny.toml`
      caused by: `--set rewards.1.accuracy.weight=2`: `rewards` has 1 entries, from 0 on, and none is `1`
    ");
    insta::assert_snapshot!(told_of(&["seed.x=2"]), @r"
    error: read config `tiny.toml`
      caused by: `--set seed.x=2`: `seed` is of type integer and holds no `x`
    ");
    insta::assert_snapshot!(told_of(&["sft={ steps = 3 }"]), @r"
    error: read config `tiny.toml`
      caused by: `--set sft={ steps = 3 }`: `sft`: missing field `batch_tokens`
    ");
    insta::assert_snapshot!(told_of(&["data.source.countdown.n_problems=5"]), @r"
    error: read config `tiny.toml`
      caused by: `--set data.source.countdown.n_problems=5`: `data.source`: takes one choice, and the table holds another number of them
    ");
}

#[test]
fn the_file_is_to_blame_for_its_own_faults() {
    let text = SOUND.replace("group_size", "gruop_size");
    let told = load(&text, &["grpo.steps=20"]).unwrap_err();
    assert!(told.contains("line 15, column 1"), "{told}");
}

#[test]
fn what_is_written_to_a_run_reads_the_same() {
    let config = load(&RunConfig::example(), &["grpo.objective.dual_clip=3"]).unwrap();
    let written = toml::to_string_pretty(&config).unwrap();
    let again = load(&written, &[]).unwrap();
    assert_eq!(toml::to_string_pretty(&again).unwrap(), written);
}

#[test]
fn the_example_is_sound_and_holds_every_key() {
    let example = RunConfig::example();
    let config = load(&example, &[]).unwrap();
    assert_eq!(config.validate(Stage::Grpo), []);
    // Each line that is commented out is a key too: together with the others they are what the page lists.
    let is_key = |line: &&str| {
        line.trim_start_matches('#').split_once(" = ").is_some_and(|(key, _)| {
            key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') && !key.is_empty()
        })
    };
    let in_example = example.lines().filter(is_key).count();
    let page = RunConfig::reference_page();
    let in_page = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(in_example, in_page);
    assert!(in_page > 60, "{in_page} keys");
}

#[test]
fn every_key_is_described() {
    let page = RunConfig::reference_page();
    let bare: Vec<_> = page.lines().filter(|line| line.starts_with("| `") && line.ends_with("|  |")).collect();
    assert!(bare.is_empty(), "keys without a doc comment: {bare:#?}");
}

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == RunConfig::reference_page(),
        "docs/configuration.md is stale: run `cargo run --release -- config --markdown > docs/configuration.md`"
    );
}

#[test]
fn every_config_of_the_repository_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let config = RunConfig::load(&path, &[]).unwrap_or_else(|error| panic!("{}", complaint::text(&error, false)));
        assert_eq!(config.validate(Stage::of(&config)), [], "{}", path.display());
    }
}
