//! The sentence that announces an answer: "The final answer is $5$.", "**Final Answer:** 5", "Answer: 5".

use super::NoAnswer;

/// Marks of Markdown around a heading or a bold word.
const DECORATION: &[char] = &['*', '_', '#', '>', ' ', '\t'];

/// Words that may lead up to an announcement.
const CONNECTIVES: [&str; 12] = [
    "so",
    "thus",
    "hence",
    "therefore",
    "then",
    "and",
    "finally",
    "consequently",
    "in conclusion",
    "accordingly",
    "now",
    "overall",
];

/// How far before the word `answer` its sentence may start, in bytes. A bound, since a text may say "answer" often.
const LOOK_BACK: usize = 200;

/// What the last announcement gives.
///
/// A formula that is the whole rest of its sentence loses its dollars; else the answer is the rest of the sentence, all
/// of it: of "$2$ or $3$" the first formula alone would be half the answer.
pub(super) fn last(text: &str, truncated: bool) -> Result<&str, NoAnswer> {
    // ASCII alone is lowered, so that positions stay the same.
    let lower = text.to_ascii_lowercase();
    let start = lower.rmatch_indices("answer").find_map(|(i, word)| announced(&lower, i, i + word.len()));
    let body = &text[start.ok_or(NoAnswer::NoSentence)?..];
    let body = body.trim_start_matches(|c: char| c.is_whitespace() || DECORATION.contains(&c));
    if let Some((formula, after)) = leading_formula(body)
        && ends_here(after)
    {
        return Ok(formula);
    }
    let end = sentence_end(body);
    if truncated && end == body.len() {
        return Err(NoAnswer::Cut);
    }
    let sentence = body[..end].trim_end_matches(|c: char| c.is_whitespace() || c == '.' || DECORATION.contains(&c));
    if sentence.is_empty() { Err(NoAnswer::Empty) } else { Ok(sentence) }
}

/// Where the answer starts, if the word `answer` in `lower[from..to]` announces one.
fn announced(lower: &str, from: usize, to: usize) -> Option<usize> {
    let mut start = from.saturating_sub(LOOK_BACK);
    while !lower.is_char_boundary(start) {
        start -= 1;
    }
    let line = &lower[start..from];
    let line = &line[line.rfind('\n').map_or(0, |at| at + 1)..];
    let before = line.trim_end_matches(DECORATION);
    let (before, is_final) = match before.strip_suffix("final") {
        Some(before) => (before.trim_end_matches(DECORATION), true),
        None => (before.strip_suffix("correct").unwrap_or(before).trim_end_matches(DECORATION), false),
    };
    let before = ["the", "my", "our"].into_iter().find_map(|word| before.strip_suffix(word)).unwrap_or(before);
    if before.ends_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let after = lower[to..].trim_start_matches(['*', '_', ' ', '\t']);
    let verb = after.strip_prefix("is").filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let rest = verb.unwrap_or(after).trim_start_matches(['*', '_', ' ', '\t']);
    let colon = rest.strip_prefix([':', ':']);
    let heads_a_line = is_final
        && before.trim_matches(DECORATION).is_empty()
        && (before.contains(['#', '*']) || line.contains(['#', '*']))
        && after.starts_with('\n');
    let starts = starts_a_sentence(before) || (is_final && verb.is_some());
    match (verb, colon) {
        (_, Some(rest)) if starts => Some(lower.len() - rest.len()),
        (Some(_), None) if starts => Some(lower.len() - rest.len()),
        (None, None) if heads_a_line => Some(lower.len() - after.len()),
        _ => None,
    }
}

/// Whether a sentence may start behind this text, which is of one line and in lower case: at the line's start, behind the
/// end of a sentence, and behind "so", "therefore," and their like there.
fn starts_a_sentence(before: &str) -> bool {
    let mut before = before.trim_end_matches(DECORATION);
    loop {
        if before.is_empty() || before.ends_with(['.', '!', '?', ':', ':', '。']) {
            return true;
        }
        let unjoined = before.trim_end_matches([',', ' ']);
        let Some(rest) = CONNECTIVES.into_iter().find_map(|word| unjoined.strip_suffix(word)) else { return false };
        if rest.ends_with(|c: char| c.is_alphanumeric()) {
            return false;
        }
        before = rest.trim_end_matches(|c| c == ',' || DECORATION.contains(&c));
    }
}

/// A formula between `$…$`, `$$…$$`, `\(…\)` or `\[…\]` at the start, and what follows it.
fn leading_formula(body: &str) -> Option<(&str, &str)> {
    let (open, close) = [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")]
        .into_iter()
        .find(|(open, _)| body.starts_with(open))?;
    let inside = &body[open.len()..];
    let end = inside.match_indices(close).map(|(i, _)| i).find(|&i| close != "$" || !inside[..i].ends_with('\\'))?;
    // Two prices in one line are no formula, nor is a blank one.
    let (formula, after) = (&inside[..end], &inside[end + close.len()..]);
    let is_formula = !formula.trim().is_empty() && (open != "$" || !formula.contains('\n'));
    is_formula.then_some((formula, after))
}

/// Whether nothing of the sentence is left: its line ends, or a full stop does it.
fn ends_here(after: &str) -> bool {
    let after = after.trim_start_matches(['*', '_', ' ', '\t']);
    after.is_empty() || after.starts_with('\n') || after.strip_prefix('.').is_some_and(is_behind_sentence)
}

/// Whether the full stop before this text ended a sentence: the line ends, or a capital letter follows white space.
fn is_behind_sentence(rest: &str) -> bool {
    let next = rest.trim_start_matches(['*', '_', ' ', '\t']);
    let goes_on = next.len() == rest.len() || !next.starts_with(char::is_uppercase);
    next.is_empty() || next.starts_with('\n') || !goes_on
}

/// Where the first sentence of the text ends: at the end of its line, or at a full stop. Full stops within a formula do
/// not count.
fn sentence_end(body: &str) -> usize {
    let mut in_formula = false;
    let mut previous = ' ';
    for (i, c) in body.char_indices() {
        match c {
            '\n' => return i,
            '$' if previous != '\\' => in_formula = !in_formula,
            '.' if !in_formula && is_behind_sentence(&body[i + 1..]) => return i,
            _ => {}
        }
        previous = c;
    }
    body.len()
}
