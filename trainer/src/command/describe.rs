//! `grouper config`: what a config may hold.

use std::io::Write;

use anyhow::{Context, Result};
use trainer::cli::DescribeArgs;
use trainer::config::{Ending, RunConfig};

/// Writes the description asked for to standard output.
pub(crate) fn run(arguments: &DescribeArgs) -> Result<Ending> {
    let text = if arguments.schema {
        serde_json::to_string_pretty(&RunConfig::schema())? + "\n"
    } else if arguments.markdown {
        RunConfig::reference_page()
    } else {
        RunConfig::example()
    };
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Ending::Finished)
}
