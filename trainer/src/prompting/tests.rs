use super::*;
use crate::fixture::{CHATML, Folder, tokenizer};

const WITH_BOS: &str = "{{ bos_token }}{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n\
{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n<think>\n{% endif %}";

fn config(template: &str, more: &str) -> DataConfig {
    toml::from_str(&format!(
        "source.chain = {{ n_problems = 20 }}\ntemplate = '{template}'\nmax_prompt_tokens = 400\n{more}"
    ))
    .unwrap()
}

fn problem(prompt: PromptText) -> Problem {
    Problem { index: 3, prompt, expected: "4".into(), columns: Map::new() }
}

fn question() -> Problem {
    problem(PromptText::Text("What is 2 + 2?".into()))
}

#[test]
fn bos_comes_once_whoever_adds_it() {
    for (template, adds_bos) in [(WITH_BOS, false), (WITH_BOS, true), (CHATML, true)] {
        let folder = Folder { template: Some(template), adds_bos, ..Folder::default() }.write();
        let prompter = Prompter::new(&tokenizer(folder.path()), &config("chat", "")).unwrap();
        let rendered = prompter.prompt(&question()).unwrap();
        let n_bos = rendered.tokens.iter().filter(|&&id| id == 256).count();
        assert_eq!((n_bos, rendered.tokens[0], rendered.tokens[1]), (1, 256, 258), "{adds_bos} {}", rendered.text);
    }
    let folder = Folder::default().write();
    let prompter = Prompter::new(&tokenizer(folder.path()), &config("chat", "")).unwrap();
    assert!(!prompter.prompt(&question()).unwrap().tokens.contains(&256), "nobody asked for one");
    let folder = Folder { adds_bos: true, ..Folder::default() }.write();
    let prompter = Prompter::new(&tokenizer(folder.path()), &config("plain", "")).unwrap();
    assert_eq!(prompter.prompt(&problem(PromptText::Text("hi".into()))).unwrap().tokens, [256, 104, 105]);
}

#[test]
fn a_chat_prompt_ends_where_the_assistant_begins() {
    let folder = Folder::default().write();
    let prompter = Prompter::new(&tokenizer(folder.path()), &config("chat", "system_prompt = 'Be brief.'")).unwrap();
    let text = prompter.prompt(&question()).unwrap().text;
    assert_eq!(text, "<|turn|>system\nBe brief.<|end|>\n<|turn|>user\nWhat is 2 + 2?<|end|>\n<|turn|>assistant\n");
    let own = vec![json!({"role": "system", "content": "Own."}), json!({"role": "user", "content": "Hi"})];
    let text = prompter.prompt(&problem(PromptText::Messages(own))).unwrap().text;
    assert!(text.starts_with("<|turn|>system\nBe brief.\n\nOwn.<|end|>\n<|turn|>user\nHi"), "{text}");
}

#[test]
fn a_system_prompt_is_a_paragraph_before_text() {
    let folder = Folder::default().write();
    let prompter = Prompter::new(&tokenizer(folder.path()), &config("plain", "system_prompt = 'Add.'")).unwrap();
    assert_eq!(prompter.prompt(&question()).unwrap().text, "Add.\n\nWhat is 2 + 2?");
    assert!(!prompter.think_opened());
}

#[test]
fn an_effort_is_asked_for() {
    let folder = Folder::default().write();
    let bytes = tokenizer(folder.path());
    let mut asked = question();
    asked.columns.insert("effort".into(), "low".into());
    let text = |template: &str, more: &str| {
        Prompter::new(&bytes, &config(template, more)).unwrap().prompt(&asked).unwrap().text
    };
    assert_eq!(text("plain", "effort = {}"), "Reasoning effort: low.\n\nWhat is 2 + 2?");
    assert_eq!(text("plain", ""), "What is 2 + 2?");
    let own = "system_prompt = 'Add.'\neffort.line = 'Use {effort} effort.'";
    assert_eq!(text("plain", own), "Add.\n\nUse low effort.\n\nWhat is 2 + 2?");
    let chat = "<|turn|>system\nAdd.\n\nUse low effort.<|end|>\n<|turn|>user\n";
    assert!(text("chat", own).starts_with(chat), "{}", text("chat", own));
    // A template of the kind of gpt-oss's says it by itself.
    let template = "{% if reasoning_effort is defined %}Reasoning: {{ reasoning_effort }}\n{% endif %}\
                    {% for m in messages %}{{ m.content }}{% endfor %}";
    let folder = Folder { template: Some(template), ..Folder::default() }.write();
    let prompter = Prompter::new(&tokenizer(folder.path()), &config("chat", "effort.line = ''")).unwrap();
    assert_eq!(prompter.prompt(&asked).unwrap().text, "Reasoning: low\nWhat is 2 + 2?");
    assert_eq!(prompter.text(&asked.prompt).unwrap(), "What is 2 + 2?");
    assert!(prompter.prompt(&question()).is_err(), "a problem without an effort");
}

