//! Saved checkpoints, read by Hugging Face's own library: the same logits and the same token ids.
//!
//! Runs where `GROUPER_PEERS_PYTHON` names an interpreter that has torch and transformers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as System;

use assert_cmd::Command;
use model::checkpoint::{self, Format, Part};
use model::config::PolicyConfig;
use model::packed::Packed;
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use serde_json::{Value, json};
use tch::Kind;
use tempfile::tempdir;

const TEXT: &str = "12+34-5+6=41\n<answer>41</answer>";

/// Prints for each folder its logits for ids and the ids of a text, as JSON.
const SCRIPT: &str = "
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(1)
asked = json.loads(sys.stdin.read())
for folder, ids in asked['folders']:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    text = AutoTokenizer.from_pretrained(folder)(asked['text'])['input_ids']
    print(json.dumps({'logits': logits.flatten().tolist(), 'ids': text}))
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn load(folder: &Path) -> Policy {
    let config: PolicyConfig = toml::from_str(&format!("checkpoint = '{}'", folder.display())).unwrap();
    Policy::load(folder, &config, 0).unwrap()
}

/// A copy of `folder` that has a tokenizer.
fn with_tokenizer(folder: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(root().join("configs/checkpoints/tiny").join(name), to.join(name)).unwrap();
    }
    for name in ["config.json", "model.safetensors"] {
        fs::copy(folder.join(name), to.join(name)).unwrap();
    }
}

/// `policy` in several files of at most `max_shard_bytes`.
fn save_in_shards(policy: &Policy, folder: &Path, max_shard_bytes: u64) {
    policy.save(folder, Format::F32).unwrap();
    let parameters = policy.layout().parameters().iter();
    let parts: Vec<Part<'_>> = parameters
        .map(|p| Part { name: &p.name, shape: &p.shape, numbers: &policy.parameters()[p.range()], format: Format::F32 })
        .collect();
    checkpoint::save(folder, &parts, max_shard_bytes).unwrap();
    assert!(folder.join("model.safetensors.index.json").is_file());
}

/// The `final/` of a short run.
fn trained(folder: &Path) -> PathBuf {
    let config = "model.checkpoint = 'configs/checkpoints/tiny'\nrun.workers = 2\n\
                  data = { source.chain = { n_problems = 20 }, template = 'plain' }\n\
                  rollout = { max_tokens = 32, kv_bytes = 20_000_000 }\noptimizer.lr = 1e-3\n\
                  rewards = [{ accuracy = { weight = 1.0, kind = 'exact', extract = 'answer_tag' } }]\n\
                  [grpo]\nsteps = 1\nprompts_per_step = 4\ngroup_size = 4\nobjective.kl_coef = 0.1";
    let path = folder.join("run.toml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
    command.current_dir(root()).args(["grpo", path.to_str().unwrap(), "--run"]).arg(folder.join("runs"));
    command.assert().success();
    folder.join("runs/run/1/final")
}

#[test]
fn transformers_reads_what_was_saved() {
    let Ok(python) = std::env::var("GROUPER_PEERS_PYTHON") else {
        eprintln!("skipped: GROUPER_PEERS_PYTHON names no interpreter with torch and transformers");
        return;
    };
    let scratch = tempdir().unwrap();
    let mut folders = vec![trained(scratch.path())];
    for family in ["qwen2", "qwen3", "llama", "gemma3", "qwen3_moe", "mixtral", "tiny"] {
        let from = match family {
            "tiny" => root().join("configs/checkpoints/tiny"),
            _ => root().join("tests/golden").join(family),
        };
        let source = scratch.path().join(family);
        with_tokenizer(&from, &source);
        let policy = load(&source);
        let [f32, bf16, shards] = ["f32", "bf16", "shards"].map(|kind| scratch.path().join(format!("{family}-{kind}")));
        policy.save(&f32, Format::F32).unwrap();
        policy.save(&bf16, Format::Bf16).unwrap();
        save_in_shards(&policy, &shards, 8 << 10);
        assert_eq!(load(&shards).parameters(), policy.parameters());
        folders.extend([f32, bf16, shards]);
    }

    let policies: Vec<Policy> = folders.iter().map(|folder| load(folder)).collect();
    let ids =
        |policy: &Policy| -> Vec<i64> { (0..40).map(|i| i * i * 7 % policy.config().vocab_size as i64).collect() };
    let asked: Vec<Value> =
        folders.iter().zip(&policies).map(|(folder, policy)| json!([folder, ids(policy)])).collect();
    let input = scratch.path().join("asked.json");
    fs::write(&input, json!({"text": TEXT, "folders": asked}).to_string()).unwrap();
    let mut system = System::new(python);
    let output = system.args(["-c", SCRIPT]).stdin(fs::File::open(&input).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    assert_eq!(answers.len(), folders.len());
    for ((folder, policy), answer) in folders.iter().zip(&policies).zip(&answers) {
        let theirs: Vec<f64> = serde_json::from_value(answer["logits"].clone()).unwrap();
        let mut packed = Packed::default();
        packed.push(&ids(policy));
        let ours: Vec<f64> = Vec::try_from(policy.logits(&packed).view(-1).to_kind(Kind::Double)).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let largest = theirs.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let name = folder.strip_prefix(scratch.path()).unwrap().display();
        eprintln!("{name}: largest difference {off:.2e} of {largest:.2e}");
        assert!(off <= 1e-5 * largest, "{name}: {off} of {largest}");
        let ours = Tokenizer::from_folder(folder).unwrap().encode(TEXT, true);
        assert_eq!(json!(ours), answer["ids"], "{name}");
    }
}

/// Writes the dequantised weights of a file as f32 into another, by torch alone.
const DEQUANTISE: &str = "
import sys, torch
from safetensors.torch import load_file, save_file
weights = load_file(sys.argv[1])
found = {}
for name, weight in weights.items():
    scales = weights.get(name + '_scale_inv')
    if scales is not None:
        wide = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)
        weight = weight.float() * wide[: weight.shape[0], : weight.shape[1]]
    if not name.endswith('_scale_inv'):
        found[name] = weight.float()
save_file(found, sys.argv[2])
";

/// What a policy saved in FP8 holds is to torch what it is here, number by number.
#[test]
fn torch_reads_fp8_as_it_was_saved() {
    let Ok(python) = std::env::var("GROUPER_PEERS_PYTHON") else {
        eprintln!("skipped: GROUPER_PEERS_PYTHON names no interpreter with torch and transformers");
        return;
    };
    for family in ["tests/golden/qwen2", "configs/checkpoints/tiny"] {
        let scratch = tempdir().unwrap();
        load(&root().join(family)).save(scratch.path(), Format::Fp8).unwrap();
        let policy = load(scratch.path());
        let [from, to] = ["model.safetensors", "dequantised.safetensors"].map(|name| scratch.path().join(name));
        let output = System::new(&python).args(["-c", DEQUANTISE]).args([&from, &to]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = checkpoint::Weights::open_file(&to).unwrap();
        for p in policy.layout().parameters() {
            assert!(theirs.equals(&p.name, &p.shape, &policy.parameters()[p.range()]).unwrap(), "{family}: {}", p.name);
        }
    }
}
