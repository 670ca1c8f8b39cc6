use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Tokenizer;

/// shared/data/tokenizers, which lies beside the workspace and not in every checkout.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tokenizers");
    if !folder.is_dir() {
        skip(&folder);
        return None;
    }
    Some(folder)
}

#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(folder: &Path) {
    eprintln!("skipped: no {}", folder.display());
}

/// A fresh folder with the files of one of the tokenizers, unpacked.
fn unpacked(source: &Path) -> PathBuf {
    let folder = std::env::temp_dir().join(format!(
        "grouper-tokenizer-{}-{:?}-{}",
        std::process::id(),
        std::thread::current().id(),
        source.file_name().unwrap().display()
    ));
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        match name.strip_suffix(".gz") {
            Some(name) => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
                fs::write(folder.join(name), plain).unwrap();
            }
            None => fs::write(folder.join(name), bytes).unwrap(),
        }
    }
    folder
}

fn load(data: &Path, name: &str) -> Tokenizer {
    let folder = unpacked(&data.join(name));
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    fs::remove_dir_all(folder).unwrap();
    tokenizer
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn every_encode_vector() {
    let Some(data) = data() else { return };
    let mut loaded: HashMap<String, Tokenizer> = HashMap::new();
    let mut rows = 0;
    for line in fs::read_to_string(data.join("encode_vectors.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row["tokenizer"].as_str().unwrap().split('/').next().unwrap();
        let tokenizer = loaded.entry(name.to_owned()).or_insert_with(|| load(&data, name));
        let text = row["text"].as_str().unwrap();
        let plain = ids(&row["ids"]);
        assert_eq!(tokenizer.encode(text, false), plain, "{name}: {text:?}");
        assert_eq!(tokenizer.encode(text, true), ids(&row["ids_with_special"]), "{name}: {text:?}");
        assert_eq!(tokenizer.decode(&plain, false), row["decoded"].as_str().unwrap(), "{name}: {text:?}");

        for skip_special in [false, true] {
            let mut stream = tokenizer.stream(skip_special);
            let mut pieces: String = plain.iter().map(|&id| stream.push(id)).collect();
            pieces.push_str(&stream.finish());
            assert_eq!(pieces, tokenizer.decode(&plain, skip_special), "{name}: streamed {text:?}");
        }
        rows += 1;
    }
    assert!(rows > 600, "only {rows} rows");
}

#[test]
fn a_checkpoint_names_its_tokens() {
    let Some(data) = data() else { return };
    let llama = load(&data, "llama-3");
    assert_eq!(llama.bos_token(), Some("<|begin_of_text|>"));
    assert_eq!(llama.bos_id(), Some(128_000));
    assert_eq!(llama.eos_id(), Some(128_001));
    assert_eq!(llama.vocab_size(), 128_256);
    assert!(llama.chat_template().unwrap().starts_with("{% set loop_messages"));
    let names: Vec<_> = llama.files().iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]);

    let qwen = load(&data, "qwen2.5");
    assert_eq!(qwen.bos_token(), None);
    assert_eq!(qwen.eos_token(), Some("<|im_end|>"));
    assert_eq!(qwen.special_token("pad_token"), Some("<|endoftext|>"));
    assert_eq!(qwen.token(qwen.eos_id().unwrap()).as_deref(), Some("<|im_end|>"));
    assert!(qwen.chat_template().unwrap().contains("im_start"));
}

#[test]
fn a_stream_holds_back_half_a_character() {
    let Some(data) = data() else { return };
    let tokenizer = load(&data, "gpt2");
    let text = "a\u{fffd}b 🦀🦀 κ̄";
    let ids = tokenizer.encode(text, false);
    let mut stream = tokenizer.stream(false);
    let mut out = String::new();
    for &id in &ids {
        out.push_str(&stream.push(id));
        assert!(text.starts_with(&out), "{out:?}");
    }
    assert_eq!(out, text);

    let crab = tokenizer.encode("🦀", false);
    assert!(crab.len() > 1);
    let mut stream = tokenizer.stream(false);
    assert_eq!(stream.push(crab[0]), "");
    assert_eq!(stream.finish(), "\u{fffd}");
}

#[test]
fn errors_name_the_file() {
    let folder = std::env::temp_dir().join(format!("grouper-tokenizer-bad-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let error = Tokenizer::from_folder(&folder).unwrap_err();
    assert!(format!("{error:#}").contains("tokenizer.json"), "{error:#}");
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    let error = Tokenizer::from_folder(&folder).unwrap_err();
    assert!(format!("{error:#}").contains("tokenizer.json is not a tokenizer"), "{error:#}");
    fs::remove_dir_all(folder).unwrap();
}