#[test]
fn every_problem_has_its_effort_in_prompt_and_columns() {
    let folder = Folder::default().write();
    let tokenizer = tokenizer(folder.path());
    let set = PromptSet::open(&config("plain", "effort = {}"), &tokenizer, 1).unwrap();
    let efforts: Vec<&str> = set.problems().iter().map(|one| one.problem.columns["effort"].as_str().unwrap()).collect();
    for (one, effort) in set.problems().iter().zip(&efforts) {
        assert!(one.text.starts_with(&format!("Reasoning effort: {effort}.\n\n")), "{}", one.text);
    }
    assert!(["low", "medium", "high"].iter().all(|level| efforts.contains(level)), "{efforts:?}");
    let again = PromptSet::open(&config("plain", "effort = {}"), &tokenizer, 1).unwrap();
    assert_eq!(again.problems(), set.problems());
}

#[test]
fn an_opened_thinking_is_noticed() {
    let folder = Folder { template: Some(WITH_BOS), ..Folder::default() }.write();
    let tokenizer = tokenizer(folder.path());
    assert!(Prompter::new(&tokenizer, &config("chat", "")).unwrap().think_opened());
    assert!(!Prompter::new(&tokenizer, &config("r1_zero", "")).unwrap().think_opened());
}

#[test]
fn a_missing_template_says_where_it_was_looked_for() {
    let folder = Folder { template: None, ..Folder::default() }.write();
    let error = Prompter::new(&tokenizer(folder.path()), &config("chat", "")).unwrap_err().to_string();
    assert!(error.contains("neither chat_template.jinja nor tokenizer_config.json"), "{error}");
}

#[test]
fn prompts_that_are_too_long_are_left_out_and_counted() {
    let folder = Folder::default().write();
    let tokenizer = tokenizer(folder.path());
    let rows = tempfile::NamedTempFile::new().unwrap();
    let line = |prompt: &str| json!({"prompt": prompt, "answer": 1}).to_string();
    std::fs::write(rows.path(), [line("ab"), line("abcdef"), line("abc")].join("\n")).unwrap();
    let config = |limit: usize| -> DataConfig {
        toml::from_str(&format!(
            "source.files = {{ paths = ['{}'] }}\ntemplate = 'plain'\nmax_prompt_tokens = {limit}",
            rows.path().display()
        ))
        .unwrap()
    };
    let set = PromptSet::open(&config(3), &tokenizer, 1).unwrap();
    assert_eq!((set.problems().len(), set.n_too_long(), set.longest()), (2, 1, 6));
    // The one left out keeps its number: draws are keyed by it.
    assert_eq!(set.problems().iter().map(|one| one.prompt.index).collect::<Vec<_>>(), [0, 2]);
    let epoch: Vec<u64> = set.batch(4, 2).iter().map(|one| one.problem.index).collect();
    assert!(epoch == [0, 2] || epoch == [2, 0], "{epoch:?}");
    let error = PromptSet::open(&config(1), &tokenizer, 1).unwrap_err().to_string();
    assert!(error.contains("all 3 prompts") && error.contains("`data.max_prompt_tokens` = 1"), "{error}");
}

#[test]
fn held_out_problems_that_occur_in_training_are_named() {
    let folder = Folder::default().write();
    let tokenizer = tokenizer(folder.path());
    let train = PromptSet::open(&config("plain", ""), &tokenizer, 1).unwrap();
    assert_eq!(train.overlap(&train).len(), train.problems().len());
    let mut heldout = config("plain", "");
    heldout.source = toml::from_str("chain = { n_problems = 20, split = 'heldout' }").unwrap();
    assert!(train.overlap(&PromptSet::open(&heldout, &tokenizer, 1).unwrap()).is_empty());
}
