//! `EvalSets`: held-out problems ready to be put to a policy, and [`evaluate`], which does so.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use crossbeam_channel::Receiver;
use model::philox::Purpose;
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use rewards::{Rubric, RuleConfig};
use rollout::group::Group;
use rollout::pool::{PoolError, Request, RolloutPool};
use rollout::prompt::Prompt;
use rollout::sampling::SamplingConfig;
use tracing::debug_span;

use super::EvalConfig;
use super::evaluation::{Evaluation, Outcome, Shown};
use crate::config::RunConfig;
use crate::prompting::{PreparedProblem, PromptSet};
use crate::samples::SampleRecord;
use crate::scoring::samples;
use crate::workers;

/// Problems of a set whose first completion is kept to be shown to a person.
const SHOWN: usize = 4;

/// Held-out sets, their prompts made once, with how they are sampled and judged.
#[derive(Clone, Debug)]
pub struct EvalSets {
    sets: Vec<Set>,
    samples: usize,
    max_tokens: usize,
    sampling: SamplingConfig,
    judge: Rubric,
}

#[derive(Clone, Debug)]
struct Set {
    name: String,
    problems: Vec<PreparedProblem>,
    prompts: Vec<Prompt>,
    /// Problems whose prompt is too long, and that are left out.
    n_too_long: usize,
}

impl EvalSets {
    /// Opens every set of `config` and words and encodes its problems.
    ///
    /// `rewards` are the run's rules, of which the first that judges holds where `config` names none; `max_tokens` is
    /// the run's limit, where `config` names none.
    ///
    /// # Errors
    /// When a set cannot be read or none of its prompts is short enough, when no rule says what is right, or when no
    /// completion is asked for.
    pub fn open(
        config: &EvalConfig,
        rewards: &[RuleConfig],
        max_tokens: usize,
        tokenizer: &Arc<Tokenizer>,
        seed: u64,
    ) -> Result<EvalSets> {
        let judge = judge(config, || own_judge(rewards))?;
        if let Some((_, error)) = judge.open().into_iter().next() {
            bail!("open `eval.rule`: {error}");
        }
        let open = |set: &super::EvalSet| -> Result<(String, PromptSet)> {
            let mut opened = PromptSet::open(&set.data, tokenizer, seed)
                .with_context(|| format!("open the held-out set `{}`", set.name))?;
            opened.keep_first(set.n_problems.unwrap_or(usize::MAX));
            Ok((set.name.clone(), opened))
        };
        let sets = config.sets.iter().map(open).collect::<Result<_>>()?;
        Ok(EvalSets::new(config, judge, max_tokens, sets))
    }

    /// The sets of a run, where it has any, as its check opened them: each cut to its `n_problems`, and the rules that
    /// say what is right.
    pub fn of(config: &RunConfig, opened: Vec<(String, PromptSet)>, judge: Option<Rubric>) -> Result<Option<EvalSets>> {
        let Some(eval) = &config.eval else { return Ok(None) };
        let judge = judge.context("no rule says which completion is right: set `eval.rule`")?;
        Ok(Some(EvalSets::new(eval, judge, config.rollout.max_tokens, opened)))
    }

    fn new(config: &EvalConfig, judge: Rubric, max_tokens: usize, opened: Vec<(String, PromptSet)>) -> EvalSets {
        let set = |(name, opened): (String, PromptSet)| Set {
            name,
            problems: opened.problems().to_vec(),
            prompts: opened.problems().iter().map(|one| one.prompt.clone()).collect(),
            n_too_long: opened.n_too_long(),
        };
        EvalSets {
            sets: opened.into_iter().map(set).collect(),
            samples: config.samples,
            max_tokens: config.max_tokens.unwrap_or(max_tokens),
            sampling: config.sampling.clone(),
            judge,
        }
    }

    /// Each set's name, problems, and how many others were left out because their prompt is too long.
    pub fn sizes(&self) -> impl ExactSizeIterator<Item = (&str, usize, usize)> {
        self.sets.iter().map(|set| (set.name.as_str(), set.problems.len(), set.n_too_long))
    }

