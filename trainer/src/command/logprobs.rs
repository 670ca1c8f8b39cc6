//! `grouper logprobs`: log-probabilities of given tokens, by the training forward.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use model::backward::Targets;
use model::buffer::Buffer;
use model::packed::Packed;
use model::policy::Policy;
use model::team::{self, Team};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trainer::cli::LogprobsArgs;
use trainer::config::Ending;
use trainer::durable;
use trainer::mistake::Mistake;

use super::checkpoint;

/// Rows of a microbatch, at most, but for a single longer sequence.
const MICROBATCH_TOKENS: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    tokens: Vec<i64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    logprobs: &'a [f32],
}

/// Reads sequences, writes their log-probabilities and, where asked, the norms of a gradient.
pub(crate) fn run(arguments: &LogprobsArgs) -> Result<Ending> {
    let (_, policy) = checkpoint::open(&arguments.checkpoint)?;
    let sequences = read(&arguments.input, &policy)?;
    let mut gradient = arguments.grad_norms.as_ref().map(|_| Buffer::zeros(policy.layout().len()));
    let found =
        Team::new(team::cores()).lead(|| logprobs(&policy, &sequences, arguments.temperature, gradient.as_mut()));

    let mut lines = Vec::new();
    for logprobs in &found {
        serde_json::to_writer(&mut lines, &Answer { logprobs })?;
        lines.push(b'\n');
    }
    durable::write_file(&arguments.output, &lines)?;
    if let (Some(path), Some(gradient)) = (&arguments.grad_norms, &gradient) {
        durable::write_file(path, &serde_json::to_vec_pretty(&norms(&policy, gradient))?)?;
    }
    Ok(Ending::Finished)
}

/// The sequences of a JSONL file, each checked against the policy's vocabulary and positions.
fn read(path: &Path, policy: &Policy) -> Result<Vec<Vec<i64>>> {
    let reading = || format!("read `{}`", path.display());
    let file = File::open(path).map_err(|error| Mistake::new(error.to_string())).with_context(reading)?;
    let (vocabulary, positions) = (policy.vocabulary() as i64, policy.config().max_positions);
    let mut sequences = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(reading)?;
        if line.trim().is_empty() {
            continue;
        }
        let refuse = |message: String| Mistake::new(format!("line {}: {message}", index + 1));
        let Line { tokens } = serde_json::from_str(&line)
            .map_err(|error| {
                refuse(format!("column {}: no list of tokens", error.column()))
                    .hint("a line is `{\"tokens\": [1, 2, 3]}`")
            })
            .with_context(reading)?;
        if let Some(token) = tokens.iter().find(|token| !(0..vocabulary).contains(*token)) {
            bail!(
                anyhow::Error::new(refuse(format!("token {token} is outside the vocabulary, 0 to {}", vocabulary - 1)))
                    .context(reading())
            );
        }
        if tokens.len() > positions {
            let message = format!("{} tokens, and the policy has {positions} positions", tokens.len());
            bail!(anyhow::Error::new(refuse(message)).context(reading()));
        }
        sequences.push(tokens);
    }
    Ok(sequences)
}

/// Log-probabilities of every token but the first of each sequence; adds to `gradient` that of their negative mean.
fn logprobs(
    policy: &Policy,
    sequences: &[Vec<i64>],
    temperature: f32,
    mut gradient: Option<&mut Buffer>,
) -> Vec<Vec<f32>> {
    let n_targets: usize = sequences.iter().map(|tokens| tokens.len().saturating_sub(1)).sum();
    let slope = -1.0 / n_targets.max(1) as f32;
    let mut answers = Vec::with_capacity(sequences.len());
    for microbatch in microbatches(sequences) {
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        for tokens in microbatch.iter().filter(|tokens| tokens.len() > 1) {
            let segment = packed.push(tokens);
            targets.push_sequence(i64::from(segment.start), tokens);
        }
        let mut found = Vec::with_capacity(targets.rows.len());
        match &mut gradient {
            _ if targets.rows.is_empty() => {}
            Some(gradient) => policy.backward(&packed, &targets, temperature, true, gradient, &mut |range, chunk| {
                found.extend_from_slice(&chunk.logprobs);
                vec![slope; range.len()]
            }),
            None => found = policy.logprobs(&packed, &targets, temperature).logprobs,
        }
        let mut found = found.as_slice();
        for tokens in microbatch {
            let (own, rest) = found.split_at(tokens.len().saturating_sub(1));
            answers.push(own.to_vec());
            found = rest;
        }
    }
    answers
}

/// `sequences`, in order, cut where the next one would exceed [`MICROBATCH_TOKENS`].
fn microbatches(sequences: &[Vec<i64>]) -> impl Iterator<Item = &[Vec<i64>]> {
    let mut rest = sequences;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fits = rest.iter().take_while(|sequence| {
            tokens += sequence.len();
            tokens <= MICROBATCH_TOKENS
        });
        let n = fits.count().max(1);
        let (head, tail) = rest.split_at_checked(n)?;
        rest = tail;
        Some(head)
    })
}

/// The L2 norm of every parameter's part of `gradient`, by its name in the checkpoint.
fn norms(policy: &Policy, gradient: &[f32]) -> Map<String, Value> {
    let norm = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let parameters = policy.layout().parameters().iter();
    parameters.map(|parameter| (parameter.name.clone(), norm(&gradient[parameter.range()]).into())).collect()
}
