use super::experts::{ExpertGroups, GroupScore};
use super::*;
use crate::policy::tests::SPARSE;
use serde_json::{Value, json};
use std::path::Path;

/// A published config beside the workspace, or nothing (with a printed line).
fn published(name: &str) -> Option<ModelConfig> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/model-configs");
    let folder = Path::new(shared).join(name);
    if !folder.exists() {
        println!("skipped: {name}, {} is missing", folder.display());
        return None;
    }
    Some(ModelConfig::from_folder(&folder).unwrap())
}

fn parse(value: &Value) -> Result<ModelConfig, ConfigError> {
    ModelConfig::from_json(Path::new("folder/config.json"), value)
}

fn complaint(value: &Value) -> String {
    parse(value).unwrap_err().to_string()
}

fn small(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32, "head_dim": 8,
        "max_position_embeddings": 64,
    })
}

fn with(mut value: Value, key: &str, to: Value) -> Value {
    value[key] = to;
    value
}

/// Sizes as transformers counts them (scripts/golden/parameters.py): 671 B in all and 37.6 B active for DeepSeek-V3.
#[test]
fn published_sizes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/parameters.json");
    let models: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(models.len(), 18);
    for model in models {
        let name = model["model"].as_str().unwrap();
        let Some(config) = published(name) else { continue };
        assert_eq!(model["total"], config.n_parameters(), "{name}");
        assert_eq!(model["active"], config.n_active_parameters(), "{name}");
    }
}

#[test]
fn published_families() {
    for (name, family, dim, tied) in [
        ("Qwen2.5-0.5B", Family::Qwen2, 64, true),
        ("Qwen2.5-7B", Family::Qwen2, 128, false),
        ("Qwen3-0.6B", Family::Qwen3, 128, true),
        ("Qwen3-8B", Family::Qwen3, 128, false),
        ("Llama-3.1-70B", Family::Llama, 128, false),
        ("Llama-3.2-1B-Instruct", Family::Llama, 64, true),
        ("Qwen3-30B-A3B", Family::Qwen3Moe, 128, false),
        ("Mixtral-8x7B-v0.1", Family::Mixtral, 128, false),
        ("gemma-3-1b-it", Family::Gemma3, 256, true),
        ("gemma-3-27b-it", Family::Gemma3, 128, true),
        ("DeepSeek-V2", Family::DeepseekV2, 576, false),
        ("DeepSeek-V2-Lite", Family::DeepseekV2, 576, false),
        ("DeepSeek-R1", Family::DeepseekV3, 576, false),
    ] {
        let Some(config) = published(name) else { continue };
        assert_eq!(config.family, family, "{name}");
        assert_eq!((config.heads(0).head_dim, config.tied_head), (dim, tied), "{name}");
    }
}

/// transformers 5 spells some keys in another way than published configs do; both say the same.
#[test]
fn both_spellings_of_a_family_agree() {
    for family in SPARSE.into_iter().chain(["gemma3", "deepseek_v3_mtp"]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
        let [published, newer] = ["config.json", "config_v5.json"].map(|name| {
            let file = folder.join(name);
            ModelConfig::from_json(&file, &serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()).unwrap()
        });
        assert_eq!(published, newer, "{family}");
    }
}

#[test]
fn published_details() {
    let Some(c) = published("Llama-3.2-1B-Instruct") else { return };
    assert_eq!(c.eos_token_ids, [128_001, 128_008, 128_009]);
    assert_eq!(c.bos_token_id, Some(128_000));
    assert_eq!(c.norm.eps, 1e-5);
    let scaling =
        RopeScaling::Llama3 { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_positions: 8192 };
    assert_eq!(c.ropes, [RopeConfig { theta: 500_000.0, scaling }]);
    let Some(c) = published("Qwen2.5-0.5B") else { return };
    let AttentionConfig::Grouped(a) = &c.attention else { panic!("{:?}", c.attention) };
    assert!(a.bias && !a.head_norms);
    assert_eq!((a.n_heads, a.n_kv_heads, c.ffn_dim, c.n_layers), (14, 2, 4864, 24));
    assert_eq!(c.ropes, [RopeConfig { theta: 1e6, scaling: RopeScaling::Default }]);
}

