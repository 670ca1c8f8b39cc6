//! Do prompts and completions fit: the context, the cache, the data's own solutions?

use model::attention::TILE;
use model::config::ModelConfig;
use model::tokenizer::Tokenizer;
use rayon::prelude::*;
use rollout::pool::page_bytes;
use serde_json::Value;

use super::Finding;
use super::memory::{bytes, pages};
use super::work::longest_completion;
use crate::config::RunConfig;
use crate::prompting::PromptSet;
use crate::sft::Sequences;

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

/// Whether the longest document that fine-tuning keeps fits in the positions of the checkpoint.
pub(super) fn documents(max_tokens: usize, model: &ModelConfig, findings: &mut Vec<Finding>) {
    if max_tokens > model.max_positions {
        let message = format!(
            "documents of {max_tokens} tokens do not fit: the checkpoint has {} positions (`max_position_embeddings`)",
            model.max_positions
        );
        findings.push(Finding::error("sft.max_tokens", message));
    }
}

/// Whether documents were left out for their length.
pub(super) fn documents_left_out(sequences: &Sequences, limit: usize, findings: &mut Vec<Finding>) {
    let n_too_long = sequences.n_too_long;
    if n_too_long > 0 {
        let n_all = sequences.all.len() + n_too_long;
        let message = format!("{n_too_long} of {n_all} documents are longer than {limit} tokens and are left out");
        findings.push(Finding::warning("sft.max_tokens", message));
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

/// Whether each replica's share of the key-value budget holds a completion, and a group at once.
pub(super) fn cache(
    run: &RunConfig,
    model: &ModelConfig,
    replicas: usize,
    longest_prompt: usize,
    findings: &mut Vec<Finding>,
) {
    let key = "rollout.kv_bytes";
    let page = page_bytes(&run.rollout, model) as u64;
    let share = run.rollout.kv_bytes / replicas as u64 / page;
    let max_tokens = longest_completion(run);
    let (prompt, completion) = pages(longest_prompt, max_tokens);
    let at_least = |pages: u64| format!("give it at least {} bytes", pages * page * replicas as u64);
    if share < prompt + completion {
        let message = format!(
            "{} give each of {replicas} replicas room for {} tokens; the longest prompt ({longest_prompt}) and a \
             completion of {max_tokens} need {}",
            bytes(run.rollout.kv_bytes),
            share * TILE as u64,
            (prompt + completion) * TILE as u64
        );
        findings.push(Finding::error(key, message).hint(at_least(prompt + completion)));
        return;
    }
    let Some(grpo) = &run.grpo else { return };
    let group = prompt + grpo.group_size as u64 * completion;
    if share < group {
        let message = format!(
            "{} do not give each of {replicas} replicas room for a whole group ({} completions of {max_tokens} tokens): \
             some wait for others",
            bytes(run.rollout.kv_bytes),
            grpo.group_size
        );
        findings.push(Finding::warning(key, message).hint(at_least(group)));
    }
}
