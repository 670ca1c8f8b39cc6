//! The program as a user runs it: help, exit codes, what goes to which stream.

use std::path::Path;

use assert_cmd::Command;
use model::checkpoint::Format;
use model::config::PolicyConfig;
use model::policy::Policy;
use serde_json::{Value, json};
use tempfile::tempdir;

/// The program, run from the root of the repository.
pub(crate) fn grouper(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).args(arguments);
    command
}

fn stdout(arguments: &[&str]) -> String {
    String::from_utf8(grouper(arguments).assert().success().get_output().stdout.clone()).unwrap()
}

/// What is said of a failed command that exits with `code` and writes no data.
fn complaint(arguments: &[&str], code: i32) -> String {
    let assert = grouper(arguments).assert().code(code);
    assert!(assert.get_output().stdout.is_empty());
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn help_names_commands_and_exit_codes() {
    let help = stdout(&["--help"]);
    for word in
        ["grpo", "sft", "check", "config", "sample", "logprobs", "report", "--quiet", "Exit codes:", "75", "NO_COLOR"]
    {
        assert!(help.contains(word), "{word} in {help}");
    }
    for command in ["grpo", "sft", "check", "config", "sample", "logprobs", "report"] {
        assert!(stdout(&[command, "--help"]).contains("Usage: grouper"), "{command}");
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &["check"],
        &["config"],
        &["config", "--schema", "--defaults"],
        &["sample", "--model", "x"],
        &["sample", "--model", "x", "--prompt", "y", "--top-p", "0"],
        &["sample", "--model", "x", "--prompt", "y", "--n", "0"],
        &["sample", "--model", "x", "--prompt", "y", "--dtype", "f16"],
        &["check", "x.toml", "-q", "-v"],
    ] {
        assert!(complaint(arguments, 2).contains("error:"), "{arguments:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_the_users_mistake() {
    insta::assert_snapshot!(complaint(&["check", "no/such.toml"], 2), @r"
    error: read config `no/such.toml`
      caused by: No such file or directory (os error 2)
    hint: paths are relative to the current directory
    ");
    insta::assert_snapshot!(complaint(&["sample", "--model", "no_such", "--prompt", "1+1="], 2), @"error: find checkpoint `no_such`: there is no such folder, and it is no hub id (`owner/name`)");
}

#[test]
fn what_was_named_wrongly_exits_with_2() {
    let folder = tempdir().unwrap();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let (grpo, sft) = ("configs/r1_zero_tiny.toml", "configs/sft_tiny.toml");
    for (arguments, names) in [
        (&["grpo", sft][..], "needs the table `[grpo]`"),
        (&["sft", grpo], "needs the table `[sft]`"),
        (&["grpo", grpo, "--resume", &nowhere], "No such file"),
        (&["grpo", grpo, "--run", grpo], "Not a directory"),
        (
            &["grpo", grpo, "--run", &nowhere, "--set", "model.device=cuda", "--set", "run.exactness=require"],
            "`run.exactness`: is `require`, and libtorch's kernels",
        ),
        (&["report", "configs"], "a run's folder is"),
        (&["sample", "--model", "configs/checkpoints/tiny", "--prompt", "1", "--template", "chat"], "no chat template"),
    ] {
        let told = complaint(arguments, 2);
        assert!(told.contains(names), "{arguments:?}: {told}");
    }
    assert!(!Path::new(&nowhere).exists(), "a refused run leaves nothing behind");
}

#[test]
fn a_refused_config_lists_every_finding() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, stdout(&["config", "--defaults"])).unwrap();
    let path = path.to_str().unwrap();
    let sets = [
        "--set",
        "grpo.group_size=1",
        "--set",
        "optimizer.lr=0",
        "--set",
        "grpo.reference_every=4",
        "--set",
        "model.checkpoint=no_such",
    ];
    let told = complaint(&[&["check", path], &sets[..]].concat(), 2).replace(path, "x.toml");
    insta::assert_snapshot!(told, @r"
    error: check config `x.toml`
      caused by: 3 findings against this run
      error: `--set grpo.group_size=1`: `grpo.group_size`: is 1: a completion is only compared with others of its group
        hint: take at least 2; the papers take 8 to 64
      error: `--set optimizer.lr=0`: `optimizer.lr`: is 0, and must be finite and above 0
      error: `--set model.checkpoint=no_such`: `model.checkpoint`: find checkpoint `no_such`: there is no such folder, and it is no hub id (`owner/name`)
      warning: `--set grpo.reference_every=4`: `grpo.reference_every`: has no effect: with `grpo.objective.kl_coef` at 0 there is no reference
    ");
}

#[test]
fn colour_is_for_terminals() {
    assert!(!complaint(&["check", "no/such.toml"], 2).contains('\x1b'));
}

/// A checkpoint with weights, from the goldens.
fn golden(family: &str) -> String {
    format!("{}/../tests/golden/{family}", env!("CARGO_MANIFEST_DIR"))
}

fn write_lines(path: &Path, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, text).unwrap();
}

fn read_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn logprobs_do_not_depend_on_the_other_lines() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let path = |name: &str| file(name).to_str().unwrap().to_owned();
    let run = |input: &str, output: &str| {
        stdout(&["logprobs", "--model", &golden("qwen3"), "--input", &path(input), "--output", &path(output)]);
    };
    let lines = [json!({"tokens": [5, 9, 2, 30]}), json!({"tokens": [7]}), json!({"tokens": [5, 9, 2]})];
    write_lines(&file("all"), &lines);
    write_lines(&file("one"), &lines[2..]);
    run("all", "a");
    run("one", "b");
    let (all, one) = (read_lines(&file("a")), read_lines(&file("b")));
    assert_eq!(all.len(), 3);
    assert_eq!(all[0]["logprobs"].as_array().unwrap().len(), 3);
    assert_eq!(all[1], json!({"logprobs": []}));
    assert_eq!(all[2], one[0]);
    assert_eq!(all[2]["logprobs"], json!(all[0]["logprobs"].as_array().unwrap()[..2]));
}

#[test]
fn gradient_norms_are_of_the_mean_over_the_input() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let path = |name: &str| file(name).to_str().unwrap().to_owned();
    let norms = |input: &str| -> Value {
        let (golden, input, output, norms) = (golden("llama"), path(input), path("out"), path("norms"));
        let arguments = ["logprobs", "--model", &golden, "--input", &input, "--output", &output];
        stdout(&[&arguments[..], &["--grad-norms", &norms]].concat());
        serde_json::from_str(&std::fs::read_to_string(&norms).unwrap()).unwrap()
    };
    write_lines(&file("once"), &[json!({"tokens": [5, 9, 2, 30]})]);
    write_lines(&file("twice"), &[json!({"tokens": [5, 9, 2, 30]}), json!({"tokens": [5, 9, 2, 30]})]);
    let (once, twice) = (norms("once"), norms("twice"));
    let names: Vec<&String> = once.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "model.layers.0.self_attn.q_proj.weight"), "{names:?}");
    for name in names {
        let (a, b) = (once[name].as_f64().unwrap(), twice[name].as_f64().unwrap());
        assert!(a > 0.0 && (a - b).abs() <= 1e-5 * a, "{name}: {a} and {b}");
    }
}

