//! The rule `code`: does the program in a completion pass the tests of its row?

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::judge::{CodeGrade, Judging, Verdict as TestVerdict, judge};
use super::output::Layout;
use super::problem::{Problem, ProblemError};
use super::program::{self, Block};
use super::source::Source;
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::score::Sample;
use crate::verdict::Verdict;

/// How the verdicts on tests make a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeScore {
    /// 1 where every test passes, else 0. Judging stops at the first that does not.
    #[default]
    All,
    /// The share of tests that pass, 0 to 1.
    Share,
    /// The mean of what each test is worth by its verdict: 1, or one of `points` (CodeRL, arXiv 2207.01780).
    PerTest,
}

/// What a test is worth by its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Points {
    /// A test that does not pass because the answer is wrong, below 1; CodeRL gives −0.3.
    pub wrong_answer: f64,
    /// One that ends by an exception, or over a limit of time, memory or output, below 1; CodeRL gives −0.6.
    pub runtime: f64,
    /// A program that is none or makes forbidden system calls, or a completion without one, below 1; CodeRL gives −1.
    pub compile: f64,
}

impl Default for Points {
    fn default() -> Self {
        Self { wrong_answer: -0.3, runtime: -0.6, compile: -1.0 }
    }
}

/// Which of a row's tests are run where not all are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The first ones.
    #[default]
    First,
    /// Those that a hash of the row draws: the same ones for every completion and in every run.
    Random,
}

/// What becomes of a row whose statement accepts several answers while its tests know one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeveralAnswers {
    /// Its completions have no value: a right program could not be told from a wrong one.
    #[default]
    Exclude,
    /// They are held to the one answer that is known.
    Compare,
}

settings! {
    /// 1 where the program in the completion passes the tests of its row, run in a sandbox, else 0.
    Code {
        /// How the verdicts on tests make a value.
        #[serde(default)]
        score: CodeScore,
        /// What a test that does not pass is worth with the score `per_test`.
        #[serde(default)]
        points: Points,
        /// Which fenced block of the completion is the program.
        #[serde(default)]
        block: Block,
        /// Run no more than this many of a row's tests; all where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_tests: Option<NonZeroUsize>,
        /// Which ones, where there are more.
        #[serde(default)]
        which_tests: Selection,
        /// Processor time for each test where the row states none, in seconds.
        #[serde(default = "ten")]
        time_limit_s: f64,
        /// What a time limit stated in the row is multiplied by: most are meant for C++.
        #[serde(default = "two")]
        time_factor: f64,
        /// Memory for each test beyond the interpreter's own, in MiB; a row that states more gets it.
        #[serde(default = "half_a_gibibyte")]
        memory_mib: u64,
        /// What parts the pieces of an output that are compared.
        #[serde(default)]
        compare: Layout,
        /// What becomes of a row whose statement accepts several answers while its tests know one.
        #[serde(default)]
        several_answers: SeveralAnswers,
        /// Whether programs may write files, in a `/tmp` in memory that is empty at the start of each test.
        #[serde(default)]
        files: bool,
        /// The sandbox: its Python, how many programs run at a time, the least isolation.
        #[serde(default)]
        sandbox: SandboxConfig,
    }
}

fn ten() -> f64 {
    10.0
}

fn two() -> f64 {
    2.0
}

fn half_a_gibibyte() -> u64 {
    512
}

impl Settings for Code {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let positive = |number: f64| number > 0.0 && number.is_finite();
        if !positive(self.time_limit_s) {
            return Err(("time_limit_s", format!("is {}, and must be a number of seconds above 0", self.time_limit_s)));
        }
        if !positive(self.time_factor) {
            return Err(("time_factor", format!("is {}, and must be a factor above 0", self.time_factor)));
        }
        if self.memory_mib < 16 {
            return Err(("memory_mib", format!("is {}, and Python needs at least 16", self.memory_mib)));
        }
        let points = [self.points.wrong_answer, self.points.runtime, self.points.compile];
        // What does not pass must be worth less than the 1 of what does.
        if let Some(points) = points.iter().find(|points| !(points.is_finite() && **points < 1.0)) {
            return Err(("points", format!("give {points} to a test that does not pass, and must give less than 1")));
        }
        Ok(())
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(CodeRule { settings: self.clone(), sandbox: Mutex::new(None), problems: Mutex::default() })
    }
}

