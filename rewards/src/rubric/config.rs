//! [`RuleConfig`]: every rule that a configuration can name.
//!
//! A new rule is a variant, whose settings are a struct in the rule's own file, and a line in [`RuleConfig::parts`].

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RubricError, Terms};
use crate::accuracy::Accuracy;
use crate::choice::MultipleChoice;
use crate::code::Code;
use crate::countdown::Countdown;
use crate::external::{Http, Program, Python};
use crate::format::Format;
use crate::instructions::Instructions;
use crate::json::Json;
use crate::language::LanguageConsistency;
use crate::length::{LengthCosine, LengthK15, SoftOverlong, TargetLength};
use crate::repetition::Repetition;
use crate::rule::Rule;

/// One rule and its settings, as written in a run's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleConfig {
    /// 1 where the final answer is the reference answer, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Accuracy(Accuracy),
    /// 1 where the layout is kept, else 0 (DeepSeek-R1, arXiv 2501.12948).
    Format(Format),
    /// 1 where the expression in `<answer>` uses each of the row's `nums` once and equals its
    /// `target` (TinyZero, github.com/Jiayi-Pan/TinyZero).
    Countdown(Countdown),
    /// 1 where the program in the completion passes the tests of its row, run in a sandbox, else 0.
    Code(Code),
    /// From 0 to −1 as the length nears the limit (DAPO, arXiv 2503.14476).
    SoftOverlong(SoftOverlong),
    /// From 0.5 for the group's shortest completion to −0.5 for its longest, never above 0 for
    /// a wrong one (Kimi k1.5, arXiv 2501.12599). Needs a rule in the same rubric that
    /// says what is right.
    #[serde(rename = "length_k15")]
    LengthK15(LengthK15),
    /// Along half a cosine from the value of a short answer to that of a long one, others for right and for wrong answers
    /// (Yeo et al., arXiv 2502.03373). Needs a rule in the same rubric that says what is right.
    LengthCosine(LengthCosine),
    /// How near the length comes to the budget of the row's reasoning effort (L1, arXiv 2503.04697).
    TargetLength(TargetLength),
    /// From 0 down to −1 by the share of runs of words that came before (Yeo et al., arXiv 2502.03373; Open-R1).
    Repetition(Repetition),
    /// The share of words in a language (DeepSeek-R1, arXiv 2501.12948).
    Language(LanguageConsistency),
    /// 1 where the completion names the right option of a multiple-choice question, else 0 (MMLU, arXiv 2009.03300).
    MultipleChoice(MultipleChoice),
    /// Whether the verifiable instructions of the row are followed (IFEval, arXiv 2311.07911).
    Instructions(Instructions),
    /// 1 where the completion is the JSON document of the row, else 0.
    Json(Json),
    /// What a function in a Python file of the user's says. It runs in processes of its own, unconfined.
    Python(Python),
    /// What a program of the user's says: it reads requests and writes scores as lines of JSON, and runs unconfined.
    Program(Program),
    /// What an HTTP endpoint says: requests are POSTed as JSON.
    Http(Http),
}

/// Settings that make a rule.
pub(crate) trait Settings {
    /// What is wrong with the rule's own values: the key and the problem with it. Opens nothing.
    fn check(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// The user's files that say what the rule does, as far as its settings name them.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The rule; makes nothing that [`Rule::open`] can make.
    fn rule(&self) -> Arc<dyn Rule>;
}

impl RuleConfig {
    fn parts(&self) -> (Terms, &dyn Settings) {
        match self {
            Self::Accuracy(own) => (own.terms(), own),
            Self::Format(own) => (own.terms(), own),
            Self::Countdown(own) => (own.terms(), own),
            Self::Code(own) => (own.terms(), own),
            Self::SoftOverlong(own) => (own.terms(), own),
            Self::LengthK15(own) => (own.terms(), own),
            Self::LengthCosine(own) => (own.terms(), own),
            Self::TargetLength(own) => (own.terms(), own),
            Self::Repetition(own) => (own.terms(), own),
            Self::Language(own) => (own.terms(), own),
            Self::MultipleChoice(own) => (own.terms(), own),
            Self::Instructions(own) => (own.terms(), own),
            Self::Json(own) => (own.terms(), own),
            Self::Python(own) => (own.terms(), own),
            Self::Program(own) => (own.terms(), own),
            Self::Http(own) => (own.terms(), own),
        }
    }

    /// How the rule counts.
    pub fn terms(&self) -> Terms {
        self.parts().0
    }

    /// The rule, not yet opened.
    pub fn rule(&self) -> Arc<dyn Rule> {
        self.parts().1.rule()
    }

    /// Whether the rule says which completions are right.
    pub fn judges(&self) -> bool {
        self.rule().judges()
    }

    /// The user's files that say what the rule does, as far as its settings name them: a Python file, or a program and
    /// what files are among its arguments.
    pub fn files(&self) -> Vec<PathBuf> {
        self.parts().1.files()
    }

    /// The name its values stand under.
    pub fn name(&self) -> String {
        self.terms().name.unwrap_or_else(|| self.rule().name().to_owned())
    }

    /// Checks what can be said of the rule without the others.
    pub fn check(&self) -> Result<(), RubricError> {
        let (terms, own) = self.parts();
        terms.check(&self.name())?;
        own.check().map_err(|(key, problem)| RubricError::Setting { rule: self.name(), key, problem })
    }
}
