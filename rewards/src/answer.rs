//! Finding the final answer in a completion, and reading it as an exact number.
//!
//! Extraction is strict, since whatever it tolerates the policy learns to produce. Where no
//! answer is found the reason is kept, so that a falling accuracy can be told from a drifting
//! format.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the final answer stands in a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// The one `<answer>…</answer>` after the thinking (DeepSeek-R1, arXiv 2501.12948).
    AnswerTag,
    /// The last `\boxed{…}` after the thinking, braces matched (MATH, arXiv 2103.03874).
    Boxed,
    /// The line after the last `####` after the thinking (GSM8K, arXiv 2110.14168).
    Hash,
    /// The first of the three above whose mark occurs, in that order.
    Any,
}

/// Longest text read as a number, in bytes: no reference answer comes near it.
const MAX_NUMBER_BYTES: usize = 128;

/// Finds the final answer, or says why there is none.
///
/// `think_opened` says that the prompt already opened the thinking, which the completion must then close.
pub(crate) fn extract(
    completion: &str,
    how: Extract,
    truncated: bool,
    think_opened: bool,
) -> Result<&str, &'static str> {
    let text = after_thinking(completion, think_opened)?;
    let answer = match how {
        Extract::AnswerTag => answer_tag(text),
        Extract::Boxed => last_boxed(text),
        Extract::Hash => last_hash(text, truncated),
        Extract::Any if text.contains("<answer>") || text.contains("</answer>") => answer_tag(text),
        Extract::Any if text.contains("\\boxed{") => last_boxed(text),
        Extract::Any if text.contains("####") => last_hash(text, truncated),
        Extract::Any => Err("no <answer>, \\boxed{} or ####"),
    }?;
    let answer = answer.trim();
    if answer.is_empty() { Err("the answer is empty") } else { Ok(answer) }
}

/// The text after the first `</think>`, or all of it where the completion never thinks.
///
/// The first, not the last: a later `</think>` must not hide an answer already given.
pub(crate) fn after_thinking(completion: &str, think_opened: bool) -> Result<&str, &'static str> {
    match completion.split_once("</think>") {
        Some((_, rest)) => Ok(rest),
        None if think_opened || completion.contains("<think>") => Err("<think> is never closed"),
        None => Ok(completion),
    }
}

/// The only answer block. A second one is refused, not preferred: were the last to win, text
/// added after `</answer>` could turn a wrong answer into a right one.
fn answer_tag(text: &str) -> Result<&str, &'static str> {
    let (before, rest) = text.split_once("<answer>").ok_or("no <answer>")?;
    let (inside, after) = rest.split_once("</answer>").ok_or("<answer> is never closed")?;
    if before.contains("</answer>") {
        return Err("</answer> before <answer>");
    }
    if inside.contains("<answer>") || after.contains("<answer>") || after.contains("</answer>") {
        return Err("more than one <answer>");
    }
    Ok(inside)
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

/// What the last `\boxed{` holds, up to the brace that closes it.
pub(crate) fn last_boxed(text: &str) -> Result<&str, &'static str> {
    const OPEN: &str = "\\boxed{";
    let at = text.rfind(OPEN).ok_or("no \\boxed{}")?;
    let inside = &text[at + OPEN.len()..];
    to_closing_brace(inside).ok_or("\\boxed{ is never closed")
}

/// The rest of the line after the last `####`. A completion cut within that line may have lost
/// digits, so it gives no answer.
fn last_hash(text: &str, truncated: bool) -> Result<&str, &'static str> {
    let (_, rest) = text.rsplit_once("####").ok_or("no ####")?;
    match rest.split_once('\n') {
        Some((line, _)) => Ok(line),
        None if truncated => Err("cut within the line of ####"),
        None => Ok(rest),
    }
}

/// Reads an integer, a decimal, or a fraction as an exact rational.
///
/// Thousands separators must stand in groups of three. A leading `$`, a trailing `%` and a
/// trailing full stop are noise in GSM8K's answers, and are dropped. No floating point: 0.1 +
/// 0.2 must equal 0.3.
pub(crate) fn parse_rational(text: &str) -> Option<RBig> {
    let text = text.trim();
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let text = text.strip_suffix('.').unwrap_or(text).trim_end();
    let text = text.strip_suffix('%').map_or(text, |t| t.strip_suffix('\\').unwrap_or(t));
    let (negative, text) = strip_sign(strip_dollar(text.trim()));
    let text = strip_dollar(text);
    let (top, bottom) = if let Some(braces) = text.strip_prefix("\\frac{") {
        braces.strip_suffix('}')?.split_once("}{")?
    } else {
        text.split_once('/').unwrap_or((text, "1"))
    };
    let (top, bottom) = (parse_unsigned(top.trim())?, parse_unsigned(bottom.trim())?);
    if bottom == RBig::ZERO {
        return None;
    }
    let value = top / bottom;
    Some(if negative { -value } else { value })
}

fn strip_dollar(text: &str) -> &str {
    text.strip_prefix("\\$").or_else(|| text.strip_prefix('$')).map_or(text, str::trim_start)
}

fn strip_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// An integer with or without thousands separators, with or without decimals.
fn parse_unsigned(text: &str) -> Option<RBig> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if text.contains('.') && decimals.is_empty() {
        return None;
    }
    let mut digits = String::with_capacity(text.len());
    for (i, group) in whole.split(',').enumerate() {
        let width_fits = match (i, whole.contains(',')) {
            (_, false) => !group.is_empty() || !decimals.is_empty(),
            (0, true) => (1..=3).contains(&group.len()),
            (_, true) => group.len() == 3,
        };
        if !width_fits {
            return None;
        }
        digits.push_str(group);
    }
    digits.push_str(decimals);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let numerator = UBig::from_str_radix(&digits, 10).ok()?;
    let denominator = UBig::from(10_u8).pow(decimals.len());
    Some(RBig::from_parts(IBig::from(numerator), denominator))
}

#[cfg(test)]
mod tests;
