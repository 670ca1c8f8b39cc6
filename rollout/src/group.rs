//! `Group`: the completions of one prompt.

use crate::{completion::Completion, prompt::Prompt};

/// The G completions of one prompt, in sample order.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What was completed.
    pub prompt: Prompt,
    /// Its completions.
    pub completions: Vec<Completion>,
}
