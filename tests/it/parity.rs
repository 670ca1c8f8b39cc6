//! The log-probabilities that sampling records are those of `grouper logprobs` over the whole sequence, digit for digit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use model::checkpoint::Format;
use model::config::PolicyConfig;
use model::policy::Policy;
use serde_json::{Value, json};

use crate::toy_run::{finished, text, write_policy};

/// A policy whose shape suits no kernel: heads of 24, a feed-forward width that is no multiple of 16. Its weights are
/// drawn, then made large enough that the next token is neither certain nor anyone's guess.
fn odd_policy(folder: &Path) {
    let config = json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 19, "hidden_size": 48,
        "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 24, "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "eos_token_id": 18, "torch_dtype": "float32",
    });
    write_policy(folder, &config);
    let config = PolicyConfig { random_init: true, ..PolicyConfig::new(folder) };
    let mut policy = Policy::load(folder, &config, 3).unwrap();
    policy.parameters_mut().iter_mut().for_each(|weight| *weight *= 3.0);
    policy.save(folder, Format::F32).unwrap();
}

fn grouper(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_grouper")).args(arguments).output().unwrap();
    finished(&output);
    text(&output.stdout)
}

/// Each number as it is written.
fn digits(numbers: &Value) -> Vec<String> {
    numbers.as_array().unwrap().iter().map(Value::to_string).collect()
}

#[test]
fn recorded_log_probabilities_are_those_of_the_whole_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    odd_policy(&folder.path().join("policy"));
    for (dtype, temperature) in [("f32", "1"), ("bf16", "1"), ("f32", "0.7")] {
        let mut sampled = Vec::new();
        // Prompts that end within a tile of 32 positions, at its edge and just past it.
        for n in [5, 31, 32, 33, 45] {
            let prompt = "12+34-5".chars().cycle().take(n).collect::<String>();
            let lines = grouper(&[
                "sample",
                "--model",
                &at("policy"),
                "--dtype",
                dtype,
                "--temperature",
                temperature,
                "--prompt",
                &prompt,
                "--max-tokens",
                "60",
                "--n",
                "4",
                "--tokens",
                "--json",
            ]);
            sampled.extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        let whole = |one: &Value| {
            let both = [&one["prompt_tokens"], &one["tokens"]].map(|ids| ids.as_array().unwrap().clone());
            json!({ "tokens": both.concat() }).to_string() + "\n"
        };
        fs::write(at("in.jsonl"), sampled.iter().map(whole).collect::<String>()).unwrap();
        grouper(&[
            "logprobs",
            "--model",
            &at("policy"),
            "--dtype",
            dtype,
            "--temperature",
            temperature,
            "--input",
            &at("in.jsonl"),
            "--output",
            &at("out.jsonl"),
        ]);
        let found = fs::read_to_string(at("out.jsonl")).unwrap();
        assert_eq!(found.lines().count(), sampled.len());
        let (mut compared, mut ends) = (0, BTreeSet::new());
        for (one, found) in sampled.iter().zip(found.lines()) {
            let found = digits(&serde_json::from_str::<Value>(found).unwrap()["logprobs"]);
            let (recorded, prompt) = (digits(&one["logprobs"]), one["prompt_tokens"].as_array().unwrap().len());
            assert_eq!(found.len(), prompt + recorded.len() - 1);
            assert_eq!(found[prompt - 1..], recorded, "{dtype} at temperature {temperature}, {prompt} prompt tokens");
            compared += recorded.len();
            ends.insert(prompt % 32);
        }
        assert!(compared > 200, "{compared} tokens compared");
        assert!(ends.len() >= 4 && ends.contains(&0), "{ends:?}");
    }
}
