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
