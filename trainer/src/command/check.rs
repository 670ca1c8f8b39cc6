//! `grouper check`: what speaks against a run, before it is started.

use std::io::Write;

use anyhow::{Context, Error, Result};
use model::device::free_cuda_memory;
use trainer::cli::CheckArgs;
use trainer::config::{Ending, RunConfig, Stage};
use trainer::device;
use trainer::mistake::Mistake;
use trainer::preflight::{self, Finding, Refused};
use trainer::run;

/// Prints warnings, the policy's size and the plan of memory, or fails with every finding.
pub(crate) fn run(arguments: &CheckArgs) -> Result<Ending> {
    let path = &arguments.config.config;
    let config = RunConfig::load(path, &arguments.config.sets)?;
    // A run opens its device first of all. Here one that is not there is a finding among others.
    let device = device::open(config.model.device);
    let mut checked = preflight::check(&config, Stage::of(&config), &arguments.root);
    checked.findings.extend(device.err().map(|error| missing(&error).placed(&config.places)));
    checked.findings.sort_by_key(|finding| finding.level);
    if checked.is_refused() {
        return Err(Refused(checked.findings)).with_context(|| format!("check config `{}`", path.display()));
    }
    let policy =
        checked.model.map(|model| format!("{:<14}{}-layer policy, {}", "policy", model.n_layers, run::size(&model)));
    // Only here is the device open: what it has free is known.
    let free = free_cuda_memory();
    let on_device = checked.on_device.map(|plan| plan.fit(free));
    checked.findings.extend(on_device.as_ref().and_then(|plan| plan.check(free)));
    let plans = [checked.plan.map(|plan| plan.to_string()), on_device.map(|plan| plan.to_string())];
    let plans = plans.into_iter().flatten();
    let said: Vec<String> = checked.findings.iter().map(warning).chain(policy).chain(plans).collect();
    let text = format!("{}\n{} can run\n", said.join("\n").trim_end(), config.name);
    std::io::stdout().write_all(text.trim_start().as_bytes()).context("write to standard output")?;
    Ok(Ending::Finished)
}

fn missing(error: &Error) -> Finding {
    let finding = Finding::error("model.device", error.to_string());
    let hint = error.downcast_ref::<Mistake>().and_then(|mistake| mistake.hint.clone());
    Finding { hint, ..finding }
}

fn warning(finding: &Finding) -> String {
    let hint = finding.hint.iter().map(|hint| format!("\n  hint: {hint}"));
    [format!("warning: {finding}")].into_iter().chain(hint).collect()
}
