use std::fs;

use model::checkpoint::Format;
use model::config::PolicyConfig;
use model::policy::Policy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::data::Template;
use crate::fixture::Folder;

mod rules;

const MACHINE: Machine = Machine { free_disk: Some(1 << 30), free_memory: None, cores: 2 };

/// A checkpoint whose files agree on what ends a turn.
fn sound() -> Folder {
    Folder { eos: Some("<|end|>"), config_eos: json!(259), ..Folder::default() }
}

/// A GRPO run on the fixture's checkpoint with fresh weights; a test changes what it is about.
fn run(checkpoint: &Path) -> RunConfig {
    let text = format!(
        "name = 'chain'\n[model]\ncheckpoint = '{}'\nrandom_init = true\n\
         [data]\nsource.chain = {{ n_problems = 40 }}\ntemplate = 'chat'\nmax_prompt_tokens = 100\n\
         [rollout]\nmax_tokens = 64\n\
         [[rewards]]\naccuracy = {{ weight = 1.0, kind = 'exact', extract = 'answer_tag' }}\n\
         [[rewards]]\nformat = {{ weight = 0.5, style = 'think_answer' }}\n\
         [grpo]\nsteps = 1\nprompts_per_step = 4\ngroup_size = 8\n\
         [eval]\nsets = [{{ name = 'chain', data = {{ source = {{ chain = {{ n_problems = 20, split = 'heldout' }} }}, \
         template = 'chat' }} }}]",
        checkpoint.display()
    );
    toml::from_str(&text).unwrap()
}

/// Findings as a person reads them, with the folders' names replaced.
fn messages(run: &RunConfig, folders: &[(&Path, &str)]) -> String {
    shown(&check_on(run, Stage::Grpo, &MACHINE), folders)
}

fn shown(checked: &Checked, folders: &[(&Path, &str)]) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let level = if finding.level == Level::Error { "error" } else { "warning" };
        text += &format!("{level}: {finding}\n");
        if let Some(hint) = &finding.hint {
            text += &format!("hint: {hint}\n");
        }
    }
    for (path, name) in folders {
        text = text.replace(&path.display().to_string(), name);
    }
    text
}

