//! The words of a text in a natural language: what is left without code, mathematics, tags and numbers.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// A text's prose: code (between backticks), LaTeX mathematics, LaTeX commands and tags such as `<think>` become a space
/// each. A fence or `$` that is never closed hides nothing, so that no text can be put out of sight with one mark.
pub(crate) fn prose(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut closings = Closings::new(text);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match closings.hidden(at) {
            Some(hidden) => {
                kept.push(' ');
                at = hidden.end;
            }
            None => {
                kept.push(c);
                at += c.len_utf8();
            }
        }
    }
    kept
}

/// Opening and closing marks of what is no prose; a pair on one line where the third field says so.
const PAIRS: [(&str, &str, bool); 8] = [
    ("```", "```", false),
    ("`", "`", true),
    ("$$", "$$", false),
    ("$", "$", true),
    ("\\[", "\\]", false),
    ("\\(", "\\)", false),
    ("\\begin{", "\\end{", false),
    ("<", ">", true),
];

/// Finds what to hide, in time that grows with the text alone: a mark that is not closed after some place is not
/// closed after a later one.
struct Closings<'a> {
    text: &'a str,
    absent: [bool; PAIRS.len()],
}

impl<'a> Closings<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, absent: [false; PAIRS.len()] }
    }

    /// What starts at `at` and is no prose.
    fn hidden(&mut self, at: usize) -> Option<Range<usize>> {
        let rest = &self.text[at..];
        for (pair, &(open, close, one_line)) in PAIRS.iter().enumerate() {
            let Some(inside) = rest.strip_prefix(open) else { continue };
            if self.absent[pair] {
                continue;
            }
            // A tag is short and begins with a letter or `/`; `2 < 3` is none.
            if open == "<" && !inside.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) {
                continue;
            }
            let scope = if open == "<" {
                &inside[..inside.find(['\n', ' ', '<']).unwrap_or(inside.len())]
            } else if one_line {
                &inside[..inside.find('\n').unwrap_or(inside.len())]
            } else {
                inside
            };
            match scope.find(close) {
                Some(0) if one_line => {}
                Some(length) => {
                    let end = at + open.len() + length + close.len();
                    // `\end{` is followed by the environment's name.
                    let name = if close.ends_with('{') { environment(&self.text[end..]) } else { 0 };
                    return Some(at..end + name);
                }
                None => self.absent[pair] = !one_line,
            }
        }
        // A command's name is no word; what its braces hold may be prose (`\text{…}`) and is kept.
        let name = rest.strip_prefix('\\')?;
        let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
        (letters > 0).then(|| at..at + 1 + letters)
    }
}

/// Length of the name of an environment and its closing brace.
fn environment(text: &str) -> usize {
    let name = text.bytes().take_while(|byte| byte.is_ascii_alphabetic() || *byte == b'*').count();
    if text[name..].starts_with('}') { name + 1 } else { 0 }
}

/// The words of a text (UAX 29), without numbers and single Latin letters, which are variables or options more often
/// than words. Scripts written without spaces give a word for each character.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words().filter(|word| {
        let mut letters = word.chars().filter(|c| c.is_alphabetic());
        match (letters.next(), letters.next()) {
            (None, _) => false,
            (Some(only), None) => !only.is_ascii(),
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests;
