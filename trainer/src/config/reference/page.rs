//! docs/configuration.md.

use std::fmt::Write;

use super::{Key, Presence, Table, parent, tables, toml_text};

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `grouper config --markdown` from the doc comments of the configuration structs. -->

One TOML file describes one run. `grouper config --defaults` prints a file with every key in it, `grouper config
--schema` the JSON schema. Any key can be set from the command line too: `--set grpo.steps=100`, `--set
rewards.0.accuracy.weight=2` (a number is a place in an array, counted from 0). The value of `--set` is TOML; a bare
word is taken for a string. Relative paths, in the file or in `--set`, start at the current directory.

A key without a default is *required*, or *absent* unless it is written. Nothing else configures a run: no environment
variable changes it.
";

/// The page, in Markdown.
pub(in crate::config) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for table in tables() {
        section(&mut page, &table);
    }
    page
}

fn section(page: &mut String, table: &Table) {
    let title = match table.path.as_str() {
        "" => "The top of the file".to_owned(),
        _ => format!("`{}`", table.header.replace('\n', " ")),
    };
    let about = match table.presence {
        _ if table.path.is_empty() => String::new(),
        Presence::Always => table.doc.clone(),
        Presence::Optional => format!("{} May be left out.", table.doc),
        Presence::Choice => format!("{} One of the choices for `{}`.", table.doc, parent(&table.path)),
    };
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {title}\n");
    if !about.is_empty() {
        let _ = write!(page, "\n{about}\n");
    }
    if table.keys.is_empty() {
        return;
    }
    page.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in &table.keys {
        row(page, key);
    }
    if let Some((names, told)) = &table.common {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(page, "\nAnd {}, as in `[{told}]`.\n", names.join(", "));
    }
}

fn row(page: &mut String, key: &Key) {
    let default = match &key.default {
        Some(value) => format!("`{}`", toml_text(value)),
        None if key.required => "*required*".to_owned(),
        None => "*absent*".to_owned(),
    };
    let mut meaning = key.doc.clone();
    for (word, about) in &key.words {
        let _ = write!(meaning, "<br>`{word}`");
        if !about.is_empty() {
            let _ = write!(meaning, ": {about}");
        }
    }
    if let Some(path) = &key.described_at {
        let _ = write!(meaning, " Keys as in `[{path}]`.");
    }
    let cells = [format!("`{}`", key.name), key.kind.clone(), default, meaning].map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
