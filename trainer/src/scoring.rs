//! Scores completions while others are still being sampled.
//!
//! A completion goes to a scorer as soon as it is finished, and its group is completed by whoever scores its last one.
//! Scorers are threads of their own: no replica waits for a rule.

mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use model::policy::Policy;
use rewards::{Rubric, Sample, Score, ScoredAlone};
use rollout::completion::{Completion, FinishReason};
use rollout::group::Group;
use rollout::pool::{Finished, PoolError, Request, RolloutPool};
use rollout::prompt::Prompt;
use tracing::debug_span;

use crate::advantage::RuleValues;
use crate::prompting::PreparedProblem;
use crate::step_log::{Progress, StepLog};
use crate::workers;
pub(crate) use tally::log_rules;

/// The groups of a step, in prompt order, with their scores.
#[derive(Debug)]
pub struct Scored {
    /// The groups, `[P]`.
    pub groups: Vec<Group>,
    /// A score for each completion, `[P][G]`.
    pub scores: Vec<Vec<Score>>,
    /// Share of the scoring time during which sampling went on, 0 to 1; 1 where there was nothing to score.
    pub hidden: f64,
}

impl Scored {
    /// The rewards, `[P][G]`; `None` where a score could not be computed.
    pub fn rewards(&self) -> Vec<Vec<Option<f64>>> {
        self.scores.iter().map(|group| group.iter().map(|score| score.total).collect()).collect()
    }

    /// What each rule gave, `[P]` groups.
    pub fn values(&self) -> Vec<RuleValues> {
        self.scores.iter().map(|group| values(group)).collect()
    }
}

/// The values of a group's rules. They are the same rules for every completion: they go by row and step.
fn values(scores: &[Score]) -> RuleValues {
    let parts = |score: &Score| score.parts.iter().map(|part| part.counted().flatten()).collect();
    RuleValues {
        weights: scores.first().into_iter().flat_map(|score| &score.parts).map(|part| part.weight).collect(),
        values: scores.iter().map(|score| score.total.map(|_| parts(score))).collect(),
    }
}

/// The share of `work`, from when to when each completion was scored, that was done before sampling ended.
fn hidden_share(work: &[(Instant, Instant)], sampled: Instant) -> f64 {
    let busy: Duration = work.iter().map(|(from, to)| *to - *from).sum();
    let hidden: Duration = work.iter().map(|(from, to)| (*to).min(sampled).saturating_duration_since(*from)).sum();
    if busy.is_zero() { 1.0 } else { hidden.div_duration_f64(busy) }
}

/// Samples a group for each problem and scores its completions as they are finished, on as many threads as there are
/// replicas; `log` gets the time, and `bar` moves with each group.
///
/// # Errors
/// Those of the pool; scorers too stop where it is cancelled. A completion never makes one: a malformed one has a low
/// score.
pub fn sample_and_score(
    policy: &Policy,
    pool: &mut RolloutPool,
    rubric: &Rubric,
    request: &Request<'_>,
    problems: &[&PreparedProblem],
    log: &StepLog,
    bar: &Progress,
) -> Result<Scored, PoolError> {
    let span = log.span("sample");
    let prompts = prompts(problems);
    let groups = prompts.iter().map(|_| Mutex::new(Open::of(request.n))).collect();
    let scoring = Scoring { rubric, step: request.step, cancel: request.cancel, problems, bar, groups };
    let n_scorers = pool.threads();
    let (sender, finished) = crossbeam_channel::unbounded();
    let (work, sampled) = thread::scope(|scope| {
        let scorers: Vec<_> =
            (0..n_scorers).map(|i| workers::start(scope, format!("scorer {i}"), || scoring.run(&finished))).collect();
        let sampled = pool.sample_each(policy, request, &prompts, |one| {
            sender.send(one).expect("scorers listen until the channel is closed");
        });
        let end = Instant::now();
        // What is left to score now is not hidden.
        let _exposed = log.span("score");
        drop(sender);
        let work = scorers.into_iter().map(|one| one.join().expect("rules do not panic, whatever the text"));
        (work.flatten().collect::<Vec<_>>(), sampled.map(|()| end))
    });
    drop(span);
    let hidden = hidden_share(&work, sampled?);
    let groups = scoring.groups.into_iter().map(|open| open.into_inner().unwrap_or_else(PoisonError::into_inner));
    let groups: Vec<Open> = groups.collect();
    if groups.iter().any(|open| !open.alone.is_empty()) {
        return Err(PoolError::Cancelled);
    }
    let whole = |(open, prompt): (Open, Prompt)| {
        let completions = open.completions.into_iter().flatten().collect();
        (Group { prompt, completions }, open.scores)
    };
    let (groups, scores) = groups.into_iter().zip(prompts).map(whole).unzip();
    Ok(Scored { groups, scores, hidden })
}

