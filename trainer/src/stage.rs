//! `Stage`: what every stage opens before its first step, and saves as it goes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::policy::Policy;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::checkpoint::{self, Machine, Progress, State, StateMut};
use crate::config::{RunConfig, RunOptions, RunSettings};
use crate::durable;
use crate::optimizer::Optimizer;
use crate::run_dir::{self, RunDir};
use crate::step_log::{Lengths, StepLog, Verbosity};

/// The resolved configuration's name inside a run's folder.
pub const CONFIG: &str = "config.toml";

/// A run under way: its folder, its logs, how far it has come.
pub struct Stage {
    /// The run's folder, locked.
    pub dir: RunDir,
    /// The run's logs.
    pub log: StepLog,
    /// How far the run has come.
    pub progress: Progress,
    settings: RunSettings,
    steps: u64,
    interrupt: Interrupt,
}

impl Stage {
    /// Opens a new run of `steps` steps, or goes on with the one that `options` name: policy and optimizer then become
    /// those of its checkpoint. `title` is what the header says of the run.
    ///
    /// # Errors
    /// When the folder cannot be made or is in use, when there is nothing sound to resume, or when this machine could
    /// not compute the same run.
    pub fn open(
        run: &RunConfig,
        options: &RunOptions,
        title: &str,
        steps: u64,
        policy: &mut Policy,
        optimizer: &mut Optimizer,
    ) -> Result<Stage> {
        let machine = Machine {
            program: checkpoint::program()?,
            workers: workers(&run.run),
            threads: 1,
            route: format!("{:?}", policy.dtype()).to_lowercase(),
            config: checkpoint::config_hash(run),
        };
        let verbosity = match options.verbosity {
            ..=-1 => Verbosity::Quiet,
            0 => Verbosity::Normal,
            1.. => Verbosity::Verbose,
        };
        let interrupt = Interrupt::new(options.max_hours)?;
        let settings = run.run.clone();
        let Some(path) = &options.resume else {
            let dir = RunDir::create(&options.root, &run.name)?;
            let text = toml::to_string_pretty(run).context("word the configuration as TOML")?;
            durable::write_file(&dir.path().join(CONFIG), text.as_bytes())?;
            let log = StepLog::create(dir.path(), title, steps, verbosity)?;
            let progress = Progress::new(run.seed, machine);
            return Ok(Stage { dir, log, progress, settings, steps, interrupt });
        };

        let newest = options.root.join(&run.name);
        let found = run_dir::find_resume(if path.as_os_str().is_empty() { &newest } else { path })?;
        let dir = RunDir::open(&found.run)?;
        let len = policy.layout().len();
        let (mut first_moment, mut second_moment) = (vec![0.0; len], vec![0.0; len]);
        let mut state = StateMut {
            policy: &mut *policy,
            first_moment: &mut first_moment,
            second_moment: &mut second_moment,
            reference: None,
        };
        let resumed = checkpoint::resume(&dir, &found.checkpoint, &machine, options.allow_inexact, &mut state)?;
        let progress = Progress { machine, ..resumed.progress };
        optimizer.restore(&first_moment, &second_moment, progress.update)?;
        let lengths = Lengths { metrics: progress.metrics_bytes, samples: progress.samples_bytes };
        let mut log = StepLog::resume(dir.path(), title, steps, verbosity, lengths, progress.step + 1)?;
        for warning in &resumed.warnings {
            log.warn(warning);
        }
        log.line(&format!("resumed after step {} of {steps}", progress.step));
        Ok(Stage { dir, log, progress, settings, steps, interrupt })
    }

    /// Writes a checkpoint after `progress.step` where one is due or the run has to stop here; true where it stops.
    pub fn save_if_due(&mut self, policy: &Policy, optimizer: &Optimizer) -> Result<bool> {
        let step = self.progress.step;
        let last = step == self.steps;
        let stops = !last && self.interrupt.is_due();
        let every = self.settings.save_every;
        if last || stops || (every > 0 && step.is_multiple_of(every)) {
            self.save(policy, optimizer)?;
        }
        Ok(stops)
    }

    fn save(&mut self, policy: &Policy, optimizer: &Optimizer) -> Result<()> {
        let span = self.log.span("save");
        let Lengths { metrics, samples } = self.log.lengths()?;
        (self.progress.metrics_bytes, self.progress.samples_bytes) = (metrics, samples);
        let (first_moment, second_moment, update) = optimizer.state();
        self.progress.update = update;
        let state = State { policy, first_moment, second_moment, reference: None, progress: &self.progress };
        let folder = checkpoint::save(&self.dir, &state, self.settings.keep_last)?;
        drop(span);
        self.log.line(&format!("saved {}", folder.display()));
        Ok(())
    }

    /// Writes the run's result, `final/`.
    pub fn save_final(&mut self, policy: &Policy) -> Result<()> {
        let folder = checkpoint::save_final(&self.dir, policy, self.settings.save_dtype)?;
        self.log.line(&format!("saved {}", folder.display()));
        Ok(())
    }
}

/// How many threads compute.
pub fn workers(settings: &RunSettings) -> usize {
    settings.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get())).max(1)
}

/// What can ask a run to stop before its end: a signal, or the clock.
#[derive(Debug)]
struct Interrupt {
    signal: Arc<AtomicBool>,
    until: Option<Instant>,
}

impl Interrupt {
    fn new(max_hours: Option<f64>) -> Result<Interrupt> {
        let signal = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM] {
            // A second signal does what it always does: whoever sends it twice does not want to wait.
            signal_hook::flag::register_conditional_default(number, Arc::clone(&signal))
                .and_then(|_| signal_hook::flag::register(number, Arc::clone(&signal)))
                .context("listen for signals")?;
        }
        let limit = max_hours.map(|hours| Duration::try_from_secs_f64(3600.0 * hours)).transpose();
        let limit = limit.context("read `--max-hours`")?;
        Ok(Interrupt { signal, until: limit.and_then(|limit| Instant::now().checked_add(limit)) })
    }

    fn is_due(&self) -> bool {
        self.signal.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Reads the configuration a run was started with.
pub fn read_config(run: &Path) -> Result<RunConfig> {
    let path = run.join(CONFIG);
    let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
    toml::from_str(&text).with_context(|| format!("read `{}`", path.display()))
}
