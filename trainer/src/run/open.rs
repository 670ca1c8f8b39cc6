//! How a run is opened: its folder, the policy, what a checkpoint has of it, and what is said first.

use std::thread;

use anyhow::{Context, Result, bail};
use model::config::{Dtype, Mla, ModelConfig};
use model::device::free_cuda_memory;
use model::policy::Policy;
use model::team::{self, Team};
use tch::Device;
use tracing::debug_span;

use super::{CONFIG, Plan, Run};
use crate::checkpoint::{self, Inputs, Machine, Progress, StateMut};
use crate::config::{Exactness, RunConfig, RunOptions};
use crate::device;
use crate::durable::{self, DiskError};
use crate::interrupt::Interrupt;
use crate::metrics;
use crate::mtp;
use crate::optimizer::{Optimizer, Placed};
use crate::preflight::Checked;
use crate::preflight::memory;
use crate::profile::Profile;
use crate::run_dir::{self, RunDir};
use crate::step_log::{StepLog, Verbosity};

impl Run {
    /// Says what the check found, which must not have refused the run, makes or locks the folder, loads the policy and,
    /// with `--resume`, the state of the newest sound checkpoint.
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
        let free = free_cuda_memory();
        let on_device = checked.on_device.clone().map(|plan| plan.fit(free));
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
        let workers = config.run.workers.or(recorded).unwrap_or_else(team::cores).max(1);

        let profile = Profile::open(dir.path(), options.profile)?;
        let _span = debug_span!("open").entered();
        // What a stage has encoded by now is data, too.
        let memory = match memory::held() {
            Some(held) => memory.with_program(held),
            None => memory,
        };

        // Files are hashed while weights are read.
        let (loaded, hashed) = thread::scope(|scope| {
            let hashed = scope.spawn(|| Ok((checkpoint::program()?, Inputs::read(config, folder)?)));
            (Policy::load(folder, &config.model, config.seed), hashed.join().expect("hashing does not panic"))
        });
        let (program, inputs) = hashed.map_err(|error: DiskError| error)?;
        let mut policy = loaded.with_context(|| format!("load policy `{}`", folder.display()))?;
        policy.set_vocabulary(tokenizer.vocab_size());
        if let Some(device) = device {
            policy.compute_on(device);
        }
        let mut reference = plan.reference.then(|| policy.deep_copy());
        let spared = [config.router.spared(policy.layout()), mtp::spared(config, policy.layout())].concat();
        let mut optimizer = Optimizer::sparing(policy.layout(), &config.optimizer, &spared);
        // A device's kernels promise nothing that could be tried.
        let differing = if device.is_none() { policy.probe().failed } else { None };
        let measures = match config.run.exactness {
            Exactness::Measure => true,
            Exactness::Require => false,
            Exactness::Auto => differing.is_some() || device.is_some() || config.model.mla == Mla::Expanded,
        };
        let machine = Machine {
            program,
            workers,
            threads: 1,
            route: route(&policy, device, differing, measures),
            config: checkpoint::config_text(config),
            inputs: Some(inputs),
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
        let size = size(c);
        let title =
            format!("{} · {}-layer policy, {size}, {} · {}", config.name, c.n_layers, device::name(device), plan.work);
        let mut log = StepLog::resume(dir.path(), &title, plan.steps, verbosity, progress.lengths, progress.step + 1)?;
        log.detail(&format!("{workers} workers, {}", machine.route));
        log.line(&format!("stop ids: {}", checked.stop));
        memory.to_string().lines().for_each(|line| log.detail(line));
        memory.saving_way().iter().for_each(|way| log.line(way));
        on_device.iter().for_each(|plan| plan.to_string().lines().for_each(|line| log.detail(line)));
        let short = on_device.as_ref().and_then(|plan| plan.check(free));
        for finding in checked.findings.iter().chain(&short) {
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
            optimizer: Placed::beside(&policy, optimizer),
            policy,
            reference,
            saved: from.map(|_| progress.step),
            progress,
            tokenizer,
            interrupt,
            workers,
            movers: Team::new(workers),
            checkpointing: on_device.map_or(memory.passes().checkpointing, |plan| plan.checkpointing()),
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

/// What the products run as, in words: `f32, own products with avx512`, or `bf16, libtorch's products in blocks of 8 rows`.
fn route(policy: &Policy, device: Option<Device>, differing: Option<([usize; 2], usize)>, measures: bool) -> String {
    let dtype = match policy.dtype() {
        Dtype::Bf16 => "bf16",
        Dtype::Fp8 => "fp8",
        Dtype::F32 | Dtype::Auto => "f32",
    };
    let mut route = match policy.dtype() {
        _ if device.is_some() => format!("{dtype} on {}, libtorch's kernels", device::name(device)),
        Dtype::Bf16 => format!("{dtype}, libtorch's products in blocks of 8 rows"),
        _ => format!("{dtype}, own products with {}", model::product::route()),
    };
    if let Some(([out, input], rows)) = differing {
        route += &format!(", inexact with {rows} rows of [{out}, {input}]");
    }
    if measures {
        route += ", old log-probabilities computed again";
    }
    route
}

/// `1.9M params`, or `1.9M params (560k active)` where a token does not meet all of them.
pub fn size(model: &ModelConfig) -> String {
    let short = |n: u64| match n as f64 {
        n if n < 1e6 => format!("{:.0}k", n / 1e3),
        n if n < 1e9 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}B", n / 1e9),
    };
    let (total, active) = (model.n_parameters(), model.n_active_parameters());
    let active = if active < total { format!(" ({} active)", short(active)) } else { String::new() };
    format!("{} params{active}", short(total))
}