/// The problems' prompts. A problem that stands in a step a second time, at the border of two epochs, draws by another
/// index: the same draws would only repeat its first group.
fn prompts(problems: &[&PreparedProblem]) -> Vec<Prompt> {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let prompt = |one: &&PreparedProblem| {
        let times = seen.entry(one.prompt.index).or_default();
        *times += 1;
        Prompt { index: one.prompt.index | (*times - 1) << 48, tokens: one.prompt.tokens.clone() }
    };
    problems.iter().map(prompt).collect()
}

/// What scorers share.
struct Scoring<'a> {
    rubric: &'a Rubric,
    step: u64,
    /// Set where nobody waits for the scores any more.
    cancel: &'a AtomicBool,
    problems: &'a [&'a PreparedProblem],
    bar: &'a Progress,
    /// `[P]`.
    groups: Vec<Mutex<Open>>,
}

/// A group, and what is known of it so far.
struct Open {
    completions: Vec<Option<Completion>>,
    alone: Vec<Option<ScoredAlone>>,
    /// Empty until all completions are there.
    scores: Vec<Score>,
}

impl Open {
    fn of(n: usize) -> Open {
        Open { completions: vec![None; n], alone: vec![None; n], scores: Vec::new() }
    }
}

impl Scoring<'_> {
    /// Scores what comes until nothing more will, or nobody waits for it. From when to when each completion took.
    fn run(&self, finished: &Receiver<Finished>) -> Vec<(Instant, Instant)> {
        let timed = |one: Finished| {
            let from = Instant::now();
            let _span = debug_span!("score", group = one.place, sample = one.sample).entered();
            self.score(one);
            (from, Instant::now())
        };
        // A user's rule may take long: a run that is interrupted waits for no more than one completion of each scorer.
        finished.iter().take_while(|_| !self.cancel.load(Ordering::Relaxed)).map(timed).collect()
    }

    fn score(&self, Finished { place, sample, completion }: Finished) {
        let problem = self.problems[place];
        let alone = self.rubric.score_alone(&read(problem, &completion, Some(self.step)));
        let mut open = self.groups[place].lock().unwrap_or_else(PoisonError::into_inner);
        open.completions[sample] = Some(completion);
        open.alone[sample] = Some(alone);
        if open.alone.iter().all(Option::is_some) {
            let alone = std::mem::take(&mut open.alone).into_iter().flatten().collect();
            let completions = open.completions.iter().flatten();
            let samples: Vec<Sample<'_>> = completions.map(|one| read(problem, one, Some(self.step))).collect();
            let scores = self.rubric.complete(&samples, alone);
            open.scores = scores;
            self.bar.advance(1);
        }
    }
}

/// What rules read of the completions of a problem, outside of training.
pub(crate) fn samples<'a>(problem: &'a PreparedProblem, group: &'a Group) -> Vec<Sample<'a>> {
    group.completions.iter().map(|completion| read(problem, completion, None)).collect()
}

fn read<'a>(problem: &'a PreparedProblem, completion: &'a Completion, step: Option<u64>) -> Sample<'a> {
    Sample {
        prompt: &problem.text,
        messages: problem.problem.prompt.messages(),
        completion: &completion.text,
        tokens: &completion.tokens,
        n_tokens: completion.tokens.len(),
        truncated: completion.finish == FinishReason::Length,
        expected: &problem.problem.expected,
        columns: &problem.problem.columns,
        step,
    }
}

#[cfg(test)]
mod tests;