/// A run whose problems are these rows.
fn with_rows(checkpoint: &Path, rows: &[Value]) -> (RunConfig, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let file = data.path().join("rows.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let mut run = run(checkpoint);
    if let Some(grpo) = &mut run.grpo {
        grpo.prompts_per_step = rows.len();
    }
    run.data.source = toml::from_str(&format!("files = {{ paths = ['{}'] }}", file.display())).unwrap();
    run.eval = None;
    (run, data)
}

#[test]
fn a_sound_run_has_no_findings_and_everything_open() {
    let folder = sound().write();
    let checked = check_on(&run(folder.path()), Stage::Grpo, &MACHINE);
    insta::assert_snapshot!(shown(&checked, &[]), @"");
    assert!(!checked.is_refused());
    assert_eq!(checked.folder.as_deref(), Some(folder.path()));
    assert_eq!(checked.prompts.unwrap().problems().len(), 40);
    assert_eq!(checked.heldout[0].1.problems().len(), 20);
    assert_eq!(checked.stop.rules(&[]).ids, [259]);
    assert!(checked.plan.unwrap().total(memory::Phase::Evaluation) > 0);
}

#[test]
fn a_missing_checkpoint_does_not_hide_bad_data() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = with_rows(&folder.path().join("none"), &[json!({"question": "1+1", "answer": "2"}), json!(7)]);
    insta::assert_snapshot!(messages(&run, &[(folder.path(), "FOLDER"), (data.path(), "DATA")]), @r#"
    error: `model.checkpoint`: find checkpoint `FOLDER/none`: there is no such folder, and it is no hub id (`owner/name`)
    error: `data.source`: in DATA/rows.jsonl: expected a JSON object at line 2
    "#);
}

#[test]
fn a_bad_row_is_named_by_file_line_and_field() {
    let folder = sound().write();
    let rows = [json!({"question": "1+1", "answer": "2"}), json!({"question": "2+1", "gold": "3"})];
    let (run, data) = with_rows(folder.path(), &rows);
    insta::assert_snapshot!(messages(&run, &[(data.path(), "DATA")]), @"error: `data.source`: in DATA/rows.jsonl: missing field `answer` at line 2");
}

/// The embedding and the head that a saved module repeats are its own, and no tensors that nothing reads.
#[test]
fn a_saved_module_of_multi_token_prediction_is_no_surprise() {
    let folder = Folder { n_mtp: 1, ..sound() }.write();
    let drawn = PolicyConfig { random_init: true, ..PolicyConfig::new(folder.path()) };
    let saved = tempfile::tempdir().unwrap();
    Policy::load(folder.path(), &drawn, 0).unwrap().save(saved.path(), Format::Bf16).unwrap();
    let mut config = run(saved.path());
    config.model.random_init = false;
    let checked = check_on(&config, Stage::Grpo, &MACHINE);
    assert!(checked.findings.iter().all(|finding| !finding.message.contains("tensor")), "{:?}", checked.findings);
}

#[test]
fn weights_that_do_not_fit_config_json_are_listed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let folder = sound().write();
    fs::copy(golden.join("qwen2/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config = run(folder.path());
    config.model.random_init = false;
    insta::assert_snapshot!(messages(&config, &[(folder.path(), "FOLDER")]), @"error: `model.checkpoint`: FOLDER/model.safetensors: `model.embed_tokens.weight` is [64, 24], config.json says [264, 16]; `model.layers.0.input_layernorm.weight` is [24], config.json says [16]; `model.layers.0.self_attn.q_proj.weight` is [24, 24], config.json says [16, 16] and 23 more");

    let config_json = fs::read(golden.join("qwen3/config.json")).unwrap();
    fs::write(folder.path().join("config.json"), config_json).unwrap();
    let checked = check_on(&config, Stage::Grpo, &MACHINE);
    let about_tensors = Checked {
        findings: checked.findings.into_iter().filter(|finding| finding.message.contains(" tensor")).collect(),
        ..Checked::default()
    };
    insta::assert_snapshot!(shown(&about_tensors, &[(folder.path(), "FOLDER")]), @r#"
    error: `model.checkpoint`: FOLDER: no tensor `model.layers.0.self_attn.q_norm.weight`, `model.layers.0.self_attn.k_norm.weight`, `model.layers.1.self_attn.q_norm.weight` and 1 more
    warning: `model.checkpoint`: FOLDER: tensors that nothing reads: `model.layers.0.self_attn.k_proj.bias`, `model.layers.0.self_attn.q_proj.bias`, `model.layers.0.self_attn.v_proj.bias` and 3 more
    hint: does config.json describe these weights?
    "#);

    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    fs::write(folder.path().join("config.json"), "{").unwrap();
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    config.eval = None;
    insta::assert_snapshot!(messages(&config, &[(folder.path(), "FOLDER")]), @r#"
    error: `model.checkpoint`: FOLDER/config.json: not JSON: EOF while parsing an object at line 1 column 1
    error: `model.checkpoint`: cannot read FOLDER/tokenizer.json: No such file or directory (os error 2)
    "#);
}

/// The goldens' own folders hold what their config.json says.
#[test]
fn goldens_pass() {
    for family in ["qwen2", "qwen3", "llama", "gemma3", "qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v3"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
        let mut findings = Vec::new();
        let model = checkpoint::config(&folder, &mut findings).unwrap();
        checkpoint::weights(&folder, &model, &mut findings);
        assert_eq!(findings, [], "{family}");
    }
}

#[test]
fn what_does_not_fit_the_context_the_cache_or_the_disk_is_refused_with_numbers() {
    let folder = sound().write();
    let mut config = run(folder.path());
    config.rollout.max_tokens = 500;
    config.rollout.kv_bytes = 100_000;
    config.data.max_prompt_tokens = 45;
    let machine = Machine { free_disk: Some(300_000), ..MACHINE };
    insta::assert_snapshot!(shown(&check_on(&config, Stage::Grpo, &machine), &[]), @r#"
    error: `rollout.max_tokens`: the longest prompt (31 tokens) and a completion of 500 need 531 positions, the checkpoint has 512 (`max_position_embeddings`)
    hint: lower it, or `data.max_prompt_tokens`
    error: `rollout.kv_bytes`: 98 KiB give each of 2 replicas room for 256 tokens; the longest prompt (31) and a completion of 500 need 576
    hint: give it at least 221184 bytes
    error: `run.keep_last`: checkpoints need up to 456 KiB of disk, 293 KiB are free
    hint: lower `run.keep_last`, or write the run elsewhere with `--run`
    "#);
    config.rollout.max_tokens = 20;
    config.rollout.kv_bytes = 200_000;
    insta::assert_snapshot!(messages(&config, &[]), @r#"
    warning: `rollout.max_tokens`: 40 of 40 worked solutions of the data are longer than 20 tokens (the longest has 26): completions like them will be cut
    warning: `rollout.kv_bytes`: 195 KiB do not give each of 2 replicas room for a whole group (8 completions of 20 tokens): some wait for others
    hint: give it at least 208896 bytes
    "#);
}

#[test]
fn stop_ids_that_the_template_never_produces_are_found() {
    let check = |folder: Folder| {
        let folder = folder.write();
        let mut config = run(folder.path());
        config.eval = None;
        messages(&config, &[(folder.path(), "FOLDER")])
    };
    insta::assert_snapshot!(check(Folder { template: Some("{% for m in messages %}{{ m.content }}\n{% endfor %}"), ..sound() }), @r#"
    error: `rollout.stop`: the chat template ends an assistant's turn without any of the stop ids: <|end|> 259 (config.json, tokenizer)
    hint: name the text that ends a turn in `rollout.stop`, or its id as `eos_token_id` in config.json
    "#);
    let no_eos = Folder { template: None, eos: None, config_eos: Value::Null, ..sound() };
    insta::assert_snapshot!(check(no_eos), @r#"
    error: `rollout.stop`: nothing ends a completion: no `eos_token_id` in config.json or generation_config.json, no `eos_token` in the tokenizer, no end of turn in the chat template
    hint: add `eos_token_id` to config.json, or a text to `rollout.stop`
    error: `data.template`: the tokenizer has no chat template: neither chat_template.jinja nor tokenizer_config.json holds one
    "#);
    insta::assert_snapshot!(check(Folder { config_eos: json!([259, 263]), ..sound() }), @"warning: `model.checkpoint`: stop id 263 (config.json) is no token: it will never be drawn");
    insta::assert_snapshot!(check(Folder::default()), @r#"
    warning: `data.template`: the checkpoint's files name `<|eos|>` as the end of a text, which its chat template never produces; completions stop at: <|eos|> 257 (config.json, tokenizer), <|end|> 259 (chat template)
    hint: a base checkpoint may never have seen this chat template
    "#);
}

#[test]
fn a_template_that_does_not_round_trip_is_refused() {
    let folder = Folder { template: Some("<|turn|>{{ messages[0].role }}<|end|>"), ..sound() }.write();
    let mut config = run(folder.path());
    config.eval = None;
    insta::assert_snapshot!(messages(&config, &[]), @r#"error: `data.template`: the template leaves the user's text out: it gives "<|turn|>user<|end|>""#);

    let folder = sound().write();
    let file = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    tokenizer["normalizer"] = json!({"type": "Lowercase"});
    fs::write(&file, tokenizer.to_string()).unwrap();
    let mut config = run(folder.path());
    config.eval = None;
    insta::assert_snapshot!(messages(&config, &[]), @r#"
    error: `data.template`: a prompt is not the same after it is encoded and decoded: "<|turn|>user\nWhat is 2 + 2?<|end|>\n<|turn|>assistant\n" becomes "<|turn|>user\nwhat is 2 + 2?<|end|>\n<|turn|>assistant\n"
    hint: is the tokenizer that of another checkpoint?
    "#);

    // A tokenizer that joins the prompt's last character to the completion's first.
    tokenizer["normalizer"] = Value::Null;
    tokenizer["pre_tokenizer"]["use_regex"] = json!(false);
    tokenizer["model"]["vocab"]["\u{10a}I"] = json!(261);
    tokenizer["model"]["merges"] = json!([["\u{10a}", "I"]]);
    fs::write(&file, tokenizer.to_string()).unwrap();
    let mut config = run(folder.path());
    config.eval = None;
    insta::assert_snapshot!(messages(&config, &[]), @r#"
    error: `data.template`: the ids of a prompt are not the first ids of prompt and completion: the last word of the prompt is joined to the completion
    hint: end the prompt with a special token or at a word's end
    "#);
}

#[test]
fn held_out_problems_seen_in_training_are_a_warning() {
    let folder = sound().write();
    let rows: Vec<Value> = (0..4).map(|i| json!({"question": format!("{i}+1"), "answer": i + 1})).collect();
    let (mut config, _data) = with_rows(folder.path(), &rows);
    let sets = json!([{"name": "same", "n_problems": 3, "data": {"source": config.data.source, "template": "chat"}}]);
    config.eval = Some(serde_json::from_value(json!({ "sets": sets })).unwrap());
    insta::assert_snapshot!(messages(&config, &[]), @"warning: `eval.sets.0.data`: 3 of the 3 problems of held-out set `same` also occur in training, problem 0 first");
}

#[test]
fn an_evaluation_needs_a_rule_that_judges() {
    let folder = sound().write();
    let mut config = run(folder.path());
    config.rewards.remove(0);
    insta::assert_snapshot!(shown(&check_on(&config, Stage::Eval, &MACHINE), &[]), @r#"
    error: `eval.rule`: is absent, and no rule of `[[rewards]]` says which completion is right
    hint: write `rule = { accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" } }`
    "#);
}

#[test]
fn documents_are_read() {
    let folder = sound().write();
    let rows = [json!({"prompt": "abc", "completion": "x"}), json!({"prompt": "a", "completion": 4})];
    let (mut config, data) = with_rows(folder.path(), &rows);
    config.grpo = None;
    config.sft = Some(toml::from_str("steps = 1\nbatch_tokens = 256\nmax_tokens = 1000").unwrap());
    let check = |config: &RunConfig| shown(&check_on(config, Stage::Sft, &MACHINE), &[(data.path(), "DATA")]);
    insta::assert_snapshot!(check(&config), @r#"
    error: `data.source`: in DATA/rows.jsonl: field `completion` is not text at line 2
    error: `sft.max_tokens`: documents of 1000 tokens do not fit: the checkpoint has 512 positions (`max_position_embeddings`)
    "#);
    fs::write(data.path().join("rows.jsonl"), rows[0].to_string()).unwrap();
    config.sft.as_mut().unwrap().max_tokens = 100;
    assert_eq!(check_on(&config, Stage::Sft, &MACHINE).sequences.unwrap().all.len(), 1);
    assert_eq!(check(&config), "");

    let long = json!({"prompt": "abc", "completion": "x".repeat(200)});
    fs::write(data.path().join("rows.jsonl"), format!("{}\n{long}", rows[0])).unwrap();
    insta::assert_snapshot!(check(&config), @"warning: `sft.max_tokens`: 1 of 2 documents are longer than 100 tokens and are left out");
    fs::write(data.path().join("rows.jsonl"), long.to_string()).unwrap();
    insta::assert_snapshot!(check(&config), @"error: `data`: none of 1 documents can be learned: 0 are empty, 1 are longer than `sft.max_tokens` = 100");
}

#[test]
fn held_out_prompts_among_the_documents_are_a_warning() {
    let folder = sound().write();
    let rows: Vec<Value> =
        (0..4).map(|i| json!({"question": format!("{i}+1"), "answer": format!("{}", i + 1)})).collect();
    let (mut config, _data) = with_rows(folder.path(), &rows);
    config.grpo = None;
    config.sft = Some(toml::from_str("steps = 1\nbatch_tokens = 256\nmax_tokens = 100").unwrap());
    let sets = json!([{"name": "same", "n_problems": 3, "data": {"source": config.data.source, "template": config.data.template}}]);
    config.eval = Some(serde_json::from_value(json!({ "sets": sets })).unwrap());
    let found = shown(&check_on(&config, Stage::Sft, &MACHINE), &[]);
    insta::assert_snapshot!(found, @"warning: `eval.sets.0.data`: 3 of the 3 problems of held-out set `same` also occur in training, problem 0 first");
}

/// Real problems and a real tokenizer raise no alarm, where they lie beside the workspace.
#[test]
fn gsm8k_with_the_tokenizer_of_qwen_passes() {
    let Some(folder) = crate::fixture::real_tokenizer("qwen2.5") else { return };
    let problems = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/math/gsm8k_test.jsonl");
    let config_json = json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
        "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "vocab_size": 151936, "tie_word_embeddings": true,
        "eos_token_id": 151645,
    });
    fs::write(folder.path().join("config.json"), config_json.to_string()).unwrap();
    for template in [Template::R1Zero, Template::Chat, Template::Plain] {
        let mut config = run(folder.path());
        config.eval = None;
        config.data.source = toml::from_str(&format!("files = {{ paths = ['{}'] }}", problems.display())).unwrap();
        config.data.template = template;
        config.data.max_prompt_tokens = 512;
        config.rollout.max_tokens = 256;
        config.rewards = serde_json::from_value(json!([
            {"accuracy": {"weight": 1.0, "kind": "gsm8k", "extract": "any"}},
            {"format": {"weight": 1.0, "style": "think_answer"}},
        ]))
        .unwrap();
        let checked = check_on(&config, Stage::Grpo, &MACHINE);
        assert_eq!(shown(&checked, &[]), "", "{template:?}");
        assert_eq!(checked.prompts.unwrap().problems().len(), 1319);
    }
}

#[test]
fn free_space_is_that_of_the_nearest_folder_there_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(disk::free(&folder.path().join("runs/not/yet")).unwrap() > 0);
    assert!(disk::free(Path::new("runs-not-yet")).is_some());
}

#[test]
fn a_step_of_more_problems_than_there_are_is_told() {
    let folder = sound().write();
    let mut run = run(folder.path());
    run.grpo.as_mut().unwrap().prompts_per_step = 41;
    insta::assert_snapshot!(messages(&run, &[]), @r"
    warning: `grpo.prompts_per_step`: is 41, the data has 40 problems: a step samples some of them twice, alike
    hint: lower it, or add problems
    ");
}

/// An evaluation samples with the config's drafts, too.
#[test]
fn drafts_of_a_policy_without_the_block_are_refused_in_every_stage() {
    let folder = sound().write();
    let mut run = run(folder.path());
    (run.rollout.draft, run.rollout.speculate) = (rollout::draft::Drafting::Mtp, 2);
    for stage in [Stage::Grpo, Stage::Eval] {
        let found = check_on(&run, stage, &MACHINE).findings;
        let refused = found.iter().filter(|finding| finding.level == Level::Error);
        assert_eq!(refused.map(|finding| finding.key.as_str()).collect::<Vec<_>>(), ["rollout.draft"], "{stage:?}");
    }
}
