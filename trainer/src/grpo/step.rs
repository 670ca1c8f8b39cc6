//! `Step`: the parts of one round of sampling and learning.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use model::backward::{Beside, Lesson};
use model::kernels::TokenLogprobs;
use model::philox::Purpose;
use model::policy::Policy;
use model::router::Routed;
use rewards::Rubric;
use rollout::completion::FinishReason;
use rollout::pool::{PoolError, Request, RolloutPool};
use tracing::debug_span;

use super::{CombineRewards, GrpoConfig, parity};
use crate::advantage::{decoupled_advantages, group_advantages};
use crate::batch::{Microbatch, TokenValues, Update};
use crate::config::RunConfig;
use crate::gradient::Gradient;
use crate::mtp::{MtpLesson, MtpTally};
use crate::objective::{Tally, clipped_objective, kl_reward};
use crate::preflight::memory::Phase;
use crate::prompting::PreparedProblem;
use crate::run::Run;
use crate::samples::SampleRecord;
use crate::scoring::{Scored, log_rules, sample_and_score};
use crate::step_log::Progress;
use crate::workers;

/// One step: its number, from 1, and the problems it is about.
pub(super) struct Step<'a> {
    pub(super) number: u64,
    pub(super) config: &'a RunConfig,
    pub(super) grpo: &'a GrpoConfig,
    pub(super) problems: Vec<&'a PreparedProblem>,
    /// How often weights had been moved and moves been skipped before it.
    pub(super) before: Count,
}

/// How often weights were moved, and how often a move was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    moves: u64,
    skipped: u64,
}

/// What one microbatch's backward pass found.
struct Found {
    tally: Tally,
    entropy: f64,
    mismatch: parity::Mismatch,
    routed: Routed,
    mtp: MtpTally,
}

