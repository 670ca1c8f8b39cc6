//! How hard the policy is asked to think about a problem.

use anyhow::{Result, bail};
use model::philox::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The column that says a row's reasoning effort, for the prompt and for rules.
const COLUMN: &str = "effort";

/// What stands for the effort in [`Effort::line`].
pub(crate) const PLACE: &str = "{effort}";

/// Reasoning effort: each problem is asked for one of several efforts, in its prompt and in the column `effort`, where the
/// rule `target_length` reads it (L1, arXiv 2503.04697). A row with such a column keeps its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// The efforts, each as likely as the others: a draw keyed by the run's seed and the problem's place in its source.
    #[serde(default = "three")]
    pub levels: Vec<String>,
    /// The words that ask for the effort, `{effort}` in them: a paragraph of the system prompt, or before text that is no
    /// chat. Empty where the chat template says it from its variable `reasoning_effort`.
    #[serde(default = "line")]
    pub line: String,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { levels: three(), line: line() }
    }
}

fn three() -> Vec<String> {
    ["low", "medium", "high"].map(str::to_owned).into()
}

fn line() -> String {
    format!("Reasoning effort: {PLACE}.")
}

impl Effort {
    /// Writes the effort of problem `index` into its columns, unless they hold one.
    pub(crate) fn assign(&self, columns: &mut Map<String, Value>, index: u64, seed: u64) {
        if self.levels.is_empty() || columns.contains_key(COLUMN) {
            return;
        }
        let drawn = Stream::new(seed, Purpose::Effort, 0, index, 0).below(0, self.levels.len() as u64);
        columns.insert(COLUMN.to_owned(), Value::from(self.levels[drawn as usize].as_str()));
    }

    /// The effort that a problem's columns hold.
    ///
    /// # Errors
    /// When they hold none, or one that is neither text nor a number.
    pub(crate) fn of(columns: &Map<String, Value>) -> Result<String> {
        match columns.get(COLUMN) {
            Some(Value::String(effort)) => Ok(effort.clone()),
            Some(Value::Number(tokens)) => Ok(tokens.to_string()),
            Some(_) => bail!("field `{COLUMN}` is neither text nor a number"),
            None => bail!("missing field `{COLUMN}`, and `data.effort.levels` names none to choose from"),
        }
    }

    /// The paragraph that asks for `effort`; none where the chat template does.
    pub(crate) fn paragraph(&self, effort: &str) -> Option<String> {
        (!self.line.is_empty()).then(|| self.line.replace(PLACE, effort))
    }
}

#[cfg(test)]
mod tests;