#[test]
fn tokens_that_no_policy_has_are_named() {
    let folder = tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    write_lines(&input, &[json!({"tokens": [1]}), json!({"tokens": [1, 1_000_000]})]);
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let arguments = ["logprobs", "--model", &golden("qwen2"), "--input", input, "--output", output];
    insta::assert_snapshot!(complaint(&arguments, 2).replace(input, "in"), @r"
    error: read `in`
      caused by: line 2: token 1000000 is outside the vocabulary, 0 to 63
    ");
    std::fs::write(input, "{\"token\": [1]}\n").unwrap();
    insta::assert_snapshot!(complaint(&arguments, 2).replace(input, "in"), @r#"
    error: read `in`
      caused by: line 1: column 8: no list of tokens
    hint: a line is `{"tokens": [1, 2, 3]}`
    "#);
    assert!(!Path::new(output).exists());
}

/// The tiny policy's files with weights drawn for it.
fn drawn_policy(folder: &Path) -> String {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    let config: PolicyConfig =
        toml::from_str(&format!("checkpoint = {:?}\nrandom_init = true", tiny.display().to_string())).unwrap();
    Policy::load(&tiny, &config, 3).unwrap().save(folder, Format::F32).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_streamed_completion_is_the_one_sampled_whole() {
    let folder = tempdir().unwrap();
    let model = drawn_policy(&folder.path().join("model"));
    let arguments = ["sample", "--model", &model, "--prompt", "12+34-5+6=", "--max-tokens", "24", "--seed", "5"];
    let sample = |more: &[&str]| stdout(&[&arguments[..], more].concat());
    let streamed = sample(&[]);
    let whole: Value = serde_json::from_str(&sample(&["--json"])).unwrap();
    assert_eq!(streamed.strip_suffix('\n').unwrap(), whole["text"].as_str().unwrap());
    // The first of several completions is the one sampled alone, and the others are others.
    let three: Vec<Value> =
        sample(&["--json", "--n", "3"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(three[0], whole);
    assert!(three[1] != three[0] && three[2] != three[1]);
}

#[test]
fn a_completion_has_what_the_prompt_leaves_of_the_context() {
    let folder = tempdir().unwrap();
    let model = drawn_policy(&folder.path().join("model"));
    let sample = |prompt: &str| {
        let text = stdout(&["sample", "--model", &model, "--prompt", prompt, "--json", "--tokens"]);
        let line: Value = serde_json::from_str(&text).unwrap();
        line["tokens"].as_array().unwrap().len()
    };
    let prompt = "1".repeat(250);
    assert!((1..=6).contains(&sample(&prompt)), "256 positions");
    let arguments = ["sample", "--model", &model, "--prompt", &prompt, "--max-tokens", "7"];
    assert!(complaint(&arguments, 2).contains("turn `--max-tokens` down"));
    let prompt = "1".repeat(256);
    assert!(
        complaint(&["sample", "--model", &model, "--prompt", &prompt], 2).contains("fill the policy's 256 positions")
    );
}

#[test]
fn logprobs_of_a_sample_are_those_recorded() {
    let folder = tempdir().unwrap();
    let model = drawn_policy(&folder.path().join("model"));
    let arguments = ["sample", "--model", &model, "--prompt", "12+34-5+6=", "--max-tokens", "70", "--n", "4"];
    let sampled = stdout(&[&arguments[..], &["--tokens", "--json"]].concat());
    let sampled: Vec<Value> = sampled.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines = sampled.iter().map(|one| {
        let both = [&one["prompt_tokens"], &one["tokens"]].map(|ids| ids.as_array().unwrap().clone());
        json!({ "tokens": both.concat() })
    });
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    write_lines(&input, &lines.collect::<Vec<_>>());
    let (input_path, output_path) = (input.to_str().unwrap(), output.to_str().unwrap());
    stdout(&["logprobs", "--model", &model, "--input", input_path, "--output", output_path]);
    for (one, found) in sampled.iter().zip(read_lines(&output)) {
        let found = found["logprobs"].as_array().unwrap();
        let recorded = one["logprobs"].as_array().unwrap();
        assert!(!recorded.is_empty());
        assert_eq!(&found[found.len() - recorded.len()..], recorded);
    }
}
