//! The sandbox itself: zygotes that wait for work.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::Filters;
use super::run::{self, Broken, Served};
use super::zygote::{Setup, StartError, Zygote};
use super::{Call, Ended, Isolation, Job, Outcome, Task, self_test};

/// How a sandbox is set up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// The Python that runs programs, 3.9 or newer: a path, or a name that is looked up on `PATH`.
    pub python: String,
    /// Zygotes, which is how many programs run at a time; as many as the machine has cores where it is left out.
    pub workers: Option<NonZeroUsize>,
    /// Below this level of isolation nothing is run.
    pub minimum: Isolation,
    /// Above this level nothing is tried: to see on one machine what another would do.
    pub maximum: Isolation,
    /// Modules loaded before any test, beside much of the standard library. Naming one makes all installed packages
    /// importable; else none but the standard library is.
    pub modules: Vec<String>,
    /// Size of a `/tmp` in memory, in bytes, for programs that may write files.
    pub tmp_bytes: u64,
    /// A zygote is replaced after this many tests.
    pub recycle_after: u64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            python: "python3".into(),
            workers: None,
            minimum: Isolation::LandlockSeccomp,
            maximum: Isolation::Namespaces,
            modules: Vec::new(),
            tmp_bytes: 64 << 20,
            recycle_after: 10_000,
        }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The interpreter cannot be found or started.
    #[error("python for the sandbox `{program}`: {why}")]
    Python {
        /// As it was configured.
        program: String,
        /// What happened.
        why: String,
    },
    /// The machine does not give the isolation that is asked for.
    #[error("sandbox: isolation `{minimum}` is asked for, and this machine does not give it: {}", missing.join("; "))]
    Isolation {
        /// The level asked for.
        minimum: Isolation,
        /// What is missing, level by level.
        missing: Vec<String>,
    },
    /// A zygote did not start, for a reason that has nothing to do with isolation.
    #[error("sandbox: start an interpreter: {0}")]
    Start(String),
    /// A program of the self-test was not contained.
    #[error("sandbox: the self-test failed: {0}")]
    SelfTest(String),
}

/// Zygotes at work for any number of threads. See the [module](super).
pub struct Sandbox {
    setup: Setup,
    recycle_after: u64,
    /// A place for each zygote that is not at work; `None` where one has to be started first.
    idle: Mutex<Vec<Option<Zygote>>>,
    returned: Condvar,
    n_workers: usize,
    broken: Mutex<(u64, Option<String>)>,
}

impl Sandbox {
    /// Starts the zygotes at the highest level the machine gives, and tries a short list of attacks on one.
    ///
    /// # Errors
    /// Where the interpreter does not start, the level is below the minimum, or an attack was not contained.
    pub fn open(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let filters =
            Filters::new().map_err(|why| SandboxError::Isolation { minimum: config.minimum, missing: vec![why] })?;
        let mut setup = Setup {
            python: find_python(&config.python)?,
            isolation: config.maximum,
            modules: config.modules.clone(),
            tmp_bytes: config.tmp_bytes,
            filters,
        };
        let mut missing = Vec::new();
        let first = loop {
            if setup.isolation < config.minimum {
                return Err(SandboxError::Isolation { minimum: config.minimum, missing });
            }
            match Zygote::start(&setup) {
                Ok(zygote) => break zygote,
                Err(StartError::Failed(why)) => return Err(SandboxError::Start(why)),
                Err(StartError::Missing(what)) => missing.push(format!("{}: {what}", setup.isolation)),
            }
            setup.isolation = match setup.isolation {
                Isolation::Namespaces => Isolation::LandlockSeccomp,
                Isolation::LandlockSeccomp => Isolation::None,
                Isolation::None => return Err(SandboxError::Isolation { minimum: config.minimum, missing }),
            };
        };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let n_workers = config.workers.unwrap_or(cores).get();
        let mut idle: Vec<Option<Zygote>> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| Zygote::start(&setup).ok());
            let others: Vec<_> = (1..n_workers).map(|_| start()).collect();
            others.into_iter().map(|thread| thread.join().unwrap_or(None)).collect()
        });
        idle.push(Some(first));
        let sandbox = Self {
            setup,
            recycle_after: config.recycle_after.max(1),
            idle: Mutex::new(idle),
            returned: Condvar::new(),
            n_workers,
            broken: Mutex::default(),
        };
        self_test::run(&sandbox).map_err(SandboxError::SelfTest)?;
        Ok(sandbox)
    }

    /// The level programs run at.
    pub fn isolation(&self) -> Isolation {
        self.setup.isolation
    }

    /// How many programs run at a time.
    pub fn n_workers(&self) -> usize {
        self.n_workers
    }

    /// Zygotes that failed so far and were replaced, and what was wrong with the last: none as long as all is well.
    pub fn broken(&self) -> (u64, Option<String>) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills what is idle, as a machine short of memory might.
    #[cfg(test)]
    pub(super) fn break_idle_zygotes(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter_mut().flatten().for_each(Zygote::kill);
    }

    /// Runs a job and waits for it: an outcome for each input or call, or one for a pair, in their order. Any number of
    /// threads may call it; one that finds all zygotes at work waits for the first that is free.
    pub fn run(&self, job: &Job<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.run_each(job, |outcome| {
            outcomes.push(outcome);
            ControlFlow::Continue(())
        });
        outcomes
    }

    /// As [`Self::run`], but hands over each outcome as it comes; after a `Break` nothing further is run. `each` holds a
    /// zygote while it is at work, so it runs nothing on this sandbox itself.
    pub fn run_each(&self, job: &Job<'_>, mut each: impl FnMut(Outcome) -> ControlFlow<()>) {
        let mut place = Place::take(self);
        let limits = &job.limits;
        match job.task {
            Task::Stdin(inputs) => {
                let order = run::order("script", job.program, &[]);
                for input in inputs {
                    let outcome = place.twice(|zygote| run::script(zygote, as_ref(&order)?, input, limits));
                    if each(outcome.unwrap_or_else(failed)).is_break() {
                        return;
                    }
                }
            }
            Task::Calls { function, calls } => {
                self.calls(&mut place, job, function, calls, &mut |outcome| each(outcome).is_continue());
            }
            Task::Pair { tests, functions } => {
                let orders = (run::order("serve", job.program, &[]), run::order("tests", tests, functions));
                let outcome = place.twice(|zygote| run::pair(zygote, as_ref(&orders.0)?, as_ref(&orders.1)?, limits));
                let _ = each(outcome.unwrap_or_else(failed));
            }
        }
    }

    fn calls(
        &self,
        place: &mut Place<'_>,
        job: &Job<'_>,
        function: &str,
        calls: &[Call],
        each: &mut dyn FnMut(Outcome) -> bool,
    ) {
        let order = run::order("serve", job.program, &[]);
        let mut rest = calls;
        while !rest.is_empty() {
            // Outcomes are handed over once, also where the process breaks after some of them.
            let n_before = rest.len();
            let mut n_told = 0;
            let served = place.twice(|zygote| {
                run::calls(zygote, as_ref(&order)?, function, &rest[n_told..], &job.limits, &mut |outcome| {
                    n_told += 1;
                    each(outcome)
                })
            });
            match served {
                Ok(Served::Enough) => return,
                Ok(Served::Some) => rest = &rest[n_told.min(n_before)..],
                Ok(Served::NotLoaded(outcome)) => {
                    for _ in &rest[n_told..] {
                        if !each((*outcome).clone()) {
                            return;
                        }
                    }
                    return;
                }
                Err(why) => {
                    if n_told < n_before && !each(failed(why)) {
                        return;
                    }
                    rest = &rest[(n_told + 1).min(n_before)..];
                }
            }
        }
    }
}