/// Rows whose problems are kept read: completions of one prompt come together, those of many prompts at a time.
const KEPT: usize = 256;

type Read = Arc<OnceLock<Result<Problem, ProblemError>>>;

/// The rule at work.
struct CodeRule {
    settings: Code,
    sandbox: Mutex<Option<Arc<Sandbox>>>,
    /// Problems by the hash of their row, in the order they came.
    problems: Mutex<VecDeque<(u64, Read)>>,
}

/// Sandboxes in use, by their settings: rules of one run share one.
static SANDBOXES: Mutex<Vec<(SandboxConfig, Weak<Sandbox>)>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shared(config: &SandboxConfig) -> Result<Arc<Sandbox>, String> {
    let mut sandboxes = locked(&SANDBOXES);
    sandboxes.retain(|(_, sandbox)| sandbox.strong_count() > 0);
    if let Some(sandbox) = sandboxes.iter().find(|(known, _)| known == config).and_then(|(_, one)| one.upgrade()) {
        return Ok(sandbox);
    }
    let sandbox = Arc::new(Sandbox::open(config).map_err(|error| error.to_string())?);
    sandboxes.push((config.clone(), Arc::downgrade(&sandbox)));
    Ok(sandbox)
}

impl CodeRule {
    fn sandbox(&self) -> Result<Arc<Sandbox>, String> {
        let mut own = locked(&self.sandbox);
        if own.is_none() {
            *own = Some(shared(&self.settings.sandbox)?);
        }
        own.clone().ok_or_else(|| "no sandbox".to_owned())
    }

    /// The problem of a row, read once.
    fn problem(&self, sandbox: &Sandbox, sample: &Sample<'_>, hash: u64) -> Read {
        let read = {
            let mut problems = locked(&self.problems);
            match problems.iter().find(|(known, _)| *known == hash) {
                Some((_, read)) => read.clone(),
                None => {
                    if problems.len() >= KEPT {
                        problems.pop_front();
                    }
                    let read = Read::default();
                    problems.push_back((hash, read.clone()));
                    read
                }
            }
        };
        let problem = read.get_or_init(|| Problem::read(sample.columns, sample.prompt, sandbox));
        if matches!(problem, Err(ProblemError::Infra(_))) {
            // Another completion shall try again.
            locked(&self.problems).retain(|(known, _)| *known != hash);
        }
        read
    }

    fn judging(&self) -> Judging {
        let Code { time_limit_s, time_factor, memory_mib, compare, files, .. } = self.settings;
        let stop_early = matches!(self.settings.score, CodeScore::All);
        Judging { time_limit_s, time_factor, memory_mib, layout: compare, stop_early, files }
    }

    /// The tests that are run of a problem; `None` for all.
    fn places(&self, n: usize, hash: u64) -> Option<Vec<usize>> {
        let k = self.settings.max_tests?.get();
        match self.settings.which_tests {
            Selection::First => Some((0..n.min(k)).collect()),
            Selection::Random => {
                let mut ranked: Vec<(u64, usize)> =
                    (0..n).map(|place| (mixed(hash ^ mixed(place as u64 + 1)), place)).collect();
                ranked.sort_unstable();
                let mut places: Vec<usize> = ranked.into_iter().take(k).map(|(_, place)| place).collect();
                places.sort_unstable();
                Some(places)
            }
        }
    }

    /// What a grade is worth; `None` where the sandbox failed and that decides it.
    fn value(&self, grade: &CodeGrade) -> Option<f64> {
        let n = grade.tests.len().max(1) as f64;
        let failed = grade.tests.iter().any(|one| one.verdict == TestVerdict::Infra);
        match self.settings.score {
            CodeScore::All if grade.verdict == TestVerdict::Infra => None,
            CodeScore::All => Some(f64::from(grade.verdict == TestVerdict::Ok)),
            _ if failed || grade.tests.is_empty() => None,
            CodeScore::Share => Some(grade.n_passed() as f64 / n),
            CodeScore::PerTest => {
                Some(grade.tests.iter().map(|one| self.settings.points.of(one.verdict)).sum::<f64>() / n)
            }
        }
    }

