//! A program that speaks JSON lines.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::batched::{self, Batched, sixteen};
use super::pool::{Patience, Pool, Worker};
use super::process::Process;
use super::{Failure, four, half_a_minute, message, one};
use crate::rubric::{Settings, settings};
use crate::rule::Rule;

settings! {
    /// What a program of the user's says: it reads requests and writes scores as lines of JSON, and runs unconfined.
    Program {
        /// The program and its arguments, without a shell: `["./judge", "--strict"]`.
        command: Vec<String>,
        /// True where a value of 1 or more says that the answer is right, and a lesser one that it is wrong.
        #[serde(default)]
        judges: bool,
        /// Most completions in a request.
        #[serde(default = "sixteen")]
        batch: usize,
        /// Processes, each with one request at a time.
        #[serde(default = "four")]
        workers: usize,
        /// Seconds that a request may take before its process is killed.
        #[serde(default = "half_a_minute")]
        timeout_s: f64,
        /// How often a request that failed is put again, to a new process, before its completions are left out.
        #[serde(default = "one")]
        retries: usize,
    }
}

impl Settings for Program {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(("command", "names no program".into()));
        }
        batched::check(self.batch)?;
        super::check(self.workers, self.timeout_s)
    }

    /// A program without a slash in its name is one of the system's.
    fn files(&self) -> Vec<PathBuf> {
        let named = |(place, word): &(usize, &String)| *place > 0 || word.contains('/');
        let words = self.command.iter().enumerate().filter(named).map(|(_, word)| PathBuf::from(word));
        words.filter(|path| path.is_file()).collect()
    }

    fn rule(&self) -> Arc<dyn Rule> {
        let Program { command, timeout_s, retries, workers, judges, batch, .. } = self.clone();
        Arc::new(Batched::new("program", "`command`".to_owned(), judges, batch, move || {
            let patience = Patience { retries, backoff: Duration::ZERO };
            let limit = Duration::from_secs_f64(timeout_s);
            Pool::start(workers, patience, move || Lines { command: command.clone(), limit, process: None })
        }))
    }
}

/// A process that is started when it is needed, and anew after it failed.
struct Lines {
    command: Vec<String>,
    limit: Duration,
    process: Option<Process>,
}

impl Lines {
    fn start(&self) -> Result<Process, Failure> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| Failure::new("names no program"))?;
        Process::start(Command::new(program).args(arguments)).map_err(|error| {
            let failure = Failure::new(format!("start `{program}`: {error}"));
            if error.kind() == ErrorKind::NotFound { failure.for_good() } else { failure }
        })
    }
}

impl Worker for Lines {
    /// A request about no completion at all is answered with no scores.
    fn open(&mut self) -> Result<String, Failure> {
        let answer = self.ask(&message::request(&[], false))?;
        message::verdicts(&answer, 0)?;
        Ok(answer)
    }

    fn ask(&mut self, request: &str) -> Result<String, Failure> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?,
        };
        let answer = process.ask(request, self.limit)?;
        self.process = Some(process);
        Ok(answer)
    }
}
