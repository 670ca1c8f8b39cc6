//! The files that a run reads: one that was changed between stop and resume is noticed.

use std::fs;

use serde_json::{Value, json};

use crate::toy_run::{Toy, same_run};

const CONFIG: &str = r#"
name = "toy"
seed = 3
model = { checkpoint = "policy", random_init = true }
data = { source.files = { paths = ["rows.jsonl"] }, template = "plain" }
rollout = { max_tokens = 8 }
rewards = [
  { python = { weight = 1.0, file = "reward.py", workers = 1 } },
  { program = { weight = 1.0, command = ["python3", "judge.py"], workers = 1 } },
]
optimizer = { lr = 0.001 }
[grpo]
steps = 2
prompts_per_step = 2
group_size = 4
microbatch_tokens = 256
eval_every = 1
[run]
save_every = 1
workers = 2
[eval]
samples = 2
sets = [{ name = "held", data = { source.files = { paths = ["held.jsonl"] }, template = "plain" } }]
rule = { accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" } }
"#;

const REWARD: &str = "def reward(completions, **columns):\n    return [float(len(c) % 3) for c in completions]\n";
const JUDGE: &str = r#"import json, sys
for line in sys.stdin:
    samples = json.loads(line)["samples"]
    print(json.dumps({"scores": [len(s["completion"]) % 2 for s in samples]}), flush=True)
"#;

fn toy() -> Toy {
    let row = |n: usize| json!({"prompt": format!("{n}+{n}="), "answer": (2 * n).to_string()});
    let toy = Toy::on_rows(CONFIG, row);
    toy.write_rows("held.jsonl", (20..24).map(row));
    for (file, text) in [("reward.py", REWARD), ("judge.py", JUDGE)] {
        fs::write(toy.path().join(file), text).unwrap();
    }
    toy
}

#[test]
fn a_changed_file_is_named_and_refused() {
    let toy = toy();
    toy.train();
    toy.copy(1, &toy.run(2));
    fs::remove_dir_all(toy.run(2).join("final")).unwrap();
    fs::remove_dir_all(toy.run(2).join("step_0002")).unwrap();
    let files = ["rows.jsonl", "held.jsonl", "reward.py", "judge.py", "policy/tokenizer_config.json"];
    for file in files {
        let path = toy.path().join(file);
        let kept = fs::read_to_string(&path).unwrap();
        // What it says is the same; its bytes are not.
        fs::write(&path, format!("{kept}\n")).unwrap();
        let (told, code) = toy.refuse(2);
        assert_eq!(code, 2, "{told}");
        let line = format!("file `{file}` has changed since the checkpoint was written");
        assert!(told.contains(&line) && told.contains("--allow-inexact"), "{told}");
        assert_eq!(told.matches("file `").count(), 1, "{told}");
        fs::write(&path, kept).unwrap();
    }
    // A chat template that was not there is one that prompts may be put by.
    let template = toy.path().join("policy/chat_template.jinja");
    fs::write(&template, "{{ messages }}").unwrap();
    let (told, _) = toy.refuse(2);
    assert!(told.contains("file `policy/chat_template.jinja` was not there when the checkpoint was written"), "{told}");
    fs::remove_file(template).unwrap();
    assert!(!toy.run(2).join("step_0002").exists(), "nothing went on");
    toy.resume(2);
    same_run(&toy.run(1), &toy.run(2), 2);
}

/// Checkpoints of programs that noted no files go on as they did.
#[test]
fn a_checkpoint_without_fingerprints_goes_on() {
    let toy = toy();
    toy.train();
    fs::remove_dir_all(toy.run(1).join("step_0002")).unwrap();
    let folder = toy.run(1).join("step_0001");
    let mut state: Value = serde_json::from_slice(&fs::read(folder.join("state.json")).unwrap()).unwrap();
    let inputs = state["machine"].as_object_mut().unwrap().remove("inputs").unwrap();
    let named: Vec<&String> = inputs.as_object().unwrap().keys().collect();
    assert!(["rows.jsonl", "held.jsonl", "reward.py", "judge.py"].iter().all(|file| named.iter().any(|n| n == file)));
    fs::write(folder.join("state.json"), serde_json::to_vec_pretty(&state).unwrap()).unwrap();
    trainer::manifest::write(&folder).unwrap();
    fs::write(toy.path().join("reward.py"), format!("{REWARD}\n")).unwrap();
    toy.resume(1);
}
