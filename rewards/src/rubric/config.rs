//! [`RuleConfig`]: every rule that a configuration can name.
//!
//! A new rule is a variant, whose settings are a struct in the rule's own file, and a line in [`RuleConfig::parts`].

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RubricError, Terms};
use crate::accuracy::Accuracy;
use crate::countdown::Countdown;
use crate::format::Format;
use crate::length::{LengthK15, SoftOverlong};
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
    /// From 0 to −1 as the length nears the limit (DAPO, arXiv 2503.14476).
    SoftOverlong(SoftOverlong),
    /// From 0.5 for the group's shortest completion to −0.5 for its longest, never above 0 for
    /// a wrong one (Kimi k1.5, arXiv 2501.12599). Needs a rule in the same rubric that
    /// says what is right.
    #[serde(rename = "length_k15")]
    LengthK15(LengthK15),
}

/// Settings that make a rule.
pub(crate) trait Settings {
    /// What is wrong with the rule's own values: the key and the problem with it. Opens nothing.
    fn check(&self) -> Result<(), (&'static str, String)> {
        Ok(())
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
            Self::SoftOverlong(own) => (own.terms(), own),
            Self::LengthK15(own) => (own.terms(), own),
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
