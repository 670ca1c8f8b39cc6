//! `Sequence`: a document as token ids, with a mask of what is learned.

use std::collections::HashSet;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use model::tokenizer::Tokenizer;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{LossOn, SftConfig};
use crate::data::{Document, DocumentBody, Documents, PromptText, Template};
use crate::prompting::{PreparedProblem, PromptSet, Prompter};

/// A tokenised document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, at least one of them learned.
    pub tokens: Vec<i64>,
    /// True where the token before it is taught to predict it; false for the first token.
    pub mask: Vec<bool>,
}

impl Sequence {
    /// How many tokens are learned.
    pub fn n_learned(&self) -> usize {
        self.mask.iter().filter(|&&learned| learned).count()
    }
}

/// Turns documents into sequences.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    /// Words prompts and conversations.
    pub prompter: &'a Prompter,
    /// Ends a text or a completion.
    pub end: u32,
    /// Ids that end an assistant's turn.
    pub stops: &'a [u32],
    /// Which tokens are learned.
    pub loss_on: LossOn,
}

impl Encoder<'_> {
    /// The sequence of a document; none where nothing in it is learned.
    ///
    /// A text is learned whole. The completion after a prompt, and every turn of the assistant, is learned with the
    /// token that ends it, because sampling must learn to stop.
    ///
    /// # Errors
    /// When the chat template refuses a conversation, or words its beginning differently once more turns follow.
    pub fn encode(&self, document: &Document) -> Result<Option<Sequence>> {
        let (ids, mut mask) = self.body(&document.body).with_context(|| format!("in {}", document.place))?;
        if self.loss_on == LossOn::Everything {
            mask.fill(true);
        }
        if let Some(first) = mask.first_mut() {
            *first = false;
        }
        let sequence = Sequence { tokens: ids.into_iter().map(i64::from).collect(), mask };
        Ok((sequence.n_learned() > 0).then_some(sequence))
    }

    fn body(&self, body: &DocumentBody) -> Result<(Vec<u32>, Vec<bool>)> {
        match body {
            DocumentBody::Text(text) => {
                let mut ids = self.prompter.encode(text);
                ids.push(self.end);
                let mask = vec![true; ids.len()];
                Ok((ids, mask))
            }
            DocumentBody::Completion { prompt, completion } if self.prompter.template() == Template::Chat => {
                let PromptText::Messages(mut messages) = Template::Chat.apply(prompt) else {
                    bail!("the chat template needs messages");
                };
                messages.push(json!({"role": "assistant", "content": completion}));
                self.conversation(&messages, None)
            }
            DocumentBody::Completion { prompt, completion } => {
                // Prompt and completion apart, as in sampling: the policy never sees a token across the border.
                let mut ids = self.prompter.encode(&self.prompter.text(prompt)?);
                let mut mask = vec![false; ids.len()];
                ids.extend(self.prompter.tokenizer().encode(completion, false));
                ids.push(self.end);
                mask.resize(ids.len(), true);
                Ok((ids, mask))
            }
            DocumentBody::Conversation { messages, tools } => self.conversation(messages, tools.as_ref()),
        }
    }

    fn conversation(&self, messages: &[Value], tools: Option<&Value>) -> Result<(Vec<u32>, Vec<bool>)> {
        let render = |messages: &[Value], generation_prompt: bool| -> Result<Vec<u32>> {
            Ok(self.prompter.encode(&self.prompter.conversation(messages, tools, generation_prompt)?))
        };
        let ids = render(messages, false)?;
        let mut mask = vec![false; ids.len()];
        for (turn, _) in messages.iter().enumerate().filter(|(_, message)| message["role"] == "assistant") {
            let before = render(&messages[..turn], true)?;
            ensure!(
                ids.starts_with(&before),
                "the chat template words the conversation before turn {} differently once that turn follows, so what \
                 the assistant says cannot be told apart",
                turn + 1
            );
            let said = &ids[before.len()..];
            let length = match said.iter().position(|id| self.stops.contains(id)) {
                Some(stop) => stop + 1,
                // The template ends no turn with a stop token: the turn reaches as far as it is rendered alone.
                None => {
                    let through = render(&messages[..=turn], false)?;
                    ensure!(ids.starts_with(&through), "the chat template words turn {} by what follows it", turn + 1);
                    through.len() - before.len()
                }
            };
            mask[before.len()..before.len() + length].fill(true);
        }
        Ok((ids, mask))
    }
}

/// Every sequence of a run's data, and what was left out.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// In the order of the source.
    pub all: Vec<Sequence>,
    /// Documents longer than `sft.max_tokens`.
    pub n_too_long: usize,
    /// Rows with nothing to learn.
    pub n_empty: usize,
}

impl fmt::Display for Sequences {
    /// `200000 documents (3 too long, 1 empty)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} documents", self.all.len())?;
        match (self.n_too_long, self.n_empty) {
            (0, 0) => Ok(()),
            (too_long, empty) => write!(f, " ({too_long} too long, {empty} empty)"),
        }
    }
}

impl Sequences {
    /// Indices of the held-out problems whose prompt, as the policy sees it, also opens a sequence here.
    pub fn overlap(&self, heldout: &PromptSet) -> Vec<u64> {
        let prompts = self.all.iter().map(|Sequence { tokens, mask }| {
            let length = mask.iter().position(|&learned| learned).unwrap_or(tokens.len());
            &tokens[..length]
        });
        let seen: HashSet<&[i64]> = prompts.collect();
        let prompt = |problem: &PreparedProblem| Vec::from_iter(problem.prompt.tokens.iter().copied().map(i64::from));
        let also_here = heldout.problems().iter().filter(|problem| seen.contains(prompt(problem).as_slice()));
        also_here.map(|problem| problem.problem.index).collect()
    }

    /// Encodes all of `documents`, on rayon's threads.
    ///
    /// # Errors
    /// As [`Encoder::encode`], and when no document is short enough.
    pub fn encode(documents: &Documents, encoder: &Encoder<'_>, config: &SftConfig) -> Result<Sequences> {
        let encoded: Vec<Option<Sequence>> =
            documents.all.par_iter().map(|document| encoder.encode(document)).collect::<Result<_>>()?;
        let n_all = encoded.len();
        let mut all: Vec<Sequence> = encoded.into_iter().flatten().collect();
        let n_empty = documents.n_empty + n_all - all.len();
        let n_filled = all.len();
        all.retain(|sequence| sequence.tokens.len() <= config.max_tokens);
        ensure!(
            !all.is_empty(),
            "none of {n_all} documents can be learned: {n_empty} are empty, {} are longer than `sft.max_tokens` = {}",
            n_filled,
            config.max_tokens
        );
        Ok(Sequences { n_too_long: n_filled - all.len(), n_empty, all })
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> Vec<usize> {
        self.all.iter().map(|sequence| sequence.tokens.len()).collect()
    }
}

/// The id that ends a text: the tokenizer's end of sequence, else the first that the checkpoint names.
///
/// # Errors
/// When there is none: a policy that never learns to stop is of no use.
pub fn end_of_sequence(tokenizer: &Tokenizer, config_ids: &[u32]) -> Result<u32> {
    tokenizer
        .eos_id()
        .or_else(|| config_ids.first().copied())
        .context("the checkpoint names no end-of-sequence token: set `eos_token` in tokenizer_config.json")
}

#[cfg(test)]
mod tests;
