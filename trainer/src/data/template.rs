//! The words around a prompt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PromptText;

/// How a prompt is put to the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// The prompt of DeepSeek-R1-Zero (arXiv 2501.12948, table 1): think inside `<think> </think>`,
    /// answer inside `<answer> </answer>`. For base models.
    R1Zero,
    /// Chat messages, for the chat template of the tokenizer; plain text becomes one user turn.
    Chat,
    /// The prompt text alone.
    #[default]
    Plain,
}

const R1_ZERO: &str = "A conversation between User and Assistant. The user asks a question, and \
the Assistant solves it. The assistant first thinks about the reasoning process in the mind and \
then provides the user with the answer. The reasoning process and answer are enclosed within \
<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process here \
</think> <answer> answer here </answer>. User: ";

impl Template {
    /// The prompt in these words. `r1_zero` and `plain` give text, `chat` gives messages.
    ///
    /// The paper ends the user's turn with a full stop; it is left out after a prompt that ends in
    /// punctuation of its own.
    pub fn apply(self, prompt: &PromptText) -> PromptText {
        match self {
            Template::Plain => PromptText::Text(prompt.text()),
            Template::R1Zero => {
                let text = prompt.text();
                let text = text.trim();
                let stop = if text.ends_with(char::is_alphanumeric) { "." } else { "" };
                PromptText::Text(format!("{R1_ZERO}{text}{stop} Assistant:"))
            }
            Template::Chat => match prompt {
                PromptText::Messages(_) => prompt.clone(),
                PromptText::Text(text) => PromptText::Messages(vec![json!({"role": "user", "content": text})]),
            },
        }
    }
}