#[test]
fn both_spellings_of_rope_agree() {
    let old = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16});
    let old = with(with(small("qwen3"), "rope_scaling", old), "rope_theta", json!(1e6));
    let new = json!({
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0,
        "original_max_position_embeddings": 16,
    });
    let new = with(small("qwen3"), "rope_parameters", new);
    let parsed = parse(&old).unwrap();
    assert_eq!(parsed, parse(&new).unwrap());
    let RopeScaling::Yarn { attention_factor, truncate, beta_fast, beta_slow, .. } = parsed.ropes[0].scaling else {
        panic!("{:?}", parsed.ropes)
    };
    assert_eq!(attention_factor, 0.1 * 4f64.ln() + 1.0);
    assert_eq!((truncate, beta_fast, beta_slow), (true, 32.0, 1.0));
}

#[test]
fn absent_keys_are_as_in_transformers() {
    let c = parse(&small("llama")).unwrap();
    assert!(!c.tied_head);
    assert_eq!(c.initial_std, 0.02);
    assert_eq!(parse(&with(small("llama"), "initializer_range", json!(0.5))).unwrap().initial_std, 0.5);
    assert_eq!((c.bos_token_id, c.eos_token_ids), (Some(1), vec![2]));
    assert_eq!(c.ropes, [RopeConfig { theta: 10_000.0, scaling: RopeScaling::Default }]);
    let c = parse(&with(small("qwen2"), "head_dim", Value::Null)).unwrap();
    assert_eq!((c.heads(0).head_dim, c.bos_token_id), (6, None));
    assert!(c.eos_token_ids.is_empty());
}

/// What a silent config of DeepSeek says of experts and queries, which shapes of weights do not tell.
#[test]
fn deepseek_assumes_what_transformers_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let silent = |family: &str| {
        let text = std::fs::read_to_string(folder.join(family).join("config.json")).unwrap();
        let mut value = with(serde_json::from_str(&text).unwrap(), "n_routed_experts", json!(16));
        for key in ["n_group", "topk_group", "n_shared_experts", "q_lora_rank"] {
            value.as_object_mut().unwrap().remove(key);
        }
        value
    };
    let rank = |config: &ModelConfig| match &config.attention {
        AttentionConfig::Latent(attention) => attention.query_rank,
        AttentionConfig::Grouped(_) => panic!("{:?}", config.attention),
    };
    let v3 = parse(&silent("deepseek_v3")).unwrap();
    let experts = v3.experts.as_ref().unwrap();
    assert_eq!(experts.groups, Some(ExpertGroups { n: 8, n_chosen: 4, by: GroupScore::TopTwo }));
    assert_eq!((experts.shared_width, rank(&v3)), (Some(experts.width), Some(1536)));
    let v2 = parse(&silent("deepseek_v2_lite")).unwrap();
    let experts = v2.experts.as_ref().unwrap();
    assert_eq!((experts.groups, experts.shared_width, rank(&v2)), (None, Some(2 * experts.width), Some(1536)));
    assert_eq!(rank(&parse(&with(silent("deepseek_v3"), "q_lora_rank", Value::Null)).unwrap()), None);
}

