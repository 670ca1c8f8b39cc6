//! `Console`: what a person sees while a run goes on, and its copy in `run.log`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::append_file::AppendFile;
use crate::durable::DiskError;
use crate::metrics::colour;

/// The log's file name inside a run folder.
pub const RUN_LOG: &str = "run.log";

/// How much of a run is shown. `run.log` keeps everything, whatever is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: warnings and errors.
    Quiet,
    /// One line a step.
    #[default]
    Normal,
    /// `-v`: details too.
    Verbose,
}

/// Standard output for lines, standard error for warnings and a progress bar, `run.log` for all but the bar.
pub(super) struct Console {
    verbosity: Verbosity,
    pub(super) colour: bool,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    bars: bool,
    bar: ProgressBar,
    file: AppendFile,
    failure: Option<DiskError>,
}

impl Console {
    /// The process's own streams, and `run.log` at its end.
    pub(super) fn open(run: &Path, verbosity: Verbosity) -> Result<Self, DiskError> {
        let mut console = Self::with(run, verbosity, Box::new(io::stdout()), Box::new(io::stderr()))?;
        console.colour = colour();
        console.bars = io::stderr().is_terminal() && verbosity >= Verbosity::Normal;
        Ok(console)
    }

    /// Other streams, without colour and bars.
    pub(super) fn with(
        run: &Path,
        verbosity: Verbosity,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Result<Self, DiskError> {
        let file = AppendFile::open(run.join(RUN_LOG))?;
        let bar = ProgressBar::hidden();
        Ok(Self { verbosity, colour: false, out, err, bars: false, bar, file, failure: None })
    }

    /// A line from `verbosity` on; the console may get it with colours.
    pub(super) fn line(&mut self, verbosity: Verbosity, plain: &str, coloured: &str) {
        self.keep(plain);
        if self.verbosity >= verbosity {
            let out = &mut self.out;
            // A closed terminal or pipe must not end a run of hours; `run.log` has the line.
            self.bar.suspend(|| drop(writeln!(out, "{coloured}").and_then(|()| out.flush())));
        }
    }

    /// A line that is always shown, on standard error.
    pub(super) fn alert(&mut self, text: &str) {
        self.keep(text);
        let err = &mut self.err;
        self.bar.suspend(|| drop(writeln!(err, "{text}")));
    }

    /// A bar for `n` things; invisible without a terminal.
    pub(super) fn progress(&mut self, label: &str, n: u64) -> Progress {
        self.bar.finish_and_clear();
        self.bar = match self.bars {
            true => ProgressBar::with_draw_target(Some(n), ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{msg} {bar:24} {pos}/{len}  {elapsed}").expect("a sound template");
        self.bar.set_style(style);
        self.bar.set_message(label.to_owned());
        Progress(self.bar.clone())
    }

    /// The first failure to write `run.log` since the last call.
    pub(super) fn failure(&mut self) -> Result<(), DiskError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn keep(&mut self, line: &str) {
        if let Err(error) = self.file.append(format!("{line}\n").as_bytes()) {
            self.failure.get_or_insert(error);
        }
    }
}

/// A progress bar; gone when dropped. May be moved to other threads.
#[derive(Debug)]
#[must_use = "the bar goes away when this is dropped"]
pub struct Progress(ProgressBar);

impl Progress {
    /// `n` more are done.
    pub fn advance(&self, n: u64) {
        self.0.inc(n);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
