//! `grouper sample`: completions of one prompt.

use std::io::Write;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, unbounded};
use model::kv_cache::KvCache;
use model::philox::Purpose;
use model::tokenizer::Tokenizer;
use rollout::completion::{Completion, FinishReason};
use rollout::group::Group;
use rollout::pool::{Drawn, Request, RolloutConfig, RolloutPool};
use rollout::prompt::Prompt;
use rollout::sampling::SamplingConfig;
use rollout::stopping::StopRules;
use serde::Serialize;
use trainer::cli::SampleArgs;
use trainer::config::Ending;
use trainer::data::PromptText;
use trainer::mistake::Mistake;
use trainer::prompting::Prompter;
use trainer::stopping::StopIds;

use super::checkpoint;

/// Completions decoded at once, at most: those of one prompt share one replica.
const MAX_BATCH: usize = 64;

/// Longest completion where the command line does not say.
const MAX_TOKENS: usize = 256;

/// Samples and prints; one plain completion is printed while it grows.
pub(crate) fn run(arguments: &SampleArgs) -> Result<Ending> {
    let (folder, policy) = checkpoint::open(&arguments.checkpoint)?;
    let tokenizer = checkpoint::tokenizer(&folder)?;
    let prompter = Prompter::worded(&tokenizer, arguments.template, None)?;
    let tokens = prompter.encode(&prompter.text(&PromptText::Text(arguments.prompt.clone()))?);
    let prompt = Prompt { index: 0, tokens };
    let positions = policy.config().max_positions;
    if prompt.tokens.is_empty() {
        return Err(Mistake::new("the prompt has no token").into());
    }
    let max_tokens = max_tokens(prompt.tokens.len(), arguments.max_tokens, positions)?;

    let stop = StopIds::find(&folder, policy.config(), &tokenizer)?.rules(&[]);
    let n = arguments.n.get();
    let pages = KvCache::pages_for(prompt.tokens.len() + max_tokens) + 1;
    let batch = n.min(MAX_BATCH);
    let config = RolloutConfig {
        max_batch: batch,
        kv_bytes: (pages * (batch + 1) * KvCache::page_bytes(policy.config())) as u64,
        ..RolloutConfig::default()
    };
    let mut pool = RolloutPool::new(&config, 1, policy.config(), Arc::clone(&tokenizer), stop.clone());
    let streams = n == 1 && !arguments.json && !arguments.tokens;
    let drawn = streams.then(|| {
        let (sender, drawn) = unbounded();
        pool.watch(sender);
        drawn
    });
    let (sender, groups) = unbounded();
    let sampling = SamplingConfig {
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        top_k: arguments.top_k,
        min_p: arguments.min_p,
    };
    let written = thread::scope(|scope| {
        let (tokenizer, stop) = (&tokenizer, &stop);
        let writer = drawn.map(|drawn| scope.spawn(move || write_drawn(&drawn, tokenizer, stop)));
        let never = AtomicBool::new(false);
        let request = Request {
            seed: arguments.seed,
            purpose: Purpose::Sample,
            step: 0,
            n,
            max_tokens,
            sampling: &sampling,
            cancel: &never,
        };
        let sampled = pool.sample(&policy, &request, &[prompt], &sender);
        // Its channel closes with the pool, which ends the writer.
        drop(pool);
        let written = writer.map_or(Ok(()), |writer| writer.join().expect("the writer does not panic"));
        sampled.context("sample").and(written)
    });
    written?;
    drop(sender);
    if !streams {
        for (_, group) in groups {
            print(&group, arguments, &tokenizer)?;
        }
    }
    Ok(Ending::Finished)
}

/// How long a completion may be: as `asked`, else the default or what `prompt` tokens leave of `positions`.
fn max_tokens(prompt: usize, asked: Option<NonZero<usize>>, positions: usize) -> Result<usize> {
    let left = positions.saturating_sub(prompt);
    match asked.map(NonZero::get) {
        None if left > 0 => Ok(left.min(MAX_TOKENS)),
        None => {
            Err(Mistake::new(format!("the prompt's {prompt} tokens fill the policy's {positions} positions")).into())
        }
        Some(asked) if asked <= left => Ok(asked),
        Some(asked) => {
            let both = format!("{prompt} tokens of prompt and {asked} of completion");
            let mistake = Mistake::new(format!("{both} exceed the policy's {positions} positions"));
            Err(mistake.hint("turn `--max-tokens` down").into())
        }
    }
}

/// Writes text as soon as no later token can change it, and a line end behind it.
fn write_drawn(drawn: &Receiver<Drawn>, tokenizer: &Tokenizer, stop: &StopRules) -> Result<()> {
    let mut stream = tokenizer.stream(false);
    let mut stdout = std::io::stdout().lock();
    let mut write = |text: &str| stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    for Drawn { token, .. } in drawn {
        if !stop.ids.contains(&token) {
            write(&stream.push(token)).context("write to standard output")?;
        }
    }
    write(&(stream.finish() + "\n")).context("write to standard output")
}

fn print(group: &Group, arguments: &SampleArgs, tokenizer: &Tokenizer) -> Result<()> {
    let mut text = String::new();
    for (index, completion) in group.completions.iter().enumerate() {
        if arguments.json {
            text += &line(group, completion, arguments.tokens)?;
            continue;
        }
        if group.completions.len() > 1 {
            text += &format!("--- {} of {}\n", index + 1, group.completions.len());
        }
        if arguments.tokens {
            for (token, logprob) in completion.tokens.iter().zip(&completion.logprobs) {
                let spelled = tokenizer.token(*token).unwrap_or_default();
                text += &format!("{token}\t{logprob}\t{spelled}\n");
            }
        } else {
            text += &format!("{}\n", completion.text);
        }
    }
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")
}

/// A completion as one line of JSON. Log-probabilities are written as f32: the shortest text that reads back the same.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    finish: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a [f32]>,
}

fn line<'a>(group: &'a Group, completion: &'a Completion, tokens: bool) -> Result<String> {
    let line = Line {
        text: &completion.text,
        finish: match completion.finish {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
        },
        prompt_tokens: tokens.then_some(&group.prompt.tokens),
        tokens: tokens.then_some(&completion.tokens),
        logprobs: tokens.then_some(&completion.logprobs),
    };
    Ok(serde_json::to_string(&line)? + "\n")
}
