//! The run that everyone starts with does what it says: rules alone teach the committed base policy to reason.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use trainer::config::RunConfig;
use trainer::data::{DocumentBody, Documents, ProblemSet};

use crate::cli::grouper;

#[test]
fn r1_zero_tiny_learns() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().to_str().unwrap();
    let assert = grouper(&["grpo", "configs/r1_zero_tiny.toml", "--run", runs, "--set", "run.workers=2"]).assert();
    let output = assert.success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();

    let run = root.path().join("r1_zero_tiny/1");
    let rows: Vec<Value> = fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let evaluated = |row: &&Value| row.get("eval/pass@1").is_some();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    let (before, after) = (rows.iter().find(evaluated).unwrap(), rows.iter().rev().find(evaluated).unwrap());
    assert_eq!((number(before, "step"), number(before, "eval/prompts")), (0.0, 256.0));
    // What the base policy is committed for, and what its reinforcement has to reach.
    assert!(number(before, "eval/pass@1") < 0.35, "{before}");
    assert!(number(before, "eval/pass@8") >= 2.0 * number(before, "eval/pass@1"), "{before}");
    assert!(number(before, "eval/len") >= 40.0, "{before}");
    assert!(number(after, "eval/pass@1") >= 0.9, "{after}");
    let trained: Vec<&Value> = rows.iter().filter(|row| row.get("reward").is_some()).collect();
    assert_eq!(trained.len(), 60);
    for row in trained {
        // A step in which no group teaches compares nothing.
        assert_eq!(row.get("mismatch_max").map_or(0.0, |m| m.as_f64().unwrap()), 0.0, "{row}");
    }
    for said in ["pass@1", "before (wrong)", "after (right)", "report.html", "final"] {
        assert!(output.contains(said), "`{said}` in:\n{output}");
    }
    for file in ["final/model.safetensors", "final/tokenizer.json", "report.html", "config.toml", "samples.jsonl"] {
        assert!(run.join(file).exists(), "{file}");
    }
}

#[test]
fn held_out_problems_of_the_default_never_occur_in_training() {
    let config = RunConfig::load(Path::new("../configs/r1_zero_tiny.toml"), &[]).unwrap();
    let prompts = |source| {
        let set = ProblemSet::open(source, config.seed).unwrap();
        set.iter().map(|problem| problem.prompt.text()).collect::<HashSet<String>>()
    };
    let train = prompts(&config.data.source);
    let heldout = prompts(&config.eval.as_ref().unwrap().sets[0].data.source);
    assert!(heldout.len() >= 256);
    assert!(train.is_disjoint(&heldout));
    let demonstrations = RunConfig::load(Path::new("../configs/sft_tiny.toml"), &[]).unwrap();
    let documents = Documents::open(&demonstrations.data.source, demonstrations.seed).unwrap();
    for document in &documents.all {
        let DocumentBody::Completion { prompt, .. } = &document.body else { panic!("{document:?}") };
        assert!(!heldout.contains(&prompt.text()), "nor in the base policy's pre-training");
    }
}

/// The same with a mixture of experts behind latent attention: rules teach it, sampler and trainer send every token to the
/// same experts and agree on every bit, and no token is dropped.
#[test]
fn a_mixture_of_experts_learns() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().to_str().unwrap();
    let sizes = ["grpo.steps=20", "grpo.prompts_per_step=32", "eval.samples=2", "eval.sets.0.n_problems=64"];
    let sets = sizes.iter().chain(&["grpo.eval_every=0", "run.workers=2"]).flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> =
        ["grpo", "configs/r1_zero_moe_tiny.toml", "--run", runs].into_iter().chain(sets).collect();
    let output = grouper(&arguments).assert().success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("active)"), "both numbers of parameters:\n{output}");

    let run = root.path().join("r1_zero_moe_tiny/1");
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| -> Vec<f64> { rows.iter().filter_map(|row| row.get(key)?.as_f64()).collect() };
    let pass = of("eval/pass@1");
    assert!(pass[0] < 0.4 && pass[1] > 0.8, "{pass:?}");
    let accuracy = of("accuracy");
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&accuracy[15..]) > mean(&accuracy[..5]) + 0.3, "{accuracy:?}");
    assert_eq!(of("mismatch_max"), vec![0.0; 20]);
    assert_eq!(of("router/dropped"), vec![0.0; 20]);
    assert!(of("router/max_violation").iter().all(|violation| (0.0..3.0).contains(violation)));
    assert!(of("router/idle").iter().all(|idle| *idle < 0.5));
}
