//! `Run`: what every training stage holds while it runs. Folder, log, policy, optimizer, progress.
//!
//! A stage asks it for the next step, moves the weights, and tells it what was logged; when to evaluate, to save and to
//! stop is decided here, in one place for all stages.

mod replicas;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use model::config::Dtype;
use model::policy::Policy;
use model::probe::Probe;
use model::tokenizer::Tokenizer;
use rollout::pool::{PoolError, RolloutPool};
use tch::Device;
use tracing::debug_span;

use crate::checkpoint::{self, Machine, Progress, State, StateMut};
use crate::config::{Ending, Exactness, RunConfig, RunOptions};
use crate::device;
use crate::durable;
use crate::eval::{EvalSets, Evaluation, evaluate};
use crate::interrupt::Interrupt;
use crate::metrics;
use crate::optimizer::Optimizer;
use crate::preflight::memory::{self, Phase};
use crate::preflight::{Checked, Refused};
use crate::profile::Profile;
use crate::run_dir::{self, RunDir};
use crate::step_log::{StepLog, Verbosity};
use crate::workers;

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
    pub optimizer: Optimizer,
    /// How far it has come.
    pub progress: Progress,
    /// The checkpoint's tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// Set when it should end early.
    pub interrupt: Interrupt,
    /// Threads that compute.
    pub workers: usize,
    /// The memory that each phase may take.
    pub memory: memory::Plan,
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
    /// Says what the check found, which must not have refused the run, makes or locks the folder, loads the policy and, with `--resume`, the state of the
    /// newest sound checkpoint.
    ///
    /// # Errors
    /// Where anything cannot be read or written.
    pub fn open(config: &RunConfig, options: &RunOptions, checked: &Checked, plan: &Plan) -> Result<Run> {
        let (folder, tokenizer, memory) = match (&checked.folder, &checked.tokenizer, &checked.plan) {
            (Some(folder), Some(tokenizer), Some(memory)) => (folder, tokenizer.clone(), memory.clone()),
            _ => bail!("open `{}`", config.model.checkpoint.display()),
        };
        let path = options.resume.as_ref().map(|path| match path.as_os_str().is_empty() {
            true => options.root.join(&config.name),
            false => path.clone(),
        });
        // Before any folder is made, and before the first tensor is.
        let device = device::open(config.model.device)?;
        // From here on there is something to save: a signal that comes while weights are read is not lost.
        let interrupt = Interrupt::watch(options.max_hours)?;
        let dir = match &path {
            Some(path) => RunDir::open(&run_dir::find_run(path)?)?,
            None => RunDir::create(&options.root, &config.name)?,
        };
        let found = path.as_deref().map(run_dir::find_resume).transpose()?;
        let from = found.as_ref().and_then(|found| found.checkpoint.as_ref());
        let recorded = match from {
            Some(from) => Some(Progress::read(&from.path)?.machine.workers),
            None => None,
        };
        let workers = config.run.workers.or(recorded).unwrap_or_else(workers::cores).max(1);

        let profile = Profile::open(dir.path(), options.profile)?;
        let _span = debug_span!("open").entered();
        // What a stage has encoded by now is data, too.
        let memory = match memory::held() {
            Some(held) => memory.with_program(held),
            None => memory,
        };

        // The program's file is hashed while weights are read.
        let (loaded, program) = thread::scope(|scope| {
            let program = scope.spawn(checkpoint::program);
            (Policy::load(folder, &config.model, config.seed), program.join().expect("hashing does not panic"))
        });
        let mut policy = loaded.with_context(|| format!("load policy `{}`", folder.display()))?;
        policy.set_vocabulary(tokenizer.vocab_size());
        if let Some(device) = device {
            policy.compute_on(device);
        }
        let mut reference = plan.reference.then(|| policy.deep_copy());
        let mut optimizer = Optimizer::new(policy.layout(), &config.optimizer);
        let probe = policy.probe();
        let measures = match config.run.exactness {
            Exactness::Measure => true,
            Exactness::Require => false,
            Exactness::Auto => probe.failed.is_some() || device.is_some(),
        };
        let machine = Machine {
            program: program?,
            workers,
            threads: 1,
            route: route(&policy, device, &probe, measures),
            config: checkpoint::config_text(config),
        };
        let mut progress = Progress::new(config.seed, machine.clone());
        let mut warnings = Vec::new();
        if let Some(from) = from {
            let mut state = StateMut {
                policy: &mut policy,
                optimizer: &mut optimizer,
                reference: reference.as_mut().map(Policy::parameters_mut),
            };
            let resumed = checkpoint::resume(&dir, from, &machine, options.allow_inexact, &mut state)?;
            (progress, warnings) = (resumed.progress, resumed.warnings);
            if let Some(reference) = &mut reference {
                reference.refresh();
            }
        } else {
            never_saved(&dir, config)?;
            let text = toml::to_string_pretty(config).context("word the configuration as TOML")?;
            durable::write_file(&dir.path().join(CONFIG), text.as_bytes())?;
        }
        let verbosity = match options.verbosity {
            ..0 => Verbosity::Quiet,
            0 => Verbosity::Normal,
            1.. => Verbosity::Verbose,
        };
        let c = policy.config();
        let size = parameters(policy.n_parameters());
        let title =
            format!("{} · {}-layer policy, {size}, {} · {}", config.name, c.n_layers, device::name(device), plan.work);
        let mut log = StepLog::resume(dir.path(), &title, plan.steps, verbosity, progress.lengths, progress.step + 1)?;
        log.detail(&format!("{workers} workers, {}", machine.route));
        log.line(&format!("stop ids: {}", checked.stop));
        memory.to_string().lines().for_each(|line| log.detail(line));
        for finding in &checked.findings {
            log.warn(&finding.to_string());
        }
        warnings.iter().for_each(|warning| log.warn(warning));
        if measures {
            log.line("old log-probabilities are computed again by the training forward, and the mismatch is measured");
        }
        match (&found, from) {
            (Some(_), Some(_)) => log.line(&format!("resumed after step {}", progress.step)),
            (Some(_), None) => log.line("resumed before its first checkpoint: starting at step 1"),
            (None, _) => {}
        }
        Ok(Run {
            dir,
            log,
            policy,
            reference,
            optimizer,
            saved: from.map(|_| progress.step),
            progress,
            tokenizer,
            interrupt,
            workers,
            memory,
            measures,
            evaluation_cut: false,
            config: config.clone(),
            verb: plan.verb,
            steps: plan.steps,
            eval_every: plan.eval_every,
            profile,
        })
    }

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
        self.progress.update = self.optimizer.state().2;
        let state = State {
            policy: &self.policy,
            optimizer: &self.optimizer,
            reference: self.reference.as_ref().map(Policy::parameters),
            progress: &self.progress,
        };
        let folder = checkpoint::save(&self.dir, &state, self.config.run.keep_last)?;
        drop(span);
        self.saved = Some(self.progress.step);
        self.log.line(&format!("saved {}", folder.display()));
        Ok(())
    }

    /// Moves the weights against `gradient`, unless it or the loss is not finite; logs either. True where they moved.
    ///
    /// # Errors
    /// After `run.max_skipped_updates` updates in a row that could not be made. The weights are then those of the last
    /// one that was.
    pub fn update(&mut self, loss: f64, gradient: &[f32], update: u64, updates: u64) -> Result<bool> {
        let span = self.log.span("optimizer");
        let moved = if loss.is_finite() {
            let parameters = self.policy.parameters_mut();
            self.optimizer.step(parameters, gradient, update, updates, self.workers).map_err(|e| e.to_string())
        } else {
            Err(format!("loss is {loss}, weights left as they were"))
        };
        if moved.is_ok() {
            debug_span!("refresh").in_scope(|| self.policy.refresh());
        }
        drop(span);
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
}

