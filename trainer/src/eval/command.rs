//! `grouper eval`: a checkpoint against held-out problems.

use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use model::config::{ModelConfig, PolicyConfig};
use model::policy::Policy;
use model::team;
use model::tokenizer::Tokenizer;
use rewards::{Accuracy, AccuracyKind, Extract, RuleConfig};
use rollout::pool::{RolloutConfig, RolloutPool};

use super::evaluation::{Evaluation, table};
use super::sets::{EvalSets, evaluate};
use super::{EvalConfig, EvalSet};
use crate::config::{DataConfig, RunConfig};
use crate::data::{Fields, Files, Source, Template};
use crate::device;
use crate::hub;
use crate::stopping::StopIds;

/// Evaluates `config.model` on the sets of `config.eval` and writes a table to `out`, or with `json` an array of
/// [`Evaluation`]s.
///
/// # Errors
/// When `config` has no `[eval]` table, when checkpoint or problems cannot be read, or when sampling fails.
pub fn run(config: &RunConfig, json: bool, cancel: &AtomicBool, out: &mut impl Write) -> Result<Vec<Evaluation>> {
    let eval = config.eval.as_ref().context("the config has no `[eval]` table")?;
    let folder = hub::resolve(&config.model.checkpoint)?;
    let tokenizer = Arc::new(Tokenizer::from_folder(&folder)?);
    // Problems first: a set that cannot be read is found before gigabytes of weights are.
    let sets = EvalSets::open(eval, &config.rewards, config.rollout.max_tokens, &tokenizer, config.seed)?;
    let device = device::open(config.model.device)?;
    let mut policy = Policy::load(&folder, &config.model, config.seed)
        .with_context(|| format!("load policy `{}`", folder.display()))?;
    policy.set_vocabulary(tokenizer.vocab_size());
    if let Some(device) = device {
        policy.compute_on(device);
    }
    let stop = StopIds::find(&folder, policy.config(), &tokenizer)?.rules(&config.rollout.stop);
    let replicas = config.run.workers.unwrap_or_else(team::cores).max(1);
    let mut pool = RolloutPool::new(&config.rollout, replicas, policy.config(), tokenizer, stop);

    let evaluations = evaluate(&policy, &mut pool, &sets, config.seed, 0, cancel).context("sample completions")?;
    let text = match json {
        true => serde_json::to_string_pretty(&evaluations)? + "\n",
        false => table(&evaluations),
    };
    out.write_all(text.as_bytes()).context("write the table")?;
    Ok(evaluations)
}

/// The run of `grouper eval --model DIR --data FILE`: the numbers in the file's answers, found in whatever form a
/// completion gives them, sampled as R1 was evaluated.
///
/// `template` is the checkpoint's chat template, where it has one and none is asked for, else R1-Zero's prompt. Prompts
/// that leave no room for `max_tokens` are left out and counted.
///
/// # Errors
/// When the checkpoint's config.json or tokenizer cannot be read.
pub fn config_for(
    model: &Path,
    data: &Path,
    template: Option<Template>,
    max_tokens: Option<NonZero<usize>>,
) -> Result<RunConfig> {
    let folder = hub::resolve(model)?;
    let positions = ModelConfig::from_folder(&folder)?.max_positions;
    let rollout = RolloutConfig::default();
    let max_tokens = max_tokens.map_or(rollout.max_tokens.min(positions / 2), NonZero::get);
    let template = match template {
        Some(template) => template,
        None => match Tokenizer::from_folder(&folder)?.chat_template() {
            Some(_) => Template::Chat,
            None => Template::R1Zero,
        },
    };
    let files = Files { paths: vec![data.to_owned()], layout: None, fields: Fields::default(), limit: None };
    let max_prompt_tokens = positions.saturating_sub(max_tokens).max(1);
    let problems =
        DataConfig { source: Source::Files(files), template, system_prompt: None, effort: None, max_prompt_tokens };
    let name = data.file_stem().map_or_else(|| "data".into(), |stem| stem.to_string_lossy().into_owned());
    // An answer with `####` is GSM8K's; one without is taken whole.
    let rule = RuleConfig::Accuracy(Accuracy::new(1.0, AccuracyKind::Gsm8k, Extract::Any, None));
    let sets = vec![EvalSet { name: name.clone(), data: problems.clone(), n_problems: None }];
    Ok(RunConfig {
        name,
        seed: 0,
        model: PolicyConfig::new(model),
        data: problems,
        rollout: RolloutConfig { max_tokens, ..rollout },
        rewards: Vec::new(),
        grpo: None,
        sft: None,
        optimizer: Default::default(),
        router: Default::default(),
        eval: Some(EvalConfig::of(sets, rule)),
        run: Default::default(),
        places: Default::default(),
    })
}

#[cfg(test)]
mod tests;
