//! Do prompts and completions fit: the context, the cache, the data's own solutions?

use model::config::ModelConfig;
use model::tokenizer::Tokenizer;
use rayon::prelude::*;
use serde_json::Value;

use super::Finding;
use super::memory::{bytes, longest_completion, token_bytes};
use crate::config::RunConfig;
use crate::prompting::PromptSet;

/// Problems whose worked solutions are measured.
const LOOKED_AT: usize = 256;

/// Share of the data's own solutions that may exceed the limit before a person is told.
const CUT: f64 = 0.1;

/// Whether the longest prompt and the longest completion fit in the positions of the checkpoint.
pub(super) fn context(
    key: &str,
    max_tokens: usize,
    longest_prompt: usize,
    model: &ModelConfig,
    findings: &mut Vec<Finding>,
) {
    let needed = longest_prompt + max_tokens;
    if needed > model.max_positions {
        let message = format!(
            "the longest prompt ({longest_prompt} tokens) and a completion of {max_tokens} need {needed} positions, the \
             checkpoint has {} (`max_position_embeddings`)",
            model.max_positions
        );
        findings.push(Finding::error(key, message).hint("lower it, or `data.max_prompt_tokens`"));
    }
}

/// Whether prompts were left out for their length.
pub(super) fn left_out(key: &str, set: &PromptSet, limit: usize, findings: &mut Vec<Finding>) {
    let n_all = set.problems().len() + set.n_too_long();
    if set.n_too_long() > 0 {
        let message = format!(
            "{} of {n_all} prompts are longer than {limit} tokens and are left out, the longest has {}",
            set.n_too_long(),
            set.longest()
        );
        findings.push(Finding::warning(key, message));
    }
}

/// Whether the data's own worked solutions would be cut at the token limit.
pub(super) fn solutions(run: &RunConfig, set: &PromptSet, tokenizer: &Tokenizer, findings: &mut Vec<Finding>) {
    let limit = longest_completion(run);
    let lengths: Vec<usize> = set.problems()[..set.problems().len().min(LOOKED_AT)]
        .par_iter()
        .filter_map(|one| one.problem.columns.get("solution").and_then(Value::as_str))
        .map(|solution| tokenizer.encode(solution, false).len())
        .collect();
    let n_cut = lengths.iter().filter(|length| **length > limit).count();
    if n_cut as f64 > CUT * lengths.len() as f64 {
        let longest = lengths.iter().max().unwrap_or(&0);
        let message = format!(
            "{n_cut} of {} worked solutions of the data are longer than {limit} tokens (the longest has {longest}): \
             completions like them will be cut",
            lengths.len()
        );
        findings.push(Finding::warning("rollout.max_tokens", message));
    }
}

/// Whether the key-value budget holds a completion, and a group at once.
pub(super) fn cache(run: &RunConfig, model: &ModelConfig, longest_prompt: usize, findings: &mut Vec<Finding>) {
    let key = "rollout.kv_bytes";
    let per_token = token_bytes(model);
    let budget = run.rollout.kv_bytes;
    let max_tokens = longest_completion(run);
    let one = (longest_prompt + max_tokens) as u64 * per_token;
    if budget < one {
        let message = format!(
            "{} hold {} tokens, the longest prompt and one completion need {}",
            bytes(budget),
            budget / per_token.max(1),
            longest_prompt + max_tokens
        );
        findings.push(Finding::error(key, message).hint(format!("give it at least {one} bytes")));
        return;
    }
    let Some(grpo) = &run.grpo else { return };
    let group = (longest_prompt + grpo.group_size * max_tokens) as u64 * per_token;
    if budget < group {
        let message = format!(
            "{} do not hold a group of {} completions of {max_tokens} tokens ({}): some will wait for others",
            bytes(budget),
            grpo.group_size,
            bytes(group)
        );
        findings.push(Finding::warning(key, message));
    }
}
