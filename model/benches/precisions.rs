//! What an update takes in f32, bf16 and FP8: the gradient of 2,048 tokens, and the weights that products read made anew.
//!
//! Prints one JSON object: seconds of each precision, and their ratio to those in f32. The argument is how often each has
//! its turn, one after the other; the least counts. One thread, a dense policy of width 512 with four blocks.

#![expect(clippy::print_stdout, reason = "the seconds are what it is run for")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use model::backward::Targets;
use model::buffer::Buffer;
use model::config::{Dtype, PolicyConfig};
use model::packed::Packed;
use model::policy::Policy;
use serde_json::json;

const VOCABULARY: usize = 4096;
const SEQUENCES: usize = 8;
const LENGTH: usize = 256;
const TURNS: usize = 12;

fn main() {
    tch::set_num_threads(1);
    let turns = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(TURNS);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut policies = [Dtype::F32, Dtype::Bf16, Dtype::Fp8].map(|dtype| fresh(folder.path(), dtype));
    let (packed, targets) = batch();
    let mut gradient = Buffer::zeros(policies[0].layout().len());
    let mut least = [f64::INFINITY; 3];
    for _ in 0..turns {
        for (policy, least) in policies.iter_mut().zip(&mut least) {
            let start = Instant::now();
            policy.backward(&packed, &targets, 1.0, false, &mut gradient, &mut |range, _| vec![1e-3; range.len()]);
            policy.refresh();
            *least = least.min(start.elapsed().as_secs_f64());
        }
    }
    let [f32, bf16, fp8] = least;
    println!("{}", json!({"seconds": {"f32": f32, "bf16": bf16, "fp8": fp8}, "bf16": bf16 / f32, "fp8": fp8 / f32}));
}

fn fresh(folder: &Path, dtype: Dtype) -> Policy {
    let config = json!({
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": 512,
        "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64,
        "intermediate_size": 1536, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "tie_word_embeddings": true,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("a config can be written");
    let config = PolicyConfig { random_init: true, dtype, ..PolicyConfig::new(folder) };
    Policy::load(folder, &config, 0).expect("fresh weights need only a config")
}

fn batch() -> (Packed, Targets) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for sequence in 0..SEQUENCES {
        let token = |i| ((sequence * LENGTH + i) * 37 % VOCABULARY) as i64;
        let tokens: Vec<i64> = (0..LENGTH).map(token).collect();
        let segment = packed.push(&tokens);
        targets.push_sequence(segment.start.into(), &tokens);
    }
    (packed, targets)
}
