//! Finding the final answer in a completion.
//!
//! Extraction is strict, since whatever it tolerates the policy learns to produce: an answer is taken from a place that
//! was asked for, never from "the last number". Where none is found the reason is kept, so that a falling accuracy can be
//! told from a drifting format.

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod boxed;
mod number;
mod sentence;

pub(crate) use boxed::last_boxed;
pub use boxed::to_closing_brace;
pub(crate) use number::parse_rational;

/// Where the final answer stands in a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// The one `<answer>…</answer>` after the thinking (DeepSeek-R1, arXiv 2501.12948).
    AnswerTag,
    /// The last `\boxed{…}` after the thinking, braces matched (MATH, arXiv 2103.03874). Boxes that say different things
    /// are refused: which of them is the answer would be left to the reader.
    Boxed,
    /// The first `\boxed{…}` after the thinking, whatever later ones say.
    FirstBoxed,
    /// The last `\boxed{…}` after the thinking, whatever earlier ones say.
    LastBoxed,
    /// The line after the last `####` after the thinking (GSM8K, arXiv 2110.14168).
    Hash,
    /// The last sentence after the thinking that announces an answer: "The final answer is $5$." (Minerva, arXiv
    /// 2206.14858), "**Final Answer:** 5", "Answer: 5", "The answer is 5."
    FinalAnswer,
    /// The first of `answer_tag`, `boxed`, `hash` and `final_answer` whose mark occurs, in that order.
    Any,
}

/// Why a completion gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The thinking has no end, so nothing stands after it.
    ThinkingUnclosed,
    /// No answer tag after the thinking.
    NoTag,
    /// An answer tag is opened and not closed.
    TagUnclosed,
    /// An answer tag is closed before it is opened.
    TagsOutOfOrder,
    /// Two answer tags.
    SeveralTags,
    /// No box after the thinking.
    NoBox,
    /// The brace of the box asked for is never closed.
    BoxUnclosed,
    /// Boxes that hold different texts.
    BoxesDiffer,
    /// No `####` after the thinking.
    NoHash,
    /// No sentence that announces an answer.
    NoSentence,
    /// None of the marks of [`Extract::Any`].
    NoMark,
    /// The completion reached its limit within the answer, which may have lost digits.
    Cut,
    /// The place of the answer holds white space.
    Empty,
}

impl NoAnswer {
    /// The reason in words, as a score's note gives it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ThinkingUnclosed => "<think> is never closed",
            Self::NoTag => "no <answer>",
            Self::TagUnclosed => "<answer> is never closed",
            Self::TagsOutOfOrder => "</answer> before <answer>",
            Self::SeveralTags => "more than one <answer>",
            Self::NoBox => "no \\boxed{}",
            Self::BoxUnclosed => "\\boxed{ is never closed",
            Self::BoxesDiffer => "boxes that differ",
            Self::NoHash => "no ####",
            Self::NoSentence => "no sentence that gives a final answer",
            Self::NoMark => "no <answer>, \\boxed{}, #### or final answer",
            Self::Cut => "cut within the answer",
            Self::Empty => "the answer is empty",
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for NoAnswer {}

impl From<NoAnswer> for &'static str {
    fn from(why: NoAnswer) -> Self {
        why.reason()
    }
}

impl From<NoAnswer> for String {
    fn from(why: NoAnswer) -> Self {
        why.reason().to_owned()
    }
}

/// Finds the final answer, or says why there is none.
///
/// `truncated` says that the completion was cut at its limit; `think_opened` that the prompt already opened the thinking,
/// which the completion must then close. Where the place asked for holds a box, as in `<answer>$\boxed{5}$</answer>`, the
/// answer is what the box holds.
pub fn extract(completion: &str, how: Extract, truncated: bool, think_opened: bool) -> Result<&str, NoAnswer> {
    let text = after_thinking(completion, think_opened)?;
    let answer = match how {
        Extract::AnswerTag => answer_tag(text),
        Extract::Boxed => boxed::only(text, truncated),
        Extract::FirstBoxed => boxed::first(text, truncated),
        Extract::LastBoxed => boxed::last(text, truncated),
        Extract::Hash => last_hash(text, truncated),
        Extract::FinalAnswer => sentence::last(text, truncated),
        Extract::Any if text.contains("<answer>") || text.contains("</answer>") => answer_tag(text),
        Extract::Any if boxed::stands_in(text) => boxed::only(text, truncated),
        Extract::Any if text.contains("####") => last_hash(text, truncated),
        Extract::Any => match sentence::last(text, truncated) {
            Err(NoAnswer::NoSentence) => Err(NoAnswer::NoMark),
            found => found,
        },
    }?;
    let answer = if boxed::stands_in(answer) { boxed::only(answer, false)? } else { answer };
    let answer = answer.trim();
    if answer.is_empty() { Err(NoAnswer::Empty) } else { Ok(answer) }
}

/// The text after the first `</think>`, or all of it where the completion never thinks.
///
/// The first, not the last: a later `</think>` must not hide an answer already given.
pub(crate) fn after_thinking(completion: &str, think_opened: bool) -> Result<&str, NoAnswer> {
    match completion.split_once("</think>") {
        Some((_, rest)) => Ok(rest),
        None if think_opened || completion.contains("<think>") => Err(NoAnswer::ThinkingUnclosed),
        None => Ok(completion),
    }
}

/// The only answer block. A second one is refused, not preferred: were the last to win, text
/// added after `</answer>` could turn a wrong answer into a right one.
fn answer_tag(text: &str) -> Result<&str, NoAnswer> {
    let (before, rest) = text.split_once("<answer>").ok_or(NoAnswer::NoTag)?;
    let (inside, after) = rest.split_once("</answer>").ok_or(NoAnswer::TagUnclosed)?;
    if before.contains("</answer>") {
        return Err(NoAnswer::TagsOutOfOrder);
    }
    if inside.contains("<answer>") || after.contains("<answer>") || after.contains("</answer>") {
        return Err(NoAnswer::SeveralTags);
    }
    Ok(inside)
}

/// The rest of the line after the last `####`. A completion cut within that line may have lost
/// digits, so it gives no answer.
fn last_hash(text: &str, truncated: bool) -> Result<&str, NoAnswer> {
    let (_, rest) = text.rsplit_once("####").ok_or(NoAnswer::NoHash)?;
    match rest.split_once('\n') {
        Some((line, _)) => Ok(line),
        None if truncated => Err(NoAnswer::Cut),
        None => Ok(rest),
    }
}

#[cfg(test)]
mod tests;
