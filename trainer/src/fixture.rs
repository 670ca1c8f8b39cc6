//! A checkpoint folder without weights, for tests: a small config.json and a tokenizer of single bytes.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use model::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Special tokens, from id 256 on.
const SPECIAL: [&str; 5] = ["<|bos|>", "<|eos|>", "<|turn|>", "<|end|>", "<|other|>"];

/// `<|turn|>role\ntext<|end|>\n` for each message.
pub(crate) const CHATML: &str = "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}\
{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";

/// What the folder is made of.
pub(crate) struct Folder {
    /// The chat template, if any.
    pub(crate) template: Option<&'static str>,
    /// Whether the tokenizer puts `<|bos|>` before a text.
    pub(crate) adds_bos: bool,
    /// The tokenizer's `eos_token`.
    pub(crate) eos: Option<&'static str>,
    /// `eos_token_id` of config.json.
    pub(crate) config_eos: Value,
    /// `eos_token_id` of generation_config.json.
    pub(crate) generation_eos: Value,
    /// Whether the policy is a mixture of experts, of the shape of DeepSeek-V3.
    pub(crate) experts: bool,
    /// Its modules of multi-token prediction.
    pub(crate) n_mtp: usize,
}

impl Default for Folder {
    fn default() -> Self {
        Folder {
            template: Some(CHATML),
            adds_bos: false,
            eos: Some("<|eos|>"),
            config_eos: json!(257),
            generation_eos: Value::Null,
            experts: false,
            n_mtp: 0,
        }
    }
}

impl Folder {
    /// Writes the folder; it is removed when the value goes.
    pub(crate) fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, value: &Value| fs::write(folder.path().join(name), value.to_string()).unwrap();
        let mut config = json!({
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 16,
            "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 512, "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "vocab_size": 264,
            "tie_word_embeddings": true, "eos_token_id": self.config_eos,
        });
        if self.experts {
            let more = json!({
                "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "num_hidden_layers": 3,
                "first_k_dense_replace": 1, "num_key_value_heads": 2, "q_lora_rank": 8, "kv_lora_rank": 8,
                "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 8,
                "n_shared_experts": 1, "moe_intermediate_size": 8, "num_experts_per_tok": 2, "n_group": 2,
                "topk_group": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": true,
                "routed_scaling_factor": 1.5,
            });
            let fields = more.as_object().into_iter().flatten();
            fields.for_each(|(key, value)| config[key] = value.clone());
        }
        config["num_nextn_predict_layers"] = self.n_mtp.into();
        put("config.json", &config);
        if !self.generation_eos.is_null() {
            put("generation_config.json", &json!({"eos_token_id": self.generation_eos}));
        }
        put("tokenizer.json", &self.tokenizer());
        let mut config = Map::from_iter([("bos_token".to_owned(), json!("<|bos|>"))]);
        if let Some(eos) = self.eos {
            config.insert("eos_token".to_owned(), json!(eos));
        }
        if let Some(template) = self.template {
            config.insert("chat_template".to_owned(), json!(template));
        }
        put("tokenizer_config.json", &Value::Object(config));
        folder
    }

    fn tokenizer(&self) -> Value {
        let vocab: Map<String, Value> =
            (0..=255_u8).map(|byte| (byte_character(byte).to_string(), json!(byte))).collect();
        let added: Vec<Value> = SPECIAL
            .iter()
            .enumerate()
            .map(|(i, content)| {
                json!({"id": 256 + i, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": true})
            })
            .collect();
        let post = match self.adds_bos {
            false => Value::Null,
            true => json!({
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<|bos|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [256], "tokens": ["<|bos|>"]}},
            }),
        };
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": post,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                      "merges": []},
        })
    }
}

/// The tokenizer of a folder.
pub(crate) fn tokenizer(folder: &Path) -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_folder(folder).unwrap())
}

/// A folder with one of the real tokenizers that lie beside the workspace, unpacked; `None`, said aloud, where they do
/// not.
pub(crate) fn real_tokenizer(name: &str) -> Option<TempDir> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tokenizers").join(name);
    if !from.is_dir() {
        eprintln!("skipped: no {}", from.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        if file.ends_with(".gz") {
            bytes.clear();
            GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        }
        let name = if file.starts_with("chat_template") { "chat_template.jinja" } else { file };
        fs::write(folder.path().join(name.trim_end_matches(".gz")), bytes).unwrap();
    }
    Some(folder)
}

/// GPT-2's printable stand-in for a byte.
fn byte_character(byte: u8) -> char {
    let printable = |b: u8| (33..=126).contains(&b) || (161..=172).contains(&b) || b >= 174;
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(256 + before).unwrap()
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): random enough to choose where a test strikes.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Deletes a file, cuts it short, or flips one of its bits, the last `ways` − 2 times in `ways`; returns what it held.
    pub(crate) fn damage(&mut self, path: &Path, ways: usize) -> Vec<u8> {
        let whole = fs::read(path).unwrap();
        match self.below(ways) {
            0 => fs::remove_file(path).unwrap(),
            1 => fs::write(path, &whole[..self.below(whole.len())]).unwrap(),
            _ => {
                let mut flipped = whole.clone();
                flipped[self.below(whole.len())] ^= 1 << self.below(8);
                fs::write(path, flipped).unwrap();
            }
        }
        whole
    }
}
