//! `Run`: what every training stage holds while it runs. Folder, log, policy, optimizer, progress.
//!
//! A stage asks it for the next step, moves the weights, and tells it what was logged; when to evaluate, to save and to
//! stop is decided here, in one place for all stages.

mod open;
mod replicas;

pub use open::size;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use model::policy::Policy;
use model::router::Routed;
use model::team::Team;
use model::tokenizer::Tokenizer;
use rollout::pool::{PoolError, RolloutPool};
use tracing::debug_span;

use crate::checkpoint::{self, Progress, State};
use crate::config::{Ending, RunConfig};
use crate::durable;
use crate::eval::{EvalSets, Evaluation, evaluate};
use crate::gradient::Gradient;
use crate::interrupt::Interrupt;
use crate::optimizer::Placed;
use crate::preflight::memory::{self, Phase};
use crate::preflight::{Checked, Refused};
use crate::profile::Profile;
use crate::router;
use crate::run_dir::RunDir;
use crate::step_log::StepLog;

/// The resolved configuration's file name inside a run folder.
pub const CONFIG: &str = "config.toml";

/// The first evaluation, for the comparison at the end.
pub const BASELINE: &str = "baseline.json";

/// The last evaluation, for the same.
pub const LATEST: &str = "evaluation.json";

/// A stage at work.
pub struct Run {
    /// Where it writes.
    pub dir: RunDir,
    /// What it says.
    pub log: StepLog,
    /// The policy being trained.
    pub policy: Policy,
    /// A frozen policy the KL is measured against, where the stage keeps one.
    pub reference: Option<Policy>,
    /// Moments of the policy's weights.
    pub optimizer: Placed,
    /// How far it has come.
    pub progress: Progress,
    /// The checkpoint's tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// Set when it should end early.
    pub interrupt: Interrupt,
    /// Threads that compute.
    pub workers: usize,
    /// As many that move the weights.
    movers: Team,
    /// The memory that each phase may take.
    pub memory: memory::Plan,
    /// Whether backward passes keep only the blocks' inputs, and compute the rest again.
    pub checkpointing: bool,
    /// Whether old log-probabilities are computed again, because sampler and trainer may differ.
    pub measures: bool,
    /// Whether an evaluation was interrupted, that after the last step maybe: there is something left to do.
    evaluation_cut: bool,
    config: RunConfig,
    verb: &'static str,
    steps: u64,
    eval_every: u64,
    saved: Option<u64>,
    profile: Profile,
}

/// What a stage tells of itself.
pub struct Plan {
    /// The stage's verb on the command line.
    pub verb: &'static str,
    /// Steps in all.
    pub steps: u64,
    /// Steps between evaluations; 0 evaluates at the start and the end only.
    pub eval_every: u64,
    /// What one step works on, for the header: `16 prompts × 8 completions`.
    pub work: String,
    /// Whether a reference is kept.
    pub reference: bool,
}

impl Run {
    /// The step to take now: after what the last one has left to do (its evaluation, its checkpoint) is done. `None`
    /// at the end, or when the run should stop.
    pub fn next_step(&mut self, heldout: Option<(&EvalSets, &mut RolloutPool)>) -> Result<Option<u64>> {
        // Where the last one was given up.
        self.profile.end_step();
        if let Some((sets, pool)) = heldout
            && self.evaluation_is_due()
            && !self.evaluate(sets, pool)?
        {
            return Ok(None);
        }
        let step = self.progress.step;
        let every = self.config.run.save_every;
        // The best by evaluation is kept whenever it comes.
        let best = self.progress.best.is_some_and(|best| best.step == step);
        let due = step == self.steps || (step > 0 && (best || (every > 0 && step.is_multiple_of(every))));
        if (due || self.interrupt.is_due()) && self.saved != Some(step) {
            self.save()?;
        }
        let next = (step < self.steps && !self.interrupt.is_due()).then_some(step + 1);
        if next.is_some() {
            self.profile.begin_step(step + 1, &mut self.log);
        }
        Ok(next)
    }

    fn evaluation_is_due(&self) -> bool {
        let step = self.progress.step;
        let done = self.progress.evaluated.is_some_and(|evaluated| evaluated.step == step);
        let due = step == 0 || step == self.steps || (self.eval_every > 0 && step.is_multiple_of(self.eval_every));
        due && !done
    }

    /// Evaluates the weights as they are; false where it was interrupted, and is to be done again on resume.
    fn evaluate(&mut self, sets: &EvalSets, pool: &mut RolloutPool) -> Result<bool> {
        let step = self.progress.step;
        let span = self.log.span("eval");
        let evaluations = match evaluate(&self.policy, pool, sets, self.config.seed, step, self.interrupt.flag()) {
            Err(PoolError::Cancelled) => {
                if self.saved != Some(step) {
                    self.save()?;
                }
                self.evaluation_cut = true;
                return Ok(false);
            }
            Err(error) => return Err(self.memory.explain(Phase::Evaluation, error)).context("evaluate"),
            Ok(evaluations) => evaluations,
        };
        drop(span);
        self.log.evaluations(step, &evaluations)?;
        self.progress.lengths = self.log.written();
        if let Some(main) = evaluations.first() {
            self.progress.note_evaluation(main.pass_at_1().unwrap_or(0.0));
            let name = if step == 0 { BASELINE } else { LATEST };
            let text = serde_json::to_vec_pretty(main).context("word an evaluation as JSON")?;
            durable::write_file(&self.dir.path().join(name), &text)?;
        }
        // A checkpoint that an interrupted evaluation left does not know this one, which decides what is the best.
        self.saved = None;
        Ok(true)
    }

