//! What a rule says of a completion.

use serde::{Deserialize, Serialize};

/// A rule's value and the reason for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The value, before any weight; `None` where there is none.
    pub value: Option<f64>,
    /// Why the value is what it is, for a person reading rollouts.
    pub note: String,
    lack: Option<Lack>,
}

/// Why a rule gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// The data does not say enough, or the question is too hard for the rule. The completion is left out of its group.
    Undecided,
    /// The machine failed: a worker died, an endpoint did not answer. The completion is left out of its group.
    Failed,
    /// The rule has nothing to say about this row, and the others count without it.
    Abstained,
}

impl Verdict {
    /// A value. One that is not finite is a fault of the rule, and the verdict then a failed one.
    pub fn new(value: f64, note: impl Into<String>) -> Self {
        if value.is_finite() {
            Self { value: Some(value), note: note.into(), lack: None }
        } else {
            Self::failed(format!("the rule's value is {value} ({})", note.into()))
        }
    }

    /// No value, through no fault of the completion: its row does not say what is right.
    pub fn undecided(note: impl Into<String>) -> Self {
        Self { value: None, note: note.into(), lack: Some(Lack::Undecided) }
    }

    /// No value, because the machine failed.
    pub fn failed(note: impl Into<String>) -> Self {
        Self { value: None, note: note.into(), lack: Some(Lack::Failed) }
    }

    /// No value, because the rule is not about this row.
    pub fn abstained(note: impl Into<String>) -> Self {
        Self { value: None, note: note.into(), lack: Some(Lack::Abstained) }
    }

    /// Why there is no value; `None` where there is one.
    pub fn lack(&self) -> Option<Lack> {
        if self.value.is_some() { None } else { Some(self.lack.unwrap_or(Lack::Undecided)) }
    }
}
