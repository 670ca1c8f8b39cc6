//! What a rubric reads and what it gives back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One completion of one prompt, with what its data row says about the right answer.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The prompt as the model saw it, template included.
    pub prompt: &'a str,
    /// The text the model produced, without its end-of-sequence token.
    pub completion: &'a str,
    /// Length of the completion in tokens, as the sampler counted it.
    pub n_tokens: usize,
    /// True where the completion was cut at the token limit rather than ended by the model.
    pub truncated: bool,
    /// The reference answer.
    pub expected: &'a str,
    /// The data row's other columns, which some rules read (countdown's `nums` and `target`).
    pub columns: &'a Map<String, Value>,
}

impl Sample<'_> {
    /// Whether the prompt ends by opening the thinking, as some chat templates do: the completion then starts
    /// inside `<think>` and only closes it.
    pub fn think_opened(&self) -> bool {
        self.prompt.trim_end().ends_with("<think>")
    }
}

/// What a rubric gave one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The sum of weight × value over the parts. `None` where any part could not be computed:
    /// a missing reference is a fault of the data, and must not look like a wrong answer.
    pub total: Option<f64>,
    /// One part for each rule, in the rubric's order.
    pub parts: Vec<Part>,
}

impl Score {
    /// Adds the parts up; the total is `None` where any part has no value.
    pub(crate) fn from_parts(parts: Vec<Part>) -> Self {
        let total = parts.iter().map(|p| p.value.map(|v| v * p.weight)).sum();
        Self { total, parts }
    }
}

/// What one rule gave one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The rule's name, as the configuration spells it.
    pub rule: String,
    /// The rule's value before its weight; `None` where it could not be computed.
    pub value: Option<f64>,
    /// The weight the value is multiplied by in the total.
    pub weight: f64,
    /// Why the value is what it is, for a person reading rollouts.
    pub note: String,
}

/// A rule's value and the reason for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) value: Option<f64>,
    pub(crate) note: String,
}

impl Verdict {
    pub(crate) fn new(value: f64, note: impl Into<String>) -> Self {
        Self { value: Some(value), note: note.into() }
    }

    /// The rule could not be computed, through no fault of the completion.
    pub(crate) fn unknown(note: impl Into<String>) -> Self {
        Self { value: None, note: note.into() }
    }
}