impl Run {
    /// An evaluation that this run or the one it goes on wrote.
    fn evaluation(&self, name: &str) -> Option<Evaluation> {
        let text = std::fs::read(self.dir.path().join(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Refuses a folder without any checkpoint whose metrics tell that there were some: they were lost, and starting over
/// would hide it.
fn never_saved(dir: &RunDir, config: &RunConfig) -> Result<()> {
    let every = config.run.save_every;
    match metrics::last_step(dir.path())? {
        Some(step) if every > 0 && step > every => {
            bail!("resume `{}`: it came to step {step} and every checkpoint of it is gone", dir.path().display())
        }
        _ => Ok(()),
    }
}

/// Every finding of a check that speaks against the run, in one error.
pub(crate) fn refuse(checked: &Checked) -> Result<()> {
    if checked.is_refused() { Err(Refused(checked.findings.clone()).into()) } else { Ok(()) }
}

/// What the products run as, in words: `f32, own products with avx512`, or `bf16, libtorch's products in blocks of 8 rows`.
fn route(policy: &Policy, device: Option<Device>, probe: &Probe, measures: bool) -> String {
    let mut route = match policy.dtype() {
        Dtype::Bf16 if device.is_some() => format!("bf16 on {}, libtorch's kernels", device::name(device)),
        _ if device.is_some() => format!("f32 on {}, libtorch's kernels", device::name(device)),
        Dtype::Bf16 => "bf16, libtorch's products in blocks of 8 rows".to_owned(),
        _ => format!("f32, own products with {}", model::product::route()),
    };
    if let (Some(([out, input], rows)), None) = (&probe.failed, device) {
        route += &format!(", inexact with {rows} rows of [{out}, {input}]");
    }
    if measures {
        route += ", old log-probabilities computed again";
    }
    route
}

/// `1.9M params`.
fn parameters(n: usize) -> String {
    match n as f64 {
        n if n < 1e6 => format!("{:.0}k params", n / 1e3),
        n if n < 1e9 => format!("{:.1}M params", n / 1e6),
        n => format!("{:.1}B params", n / 1e9),
    }
}
