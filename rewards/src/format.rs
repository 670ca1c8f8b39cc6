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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatStyle {
    /// `<think>…</think><answer>…</answer>`: each tag once, in order, neither block blank, only
    /// white space outside.
    ThinkAnswer,
    /// Exactly one `\boxed{…}`, not blank, after the thinking where there is any.
    Boxed,
    /// Blocks of other tags, named here in their order, held to the same: `["plan", "solution"]` asks for
    /// `<plan>…</plan><solution>…</solution>`.
    Tags(Vec<String>),
}

impl FormatStyle {
    /// The names of the tags, in order.
    pub(crate) fn tags(&self) -> Vec<&str> {
        match self {
            Self::ThinkAnswer => vec!["think", "answer"],
            Self::Boxed => Vec::new(),
            Self::Tags(names) => names.iter().map(String::as_str).collect(),
        }
    }

    /// Whether tags can be told apart: at least one, no name twice, letters, digits, `_` and `-` alone.
    pub(crate) fn is_sound(&self) -> bool {
        let names = self.tags();
        let plain =
            |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let once = |(at, name): (usize, &&str)| !names[..at].contains(name);
        *self == Self::Boxed || (!names.is_empty() && names.iter().all(plain) && names.iter().enumerate().all(once))
    }
}

/// 1 where the layout is kept, else 0. `opened` says that the prompt ends by opening the first block.
pub(crate) fn score(completion: &str, style: &FormatStyle, opened: bool) -> Verdict {
    let kept = match style {
        FormatStyle::ThinkAnswer | FormatStyle::Tags(_) => blocks(completion, &style.tags(), opened),
        FormatStyle::Boxed => boxed(completion, opened),
    };
    match kept {
        Ok(()) => Verdict::new(1.0, "kept"),
        Err(reason) => Verdict::new(0.0, reason),
    }
}

/// One block after the other, each tag once in the whole text.
fn blocks(completion: &str, names: &[&str], opened: bool) -> Result<(), String> {
    let mut rest = completion.trim();
    for (place, name) in names.iter().enumerate() {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let opened = opened && place == 0;
        for (tag, times) in [(&open, usize::from(!opened)), (&close, 1)] {
            let found = completion.matches(tag.as_str()).count();
            if found != times {
                return Err(format!("{tag} stands {found} times, not {times}"));
            }
        }
        if !opened {
            rest = rest.trim_start().strip_prefix(&open).ok_or_else(|| match place {
                0 => format!("text before {open}"),
                _ => format!("no {open} after </{}>", names[place - 1]),
            })?;
        }
        let (inside, after) = rest.split_once(&close).ok_or("the tags are out of order")?;
        if inside.trim().is_empty() {
            return Err(format!("{open} is blank"));
        }
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("text after </{}>", names.last().unwrap_or(&""))) }
}

fn boxed(completion: &str, think_opened: bool) -> Result<(), String> {
    let opened = usize::from(think_opened) + completion.matches("<think>").count();
    let text = match (opened, completion.matches("</think>").count()) {
        (0, 0) => completion,
        (1, 1) => completion.split_once("</think>").ok_or("no </think>")?.1,
        _ => return Err("the thinking is not opened and closed once".into()),
    };
    if text.contains("<think>") {
        return Err("the tags are out of order".into());
    }
    if text.matches("\\boxed{").count() != 1 {
        return Err("not exactly one \\boxed{}".into());
    }
    if last_boxed(text)?.trim().is_empty() { Err("\\boxed{} is blank".into()) } else { Ok(()) }
}

settings! {
    /// 1 where the layout is kept, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Format {
        /// The layout asked for.
        style: FormatStyle,
        /// True where the completion starts inside the first block although the prompt does not end by opening it; a
        /// prompt that does is noticed.
        #[serde(default)]
        think_opened: bool,
    }
}

impl Settings for Format {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let problem = "names no tags, one twice, or one with other characters than letters, digits, `_` and `-`";
        if self.style.is_sound() { Ok(()) } else { Err(("style", problem.into())) }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Format {
    /// Whether the completion starts inside the first block.
    fn opened(&self, sample: &Sample<'_>) -> bool {
        let by_prompt = match self.style.tags().first() {
            Some(first) => sample.prompt.trim_end().ends_with(&format!("<{first}>")),
            None => sample.think_opened(),
        };
        self.think_opened || by_prompt
    }
}

impl Rule for Format {
    fn name(&self) -> &str {
        "format"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample.completion, &self.style, self.opened(sample)))
    }

    fn dress(&self, completion: &str, gold: &Gold) -> Option<String> {
        let completion = match self.think_opened {
            true => completion.strip_prefix("<think>").unwrap_or(completion),
            false => completion,
        };
        let bare = || completion.strip_suffix(gold.written.as_str());
        match &self.style {
            FormatStyle::ThinkAnswer if completion.contains("<answer>") => Some(completion.to_owned()),
            FormatStyle::ThinkAnswer => Some(format!("{}<answer>{}</answer>", bare()?, gold.written)),
            FormatStyle::Boxed if completion.contains("\\boxed{") => Some(completion.to_owned()),
            FormatStyle::Boxed => Some(format!("{completion}\n\\boxed{{{}}}", gold.answer)),
            // What stands in which block is not known.
            FormatStyle::Tags(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
