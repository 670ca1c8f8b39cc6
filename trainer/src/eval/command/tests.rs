use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::fixture::Folder;

fn config() -> (TempDir, RunConfig) {
    tch::set_num_threads(1);
    let folder = Folder::default().write();
    let data = folder.path().join("gsm.jsonl");
    fs::write(&data, "{\"question\": \"3 + 4?\", \"answer\": \"3 + 4 = 7\\n#### 7\"}\n").unwrap();
    let mut config = config_for(folder.path(), &data, None, None).unwrap();
    config.model.random_init = true;
    config.rollout.max_tokens = 6;
    config.rollout.kv_bytes = 1 << 24;
    config.run.workers = Some(2);
    (folder, config)
}

#[test]
fn a_checkpoint_and_a_file_are_enough() {
    let (_folder, config) = config();
    assert_eq!(config.data.template, Template::Chat, "the checkpoint has a chat template");
    let cancel = AtomicBool::new(false);
    let mut text = Vec::new();
    let evaluations = run(&config, false, &cancel, &mut text).unwrap();
    assert_eq!((evaluations[0].name.as_str(), evaluations[0].n_problems, evaluations[0].k), ("gsm", 1, 8));
    assert_eq!(String::from_utf8(text).unwrap(), table(&evaluations));

    let mut json = Vec::new();
    run(&config, true, &cancel, &mut json).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[0]["pass_at"]["1"].as_f64(), evaluations[0].pass_at_1());
    assert_eq!(json[0]["shown"][0]["record"]["completion"], evaluations[0].shown[0].record.completion.as_str());
}

#[test]
fn the_default_length_leaves_room_for_prompts() {
    let folder = Folder::default().write();
    let lengths = |asked| {
        let config = config_for(folder.path(), Path::new("gsm.jsonl"), None, asked).unwrap();
        (config.rollout.max_tokens, config.data.max_prompt_tokens)
    };
    assert_eq!(lengths(None), (256, 256), "the checkpoint has 512 positions");
    assert_eq!(lengths(NonZero::new(500)), (500, 12));
}

#[test]
fn without_sets_there_is_nothing_to_do() {
    let (_folder, mut config) = config();
    config.eval = None;
    let error = run(&config, false, &AtomicBool::new(false), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("[eval]"), "{error}");
}
