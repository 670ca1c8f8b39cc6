use serde_json::json;

use super::*;
use crate::fixture::{Folder, real_tokenizer, tokenizer};

fn find(folder: &Folder) -> StopIds {
    let folder = folder.write();
    let config = ModelConfig::from_folder(folder.path()).unwrap();
    StopIds::find(folder.path(), &config, &tokenizer(folder.path())).unwrap()
}

#[test]
fn every_source_is_asked_and_named() {
    let all = Folder { generation_eos: json!([260, 257]), config_eos: json!(257), ..Folder::default() };
    let found = find(&all);
    assert_eq!(
        found.to_string(),
        "<|eos|> 257 (config.json, generation_config.json, tokenizer), <|other|> 260 (generation_config.json), \
         <|end|> 259 (chat template)"
    );
    let rules = found.rules(&["\nUser:".to_owned()]);
    assert_eq!((rules.ids, rules.strings), (vec![257, 259, 260], vec!["\nUser:".to_owned()]));
}

#[test]
fn nothing_is_made_up() {
    let bare = Folder { template: None, eos: None, config_eos: json!(null), ..Folder::default() };
    assert!(find(&bare).is_empty());
    let plain = Folder { template: Some("{% for m in messages %}{{ m.content }}\n{% endfor %}"), ..Folder::default() };
    assert_eq!(find(&plain).to_string(), "<|eos|> 257 (config.json, tokenizer)");
    let beyond = Folder { template: None, eos: None, config_eos: json!(263), ..Folder::default() };
    assert_eq!(find(&beyond).to_string(), "no token 263 (config.json)");
}

/// The end of turn of real chat templates, where their tokenizers lie beside the workspace.
#[test]
fn real_templates_end_their_turns() {
    for (name, token) in [("qwen2.5", "<|im_end|>"), ("llama-3", "<|eot_id|>"), ("qwen3-0.6b", "<|im_end|>")] {
        let Some(folder) = real_tokenizer(name) else { return };
        let tokenizer = tokenizer(folder.path());
        let id = end_of_turn(&tokenizer).unwrap().unwrap();
        assert_eq!(tokenizer.token(id).as_deref(), Some(token), "{name}");
    }
}
