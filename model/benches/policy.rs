//! What sampling and training do most with a policy of 15M parameters: a decoding step, log-probabilities of a microbatch,
//! its gradient; and text to token ids and back. The same with latent attention in place of grouped, where training takes
//! the absorbed form or the expanded one. All on one thread.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use model::backward::Targets;
use model::buffer::Buffer;
use model::config::{Mla, PolicyConfig};
use model::decode::Feed;
use model::kv_cache::{KvArena, KvCache, Sequence};
use model::packed::Packed;
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use serde_json::{Value, json};

const VOCABULARY: usize = 4096;
const PROMPT: usize = 140;
const COMPLETION: usize = 127;

/// Completions that a replica decodes at once.
const ROWS: [usize; 3] = [1, 8, 32];

/// Decoding steps before sequences begin again at their prompt.
const STEPS: usize = 64;

fn main() {
    tch::set_num_threads(1);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let policy = fresh(folder.path(), grouped(), Mla::Absorbed);
    decode(&mut criterion, "decode", &policy);
    microbatch(&mut criterion, "microbatch", &policy);
    for (name, mla) in [("latent absorbed", Mla::Absorbed), ("latent expanded", Mla::Expanded)] {
        let policy = fresh(folder.path(), latent(), mla);
        if mla == Mla::Absorbed {
            decode(&mut criterion, "decode latent", &policy);
        }
        microbatch(&mut criterion, &format!("microbatch {name}"), &policy);
    }
    tokenizer(&mut criterion, folder.path());
    criterion.final_summary();
}

fn grouped() -> Value {
    json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": 384,
        "num_hidden_layers": 8, "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 1024,
        "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "tie_word_embeddings": true,
    })
}

/// As many heads, with the proportions of DeepSeek-V3's and no experts.
fn latent() -> Value {
    json!({
        "model_type": "deepseek_v3", "vocab_size": VOCABULARY, "hidden_size": 384, "num_hidden_layers": 8,
        "num_attention_heads": 6, "q_lora_rank": 96, "kv_lora_rank": 128, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
        "v_head_dim": 64, "intermediate_size": 1024, "max_position_embeddings": 4096, "rope_theta": 1e6,
        "tie_word_embeddings": true, "first_k_dense_replace": 8, "moe_intermediate_size": 256, "n_routed_experts": 8,
        "num_experts_per_tok": 2, "n_shared_experts": 1, "num_nextn_predict_layers": 0,
    })
}

fn fresh(folder: &Path, config: Value, mla: Mla) -> Policy {
    fs::write(folder.join("config.json"), config.to_string()).expect("a config can be written");
    let config = PolicyConfig { random_init: true, mla, ..PolicyConfig::new(folder) };
    Policy::load(folder, &config, 0).expect("fresh weights need only a config")
}

fn tokens(len: usize) -> Vec<i64> {
    (0..len).map(|i| (i * 37 % VOCABULARY) as i64).collect()
}

fn decode(criterion: &mut Criterion, name: &str, policy: &Policy) {
    let mut group = criterion.benchmark_group(name);
    for rows in ROWS {
        let pages = KvCache::pages_for(PROMPT + STEPS) * (rows + 1);
        let mut arena = KvArena::new(policy.config(), pages);
        let mut cache = arena.cache();
        let (prompt, _) = policy.prefill(&mut cache, &tokens(PROMPT));
        let input = tokens(rows);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{rows} rows"), |bencher| {
            bencher.iter_custom(|n| {
                let (mut spent, mut left) = (Duration::ZERO, n);
                while left > 0 {
                    let mut forks: Vec<Sequence> = (0..rows).map(|_| cache.fork(&prompt)).collect();
                    let start = Instant::now();
                    for _ in 0..left.min(STEPS as u64) {
                        let fed = forks.iter_mut().zip(input.chunks_exact(1));
                        let mut feeds: Vec<Feed<'_>> =
                            fed.map(|(sequence, tokens)| Feed { sequence, tokens }).collect();
                        black_box(policy.decode(&mut cache, &mut feeds));
                    }
                    spent += start.elapsed();
                    forks.into_iter().for_each(|sequence| cache.release(sequence));
                    left = left.saturating_sub(STEPS as u64);
                }
                spent
            });
        });
    }
    group.finish();
}

/// A prompt and four completions of it.
fn microbatch(criterion: &mut Criterion, name: &str, policy: &Policy) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    let prompt = packed.push(&tokens(PROMPT));
    for _ in 0..4 {
        let segment = packed.push_after(Some(prompt), &tokens(COMPLETION));
        targets.push_sequence(segment.start.into(), &tokens(COMPLETION));
    }
    let mut gradient = Buffer::zeros(policy.layout().len());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(packed.len() as u64));
    group.bench_function("log-probabilities", |bencher| bencher.iter(|| policy.logprobs(&packed, &targets, 1.0)));
    group.bench_function("gradient", |bencher| {
        bencher.iter(|| {
            policy.backward(&packed, &targets, 1.0, false, &mut gradient, &mut |range, _| vec![1e-3; range.len()]);
        });
    });
    group.finish();
}

/// Words whose letters a byte-level vocabulary merges one after the other.
const WORDS: [&str; 16] = [
    "question", "answer", "first", "then", "there", "number", "boxes", "gives", "away", "left", "solve", "divide",
    "subtract", "what", "many", "the",
];

fn tokenizer(criterion: &mut Criterion, folder: &Path) {
    let (mut vocabulary, mut merges) = (BTreeMap::new(), Vec::new());
    let mut add = |token: String| {
        let next = vocabulary.len();
        vocabulary.entry(token).or_insert(next);
    };
    // The byte-level alphabet spells a space as Ġ.
    ('!'..='~').chain(['Ġ']).for_each(|letter| add(letter.to_string()));
    for word in WORDS {
        let mut so_far = String::from("Ġ");
        for letter in word.chars() {
            merges.push(format!("{so_far} {letter}"));
            so_far.push(letter);
            add(so_far.clone());
        }
    }
    let json = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    });
    fs::write(folder.join("tokenizer.json"), json.to_string()).expect("a tokenizer can be written");
    let tokenizer = Tokenizer::from_folder(folder).expect("the tokenizer is well formed");
    let text: String = (0..400).map(|i| format!(" {} {}", WORDS[i * 7 % WORDS.len()], i * 31 % 100)).collect();
    let ids = tokenizer.encode(&text, false);
    assert_eq!(tokenizer.decode(&ids, false), text);
    let mut group = criterion.benchmark_group("tokenizer");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| tokenizer.encode(black_box(&text), false)));
    group.bench_function("decode", |bencher| bencher.iter(|| tokenizer.decode(black_box(&ids), false)));
    group.finish();
}
