//! Does the completion keep to the layout it was asked for?
//!
//! DeepSeek-R1 (arXiv 2501.12948) rewards its think/answer layout beside accuracy.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::last_boxed;
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// The layout asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatStyle {
    /// `<think>…</think><answer>…</answer>`: each tag once, in order, neither block blank, only
    /// white space outside.
    ThinkAnswer,
    /// Exactly one `\boxed{…}`, not blank, after the thinking where there is any.
    Boxed,
}

/// 1 where the layout is kept, else 0.
pub(crate) fn score(completion: &str, style: FormatStyle, think_opened: bool) -> Verdict {
    let kept = match style {
        FormatStyle::ThinkAnswer => think_answer(completion, think_opened),
        FormatStyle::Boxed => boxed(completion, think_opened),
    };
    match kept {
        Ok(()) => Verdict::new(1.0, "kept"),
        Err(reason) => Verdict::new(0.0, reason),
    }
}

fn think_answer(completion: &str, think_opened: bool) -> Result<(), &'static str> {
    let opens = usize::from(!think_opened);
    for (tag, times) in [("<think>", opens), ("</think>", 1), ("<answer>", 1), ("</answer>", 1)] {
        if completion.matches(tag).count() != times {
            return Err("a tag is missing or stands more often than it should");
        }
    }
    let mut text = completion.trim();
    if !think_opened {
        text = text.strip_prefix("<think>").ok_or("text before <think>")?;
    }
    let (thinking, rest) = text.split_once("</think>").ok_or("the tags are out of order")?;
    let answer = rest.trim_start().strip_prefix("<answer>").ok_or("no <answer> after </think>")?;
    let answer = answer.strip_suffix("</answer>").ok_or("text after </answer>")?;
    if thinking.trim().is_empty() || answer.trim().is_empty() {
        return Err("a block is blank");
    }
    Ok(())
}

fn boxed(completion: &str, think_opened: bool) -> Result<(), &'static str> {
    let opened = usize::from(think_opened) + completion.matches("<think>").count();
    let text = match (opened, completion.matches("</think>").count()) {
        (0, 0) => completion,
        (1, 1) => completion.split_once("</think>").ok_or("no </think>")?.1,
        _ => return Err("the thinking is not opened and closed once"),
    };
    if text.contains("<think>") {
        return Err("the tags are out of order");
    }
    if text.matches("\\boxed{").count() != 1 {
        return Err("not exactly one \\boxed{}");
    }
    if last_boxed(text)?.trim().is_empty() { Err("\\boxed{} is blank") } else { Ok(()) }
}

settings! {
    /// 1 where the layout is kept, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Format {
        /// The layout asked for.
        style: FormatStyle,
        /// True where the completion starts inside `<think>` although the prompt does not end with it; a prompt
        /// that does is noticed.
        #[serde(default)]
        think_opened: bool,
    }
}

impl Settings for Format {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Format {
    fn name(&self) -> &str {
        "format"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample.completion, self.style, self.think_opened || sample.think_opened()))
    }

    fn dress(&self, completion: &str, gold: &Gold) -> Option<String> {
        let completion = match self.think_opened {
            true => completion.strip_prefix("<think>").unwrap_or(completion),
            false => completion,
        };
        let bare = || completion.strip_suffix(gold.written.as_str());
        Some(match self.style {
            FormatStyle::ThinkAnswer if completion.contains("<answer>") => completion.to_owned(),
            FormatStyle::ThinkAnswer => format!("{}<answer>{}</answer>", bare()?, gold.written),
            FormatStyle::Boxed if completion.contains("\\boxed{") => completion.to_owned(),
            FormatStyle::Boxed => format!("{completion}\n\\boxed{{{}}}", gold.answer),
        })
    }
}

#[cfg(test)]
mod tests;
