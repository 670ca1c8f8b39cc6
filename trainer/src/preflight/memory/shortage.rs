//! What is said where memory runs out: the phase, and the key to turn.
//!
//! libtorch throws where it finds no memory, which `tch` turns into a panic of the thread that asked. What Rust's own
//! allocator cannot get ends the process at once; that is the smaller part.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use anyhow::{Error, Result};
use rollout::pool::PoolError;

use super::{Phase, Plan};
use crate::mistake::Mistake;

impl Plan {
    /// Runs `work`, a part of `phase`. A panic for want of memory becomes an error; any other goes on.
    ///
    /// # Errors
    /// Where memory runs out. What `work` was changing must not be used after it.
    pub fn guard<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> Result<T> {
        panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match shortage(said(&*panic)) {
            Some(words) => self.refused(phase, words),
            None => panic::resume_unwind(panic),
        })
    }

    /// `error`, which ended `phase`; where a replica died for want of memory, with the key to turn.
    pub fn explain(&self, phase: Phase, error: PoolError) -> Error {
        match &error {
            PoolError::WorkerDied { message, .. } => match shortage(message) {
                Some(words) => self.refused(phase, words),
                None => error.into(),
            },
            _ => error.into(),
        }
    }

    fn refused(&self, phase: Phase, words: &str) -> Error {
        let planned = super::bytes(self.total(phase));
        let mistake = Mistake::new(words).hint(self.hint_for_phase(phase));
        Error::new(mistake).context(format!("find memory for {phase}, planned to take {planned}"))
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

/// The line of a panic's message that says memory could not be had, if one does.
fn shortage(message: &str) -> Option<&str> {
    const SIGNS: [&str; 4] = ["DefaultCPUAllocator", "not enough memory", "out of memory", "bad_alloc"];
    // Without what comes after it, a trace in C++.
    let lines = message.split("\\n").flat_map(str::lines);
    lines.into_iter().find_map(|line| SIGNS.iter().filter_map(|sign| line.find(sign)).min().map(|at| &line[at..]))
}

#[cfg(test)]
mod tests;
