//! GRPO on programs: completions are run in the sandbox while others are sampled.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::grouper;
use crate::gsm8k::{beside, write_policy as write_qwen};
use crate::toy_run::Toy;

/// A policy of random weights says sums, unequal signs and tags; what of it is Python and prints nothing is right.
const CONFIG: &str = r#"
name = "toy"
seed = 5
model = { checkpoint = "policy", random_init = true }
data = { source.files = { paths = ["rows.jsonl"] }, template = "plain" }
rollout = { max_tokens = 4 }
rewards = [
  { code = { weight = 1.0, block = "whole", score = "per_test", points = { runtime = -0.5 }, sandbox = { workers = 2 } } },
  { code = { weight = 0.5, name = "passes", block = "whole", sandbox = { workers = 2 } } },
]
optimizer = { lr = 0.001 }
[grpo]
steps = 3
prompts_per_step = 4
group_size = 8
updates_per_step = 1
microbatch_tokens = 256
[run]
save_every = 1
workers = 2
"#;

fn toy() -> Toy {
    Toy::on_rows(CONFIG, |n| {
        let tests = json!([{"stdin": "", "stdout": ""}, {"stdin": format!("{n}\n"), "stdout": "\n"}]);
        json!({"prompt": format!("{n}+{n}="), "answer": n.to_string(), "tests": tests})
    })
}

#[test]
fn programs_are_scored_and_a_killed_run_goes_on() {
    let toy = toy();
    toy.train();
    let rows = fs::read_to_string(toy.run(1).join("metrics.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"));
    for row in &rows {
        assert_eq!(number(row, "mismatch_max"), 0.0, "{row}");
        assert_eq!(row.get("unscored").map_or(0.0, |n| n.as_f64().unwrap()), 0.0, "{row}");
        assert!((0.0..=1.0).contains(&number(row, "perf/score_hidden")), "{row}");
        assert!((-1.0..=1.0).contains(&number(row, "code")), "{row}");
    }
    let passes: f64 = rows.iter().map(|row| number(row, "passes")).sum::<f64>() / rows.len() as f64;
    assert!(passes > 0.0 && passes < 1.0, "some random sums are Python, and not all: {passes}");
    // The notes say what became of a program.
    let samples = fs::read_to_string(toy.run(1).join("samples.jsonl")).unwrap();
    assert!(samples.contains("of 2 tests") && samples.contains("compile, SyntaxError"), "{samples}");

    toy.killed_and_resumed(3);
}

/// A sandbox that cannot be had stops a run before it begins, and says why.
#[test]
fn no_sandbox_no_run() {
    let toy = toy();
    for (sandbox, said) in [("no-such-python", "no-such-python"), ("/dev/null", "/dev/null")] {
        let config = CONFIG.replace("workers = 2 }", &format!("workers = 2, python = {sandbox:?} }}"));
        fs::write(toy.path().join("toy.toml"), config).unwrap();
        let output = toy.command(&[]).output().unwrap();
        let stderr = crate::toy_run::text(&output.stderr);
        assert!(!output.status.success() && stderr.contains(said), "{stderr}");
        assert!(!toy.run(1).exists(), "nothing was begun");
    }
}

/// The config that people copy passes `check`, with the data it names and a narrow policy in the place of its own.
#[test]
fn the_config_for_code_is_checked() {
    let (Some(mbpp), Some(humaneval), Some(tokenizer)) =
        (beside("code/mbpp.jsonl"), beside("code/HumanEval.jsonl.gz"), beside("tokenizers/qwen2.5"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    write_qwen(&folder.path().join("policy"), &tokenizer);
    // What the `jq` line at the top of the config makes, of some of the rows.
    let prompt = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let test = row["test_list"][0].as_str().unwrap();
        row["prompt"] = format!("{}\nYour code should pass this test:\n{test}", row["text"].as_str().unwrap()).into();
        row.to_string() + "\n"
    };
    let rows: String = fs::read_to_string(mbpp).unwrap().lines().step_by(20).map(prompt).collect();
    let data = folder.path().join("mbpp_prompts.jsonl");
    fs::write(&data, rows).unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/r1_zero_code.toml");
    let mut config = fs::read_to_string(config).unwrap();
    for (written, path) in [("data/mbpp_prompts.jsonl", &data), ("data/HumanEval.jsonl.gz", &humaneval)] {
        assert!(config.contains(&format!("[\"{written}\"]")), "{written}");
        config = config.replace(&format!("[\"{written}\"]"), &format!("[{:?}]", path.display().to_string()));
    }
    let file = folder.path().join("r1_zero_code.toml");
    fs::write(&file, config).unwrap();
    let policy = format!("model.checkpoint={}", folder.path().join("policy").display());
    let random = "model.random_init=true";
    // The narrow policy has fewer positions.
    let short = "rollout.max_tokens=256";
    let arguments = ["check", file.to_str().unwrap(), "--set", &policy, "--set", random, "--set", short];
    let output = grouper(&arguments).output().unwrap();
    let said = crate::toy_run::text(&output.stdout) + &crate::toy_run::text(&output.stderr);
    assert!(output.status.success(), "{said}");
}