fn as_ref<T>(order: &Result<T, super::wire::WireError>) -> Result<&T, Broken> {
    order.as_ref().map_err(|error| Broken::Order(error.to_string()))
}

fn failed(why: String) -> Outcome {
    Outcome {
        ended: Ended::Infra(why),
        stdout: Vec::new(),
        stderr: Vec::new(),
        returned: None,
        cpu: Duration::ZERO,
        wall: Duration::ZERO,
        peak_bytes: 0,
    }
}

/// A worker's place, with its zygote while it lasts; given back at the end, whatever happened.
struct Place<'a> {
    sandbox: &'a Sandbox,
    zygote: Option<Zygote>,
}

impl<'a> Place<'a> {
    fn take(sandbox: &'a Sandbox) -> Self {
        let mut idle = sandbox.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(zygote) = idle.pop() {
                return Self { sandbox, zygote };
            }
            idle = sandbox.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does `work` on a zygote, and where that breaks once more on a fresh one; then says why it broke.
    fn twice<T>(&mut self, mut work: impl FnMut(&mut Zygote) -> Result<T, Broken>) -> Result<T, String> {
        let mut why = String::new();
        for _ in 0..2 {
            let zygote = match &mut self.zygote {
                Some(zygote) if zygote.n_forks < self.sandbox.recycle_after => zygote,
                place => match Zygote::start(&self.sandbox.setup) {
                    Ok(zygote) => place.insert(zygote),
                    Err(error) => {
                        why = error.to_string();
                        continue;
                    }
                },
            };
            match work(zygote) {
                Ok(result) => return Ok(result),
                Err(broken) => {
                    why = zygote.with_last_words(broken.to_string());
                    let mut broken = self.sandbox.broken.lock().unwrap_or_else(PoisonError::into_inner);
                    *broken = (broken.0 + 1, Some(why.clone()));
                    self.zygote = None;
                }
            }
        }
        Err(why)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // While unwinding, the zygote may be in the middle of a test.
        let zygote = if std::thread::panicking() { None } else { self.zygote.take() };
        self.sandbox.idle.lock().unwrap_or_else(PoisonError::into_inner).push(zygote);
        self.sandbox.returned.notify_one();
    }
}

/// Asks the interpreter where it really is: what `PATH` finds may be a script that looks for it.
fn find_python(program: &str) -> Result<PathBuf, SandboxError> {
    let failed = |why: String| SandboxError::Python { program: program.to_owned(), why };
    let output = Command::new(program)
        .args(["-S", "-s", "-c", "import sys; print(sys.executable); print(int(sys.version_info >= (3, 9)))"])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().collect::<Vec<_>>()[..] {
        [path, "1"] if path.starts_with('/') => Ok(path.into()),
        [path, "0"] => Err(failed(format!("`{path}` is older than Python 3.9"))),
        _ => Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

#[cfg(test)]
mod tests;
