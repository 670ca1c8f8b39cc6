//! `grouper eval`: a policy against held-out problems.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use trainer::cli::EvalArgs;
use trainer::config::{Ending, RunConfig, Stage};
use trainer::eval;
use trainer::interrupt::Interrupt;
use trainer::preflight::{self, Refused};

/// Prints a table, or JSON, on standard output.
pub(crate) fn run(arguments: &EvalArgs) -> Result<Ending> {
    let config = config(arguments)?;
    let checked = preflight::check(&config, Stage::Eval, Path::new("."));
    if checked.is_refused() {
        return Err(Refused(checked.findings)).context("check the evaluation");
    }
    let interrupt = Interrupt::watch(None)?;
    match eval::run(&config, arguments.json, interrupt.flag(), &mut io::stdout()) {
        Err(_) if interrupt.is_due() => Ok(Ending::Stopped),
        evaluated => evaluated.map(|_| Ending::Finished),
    }
}

fn config(arguments: &EvalArgs) -> Result<RunConfig> {
    match (&arguments.config, &arguments.model, &arguments.data) {
        (Some(path), model, _) => {
            let mut config = RunConfig::load(path, &arguments.sets)?;
            if let Some(model) = model {
                config.model.checkpoint.clone_from(model);
                config.model.random_init = false;
            }
            Ok(config)
        }
        (None, Some(model), Some(data)) => eval::config_for(model, data, arguments.template, arguments.max_tokens),
        _ => unreachable!("clap asks for a config, or for a model and data"),
    }
}
