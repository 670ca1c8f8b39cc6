//! The memory plan against what a run really takes.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::tempdir;

/// Numbers of a policy.
struct Shape {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
}

/// 14M parameters.
const SMALL: Shape = Shape {
    hidden_size: 384,
    intermediate_size: 1024,
    num_hidden_layers: 8,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    max_position_embeddings: 2048,
    vocab_size: 4096,
};

/// So narrow that what a long sequence takes is most.
const NARROW: Shape = Shape {
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 16384,
    vocab_size: 512,
};

/// The tiny policy.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny")
}

/// The tiny policy's tokenizer beside the config of a policy whose weights are drawn.
fn write(folder: &Path, config: &Value) {
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(tiny().join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// A Qwen-shaped policy.
fn policy(folder: &Path, shape: &Shape) {
    let text = fs::read_to_string(tiny().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("hidden_size", shape.hidden_size),
        ("intermediate_size", shape.intermediate_size),
        ("num_hidden_layers", shape.num_hidden_layers),
        ("num_attention_heads", shape.num_attention_heads),
        ("num_key_value_heads", shape.num_key_value_heads),
        ("head_dim", 64),
        ("max_position_embeddings", shape.max_position_embeddings),
        ("vocab_size", shape.vocab_size),
    ] {
        config[key] = json!(value);
    }
    write(folder, &config);
}

/// A policy of the shape of DeepSeek-V3: 8M parameters, and 2M more in each module of multi-token prediction.
fn mixture(folder: &Path, modules: usize) {
    write(
        folder,
        &json!({
            "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 4096,
            "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "first_k_dense_replace": 1,
            "num_attention_heads": 8, "num_key_value_heads": 8, "q_lora_rank": 128, "kv_lora_rank": 128,
            "qk_nope_head_dim": 32, "qk_rope_head_dim": 32, "v_head_dim": 32, "moe_intermediate_size": 128,
            "n_routed_experts": 16, "n_shared_experts": 1, "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2,
            "scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": true,
            "routed_scaling_factor": 2.5, "num_nextn_predict_layers": modules, "hidden_act": "silu",
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_interleave": true,
            "attention_bias": false, "initializer_range": 0.02, "tie_word_embeddings": true, "eos_token_id": 18,
            "pad_token_id": 18,
        }),
    );
}

/// Documents of `length` tokens of the tiny policy's tokenizer, which are characters; one is its end.
fn documents(folder: &Path, n: usize, length: usize) {
    let text = |i| format!("{i:03}{}", "12+34=46-".repeat(length / 9 + 1))[..length - 1].to_owned();
    let lines: String = (0..n).map(|i| format!("{}\n", json!({"text": text(i)}))).collect();
    fs::write(folder.join("documents.jsonl"), lines).unwrap();
}

/// Runs a config in `folder` and returns the bytes that were planned and those at the peak, from its last lines.
fn planned_and_peak(folder: &Path, stage: &str, config: &str) -> (f64, f64) {
    let path = folder.join("shape.toml");
    let here = folder.display();
    fs::write(&path, config.replace("HERE", &here.to_string())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
    command.current_dir(folder).args([stage, path.to_str().unwrap(), "--run"]).arg(folder.join("runs"));
    let output = command.assert().success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    let line = output.lines().find_map(|line| line.strip_prefix("memory  planned ")).expect(&output);
    let (planned, peak) = line.split_once(", peak ").unwrap();
    // Checkpoints of all runs together would fill a small disk.
    fs::remove_dir_all(folder.join("runs")).unwrap();
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

/// What was planned is enough for each run, and a little more at most than what one of a few runs takes. Where others use the
/// cores too, microbatches that are planned side by side may reach their peaks one after the other.
fn close(run: impl Fn() -> (f64, f64)) {
    let mut lacking = Vec::new();
    for _ in 0..4 {
        let (planned, peak) = run();
        let off = peak / planned - 1.0;
        assert!(off <= 0.0, "planned {planned}, peak {peak}: {:+.1} %", 100.0 * off);
        if off >= -0.15 {
            return;
        }
        lacking.push(off);
    }
    panic!("so far below what was planned, as shares of it: {lacking:?}");
}

/// Drawn weights and two workers, who compute `side_by_side` microbatches at once.
fn run(side_by_side: usize) -> String {
    format!(
        "model.checkpoint = 'HERE'\nmodel.random_init = true\n\
         run = {{ workers = 2, parallel_microbatches = {side_by_side}, save_every = 0 }}\n"
    )
}

/// Fine-tunes on everything; `keys` come before the stage's `table`.
fn tuned(folder: &Path, side_by_side: usize, keys: &str, table: &str) -> (f64, f64) {
    let run = run(side_by_side);
    let data = "data.source.files = { paths = ['HERE/documents.jsonl'], fields = { text = 'text' } }\n";
    planned_and_peak(folder, "sft", &format!("{run}{data}{keys}\n[sft]\nsteps = 2\nloss_on = 'everything'\n{table}"))
}

/// Two microbatches of two documents at once.
fn tuned_on_short(folder: &Path, keys: &str, table: &str) -> (f64, f64) {
    documents(folder, 40, 501);
    let lengths = "batch_tokens = 4000\nmax_tokens = 512\nmicrobatch_tokens = 1010";
    tuned(folder, 2, keys, &format!("{lengths}\n{table}"))
}

#[test]
fn fine_tuning_takes_the_memory_planned() {
    let folder = tempdir().unwrap();
    policy(folder.path(), &SMALL);
    for dtype in ["f32", "bf16", "fp8"] {
        for checkpointing in [false, true] {
            let keys = format!("model.dtype = '{dtype}'");
            close(|| tuned_on_short(folder.path(), &keys, &format!("activation_checkpointing = {checkpointing}")));
        }
    }
}

#[test]
fn a_mixture_of_experts_takes_the_memory_planned() {
    let folder = tempdir().unwrap();
    mixture(folder.path(), 0);
    for keys in ["model.dtype = 'f32'", "model.dtype = 'bf16'", "model.dtype = 'fp8'", "model.mla = 'expanded'"] {
        close(|| tuned_on_short(folder.path(), keys, ""));
    }
}

#[test]
fn multi_token_prediction_takes_the_memory_planned() {
    let folder = tempdir().unwrap();
    mixture(folder.path(), 1);
    for (dtype, table) in [("f32", "mtp = {}"), ("bf16", "mtp = {}"), ("fp8", "mtp = {}"), ("f32", "")] {
        close(|| tuned_on_short(folder.path(), &format!("model.dtype = '{dtype}'"), table));
    }
    close(|| tuned_on_short(folder.path(), "", "mtp = {}\nactivation_checkpointing = true"));
}

/// Fine-tunes a narrow policy on `n` documents of `length` tokens an update, all at once.
fn tuned_on_long(n: usize, length: usize, checkpointing: bool) -> (f64, f64) {
    let folder = tempdir().unwrap();
    policy(folder.path(), &NARROW);
    documents(folder.path(), 4, length);
    let batch = n * length - length / 2;
    tuned(
        folder.path(),
        n,
        "",
        &format!(
            "batch_tokens = {batch}\nmax_tokens = 16384\nmicrobatch_tokens = {length}\n\
             activation_checkpointing = {checkpointing}"
        ),
    )
}

#[test]
fn long_sequences_take_the_memory_planned() {
    for (n, checkpointing) in [(1, false), (1, true), (2, false), (2, true)] {
        close(|| tuned_on_long(n, 8192, checkpointing));
    }
}

#[test]
fn memory_grows_as_a_sequence_does() {
    let peaks = [2048, 4096, 8192, 16384].map(|length| tuned_on_long(1, length, false).1);
    // What more tokens take: what any run takes is in no difference. Twice as many take twice, not four times, as much.
    let more: Vec<f64> = peaks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for pair in more.windows(2) {
        assert!(pair[1] / pair[0] <= 2.2, "{peaks:?}");
    }
}

/// Samples with a reference and learns; `keys` come before all tables.
fn reinforced(folder: &Path, keys: &str) -> (f64, f64) {
    // Nothing is learned from the rule; the KL term makes every completion count, and keeps a reference.
    planned_and_peak(
        folder,
        "grpo",
        &format!(
            "{}{keys}\ndata = {{ source.chain = {{ n_problems = 20 }}, template = 'plain' }}\n\
             rewards = [{{ accuracy = {{ weight = 1.0, kind = 'exact', extract = 'answer_tag' }} }}]\n\
             rollout.max_tokens = 64\nrollout.kv_bytes = 200_000_000\n\
             [grpo]\nsteps = 2\nprompts_per_step = 16\ngroup_size = 16\nmicrobatch_tokens = 1024\n\
             objective.kl_coef = 0.01",
            run(2)
        ),
    )
}

#[test]
fn reinforcement_learning_takes_the_memory_planned() {
    let folder = tempdir().unwrap();
    policy(folder.path(), &SMALL);
    for dtype in ["f32", "bf16"] {
        close(|| reinforced(folder.path(), &format!("model.dtype = '{dtype}'")));
    }
    mixture(folder.path(), 1);
    for keys in ["model.dtype = 'f32'", "model.dtype = 'fp8'\nrollout.speculate = 2\nrollout.draft = 'mtp'"] {
        close(|| reinforced(folder.path(), keys));
    }
}