    /// The value of a completion without a program.
    fn no_program(&self) -> f64 {
        match self.settings.score {
            CodeScore::All | CodeScore::Share => 0.0,
            CodeScore::PerTest => self.settings.points.compile,
        }
    }
}

impl Points {
    fn of(&self, verdict: TestVerdict) -> f64 {
        match verdict {
            TestVerdict::Ok => 1.0,
            TestVerdict::WrongAnswer => self.wrong_answer,
            TestVerdict::Compile | TestVerdict::Forbidden => self.compile,
            TestVerdict::TimeCpu
            | TestVerdict::TimeWall
            | TestVerdict::Memory
            | TestVerdict::Output
            | TestVerdict::Runtime
            | TestVerdict::Infra => self.runtime,
        }
    }
}

impl Rule for CodeRule {
    fn name(&self) -> &str {
        "code"
    }

    fn open(&self) -> Result<(), String> {
        self.sandbox().map(|_| ())
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        let sandbox = match self.sandbox() {
            Ok(sandbox) => sandbox,
            Err(reason) => return Some(Verdict::failed(reason)),
        };
        let hash = hash(sample.columns);
        let read = self.problem(&sandbox, sample, hash);
        let problem = match read.get() {
            Some(Ok(problem)) => problem,
            Some(Err(ProblemError::Infra(reason))) => return Some(Verdict::failed(reason.clone())),
            Some(Err(error)) => return Some(Verdict::undecided(error.to_string())),
            None => return Some(Verdict::failed("the problem was not read")),
        };
        if let Some(reason) = self.undecidable(problem) {
            return Some(Verdict::undecided(reason));
        }
        let program = match program::extract(sample.completion, self.settings.block, sample.think_opened()) {
            Ok(program) => program,
            Err(reason) => return Some(Verdict::new(self.no_program(), reason.to_string())),
        };
        let places = self.places(problem.len(), hash);
        let grade = judge(&sandbox, &program, problem, places.as_deref(), &self.judging());
        let n = places.map_or(problem.len(), |places| places.len());
        let note = note(&grade, n);
        Some(match self.value(&grade) {
            Some(value) => Verdict::new(value, note),
            None => Verdict::failed(note),
        })
    }

    fn judges(&self) -> bool {
        true
    }

    /// The reference solution, where the row has one.
    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let source = Source::recognise(sample.columns).ok()?;
        let program = source.canonical()?.replace('\r', "");
        let written = match self.settings.block {
            Block::Whole => program.clone(),
            Block::Last | Block::Only => format!("\n```python\n{}\n```\n", program.trim_end()),
        };
        Some(Gold { answer: program, written })
    }

    fn unreadable(&self, sample: &Sample<'_>) -> Option<String> {
        let sandbox = self.sandbox().ok()?;
        let read = self.problem(&sandbox, sample, hash(sample.columns));
        match read.get()? {
            Ok(problem) => self.undecidable(problem).map(str::to_owned),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl CodeRule {
    fn undecidable(&self, problem: &Problem) -> Option<&'static str> {
        let several = problem.statement.several_answers && self.settings.several_answers == SeveralAnswers::Exclude;
        several.then_some("the statement accepts several answers, and the tests know one")
    }
}

/// `7 of 10 tests; test 3: wrong_answer, expected 5, got 6`.
fn note(grade: &CodeGrade, n: usize) -> String {
    let passed = format!("{} of {n} tests", grade.n_passed());
    let Some(place) = grade.tests.iter().position(|one| one.verdict == grade.verdict) else { return passed };
    let one = &grade.tests[place];
    if one.verdict == TestVerdict::Ok {
        return passed;
    }
    let name = serde_json::to_value(one.verdict).ok().and_then(|name| name.as_str().map(str::to_owned));
    let name = name.unwrap_or_default();
    let why = if one.note.is_empty() { String::new() } else { format!(", {}", one.note) };
    format!("{passed}; test {}: {name}{why}", place + 1)
}

/// A hash of a row that is the same on every machine (FNV-1a).
fn hash(columns: &Map<String, Value>) -> u64 {
    let text = serde_json::to_string(columns).unwrap_or_default();
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Mixes the bits of a number (the finaliser of splitmix64).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