#[test]
fn complaints_name_file_key_and_expectation() {
    let message = complaint(&with(small("qwen3"), "hidden_size", json!("wide")));
    assert!(message.contains("folder/config.json"), "{message}");
    assert!(message.contains("`hidden_size` is \"wide\", expected a whole number"), "{message}");
    for (family, key, value) in [
        ("qwen2", "hidden_act", json!("gelu")),
        ("llama", "mlp_bias", json!(true)),
        ("llama", "attention_bias", json!(true)),
        ("llama", "architectures", json!(["LlamaForSequenceClassification"])),
        ("qwen2", "num_key_value_heads", json!(3)),
        ("qwen2", "vocab_size", json!(0)),
        ("qwen2", "num_hidden_layers", json!(u64::MAX)),
        ("qwen2", "head_dim", json!(7)),
        ("qwen2", "eos_token_id", json!(-1)),
        ("qwen2", "rope_theta", json!(0)),
        ("qwen2", "rope_parameters", json!(3)),
        ("qwen2", "layer_types", json!(["full_attention", "sliding_attention"])),
        ("gpt2", "model_type", json!("gpt2")),
    ] {
        let message = complaint(&with(small(family), key, value));
        assert!(message.contains(&format!("`{key}`")), "{key}: {message}");
    }
    for (value, key) in [
        (json!({"quant_method": "gptq", "bits": 4}), "quant_method"),
        (json!({"quant_method": "fp8", "fmt": "e5m2"}), "fmt"),
        (json!({"quant_method": "fp8", "activation_scheme": "static"}), "activation_scheme"),
        (json!({"quant_method": "fp8"}), "weight_block_size"),
        (json!({"quant_method": "fp8", "weight_block_size": [64, 128]}), "weight_block_size"),
    ] {
        let message = complaint(&with(small("qwen2"), "quantization_config", value));
        assert!(message.contains(&format!("`quantization_config.{key}`")), "{key}: {message}");
    }
    let published =
        json!({"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]});
    parse(&with(small("qwen2"), "quantization_config", published)).unwrap();
    let message = complaint(&with(small("llama"), "rope_scaling", json!({"rope_type": "dynamic"})));
    assert!(message.contains("`rope_scaling.rope_type` is \"dynamic\""), "{message}");
    let mut missing = small("llama");
    missing.as_object_mut().unwrap().remove("intermediate_size");
    assert!(complaint(&missing).contains("`intermediate_size` is missing"));
}

#[test]
fn sliding_window_is_refused_only_in_use() {
    let off = with(small("qwen2"), "sliding_window", json!(16));
    parse(&off).unwrap();
    let on = with(off, "use_sliding_window", json!(true));
    parse(&on).unwrap(); // max_window_layers is 28 by default: no layer of two slides
    let message = complaint(&with(on, "max_window_layers", json!(1)));
    assert!(message.contains("use_sliding_window"), "{message}");
}

#[test]
fn eos_ids_of_both_files_in_order() {
    let folder = std::env::temp_dir().join(format!("grouper-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = with(small("qwen3"), "eos_token_id", json!(5));
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let generation = json!({"eos_token_id": [7, 5, 7, 6]});
    std::fs::write(folder.join("generation_config.json"), generation.to_string()).unwrap();
    assert_eq!(ModelConfig::from_folder(&folder).unwrap().eos_token_ids, [5, 7, 6]);
    std::fs::write(folder.join("config.json"), "{").unwrap();
    let message = ModelConfig::from_folder(&folder).unwrap_err().to_string();
    assert!(message.contains("config.json: not JSON"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The configs of DeepSeek's own inference code are those of its published checkpoints, in other words.
#[test]
fn native_configs() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/model-configs"));
    for (name, family, total) in [
        ("config_16B", Family::DeepseekV2, 15_706_484_224),
        ("config_236B", Family::DeepseekV2, 235_741_434_880),
        ("config_671B", Family::DeepseekV3, 671_026_404_352),
    ] {
        let file = shared.join("deepseek-native").join(name).with_extension("json");
        let Ok(text) = std::fs::read_to_string(&file) else {
            println!("skipped: {} is missing", file.display());
            continue;
        };
        let config = ModelConfig::from_json(&file, &serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((config.family, config.n_parameters()), (family, total), "{name}");
    }
}
