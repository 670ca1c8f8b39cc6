//! Scores groups while others are still being sampled.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use model::policy::Policy;
use rewards::{Rubric, Sample, Score};
use rollout::completion::{Completion, FinishReason};
use rollout::group::Group;
use rollout::pool::{PoolError, Request, RolloutPool};
use rollout::prompt::Prompt;

use crate::prompting::PreparedProblem;
use crate::step_log::Progress;

/// The groups of a step, in prompt order, with their scores.
#[derive(Debug)]
pub struct Scored {
    /// The groups, `[P]`.
    pub groups: Vec<Group>,
    /// A score for each completion, `[P][G]`.
    pub scores: Vec<Vec<Score>>,
    /// Share of the scoring time that sampling hid; 1 where there was nothing to score.
    pub hidden: f64,
}

impl Scored {
    /// The rewards, `[P][G]`; `None` where a score could not be computed.
    pub fn rewards(&self) -> Vec<Vec<Option<f64>>> {
        self.scores.iter().map(|group| group.iter().map(|score| score.total).collect()).collect()
    }
}

/// Samples a group for each problem and scores it on rayon's threads as soon as it is complete; `bar` moves with each.
///
/// # Errors
/// Those of the pool. A completion never makes one: a malformed one has a low score.
pub fn sample_and_score(
    policy: &Policy,
    pool: &mut RolloutPool,
    rubric: &Rubric,
    request: &Request<'_>,
    problems: &[&PreparedProblem],
    bar: &Progress,
) -> Result<Scored, PoolError> {
    let prompts = prompts(problems);
    let (sender, groups) = crossbeam_channel::unbounded();
    thread::scope(|scope| {
        let scoring = scope.spawn(|| score_as_sampled(rubric, problems, groups, bar));
        let sampled = pool.sample(policy, request, &prompts, &sender);
        drop(sender);
        let sampled_at = Instant::now();
        let mut done = scoring.join().expect("rules do not panic, whatever the text");
        let exposed = sampled_at.elapsed();
        sampled?;
        done.sort_by_key(|one| one.place);
        let busy: Duration = done.iter().map(|one| one.time).sum();
        let hidden = if busy.is_zero() { 1.0 } else { (1.0 - exposed.div_duration_f64(busy)).max(0.0) };
        let (groups, scores) = done.into_iter().map(|one| (one.group, one.scores)).unzip();
        Ok(Scored { groups, scores, hidden })
    })
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

/// One group with its scores, and how long they took.
struct Done {
    place: usize,
    group: Group,
    scores: Vec<Score>,
    time: Duration,
}

fn score_as_sampled(
    rubric: &Rubric,
    problems: &[&PreparedProblem],
    groups: Receiver<(usize, Group)>,
    bar: &Progress,
) -> Vec<Done> {
    let (sender, done) = crossbeam_channel::unbounded();
    rayon::in_place_scope(|scope| {
        for (place, group) in groups {
            bar.advance(1);
            let sender = sender.clone();
            scope.spawn(move |_| {
                let since = Instant::now();
                let scores = rubric.score_group(&samples(problems[place], &group));
                let one = Done { place, group, scores, time: since.elapsed() };
                sender.send(one).expect("the receiver outlives the scope");
            });
        }
    });
    drop(sender);
    done.into_iter().collect()
}

/// What rules read of the completions of a problem.
pub(crate) fn samples<'a>(problem: &'a PreparedProblem, group: &'a Group) -> Vec<Sample<'a>> {
    let sample = |completion: &'a Completion| Sample {
        prompt: &problem.text,
        completion: &completion.text,
        n_tokens: completion.tokens.len(),
        truncated: completion.finish == FinishReason::Length,
        expected: &problem.problem.expected,
        columns: &problem.problem.columns,
    };
    group.completions.iter().map(sample).collect()
}
