//! The boxes of a completion: `\boxed{…}`, `\fbox{…}`, and `\boxed 5` without braces.

use std::ops::Range;

use super::NoAnswer;

/// Both commands draw a frame around an answer; MATH's solutions use both.
const MARKS: [&str; 2] = ["\\boxed", "\\fbox"];

/// Where a box stands: the place of its mark, and what it holds where it is closed.
struct Found {
    mark: usize,
    held: Option<Range<usize>>,
}

/// Whether any box stands in the text.
pub(super) fn stands_in(text: &str) -> bool {
    text.match_indices('\\').any(|(i, _)| mark_at(text, i).is_some())
}

/// The last box; refused where an earlier one holds another text, white space aside.
pub(super) fn only(text: &str, truncated: bool) -> Result<&str, NoAnswer> {
    let boxes = boxes(text);
    let answer = held(text, boxes.last(), truncated)?;
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let wanted = bare(answer);
    let differs = |range: Range<usize>| bare(&text[range]) != wanted;
    if boxes.into_iter().filter_map(|found| found.held).any(differs) { Err(NoAnswer::BoxesDiffer) } else { Ok(answer) }
}

/// The first box.
pub(super) fn first(text: &str, truncated: bool) -> Result<&str, NoAnswer> {
    held(text, boxes(text).first(), truncated)
}

/// The last box.
pub(super) fn last(text: &str, truncated: bool) -> Result<&str, NoAnswer> {
    held(text, boxes(text).last(), truncated)
}

/// What the last box holds.
pub(crate) fn last_boxed(text: &str) -> Result<&str, NoAnswer> {
    last(text, false)
}

fn held<'a>(text: &'a str, found: Option<&Found>, truncated: bool) -> Result<&'a str, NoAnswer> {
    let range = found.ok_or(NoAnswer::NoBox)?.held.clone().ok_or(NoAnswer::BoxUnclosed)?;
    // Only a box without braces can reach the end of the text.
    if truncated && range.end == text.len() { Err(NoAnswer::Cut) } else { Ok(&text[range]) }
}

/// All boxes that hold no other box, in order of their marks; found in one pass, whatever the nesting.
///
/// A box around a box only frames it twice: what the inner one holds is the answer. One that is never closed is passed
/// over where a later one is closed.
fn boxes(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    // Open braces: for that of a box its index in `found` and where it starts to hold.
    let mut open: Vec<Option<(usize, usize)>> = Vec::new();
    // The box without braces that is being read, likewise.
    let mut bare: Option<(usize, usize)> = None;
    let mut next = 0;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        if i < next {
            continue;
        }
        let mark_end = mark_at(text, i);
        // `\boxed 5` is read to the end of its formula, as MATH's solutions use it.
        let ends_formula =
            matches!(c, '$' | '\n' | '}') || text[i..].starts_with("\\)") || text[i..].starts_with("\\]");
        if (mark_end.is_some() || ends_formula)
            && let Some((index, start)) = bare.take()
        {
            found[index].held = Some(start..i);
        }
        if let Some(after) = mark_end {
            match text[after..].trim_start().strip_prefix('{') {
                Some(inside) => {
                    next = text.len() - inside.len();
                    open.push(Some((found.len(), next)));
                }
                None => {
                    next = after;
                    bare = Some((found.len(), after));
                }
            }
            found.push(Found { mark: i, held: None });
            escaped = false;
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => open.push(None),
            '}' => {
                if let Some(Some((index, start))) = open.pop() {
                    found[index].held = Some(start..i);
                }
            }
            _ => {}
        }
    }
    if let Some((index, start)) = bare {
        found[index].held = Some(start..text.len());
    }
    let (mut next_mark, mut closed_later) = (text.len(), false);
    let mut boxes = Vec::with_capacity(found.len());
    for one in found.into_iter().rev() {
        let kept = one.held.as_ref().map_or(!closed_later, |held| held.end <= next_mark);
        next_mark = one.mark;
        closed_later |= one.held.is_some();
        if kept {
            boxes.push(one);
        }
    }
    boxes.reverse();
    boxes
}

/// Where the mark of a box that starts at byte `i` ends. `\boxedfoo` is another command.
fn mark_at(text: &str, i: usize) -> Option<usize> {
    let rest = &text[i..];
    let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark))?;
    let goes_on = rest[mark.len()..].starts_with(|c: char| c.is_ascii_alphabetic());
    if goes_on { None } else { Some(i + mark.len()) }
}

/// What stands before the brace that closes a group of LaTeX, given the text behind its opening brace. Braces inside may
/// nest; one behind a backslash is a character.
pub fn to_closing_brace(inside: &str) -> Option<&str> {
    let mut depth = 1_usize;
    let mut escaped = false;
    for (i, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&inside[..i]);
                }
            }
            _ => {}
        }
    }
    None
}
