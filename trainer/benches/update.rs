//! What an update does beside the network: the objective on the tokens of a step, and a move of the weights.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use model::config::ModelConfig;
use model::layout::Layout;
use serde_json::json;
use trainer::objective::{ObjectiveConfig, TokenBatch, clipped_objective};
use trainer::optimizer::{Optimizer, OptimizerConfig};

/// Tokens of a step of 4 prompts × 8 completions × 128 tokens.
const TOKENS: usize = 4096;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    objective(&mut criterion);
    optimizer(&mut criterion);
    criterion.final_summary();
}

fn objective(criterion: &mut Criterion) {
    let old: Vec<f32> = (0..TOKENS).map(|i| -((i % 97) as f32) / 10.0).collect();
    let new: Vec<f32> = old.iter().enumerate().map(|(i, old)| old + (i % 7) as f32 / 20.0 - 0.15).collect();
    let advantages: Vec<f32> = (0..TOKENS).map(|i| if i / 128 % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let weights = vec![1.0 / TOKENS as f64; TOKENS];
    let mut group = criterion.benchmark_group("objective");
    group.throughput(Throughput::Elements(TOKENS as u64));
    for (name, reference, kl_coef) in [("clipped", None, 0.0), ("clipped, with a reference", Some(&old[..]), 0.001)] {
        let config = ObjectiveConfig { kl_coef, ..ObjectiveConfig::default() };
        let batch = TokenBatch { new: &new, old: &old, reference, advantages: &advantages, weights: &weights };
        group.bench_function(name, |bencher| bencher.iter(|| clipped_objective(black_box(&batch), &config)));
    }
    group.finish();
}

/// AdamW on a policy of 15M parameters.
fn optimizer(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let layout = Layout::new(&architecture(folder.path()));
    let (mut weights, gradient) = (vec![0.1; layout.len()], vec![1e-3; layout.len()]);
    let mut optimizer = Optimizer::new(&layout, &OptimizerConfig::default());
    let mut group = criterion.benchmark_group("optimizer");
    group.throughput(Throughput::Elements(layout.len() as u64));
    for workers in [1, 4] {
        group.bench_function(format!("{workers} workers"), |bencher| {
            bencher.iter(|| optimizer.step(&mut weights, black_box(&gradient), 1, 1, workers));
        });
    }
    group.finish();
}

fn architecture(folder: &Path) -> ModelConfig {
    let config = json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 4096, "hidden_size": 384,
        "num_hidden_layers": 8, "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 1024,
        "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "tie_word_embeddings": true,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("a config can be written");
    ModelConfig::from_folder(folder).expect("the config is one of Qwen2")
}
