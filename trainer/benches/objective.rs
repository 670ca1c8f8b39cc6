//! The objective on the tokens of a step, with a reference and without.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use trainer::objective::{ObjectiveConfig, TokenBatch, clipped_objective};

/// Tokens of a step of 4 prompts × 8 completions × 128 tokens.
const TOKENS: usize = 4096;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
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
    criterion.final_summary();
}
