//! The memory plan against what a run really takes.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::json;
use tempfile::tempdir;

/// Documents of equal length in tokens of the tiny policy's tokenizer, which are characters.
const DOCUMENT: usize = 500;

/// The tiny policy's tokenizer beside the config of a Qwen-shaped policy of 14M parameters, whose weights are drawn.
fn shape(folder: &Path) {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(tiny.join(name), folder.join(name)).unwrap();
    }
    let text = fs::read_to_string(tiny.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("hidden_size", 384),
        ("intermediate_size", 1024),
        ("num_hidden_layers", 8),
        ("num_attention_heads", 6),
        ("num_key_value_heads", 2),
        ("head_dim", 64),
        ("max_position_embeddings", 2048),
        ("vocab_size", 4096),
    ] {
        config[key] = json!(value);
    }
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Runs a config and returns the bytes that were planned and those at the peak, from its last lines.
fn planned_and_peak(stage: &str, config: &str) -> (f64, f64) {
    let folder = tempdir().unwrap();
    shape(folder.path());
    let documents: String = (0..40)
        .map(|i| format!("{}\n", json!({"text": format!("{i:03}{}", "12+34=46-".repeat(60))[..DOCUMENT]})))
        .collect();
    fs::write(folder.path().join("documents.jsonl"), documents).unwrap();
    let path = folder.path().join("shape.toml");
    let here = folder.path().display();
    fs::write(&path, config.replace("HERE", &here.to_string())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
    command.current_dir(folder.path()).args([stage, path.to_str().unwrap(), "--run"]).arg(folder.path().join("runs"));
    let output = command.assert().success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    let line = output.lines().find_map(|line| line.strip_prefix("memory  planned ")).expect(&output);
    let (planned, peak) = line.split_once(", peak ").unwrap();
    (bytes(planned), bytes(peak))
}

fn bytes(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap();
    let unit = match unit {
        "MiB" => 20,
        "GiB" => 30,
        other => panic!("{other}"),
    };
    number.parse::<f64>().unwrap() * f64::from(1 << unit)
}

fn close((planned, peak): (f64, f64)) {
    let off = peak / planned - 1.0;
    assert!(off.abs() < 0.15, "planned {planned}, peak {peak}: {:+.1} %", 100.0 * off);
}

const MODEL: &str = "model = { checkpoint = 'HERE', random_init = true }\nrun = { workers = 2, save_every = 0 }\n";

#[test]
fn fine_tuning_takes_the_memory_planned() {
    close(planned_and_peak(
        "sft",
        &format!(
            "{MODEL}data.source.files = {{ paths = ['HERE/documents.jsonl'], fields = {{ text = 'text' }} }}\n\
             [sft]\nsteps = 2\nbatch_tokens = 4000\nmax_tokens = 512\nmicrobatch_tokens = 1010\nloss_on = 'everything'"
        ),
    ));
}

#[test]
fn reinforcement_learning_takes_the_memory_planned() {
    // Nothing is learned from the rule; the KL term makes every completion count, and keeps a reference.
    close(planned_and_peak(
        "grpo",
        &format!(
            "{MODEL}data = {{ source.chain = {{ n_problems = 20 }}, template = 'plain' }}\n\
             rollout = {{ max_tokens = 64, kv_bytes = 200_000_000 }}\n\
             rewards = [{{ accuracy = {{ weight = 1.0, kind = 'exact', extract = 'answer_tag' }} }}]\n\
             [grpo]\nsteps = 2\nprompts_per_step = 16\ngroup_size = 16\nmicrobatch_tokens = 1024\n\
             objective.kl_coef = 0.01"
        ),
    ));
}
