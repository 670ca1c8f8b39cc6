//! `Interrupt`: how a run learns that it should end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

/// The exit status after a second signal: at once, with nothing saved.
const KILLED: i32 = 130;

/// Lets a write past the limit on a file's size (`ulimit -f`) fail as an error that names the file, where the signal
/// would end the process without a word. For the start of the program.
pub fn outlive_file_limits() -> Result<()> {
    // A handler, not "ignore", which programs that are started from this one would inherit.
    flag::register(SIGXFSZ, Arc::default()).context("watch for signals").map(drop)
}

/// Set by SIGTERM, Ctrl-C, or the end of the time the run was given.
#[derive(Clone, Debug)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over SIGTERM and SIGINT. The first one asks the run to save and leave; a second one ends the process.
    pub fn watch(max_hours: Option<f64>) -> Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Registered first, it sees the flag as it was before this signal.
            flag::register_conditional_shutdown(signal, KILLED, flag.clone()).context("watch for signals")?;
            flag::register(signal, flag.clone()).context("watch for signals")?;
        }
        if let Some(hours) = max_hours {
            let (flag, time) = (flag.clone(), Duration::from_secs_f64(hours * 3600.0));
            match time.is_zero() {
                true => flag.store(true, Ordering::Relaxed),
                false => drop(thread::spawn(move || {
                    thread::sleep(time);
                    flag.store(true, Ordering::Relaxed);
                })),
            }
        }
        Ok(Interrupt { flag })
    }

    /// Whether the run should end now.
    pub fn is_due(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// What sampling looks at between two tokens, and learning between two microbatches.
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}
