//! What a rubric reads and what it gives back.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::verdict::Lack;

/// One completion of one prompt, with what its data row says about the right answer.
///
/// A literal names what matters and takes the rest from [`Sample::default`], which is empty.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The prompt as the model saw it, template included.
    pub prompt: &'a str,
    /// The prompt's messages as the data has them; empty where it is plain text.
    pub messages: &'a [Value],
    /// The text the model produced, without its end-of-sequence token.
    pub completion: &'a str,
    /// The sampled token ids; empty where whoever asks has none.
    pub tokens: &'a [u32],
    /// Length of the completion in tokens, as the sampler counted it.
    pub n_tokens: usize,
    /// True where the completion was cut at the token limit rather than ended by the model.
    pub truncated: bool,
    /// The reference answer.
    pub expected: &'a str,
    /// The data row's other columns, which some rules read (countdown's `nums` and `target`).
    pub columns: &'a Map<String, Value>,
    /// The step of the run it was sampled in, from 1. `None` outside of training: no window of steps holds there, and
    /// every rule counts in full.
    pub step: Option<u64>,
}

impl Default for Sample<'_> {
    fn default() -> Self {
        static NO_COLUMNS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        Sample {
            prompt: "",
            messages: &[],
            completion: "",
            tokens: &[],
            n_tokens: 0,
            truncated: false,
            expected: "",
            columns: &NO_COLUMNS,
            step: None,
        }
    }
}

impl<'a> Sample<'a> {
    /// Whether the prompt ends by opening the thinking, as some chat templates do: the completion then starts
    /// inside `<think>` and only closes it.
    pub fn think_opened(&self) -> bool {
        self.prompt.trim_end().ends_with("<think>")
    }

    /// Where the row comes from: the text of its column `data_source`, or else `source`.
    pub fn source(&self) -> Option<&'a str> {
        let column = |name| self.columns.get(name).and_then(Value::as_str);
        column("data_source").or_else(|| column("source"))
    }
}

/// What a rubric gave one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The sum of weight × value over the parts that count. `None` where one of them could not be computed: a missing
    /// reference is a fault of the data, a dead worker one of the machine, and neither must look like a wrong answer.
    pub total: Option<f64>,
    /// Whether the answer is right, by the first rule that says so; `None` where none does or it is not known.
    pub right: Option<bool>,
    /// One part for each rule that applies to the row and the step, in the rubric's order.
    pub parts: Vec<Part>,
}

/// What one rule gave one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The rule's name.
    pub rule: String,
    /// The rule's value before its weight; `None` where there is none.
    pub value: Option<f64>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<Lack>,
    /// The weight the value is multiplied by in the total, at the step of the completion.
    pub weight: f64,
    /// Whether the rules that this one needs let it count.
    #[serde(default, skip_serializing_if = "Gate::is_open")]
    pub gate: Gate,
    /// Why the value is what it is, for a person reading rollouts.
    pub note: String,
}

/// Whether the rules that a rule needs let it count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// They do, or it needs none.
    #[default]
    Open,
    /// One of them gave less than is needed: the part counts as 0.
    Closed,
    /// One of them has no value, so that it is not known.
    Unknown,
}

impl Gate {
    fn is_open(&self) -> bool {
        *self == Gate::Open
    }
}

impl Part {
    /// The value that the part counts with, before its weight: 0 behind a closed gate; `Some(None)` where the rule has
    /// nothing to say about the row; `None` where it should count and is not known.
    pub fn counted(&self) -> Option<Option<f64>> {
        match (self.gate, self.value, self.lack) {
            (Gate::Closed, ..) => Some(Some(0.0)),
            (_, None, Some(Lack::Abstained)) => Some(None),
            (Gate::Unknown, ..) => None,
            (Gate::Open, value, _) => value.map(Some),
        }
    }
}

impl Score {
    /// Adds the parts up. The total is `None` where a part with a weight should count and is not known, where no rule
    /// applies to the row, and where all that apply have nothing to say.
    pub(crate) fn from_parts(parts: Vec<Part>, right: Option<bool>, applies: bool) -> Self {
        let counted: Vec<&Part> = parts.iter().filter(|part| part.weight != 0.0).collect();
        let mute = |part: &&Part| part.counted() == Some(None);
        let silent = !counted.is_empty() && counted.iter().all(mute);
        let sum = counted.iter().map(|part| Some(part.counted()?.map_or(0.0, |value| value * part.weight))).sum();
        let total = if applies && !silent { sum } else { None };
        Self { total, right, parts }
    }
}
