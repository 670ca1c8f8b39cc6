//! `grouper grpo` and `grouper sft`: a stage from its config.

use anyhow::Result;
use trainer::cli::RunArgs;
use trainer::config::{Ending, RunConfig, RunOptions};
use trainer::profile;

/// A stage's one entry.
type Train = fn(&RunConfig, &RunOptions) -> Result<Ending>;

/// Reads the config and hands it to `train`, which checks it before it begins.
pub(crate) fn run(arguments: &RunArgs, verbosity: i8, train: Train) -> Result<Ending> {
    if arguments.profile.is_some() {
        profile::begin();
    }
    let config = RunConfig::load(&arguments.config.config, &arguments.config.sets)?;
    train(&config, &arguments.options(verbosity))
}
