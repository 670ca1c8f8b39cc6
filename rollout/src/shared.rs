//! `Shared`: what all replicas of a pool read, on whatever they compute.

use crate::pool::{Drawn, Request};
use crate::prompt::Prompt;
use crate::stopping::StopRules;
use crossbeam_channel::Sender;
use model::policy::Policy;
use model::tokenizer::Tokenizer;

/// What all replicas of a pool read.
pub(crate) struct Shared<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) stop: &'a StopRules,
    pub(crate) request: &'a Request<'a>,
    /// Completions that one replica decodes at once, at most.
    pub(crate) max_rows: usize,
    /// Tokens that are drafted for each of them in a step, at most.
    pub(crate) speculate: usize,
    /// Where drawn tokens are told at once.
    pub(crate) watch: Option<&'a Sender<Drawn>>,
}

impl Shared<'_> {
    pub(crate) fn tell(&self, prompt: &Prompt, sample: usize, token: u32) {
        if let Some(watch) = self.watch {
            // Whoever stopped listening wants no more.
            let _ = watch.send(Drawn { prompt: prompt.index, sample, token });
        }
    }

    /// Tokens a completion of `prompt` may have: the request's limit, or what the context leaves.
    pub(crate) fn limit(&self, prompt: &Prompt) -> usize {
        let context = self.policy.config().max_positions;
        self.request.max_tokens.min(context.saturating_sub(prompt.tokens.len())).max(1)
    }

    /// The text of a completion, its stop token left out.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        let stopped = tokens.last().is_some_and(|last| self.stop.ids.contains(last));
        self.tokenizer.decode(&tokens[..tokens.len() - usize::from(stopped)], false)
    }
}

/// A prompt whose group is to be sampled, and its place in the answer.
pub(crate) type Job<'a> = (usize, &'a Prompt);
