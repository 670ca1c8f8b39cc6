//! Real problems and a real tokenizer: GSM8K, Qwen2.5's tokenizer, and a narrow policy of Qwen2.5's shape.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::json;

use crate::toy_run::Toy;

/// Data that lie beside the workspace; `None`, said aloud, where they do not.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

pub(crate) fn write_policy(folder: &Path, tokenizer: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 64,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
        "tie_word_embeddings": true, "bos_token_id": 151_643, "eos_token_id": 151_645,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    for file in ["tokenizer_config.json", "chat_template.jinja"] {
        fs::copy(tokenizer.join(file), folder.join(file)).unwrap();
    }
    let mut unpacked = GzDecoder::new(File::open(tokenizer.join("tokenizer.json.gz")).unwrap());
    std::io::copy(&mut unpacked, &mut File::create(folder.join("tokenizer.json")).unwrap()).unwrap();
}

#[test]
fn steps_on_gsm8k_stop_and_go_on() {
    let (Some(problems), Some(tokenizer)) = (beside("math/gsm8k_train.jsonl"), beside("tokenizers/qwen2.5")) else {
        return;
    };
    let toy = Toy::bare(&format!(
        r#"
        name = "toy"
        seed = 11
        model = {{ checkpoint = "policy", random_init = true }}
        data = {{ source.files = {{ paths = [{problems:?}], limit = 16 }} }}
        # A policy of fresh weights never ends by itself; a letter that one in three tokens holds makes its lengths differ.
        rollout = {{ max_tokens = 12, stop = ["e"] }}
        rewards = [
          {{ accuracy = {{ weight = 1.0, kind = "gsm8k", extract = "answer_tag" }} }},
          {{ soft_overlong = {{ weight = 1.0, max_tokens = 12, buffer = 11 }} }},
        ]
        optimizer = {{ lr = 0.001 }}
        [grpo]
        steps = 2
        prompts_per_step = 2
        group_size = 4
        updates_per_step = 2
        microbatch_tokens = 256
        [run]
        save_every = 1
        workers = 2
        "#
    ));
    write_policy(&toy.path().join("policy"), &tokenizer);
    toy.train();
    let rows = fs::read_to_string(toy.run(1).join("metrics.jsonl")).unwrap();
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        assert_eq!(row["mismatch_max"], 0.0, "sampler and trainer agree: {row}");
        assert!(row["parity_tokens"].as_f64().unwrap() > 0.0 && row["grad"].as_f64().unwrap() > 0.0, "{row}");
    }
    toy.killed_and_resumed(2);
}
