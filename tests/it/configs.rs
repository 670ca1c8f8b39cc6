//! The shipped configurations, checked with real problems and a real tokenizer in the place of what they name.

use std::path::Path;

use tempfile::tempdir;

use crate::cli::grouper;
use crate::gsm8k::{beside, write_policy};

/// What `check` prints of a configuration whose checkpoint is `policy` and whose files are `train` and `heldout`.
fn check(config: &str, policy: &Path, train: &Path, heldout: &Path, n_sets: usize) -> String {
    let mut sets = vec![
        format!("model.checkpoint={:?}", policy.display().to_string()),
        "model.random_init=true".to_owned(),
        format!("data.source.files.paths=[{:?}]", train.display().to_string()),
    ];
    for place in 0..n_sets {
        sets.push(format!("eval.sets.{place}.data.source.files.paths=[{:?}]", heldout.display().to_string()));
    }
    let arguments: Vec<&str> =
        ["check", config].into_iter().chain(sets.iter().flat_map(|set| ["--set", set.as_str()])).collect();
    let output = grouper(&arguments).assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn configurations_fit_their_data() {
    let (Some(math), Some(tokenizer)) = (beside("math"), beside("tokenizers/qwen2.5")) else {
        return;
    };
    let folder = tempdir().unwrap();
    write_policy(folder.path(), &tokenizer);
    for (config, train, heldout, n_sets) in [
        ("configs/r1_zero_gsm8k.toml", "gsm8k_train.jsonl", "gsm8k_test.jsonl", 1),
        ("configs/r1_zero_effort.toml", "gsm8k_train.jsonl", "gsm8k_test.jsonl", 3),
        ("configs/r1_zero_math.toml", "math_train.json", "math500.jsonl", 1),
    ] {
        let told = check(config, folder.path(), &math.join(train), &math.join(heldout), n_sets);
        assert!(told.contains("can run"), "{config}: {told}");
        // A few answers of MATH are no mathematics.
        assert!(config.contains("math") || !told.contains("reject"), "{config}: {told}");
    }
}
