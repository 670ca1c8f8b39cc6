//! `grouper eval`: a policy against held-out problems.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use trainer::cli::EvalArgs;
use trainer::config::{Ending, RunConfig, Stage};
use trainer::eval;
use trainer::preflight::{self, Refused};

/// Prints a table, or JSON, on standard output.
pub(crate) fn run(arguments: &EvalArgs) -> Result<Ending> {
    let config = config(arguments)?;
    let checked = preflight::check(&config, Stage::Eval, Path::new("."));
    if checked.is_refused() {
        return Err(Refused(checked.findings)).context("check the evaluation");
    }
    // Standard output has the table alone.
    let told: String = checked.findings.iter().map(|finding| format!("warning: {finding}\n")).collect();
    io::stderr().write_all(told.as_bytes()).context("write to standard error")?;
    // There is nothing to save: a signal ends the process.
    let never = AtomicBool::new(false);
    eval::run(&config, arguments.json, &never, &mut io::stdout()).map(|_| Ending::Finished)
}

fn config(arguments: &EvalArgs) -> Result<RunConfig> {
    match (&arguments.config, &arguments.model, &arguments.data) {
        (Some(path), model, _) => {
            let mut config = RunConfig::load(path, &arguments.sets)?;
            if let Some(model) = model {
                config.model.checkpoint.clone_from(model);
                config.model.random_init = false;
                config.places.set("model.checkpoint", "`--model`");
            }
            Ok(config)
        }
        (None, Some(model), Some(data)) => {
            let mut config = eval::config_for(model, data, arguments.template, arguments.max_tokens)?;
            config.places.set("eval.sets.0.data", "`--data`");
            Ok(config)
        }
        _ => unreachable!("clap asks for a config, or for a model and data"),
    }
}
