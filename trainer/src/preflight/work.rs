//! `Work`: how much a run samples and learns from at once, at most: what memory is planned for.

use super::Stage;
use super::memory::Load;
use crate::config::RunConfig;

/// A run, with what is known of its data. Where lengths are not known yet they are the longest there may be.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) run: &'a RunConfig,
    pub(super) stage: Stage,
    pub(super) load: &'a Load,
}

/// The rows of an update.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Of a microbatch, at most.
    pub(super) microbatch: usize,
    /// Of the update.
    pub(super) all: usize,
}

/// Completions that are sampled in one go.
#[derive(Clone, Copy)]
pub(super) struct Sampled {
    pub(super) n: usize,
    pub(super) group_size: usize,
    pub(super) max_tokens: usize,
}

impl Work<'_> {
    /// What an update learns from; `None` where the stage learns nothing.
    pub(super) fn rows(&self) -> Option<Rows> {
        let (all, longest, microbatch_tokens) = match self.stage {
            Stage::Grpo => {
                let grpo = self.run.grpo.as_ref()?;
                let (prompt, completion) = (self.load.longest_prompt, longest_completion(self.run));
                let groups = grpo.prompts_per_step.div_ceil(grpo.updates_per_step.max(1));
                (groups * (prompt + grpo.group_size * completion), prompt + completion, grpo.microbatch_tokens)
            }
            Stage::Sft => {
                let sft = self.run.sft.as_ref()?;
                // The document that reaches the limit is whole.
                let longest = self.load.longest_document;
                (sft.batch_tokens + longest, longest, sft.microbatch_tokens)
            }
            Stage::Eval => return None,
        };
        Some(Rows { microbatch: all.min(microbatch_tokens.max(longest)), all })
    }

    /// What a step samples.
    pub(super) fn training(&self) -> Option<Sampled> {
        let grpo = self.run.grpo.as_ref().filter(|_| self.stage == Stage::Grpo)?;
        Some(Sampled {
            n: grpo.prompts_per_step * grpo.group_size,
            group_size: grpo.group_size,
            max_tokens: longest_completion(self.run),
        })
    }

    /// What an evaluation samples.
    pub(super) fn heldout(&self) -> Option<Sampled> {
        let eval = self.run.eval.as_ref()?;
        Some(Sampled {
            n: self.load.n_heldout * eval.samples,
            group_size: eval.samples,
            max_tokens: eval.max_tokens.unwrap_or(self.run.rollout.max_tokens),
        })
    }

    /// Whether a reference is held beside the policy.
    pub(super) fn has_reference(&self) -> bool {
        self.stage == Stage::Grpo && self.run.grpo.as_ref().is_some_and(|grpo| grpo.objective.has_reference())
    }

    /// Whether the configuration says that blocks are computed again; `None` where it leaves that to the plan.
    pub(super) fn checkpointing(&self) -> Option<bool> {
        match self.stage {
            Stage::Grpo => self.run.grpo.as_ref()?.activation_checkpointing,
            Stage::Sft => self.run.sft.as_ref()?.activation_checkpointing,
            Stage::Eval => None,
        }
    }
}

/// The longest completion a run samples while training, schedule included, in tokens.
pub(super) fn longest_completion(run: &RunConfig) -> usize {
    let changes = run.grpo.iter().flat_map(|grpo| &grpo.max_tokens_schedule).map(|change| change.max_tokens);
    changes.chain([run.rollout.max_tokens]).max().unwrap_or(0)
}
