//! A function in a Python file, in worker processes that live as long as the rubric.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pool::{Patience, Pool, Worker};
use super::process::Process;
use super::{Failure, four, half_a_minute, message, one};
use crate::rubric::{Settings, settings};
use crate::rule::{Member, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// The program that imports the file.
const DRIVER: &str = include_str!("driver.py");

/// How long a file may take to import: some import whole frameworks.
const IMPORT: Duration = Duration::from_secs(120);

settings! {
    /// What a function in a Python file of the user's says. It runs in processes of its own, unconfined.
    Python {
        /// The file; it may import what lies beside it and what its interpreter has.
        file: PathBuf,
        /// The function; `reward` where absent, or else `compute_score`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<String>,
        /// How the function is called.
        #[serde(default)]
        signature: Signature,
        /// True where a value of 1 or more says that the answer is right, and a lesser one that it is wrong.
        #[serde(default)]
        judges: bool,
        /// Processes, each with one call at a time; each imports the file when it is first needed.
        #[serde(default = "four")]
        workers: usize,
        /// Seconds that a call may take before its process is killed.
        #[serde(default = "half_a_minute")]
        timeout_s: f64,
        /// How often a call that failed is made again, where its process died in a new one, before its completions are
        /// left out.
        #[serde(default = "one")]
        retries: usize,
        /// The interpreter; that of a virtual environment sees its packages.
        #[serde(default = "python3")]
        python: PathBuf,
    }
}

fn python3() -> PathBuf {
    PathBuf::from("python3")
}

/// How a reward function is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// By the names of its parameters.
    #[default]
    Auto,
    /// `reward(prompts, completions, **columns)`, once for a group, as TRL's GRPOTrainer does: a list with a number for
    /// each completion, or `None` where the function has nothing to say.
    Trl,
    /// `compute_score(data_source, solution_str, ground_truth, extra_info)`, once for each completion, as verl's reward
    /// managers do: a number, or a dict with a `score`.
    Verl,
}

impl Settings for Python {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.file.as_os_str().is_empty() {
            return Err(("file", "is empty".into()));
        }
        super::check(self.workers, self.timeout_s)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(PythonRule { settings: self.clone(), pool: OnceLock::new(), signature: OnceLock::new() })
    }
}

/// The rule, whose processes are started when it is opened or first asked.
struct PythonRule {
    settings: Python,
    pool: OnceLock<Pool>,
    /// The function's, or why it cannot be called.
    signature: OnceLock<Result<Signature, String>>,
}

impl PythonRule {
    fn pool(&self) -> &Pool {
        self.pool.get_or_init(|| {
            let settings = self.settings.clone();
            let patience = Patience { retries: settings.retries, backoff: Duration::ZERO };
            Pool::start(settings.workers, patience, move || Interpreter { settings: settings.clone(), process: None })
        })
    }

    fn signature(&self) -> &Result<Signature, String> {
        self.signature.get_or_init(|| {
            let ready = self.pool().open().map_err(|failure| format!("python: {failure}"))?;
            let ready: Value = serde_json::from_str(&ready).map_err(|error| format!("python: {error}"))?;
            Ok(if ready["signature"] == "verl" { Signature::Verl } else { Signature::Trl })
        })
    }
}

impl Rule for PythonRule {
    fn name(&self) -> &str {
        "python"
    }

    fn open(&self) -> Result<(), String> {
        self.signature().clone().map(drop)
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        match self.signature() {
            Ok(Signature::Verl) => self.pool().ask(vec![(message::request(&[*sample], true), 1)]).pop(),
            Ok(_) => None,
            Err(why) => Some(Verdict::failed(why.as_str())),
        }
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        let samples: Vec<Sample<'_>> = group.iter().map(|one| one.sample).collect();
        self.pool().ask(vec![(message::request(&samples, true), samples.len())])
    }

    fn judges(&self) -> bool {
        self.settings.judges
    }

    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        super::answer(sample)
    }
}

/// An interpreter with the file imported, started when it is needed and anew after it failed.
struct Interpreter {
    settings: Python,
    process: Option<Process>,
}

impl Interpreter {
    /// Starts an interpreter and has it import the file; what the driver says of it.
    fn start(&self) -> Result<(Process, String), Failure> {
        let Python { file, function, signature, python, timeout_s, .. } = &self.settings;
        let mut command = Command::new(python);
        // The same hashes in each process: what iterates over a set says the same in a run that is resumed.
        command.args(["-u", "-c", DRIVER]).env("PYTHONHASHSEED", "0");
        let wrong = |key: &str, value: &PathBuf, why: &str| {
            Failure::new(format!("`{key}` {}: {why}", value.display())).for_good()
        };
        std::fs::metadata(file).map_err(|error| wrong("file", file, &error.to_string()))?;
        let mut process = Process::start(&mut command).map_err(|error| wrong("python", python, &error.to_string()))?;
        let first = json!({"file": file, "function": function, "signature": signature}).to_string();
        let limit = IMPORT.max(Duration::from_secs_f64(*timeout_s));
        let ready = process.ask(&first, limit).map_err(|mut failure| {
            failure.what = format!("import `file` {}: {}", file.display(), failure.what);
            failure
        })?;
        let told: Value = serde_json::from_str(&ready).map_err(|error| wrong("python", python, &error.to_string()))?;
        match told.get("refused") {
            None => Ok((process, ready)),
            Some(refused) => {
                let text = |key: &str| refused[key].as_str().unwrap_or_default();
                Err(wrong(text("key"), file, text("why")))
            }
        }
    }
}

impl Worker for Interpreter {
    fn open(&mut self) -> Result<String, Failure> {
        let (process, ready) = self.start()?;
        self.process = Some(process);
        Ok(ready)
    }

    fn ask(&mut self, request: &str) -> Result<String, Failure> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?.0,
        };
        let limit = Duration::from_secs_f64(self.settings.timeout_s);
        let answer = process.ask(request, limit)?;
        self.process = Some(process);
        Ok(answer)
    }
}
