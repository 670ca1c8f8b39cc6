//! `grouper report`: a run as one page.

use std::io::Write;

use anyhow::{Context, Result};
use trainer::cli::ReportArgs;
use trainer::config::Ending;
use trainer::mistake::Mistake;
use trainer::report;

/// Writes the page into the run's folder and prints where it lies.
pub(crate) fn run(arguments: &ReportArgs) -> Result<Ending> {
    let run = &arguments.run;
    if !run.is_dir() {
        let mistake = Mistake::new("there is no such folder").hint("name a run's own folder, such as `runs/tiny/1`");
        return Err(mistake).with_context(|| format!("report run `{}`", run.display()));
    }
    let page = report::write(run)?;
    writeln!(std::io::stdout(), "{}", page.display()).context("write to standard output")?;
    Ok(Ending::Finished)
}
