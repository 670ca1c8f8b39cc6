//! The program in a completion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::after_thinking;

/// Which fenced block of a completion is its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// The last block labelled Python after the thinking; where none is labelled, the last one without a label.
    #[default]
    Last,
    /// The only such block; with more than one there is no program.
    Only,
    /// No block: everything after the thinking is the program.
    Whole,
}

/// Finds the program, or says why there is none.
///
/// `think_opened` says that the prompt already opened the thinking, which the completion must then close.
pub(crate) fn extract(completion: &str, block: Block, think_opened: bool) -> Result<String, &'static str> {
    let text = after_thinking(completion, think_opened)?;
    if block == Block::Whole {
        return if text.trim().is_empty() { Err("the program is empty") } else { Ok(text.to_owned()) };
    }
    let blocks = blocks(text);
    let labelled = |wanted: bool| blocks.iter().filter(move |one| one.is_python == Some(wanted)).collect::<Vec<_>>();
    let mut candidates = labelled(true);
    if candidates.is_empty() {
        candidates = labelled(false);
    }
    let chosen = match (block, candidates.as_slice()) {
        (_, []) => return Err("no ```python block"),
        (Block::Only, [_, _, ..]) => return Err("more than one ```python block"),
        (_, [.., last]) => last,
    };
    match (chosen.closed, chosen.text.trim().is_empty()) {
        (false, _) => Err("the ```python block is never closed"),
        (true, true) => Err("the program is empty"),
        (true, false) => Ok(chosen.text.clone()),
    }
}

struct Fenced {
    /// `Some(true)` where labelled Python, `Some(false)` where not labelled, `None` where labelled something else.
    is_python: Option<bool>,
    text: String,
    closed: bool,
}

/// Fenced blocks as CommonMark has them: a line of three or more backticks or tildes opens one, a line of at least as
/// many of the same closes it; lines lose the indentation of the fence.
fn blocks(text: &str) -> Vec<Fenced> {
    let mut found: Vec<Fenced> = Vec::new();
    let mut open: Option<(char, usize, usize)> = None;
    for line in text.lines() {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'));
        let width = mark.map_or(0, |mark| bare.chars().take_while(|c| *c == mark).count());
        match (open, found.last_mut()) {
            (Some((fence, least, _)), Some(block))
                if mark == Some(fence) && width >= least && bare[width..].trim().is_empty() =>
            {
                block.closed = true;
                open = None;
            }
            (Some((.., margin)), Some(block)) => {
                block.text.push_str(&line[indent.min(margin)..]);
                block.text.push('\n');
            }
            // A label with a backtick in it is no label but inline code.
            _ if width >= 3 && !bare[width..].contains('`') => {
                let label = bare[width..].trim().trim_start_matches('{').trim_start_matches('.');
                let label = label.split([' ', '}', ',']).next().unwrap_or_default().to_lowercase();
                let is_python = match label.as_str() {
                    "python" | "py" | "python3" => Some(true),
                    "" => Some(false),
                    _ => None,
                };
                found.push(Fenced { is_python, text: String::new(), closed: false });
                open = mark.map(|mark| (mark, width, indent));
            }
            _ => {}
        }
    }
    found
}

/// The source that is run: what its judge defines before it, the program, and behind it how it is called.
pub(super) fn assemble(before: &str, program: &str, behind: &str) -> String {
    // Imports from the future must come first of all.
    let (future, rest): (Vec<_>, Vec<_>) =
        program.lines().partition(|line| !before.is_empty() && line.starts_with("from __future__ import"));
    let future: String = future.iter().map(|line| format!("{line}\n")).collect();
    let program = if future.is_empty() { program.to_owned() } else { rest.join("\n") };
    let between = |text: &str| if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let end = if behind.is_empty() { "" } else { between(&program) };
    format!("{future}{before}{}{program}{end}{behind}", between(before))
}

#[cfg(test)]
mod tests;
