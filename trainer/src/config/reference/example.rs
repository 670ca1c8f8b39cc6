//! The example file: every key, with its default or an example.

use std::fmt::Write;

use super::{Key, Presence, Table, tables, toml_text};

/// Tables that the example uses, of those a run may do without or choose between. The others stand as comments.
const USED: [&str; 6] = ["rewards", "rewards.accuracy", "rewards.format", "data.source.chain", "grpo", "eval"];

/// Values for keys without a default, in TOML; where none is here, the type gives one.
const VALUES: [(&str, &str); 38] = [
    ("name", r#""r1_zero""#),
    ("model.checkpoint", r#""configs/checkpoints/tiny""#),
    ("data.system_prompt", r#""You are a careful mathematician.""#),
    ("data.source.files.paths", r#"["train.jsonl"]"#),
    ("data.source.files.fields.prompt", r#""problem""#),
    ("data.source.files.fields.expected", r#""answer""#),
    ("data.source.files.fields.messages", r#""messages""#),
    ("data.source.files.limit", "1000"),
    ("data.source.arithmetic.n_problems", "10000"),
    ("data.source.countdown.n_problems", "10000"),
    ("data.source.chain.n_problems", "10000"),
    ("rewards.accuracy.extract", r#""answer_tag""#),
    ("rewards.accuracy.name", r#""accuracy""#),
    ("rewards.accuracy.needs", "{ format = 1.0 }"),
    ("rewards.accuracy.clip", "[0.0, 1.0]"),
    ("rewards.accuracy.steps", "[1, 200]"),
    ("rewards.accuracy.sources", r#"["gsm8k"]"#),
    ("rewards.format.weight", "0.1"),
    ("rewards.countdown.format_score", "0.1"),
    ("rewards.soft_overlong.max_tokens", "1024"),
    ("rewards.soft_overlong.buffer", "256"),
    ("rewards.length_k15.weight", "0.1"),
    ("rewards.python.file", r#""reward.py""#),
    ("rewards.python.function", r#""reward""#),
    ("rewards.program.command", r#"["./judge"]"#),
    ("rewards.http.url", r#""http://localhost:8000/score""#),
    ("grpo.steps", "200"),
    ("grpo.prompts_per_step", "16"),
    ("grpo.group_size", "8"),
    ("grpo.objective.dual_clip", "3.0"),
    ("sft.steps", "1000"),
    ("sft.batch_tokens", "16384"),
    ("sft.max_tokens", "1024"),
    ("eval.max_tokens", "1024"),
    ("eval.sets.name", r#""heldout""#),
    ("eval.sets.data", r#"{ source = { chain = { n_problems = 256, split = "heldout" } } }"#),
    ("eval.sets.n_problems", "128"),
    ("eval.rule", r#"{ accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" } }"#),
];

const INTRODUCTION: &str = "\
# Every key of a run. A line that begins with `#` and a key is one that is absent unless it is written.
# docs/configuration.md says the same as a page.
";

/// The file, in TOML.
pub(in crate::config) fn example() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut unused: Vec<String> = Vec::new();
    for table in tables() {
        let inside = unused.iter().any(|path| table.path.starts_with(&format!("{path}.")));
        let chosen = table.presence == Presence::Always || USED.contains(&table.path.as_str());
        if inside || !chosen {
            unused.push(table.path.clone());
        }
        section(&mut text, &table, chosen && !inside);
    }
    text
}

fn section(text: &mut String, table: &Table, used: bool) {
    let mark = if used { "" } else { "#" };
    text.push('\n');
    comment(text, if table.path.is_empty() { "" } else { &table.doc });
    for line in table.header.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}{line}");
    }
    if let Some((names, told)) = &table.common {
        comment(text, &format!("Takes {} too, as `[{told}]` does.", names.join(", ")));
    }
    for key in &table.keys {
        comment(text, &key.doc);
        for (word, about) in &key.words {
            comment(text, &format!("- {word}: {about}"));
        }
        let written = key.default.is_some() || key.required;
        let mark = if used && written { "" } else { "#" };
        let _ = writeln!(text, "{mark}{} = {}", key.name, value(&table.path, key));
    }
}

fn value(path: &str, key: &Key) -> String {
    if let Some(default) = &key.default {
        return toml_text(default);
    }
    let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
    if let Some((_, value)) = VALUES.iter().find(|(of, _)| *of == path) {
        return (*value).to_owned();
    }
    match (key.words.first(), key.kind.as_str()) {
        (Some((word, _)), _) => word.clone(),
        (None, "string") => "\"\"".to_owned(),
        (None, "float") => "1.0".to_owned(),
        (None, "boolean") => "false".to_owned(),
        (None, kind) if kind.starts_with("array") => "[]".to_owned(),
        (None, _) => "1".to_owned(),
    }
}

/// `words` as comment lines of at most 100 columns.
fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            let _ = writeln!(text, "{line}");
            line = if words.starts_with("- ") { "#  " } else { "#" }.to_owned();
        }
        let _ = write!(line, " {word}");
    }
    if line.len() > 1 {
        let _ = writeln!(text, "{line}");
    }
}