    /// Writes the checkpoint of the last finished step.
    pub fn save(&mut self) -> Result<()> {
        let span = self.log.span("save");
        // Flushed; what they hold of a step that was given up is not part of the checkpoint.
        self.log.lengths()?;
        self.progress.update = self.optimizer.moves();
        let Run { dir, policy, optimizer, reference, progress, config, .. } = self;
        let reference = reference.as_ref().map(Policy::parameters);
        let folder = optimizer.saved(policy, |policy, optimizer| {
            let state = State { policy, optimizer, reference, progress };
            checkpoint::save(dir, &state, config.run.keep_last)
        })?;
        drop(span);
        self.saved = Some(self.progress.step);
        self.log.line(&format!("saved {}", folder.display()));
        Ok(())
    }

    /// Moves the weights against `gradient`, and the correction biases of routers against the load, unless gradient or loss
    /// is not finite; logs either. True where they moved.
    ///
    /// # Errors
    /// After `run.max_skipped_updates` updates in a row that could not be made. The weights are then those of the last
    /// one that was.
    pub fn update(
        &mut self,
        loss: f64,
        gradient: &mut Gradient,
        routed: &Routed,
        update: u64,
        updates: u64,
    ) -> Result<bool> {
        let span = self.log.span("optimizer");
        let router = &self.config.router;
        router.hold(self.policy.layout(), gradient);
        let moved = if loss.is_finite() {
            let Run { optimizer, policy, workers, movers, .. } = self;
            let moved = movers.lead(|| optimizer.step(policy, gradient, update, updates, *workers));
            moved.map_err(|e| e.to_string())
        } else {
            Err(format!("loss is {loss}, weights left as they were"))
        };
        if moved.is_ok() {
            let step = router.move_biases(&mut self.policy, &routed.loads);
            step.into_iter().for_each(|step| self.log.mean("router/bias_step", step, 1.0));
            let Run { optimizer, policy, movers, .. } = self;
            debug_span!("refresh").in_scope(|| movers.lead(|| optimizer.refresh(policy)));
        }
        drop(span);
        router::log(&self.policy, routed, &mut self.log);
        match moved {
            Ok(report) => {
                self.progress.skipped_in_a_row = 0;
                self.log.mean("grad", report.grad_norm, 1.0);
                self.log.set("lr", report.lr);
                Ok(true)
            }
            Err(reason) => {
                self.progress.skipped += 1;
                self.progress.skipped_in_a_row += 1;
                self.log.add("skipped_updates", 1.0);
                let step = self.progress.step + 1;
                self.log.warn(&format!("step {step}: {reason}"));
                let limit = self.config.run.max_skipped_updates;
                if limit > 0 && self.progress.skipped_in_a_row >= limit {
                    bail!("step {step}: {reason}; {limit} updates in a row were skipped (`run.max_skipped_updates`)");
                }
                Ok(false)
            }
        }
    }

    /// Ends a step: its line is written.
    pub fn finish_step(&mut self, step: u64) -> Result<()> {
        self.profile.end_step();
        self.log.finish(step)?;
        self.progress.step = step;
        self.progress.lengths = self.log.written();
        Ok(())
    }

    /// Ends the run: writes `final/` where every step was taken.
    pub fn close(mut self) -> Result<Ending> {
        self.profile.end(&mut self.log);
        if let Some(peak) = memory::measured_peak() {
            self.log.line(&self.memory.compare(peak));
        }
        if self.progress.step < self.steps || self.evaluation_cut {
            let (verb, path) = (self.verb, self.dir.path().display().to_string());
            self.log.line(&format!(
                "stopped after step {}; `grouper {verb} {path}/{CONFIG} --resume {path}` goes on",
                self.progress.step
            ));
            return Ok(Ending::Stopped);
        }
        self.policy.fetch_masters();
        let folder = checkpoint::save_final(&self.dir, &self.policy, self.config.run.save_dtype)?;
        let report = crate::report::write(self.dir.path())?;
        self.tell(&folder, &report);
        Ok(Ending::Finished)
    }

    /// Before and after, and where things lie.
    fn tell(&mut self, folder: &Path, report: &Path) {
        if let (Some(before), Some(after)) = (self.evaluation(BASELINE), self.evaluation(LATEST)) {
            for line in Evaluation::comparison(&before, &after) {
                self.log.line(&line);
            }
        }
        self.log.line(&format!("policy  {}", folder.display()));
        self.log.line(&format!("report  {}", report.display()));
    }

    /// An evaluation that this run or the one it goes on wrote.
    fn evaluation(&self, name: &str) -> Option<Evaluation> {
        let text = std::fs::read(self.dir.path().join(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Every finding of a check that speaks against the run, in one error.
pub(crate) fn refuse(checked: &Checked) -> Result<()> {
    if checked.is_refused() { Err(Refused(checked.findings.clone()).into()) } else { Ok(()) }
}
