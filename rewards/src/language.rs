//! Does the completion keep to one language?
//!
//! DeepSeek-R1 (arXiv 2501.12948, section 2.3.2) pays for language consistency: the share of words in the target
//! language. Reinforcement learning on answers alone lets a policy mix languages in its thinking.

mod code;
mod detect;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use code::Language;
pub(crate) use detect::is_written_in;

use crate::prose::prose;
use crate::rubric::{Settings, settings};
use crate::rule::Rule;
use crate::score::Sample;
use crate::verdict::Verdict;

/// The text whose language counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LanguageScope {
    /// The whole completion.
    #[default]
    Completion,
    /// What stands before `</think>`, all of it where there is none: the chain of thought, as in the paper.
    Thinking,
}

/// The share of words in `target`, in 0..1; 0 where there are no words at all, so that silence earns nothing.
///
/// Code, mathematics, tags and numbers hold no words. A word in a script that the target is not written in is foreign.
/// Where several languages share the target's script, a detector (whatlang) judges stretches of some sentences.
pub(crate) fn score(completion: &str, target: Language, scope: LanguageScope) -> Verdict {
    let text = match scope {
        LanguageScope::Completion => completion,
        LanguageScope::Thinking => completion.split_once("</think>").map_or(completion, |(thinking, _)| thinking),
    };
    let (ours, all) = detect::count(&prose(text), target);
    if all == 0 {
        return Verdict::new(0.0, "no words");
    }
    Verdict::new(ours as f64 / all as f64, format!("{ours} of {all} words"))
}

settings! {
    /// The share of words in a language, in 0..1 (language consistency of DeepSeek-R1, arXiv 2501.12948).
    LanguageConsistency {
        /// The target language, by its ISO 639-1 code.
        language: Language,
        /// The text whose words are counted.
        #[serde(default)]
        scope: LanguageScope,
    }
}

impl Settings for LanguageConsistency {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for LanguageConsistency {
    fn name(&self) -> &str {
        "language"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample.completion, self.language, self.scope))
    }
}

#[cfg(test)]
mod tests;
