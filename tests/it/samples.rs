//! A run's samples can be scored again.

use std::fs;

use serde_json::{Value, json};

use crate::cli::grouper;
use crate::toy_run::{Toy, finished};

/// Rules that read the answer, the row, the group, the length and the step.
const CONFIG: &str = r#"
name = "toy"
seed = 5
model = { checkpoint = "policy", random_init = true }
data = { source.files = { paths = ["rows.jsonl"] }, template = "plain" }
rollout = { max_tokens = 12 }
rewards = [
  { accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag", warmup_steps = 3 } },
  { soft_overlong = { weight = 0.5, max_tokens = 12, buffer = 8, steps = [2] } },
  { length_k15 = { weight = 0.5 } },
  { python = { weight = 1.0, file = "reward.py", workers = 1 } },
]
optimizer = { lr = 0.001 }
[grpo]
steps = 3
prompts_per_step = 4
group_size = 4
microbatch_tokens = 256
[run]
workers = 2
samples_per_step = 16
"#;

const REWARD: &str = r#"
def reward(prompts, completions, answer, extra, **columns):
    return [len(set(text) & set(a + e["digits"])) + len(p) / 8 for p, text, a, e in
            zip(prompts, completions, answer, extra)]
"#;

#[test]
fn samples_have_the_rewards_they_had() {
    let extra = |n: usize| json!({"digits": format!("{n}7")});
    let row = |n: usize| json!({"prompt": format!("{n}+{n}="), "answer": (2 * n).to_string(), "extra": extra(n)});
    let toy = Toy::on_rows(CONFIG, row);
    fs::write(toy.path().join("reward.py"), REWARD).unwrap();
    toy.train();
    let samples = toy.run(1).join("samples.jsonl");
    let output = grouper(&["score", "--rubric", "runs/toy/1/config.toml", "--input", samples.to_str().unwrap()])
        .current_dir(toy.path())
        .output()
        .unwrap();
    finished(&output);
    let lines: Vec<Value> = output
        .stdout
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3 * 16);
    let mut totals = Vec::new();
    for line in &lines {
        assert!(line["total"].is_number() && line["expected"].is_string(), "{line}");
        assert_eq!(line["score"]["total"], line["total"], "{line}");
        assert_eq!(line["score"]["parts"], line["parts"], "{line}");
        totals.push(line["total"].to_string());
    }
    totals.sort();
    totals.dedup();
    assert!(totals.len() > 8, "rewards differ, and so would those of a rule that was not told all: {totals:?}");
}
