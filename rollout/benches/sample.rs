//! Sampling: tokens a second of a 14M-parameter policy with fresh weights, for several numbers of completions.
//!
//! The policy has the shape of the `small` checkpoint of docs/benchmarks.md: 8 layers, D 384, F 1024, 6 query and 2 key
//! heads of 64, V 4096. Prompts have 79 tokens and differ, completions 128, prompts are part of the time.

use criterion::{Criterion, Throughput};
use model::config::PolicyConfig;
use model::philox::{Purpose, Stream};
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use rollout::pool::{Request, RolloutConfig, RolloutPool};
use rollout::prompt::Prompt;
use rollout::sampling::SamplingConfig;
use rollout::stopping::StopRules;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Completions sampled at once.
const BATCHES: [usize; 4] = [1, 8, 32, 128];

/// Replicas that sample side by side, and threads of all of them.
const REPLICAS: [(usize, usize); 4] = [(1, 1), (1, 4), (2, 4), (4, 4)];

/// Tokens of a prompt, and of a completion.
const PROMPT: usize = 79;
const COMPLETION: usize = 128;

const VOCABULARY: u64 = 4096;

fn policy(tiny: &std::path::Path) -> anyhow::Result<Policy> {
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(tiny.join("config.json"))?)?;
    for (key, value) in [
        ("hidden_size", 384),
        ("num_hidden_layers", 8),
        ("num_attention_heads", 6),
        ("num_key_value_heads", 2),
        ("head_dim", 64),
        ("intermediate_size", 1024),
        ("vocab_size", VOCABULARY),
        ("max_position_embeddings", 1024),
    ] {
        json[key] = value.into();
    }
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("config.json"), json.to_string())?;
    let checkpoint = folder.path().to_owned();
    let config = PolicyConfig { random_init: true, ..PolicyConfig::new(checkpoint) };
    Ok(Policy::load(folder.path(), &config, 1)?)
}

fn main() -> anyhow::Result<()> {
    tch::set_num_threads(1);
    let tiny = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    let policy = policy(&tiny)?;
    let tokenizer = Arc::new(Tokenizer::from_folder(&tiny)?);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("sample");
    for (replicas, threads) in REPLICAS {
        for batch in BATCHES {
            let draw = Stream::new(1, Purpose::Sample, 0, 0, 0);
            let prompt = |i: usize| Prompt {
                index: i as u64,
                tokens: (0..PROMPT).map(|p| draw.below((i * PROMPT + p) as u32, VOCABULARY) as u32).collect(),
            };
            let prompts: Vec<Prompt> = (0..batch).map(prompt).collect();
            let mut pool = RolloutPool::new(
                &RolloutConfig { replicas: Some(replicas), ..RolloutConfig::default() },
                threads,
                policy.config(),
                Arc::clone(&tokenizer),
                StopRules::default(),
            );
            let (sampling, cancel) = (SamplingConfig::default(), AtomicBool::new(false));
            group.throughput(Throughput::Elements((batch * COMPLETION) as u64));
            group.bench_function(format!("{batch}/{replicas}x{}", threads / replicas), |bencher| {
                bencher.iter_custom(|n| {
                    let start = Instant::now();
                    for step in 0..n {
                        let request = Request {
                            seed: 1,
                            purpose: Purpose::Sample,
                            step,
                            n: 1,
                            max_tokens: COMPLETION,
                            sampling: &sampling,
                            cancel: &cancel,
                        };
                        let (sender, groups) = crossbeam_channel::unbounded();
                        pool.sample(&policy, &request, &prompts, &sender).expect("the cache is large enough");
                        drop(sender);
                        assert_eq!(groups.iter().count(), batch);
                    }
                    start.elapsed()
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