impl Step<'_> {
    pub(super) fn count(run: &Run) -> Count {
        Count { moves: run.optimizer.moves(), skipped: run.progress.skipped }
    }

    /// Samples a group for each problem, scores it, and logs what came of it; `None` where the run was interrupted.
    pub(super) fn sample(&self, run: &mut Run, pool: &mut RolloutPool, rubric: &Rubric) -> Result<Option<Scored>> {
        let request = Request {
            seed: self.config.seed,
            purpose: Purpose::Rollout,
            step: self.number,
            n: self.grpo.group_size,
            max_tokens: self.max_tokens(),
            sampling: &self.config.rollout.sampling,
            cancel: run.interrupt.flag(),
        };
        // What an evaluation drafted is not the step's.
        pool.take_tally();
        let bar = run.log.progress(&format!("step {} · sampling groups", self.number), self.problems.len() as u64);
        let scored = sample_and_score(&run.policy, pool, rubric, &request, &self.problems, &run.log, &bar);
        drop(bar);
        let mut scored = match scored {
            Err(PoolError::Cancelled) => return Ok(None),
            scored => scored.map_err(|error| run.memory.explain(Phase::Sampling, error))?,
        };
        if run.measures {
            self.record_old_logprobs(run, &mut scored);
        }
        self.log(run, &scored);
        if let Some(tally) = pool.take_tally() {
            for (key, value) in [
                ("perf/draft_accepted", tally.accepted()),
                ("perf/draft_overlap", tally.overlap()),
                ("perf/tokens_per_decode", tally.tokens_per_step()),
            ] {
                value.into_iter().for_each(|value| run.log.set(key, value));
            }
        }
        Ok(Some(scored))
    }

    /// The completion limit of this step.
    fn max_tokens(&self) -> usize {
        let mut changes = self.grpo.max_tokens_schedule.iter().filter(|change| change.step <= self.number);
        changes.next_back().map_or(self.config.rollout.max_tokens, |change| change.max_tokens)
    }

    fn log(&self, run: &mut Run, scored: &Scored) {
        let log = &mut run.log;
        let (mut tokens, mut longest) = (0, 0);
        for (group, scores) in scored.groups.iter().zip(&scored.scores) {
            for (completion, score) in group.completions.iter().zip(scores) {
                match score.total {
                    Some(total) => log.mean("reward", total, 1.0),
                    None => log.add("unscored", 1.0),
                }
                let n = completion.tokens.len();
                log.mean("len", n as f64, 1.0);
                log.mean("cut", f64::from(completion.finish == FinishReason::Length), 1.0);
                (tokens, longest) = (tokens + n, longest.max(n));
            }
        }
        log_rules(&scored.scores, log);
        log.set("len_max", longest as f64);
        log.set("tokens", tokens as f64);
        log.set("perf/score_hidden", scored.hidden);
    }

    /// Advantages of the step's completions, `[P][G]`, with the KL in the reward where the objective asks for it.
    pub(super) fn advantages(&self, run: &mut Run, scored: &Scored) -> Result<Vec<Vec<Option<f64>>>> {
        let mut rewards = scored.rewards();
        if let (true, Some(reference)) = (self.grpo.objective.kl_in_reward(), &run.reference) {
            let span = run.log.span("reference");
            let values = self.logprobs_by(reference, scored, run.workers);
            drop(span);
            for ((rewards, group), values) in rewards.iter_mut().zip(&scored.groups).zip(values) {
                for ((reward, completion), reference) in rewards.iter_mut().zip(&group.completions).zip(values) {
                    if let Some(reward) = reward {
                        *reward += kl_reward(&completion.logprobs, &reference, self.grpo.objective.kl_coef);
                    }
                }
            }
        }
        let (std, epsilon) = (self.grpo.std, self.grpo.std_epsilon);
        let advantages = match self.grpo.combine_rewards {
            CombineRewards::SumThenNormalize => group_advantages(&rewards, std, epsilon),
            CombineRewards::NormalizeThenSum => decoupled_advantages(&scored.values(), std, epsilon),
        };
        self.log_lessons(run, scored, &rewards, &advantages);
        self.keep_samples(run, scored, &advantages)?;
        Ok(advantages)
    }

    /// Counts the groups that teach nothing, and says so where none teaches.
    fn log_lessons(
        &self,
        run: &mut Run,
        scored: &Scored,
        rewards: &[Vec<Option<f64>>],
        advantages: &[Vec<Option<f64>>],
    ) {
        let (mut right, mut wrong, mut skipped) = (0, 0, 0);
        for ((rewards, scores), advantages) in rewards.iter().zip(&scored.scores).zip(advantages) {
            if rewards.iter().flatten().count() < 2 {
                skipped += 1;
            } else if advantages.iter().flatten().all(|a| *a == 0.0) {
                // Where no rule says what is right, the first one's full value stands for it. Equal rewards below are
                // all equally wrong.
                let full = |score: &rewards::Score| {
                    score.parts.first().and_then(|part| part.value).is_some_and(|value| value >= 1.0)
                };
                let right_one = |score: &rewards::Score| score.right.unwrap_or_else(|| full(score));
                if scores.iter().all(right_one) { right += 1 } else { wrong += 1 }
            }
        }
        run.log.set("groups_all_right", f64::from(right));
        run.log.set("groups_all_wrong", f64::from(wrong));
        if skipped > 0 {
            run.log.set("groups_skipped", f64::from(skipped));
        }
        let n = rewards.len();
        if (right + wrong + skipped) as usize == n {
            run.log.line(&format!(
                "step {}: no group teaches (all right: {right}, all wrong: {wrong}, without scores: {skipped})",
                self.number
            ));
        }
    }

    fn keep_samples(&self, run: &mut Run, scored: &Scored, advantages: &[Vec<Option<f64>>]) -> Result<()> {
        let g = self.grpo.group_size;
        let n = self.config.run.samples_per_step.min(scored.groups.len() * g);
        // Spread over the step's groups, so that what is read is not one problem.
        for i in 0..n {
            let (p, c) = (i * scored.groups.len() / n, i % g);
            let (problem, completion) = (self.problems[p], &scored.groups[p].completions[c]);
            let mut record = SampleRecord::new(self.number, problem, completion, &scored.scores[p][c]);
            record.advantage = advantages[p][c];
            run.log.sample(&record)?;
        }
        Ok(())
    }

    /// One move of the weights. `index` counts the step's updates from 0.
    ///
    /// False where the run was interrupted before anything of this step had changed: the step is then given up, and
    /// taken again on resume. Later ones are carried through, since half a step has no checkpoint.
    pub(super) fn update(
        &self,
        run: &mut Run,
        gradient: &mut Gradient,
        update: &Update<'_>,
        index: usize,
    ) -> Result<bool> {
        if update.is_empty() {
            return Ok(true);
        }
        let span = run.log.span("update");
        let mut microbatches = update.microbatches(self.grpo.microbatch_tokens);
        let bar = run.log.progress(&format!("step {} · microbatches", self.number), microbatches.len() as u64);
        let now = Step::count(run);
        let on_policy = now.moves == self.before.moves;
        let carry_on = AtomicBool::new(false);
        let cancel = if now == self.before { run.interrupt.flag() } else { &carry_on };
        let learn = || self.learn(run, gradient, cancel, &mut microbatches, &bar);
        let Some(found) = run.memory.guard(Phase::Update, learn)? else { return Ok(false) };
        drop((bar, span));
        let (mut tally, mut routed, mut mtp) = (Tally::default(), Routed::default(), MtpTally::default());
        for (microbatch, found) in microbatches.iter().zip(&found) {
            tally += found.tally;
            routed.add(&found.routed);
            mtp += found.mtp;
            run.log.mean("entropy", found.entropy / found.tally.n_tokens as f64, found.tally.n_tokens as f64);
            if on_policy {
                self.check_parity(run, microbatch, &found.mismatch)?;
            }
        }
        self.log_tally(run, &tally);
        mtp.log(self.grpo.mtp_weight, &mut run.log);
        let per_step = (self.grpo.updates_per_step * self.grpo.epochs_per_step) as u64;
        let number = (self.number - 1) * per_step + index as u64 + 1;
        let moved = run.update(tally.loss, gradient, &routed, number, self.grpo.steps * per_step)?;
        if !moved {
            let path = parity::dump(run.dir.path(), self.number, index, &microbatches)?;
            run.log.line(&format!("the batch is in {}", path.display()));
        }
        Ok(true)
    }

    /// The gradient of an update, and what each backward pass found; `None` where `cancel` was set on the way.
    fn learn(
        &self,
        run: &Run,
        gradient: &mut Gradient,
        cancel: &AtomicBool,
        microbatches: &mut [Microbatch],
        bar: &Progress,
    ) -> Option<Vec<Found>> {
        let Run { policy, reference, workers: n_workers, .. } = run;
        if let Some(reference) = reference {
            let _span = run.log.span("reference");
            let known = workers::map(microbatches, *n_workers, |microbatch| self.logprobs(reference, microbatch));
            for (microbatch, known) in microbatches.iter_mut().zip(known) {
                microbatch.reference = Some(known);
            }
        }
        let rows: Vec<_> = microbatches.iter().map(|one| (&one.packed, &one.sequences[..])).collect();
        let balance = &self.config.router.balance(policy, &rows, *n_workers);
        let rows = microbatches.iter().map(|one| (&one.packed, &one.targets));
        let lesson_of_mtp = MtpLesson::new(self.grpo.mtp_weight, policy, rows);
        let checkpointing = run.checkpointing;
        gradient.sum(microbatches, cancel, |microbatch, own, hand| {
            let (mut tally, mut entropy, mut mismatch) = (Tally::default(), 0.0, parity::Mismatch::default());
            let Microbatch { packed, targets, sequences, .. } = microbatch;
            let _span = debug_span!("microbatch", rows = packed.len(), tokens = targets.tokens.len()).entered();
            let mut objective = |range: Range<usize>, tokens: &TokenLogprobs| {
                mismatch.compare(range.start, &tokens.logprobs, &microbatch.old[range.clone()]);
                entropy += tokens.entropies.iter().map(|&e| f64::from(e)).sum::<f64>();
                let objective = clipped_objective(&microbatch.tokens(range, &tokens.logprobs), &self.grpo.objective);
                tally += objective.tally;
                objective.d_logprob
            };
            let temperature = self.temperature();
            let lesson = Lesson { packed, targets, temperature, checkpointing, balance, sequences };
            let mut mtp = MtpTally::default();
            let mut learn_mtp = lesson_of_mtp.as_ref().map(|lesson| lesson.objective(&mut mtp));
            let beside = Beside { mtp: learn_mtp.as_mut().map(|learn| learn as _) };
            let routed = policy.backward_beside(&lesson, own, &mut objective, beside, hand);
            drop(learn_mtp);
            bar.advance(1);
            Found { tally, entropy, mismatch, routed, mtp }
        })
    }

    fn log_tally(&self, run: &mut Run, tally: &Tally) {
        let n = tally.n_tokens as f64;
        run.log.mean("loss", tally.loss, 1.0);
        run.log.mean("clip", tally.clipped as f64 / n, n);
        run.log.max("ratio_max", tally.ratio_max);
        if run.reference.is_some() {
            run.log.mean("kl", tally.kl / n, n);
        }
    }

    /// An update sees the weights that sampled until the first that moves them: its log-probabilities are the rollout's.
    fn check_parity(&self, run: &mut Run, microbatch: &Microbatch, mismatch: &parity::Mismatch) -> Result<()> {
        run.log.max("mismatch_max", f64::from(mismatch.largest));
        run.log.add("parity_tokens", mismatch.n_tokens as f64);
        match &mismatch.first {
            Some(first) if !run.measures => Err(parity::explain(self, &run.policy, microbatch, first)),
            _ => Ok(()),
        }
    }

    /// Takes the training forward's log-probabilities for old ones, and logs how far the rollout's were.
    fn record_old_logprobs(&self, run: &mut Run, scored: &mut Scored) {
        let _span = run.log.span("update");
        let values = self.logprobs_by(&run.policy, scored, run.workers);
        for (group, values) in scored.groups.iter_mut().zip(values) {
            for (completion, values) in group.completions.iter_mut().zip(values) {
                let mut mismatch = parity::Mismatch::default();
                mismatch.compare(0, &values, &completion.logprobs);
                run.log.max("mismatch_max", f64::from(mismatch.largest));
                completion.logprobs = values;
            }
        }
    }

    /// Log-probabilities of every sampled token by `policy`, `[P][G][T]`.
    fn logprobs_by(&self, policy: &Policy, scored: &Scored, n_workers: usize) -> TokenValues {
        let microbatches = Update::measuring(&scored.groups).microbatches(self.grpo.microbatch_tokens);
        let mut values: TokenValues =
            scored.groups.iter().map(|group| vec![Vec::new(); group.completions.len()]).collect();
        let found = workers::map(&microbatches, n_workers, |microbatch| self.logprobs(policy, microbatch));
        for (microbatch, found) in microbatches.iter().zip(found) {
            microbatch.scatter(&found, &mut values);
        }
        values
    }

    /// Log-probabilities of a microbatch's targets by `policy`.
    fn logprobs(&self, policy: &Policy, microbatch: &Microbatch) -> Vec<f32> {
        let Microbatch { packed, targets, .. } = microbatch;
        let _span = debug_span!("logprobs", rows = packed.len(), tokens = targets.tokens.len()).entered();
        policy.logprobs(packed, targets, self.temperature()).logprobs
    }

    /// Lets the reference become the policy where that is due.
    pub(super) fn refresh_reference(&self, run: &mut Run) {
        let every = self.grpo.reference_every;
        if every == 0 || !self.number.is_multiple_of(every) {
            return;
        }
        let _span = run.log.span("reference");
        if let Some(reference) = &mut run.reference {
            run.policy.fetch_masters();
            reference.parameters_mut().copy_from_slice(run.policy.parameters());
            reference.refresh();
            run.progress.reference_step = Some(self.number);
        }
    }

    pub(super) fn temperature(&self) -> f32 {
        self.config.rollout.sampling.logprob_temperature()
    }
}