    /// Longest completion, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

/// Samples completions of every problem of every set and judges them while others are sampled.
///
/// The draws are keyed by `seed` and `step`, so that what comes out depends on neither the number of replicas nor the
/// order in which they finish.
pub fn evaluate(
    policy: &Policy,
    pool: &mut RolloutPool,
    sets: &EvalSets,
    seed: u64,
    step: u64,
    cancel: &AtomicBool,
) -> Result<Vec<Evaluation>, PoolError> {
    let request = Request {
        seed,
        purpose: Purpose::Evaluation,
        step,
        n: sets.samples,
        max_tokens: sets.max_tokens,
        sampling: &sets.sampling,
        cancel,
    };
    let mut evaluations = Vec::with_capacity(sets.sets.len());
    for (i, set) in sets.sets.iter().enumerate() {
        let (sender, groups) = crossbeam_channel::unbounded::<(usize, Group)>();
        let outcomes = thread::scope(|scope| {
            let judge = || judge_as_sampled(set, &sets.judge, step, &groups);
            let scorers: Vec<_> =
                (0..pool.threads()).map(|i| workers::start(scope, format!("scorer {i}"), judge)).collect();
            let sampled = pool.sample(policy, &request, &set.prompts, &sender);
            drop(sender);
            let outcomes = scorers.into_iter().map(|one| one.join().expect("rules do not panic, whatever the text"));
            let mut outcomes: Vec<(usize, Outcome)> = outcomes.flatten().collect();
            outcomes.sort_by_key(|(place, _)| *place);
            sampled.map(|()| outcomes.into_iter().map(|(_, outcome)| outcome).collect())
        })?;
        evaluations.push(Evaluation::of(&set.name, i == 0, sets.samples, outcomes));
    }
    Ok(evaluations)
}

/// The outcomes of the groups that come, with their places.
fn judge_as_sampled(set: &Set, judge: &Rubric, step: u64, groups: &Receiver<(usize, Group)>) -> Vec<(usize, Outcome)> {
    let outcome = |(place, group): (usize, Group)| {
        let _span = debug_span!("score", group = place).entered();
        let shown = (place < SHOWN).then_some(step);
        let mut outcome = outcome(judge, &set.problems[place], &group, shown);
        if let Some(shown) = &mut outcome.shown {
            shown.record.set = Some(set.name.clone());
        }
        (place, outcome)
    };
    groups.iter().map(outcome).collect()
}

/// The rules of a run that say which completion is right, where there are any.
fn own_judge(rewards: &[RuleConfig]) -> Result<Option<Rubric>> {
    let judged = rewards.iter().any(RuleConfig::judges);
    if judged { Ok(Rubric::new(rewards).context("read `rewards`")?.judging()) } else { Ok(None) }
}

/// The rule of `config` that says which completion is right, or else `own`, those of the run.
pub(crate) fn judge(config: &EvalConfig, own: impl FnOnce() -> Result<Option<Rubric>>) -> Result<Rubric> {
    ensure!(config.samples > 0, "`eval.samples` is 0: an evaluation needs at least one completion of a problem");
    let Some(rule) = &config.rule else {
        return own()?.context("no rule says which completion is right: set `eval.rule`");
    };
    ensure!(rule.judges(), "`eval.rule` must be a rule that says what is right, such as `accuracy`");
    Rubric::only(rule).context("read `eval.rule`")
}

/// What became of a group. Its first completion is kept where a step is given, in which it is shown.
fn outcome(judge: &Rubric, problem: &PreparedProblem, group: &Group, shown: Option<u64>) -> Outcome {
    let samples = samples(problem, group);
    // Partial credit is not a right answer.
    let scores = judge.score_group(&samples);
    let verdicts: Vec<Option<bool>> = scores.iter().map(|score| score.right).collect();

    let mut outcome = Outcome {
        lengths: samples.iter().map(|sample| sample.n_tokens).collect(),
        n_cut: samples.iter().filter(|sample| sample.truncated).count(),
        ..Outcome::default()
    };
    for (sample, verdict) in samples.iter().zip(&verdicts) {
        match verdict {
            Some(correct) => {
                outcome.judged.correct.push(*correct);
                outcome.judged.answers.push(judge.answer(sample));
            }
            None => outcome.unscored += 1,
        }
    }
    if let (Some(step), Some(first), Some(score)) = (shown, group.completions.first(), scores.first()) {
        outcome.shown = Some(Shown {
            question: problem.problem.prompt.text(),
            expected: problem.problem.expected.clone(),
            correct: verdicts[0],
            record: SampleRecord::new(step, problem, first, score),
        });
    }
    outcome
}

#[cfg(test)]
mod tests;
