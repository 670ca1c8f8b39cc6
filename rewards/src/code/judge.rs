//! Runs a program on a problem's tests and says what came of each.

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Relation, written};
use super::output::{self, Layout};
use super::problem::{CallTest, CallTests, Problem, Tests};
use super::program::assemble;
use crate::sandbox::{Call, Ended, Job, Limits, Outcome, Plain, Sandbox, Task};

/// What came of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The answer is right.
    Ok,
    /// The program came to its end, and its answer is wrong.
    WrongAnswer,
    /// It used its processor time up.
    TimeCpu,
    /// It ran out of time on the clock, mostly asleep.
    TimeWall,
    /// It ran out of memory.
    Memory,
    /// It printed more than it may.
    Output,
    /// It ended by an exception, a signal, or on its own before it answered.
    Runtime,
    /// It made a system call that no honest program makes.
    Forbidden,
    /// It is no Python.
    Compile,
    /// The sandbox failed, not the program: tried again, then left out of the group, never a low score.
    Infra,
}

/// What came of one test, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestVerdict {
    /// What came of it.
    pub verdict: Verdict,
    /// Why, for a person; empty where it passed.
    pub note: String,
    /// Processor time it took, in seconds.
    pub cpu_s: f64,
    /// Time on the clock, in seconds.
    pub wall_s: f64,
}

/// What came of all tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeGrade {
    /// [`Verdict::Ok`] where every test passed; else the first one's that did not, an infrastructure failure last.
    pub verdict: Verdict,
    /// Each test that was judged, in order; the first ones only where judging stopped at a failure.
    pub tests: Vec<TestVerdict>,
}

impl CodeGrade {
    fn of(tests: Vec<TestVerdict>) -> Self {
        let failed = |infra: bool| {
            let wanted = |one: &&TestVerdict| one.verdict != Verdict::Ok && (one.verdict == Verdict::Infra) == infra;
            tests.iter().find(wanted).map(|one| one.verdict)
        };
        let none = if tests.is_empty() { Verdict::Infra } else { Verdict::Ok };
        Self { verdict: failed(false).or(failed(true)).unwrap_or(none), tests }
    }

    /// How many tests passed.
    pub fn n_passed(&self) -> usize {
        self.tests.iter().filter(|one| one.verdict == Verdict::Ok).count()
    }
}

/// How programs are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judging {
    /// Processor time for a test where the problem states none, in seconds.
    pub time_limit_s: f64,
    /// What a stated time limit is multiplied by: most are meant for C++.
    pub time_factor: f64,
    /// Memory for a test, in MiB; a problem that states more gets it.
    pub memory_mib: u64,
    /// How outputs are cut for comparison.
    pub layout: Layout,
    /// Whether the first test that does not pass ends it.
    pub stop_early: bool,
    /// Whether programs may write files, in a `/tmp` in memory that is empty at the start of each test.
    pub files: bool,
}

impl Default for Judging {
    fn default() -> Self {
        Self {
            time_limit_s: 10.0,
            time_factor: 2.0,
            memory_mib: 512,
            layout: Layout::default(),
            stop_early: false,
            files: false,
        }
    }
}

impl Judging {
    fn limits(&self, problem: &Problem) -> Limits {
        let cpu_s = problem.statement.time_limit_s.map_or(self.time_limit_s, |stated| stated * self.time_factor);
        let memory_mib = problem.statement.memory_mib.unwrap_or(0).max(self.memory_mib);
        // The clock runs on while this machine is busy with others; processor time is what counts.
        Limits { cpu_s, wall_s: 5.0 * cpu_s, memory_bytes: memory_mib << 20, files: self.files, ..Limits::default() }
    }
}

/// Tests out of time after which the rest are not run: each costs its whole limit.
const GIVE_UP_AFTER: usize = 3;

/// The first test of a program that runs out of time is run once more with this much of its limit: what a busy machine
/// takes from a program at the edge of its limit is no fault of its own.
const SECOND_CHANCE: f64 = 1.1;

/// Judges a program by some tests of a problem, given by their places; by all of them where `places` is `None`. Never
/// panics, whatever the program.
pub fn judge(
    sandbox: &Sandbox,
    program: &str,
    problem: &Problem,
    places: Option<&[usize]>,
    judging: &Judging,
) -> CodeGrade {
    let all: Vec<usize> = (0..problem.len()).collect();
    let places: Vec<usize> = places.unwrap_or(&all).iter().copied().filter(|place| *place < problem.len()).collect();
    let run = Run { sandbox, problem, judging, prepared: Prepared::of(program, problem) };
    let limits = judging.limits(problem);
    let more = Limits { cpu_s: limits.cpu_s * SECOND_CHANCE, wall_s: limits.wall_s * SECOND_CHANCE, ..limits };
    let is_late = |one: &TestVerdict| matches!(one.verdict, Verdict::TimeCpu | Verdict::TimeWall);
    let mut tests: Vec<TestVerdict> = Vec::with_capacity(places.len());
    let (mut n_late, mut had_chance) = (0, false);
    while tests.len() < places.len() {
        let done = tests.len();
        run.tests(&places[done..], limits, |verdict| {
            let again = verdict.verdict == Verdict::Infra || (is_late(&verdict) && !had_chance);
            n_late += usize::from(is_late(&verdict) && !again);
            let ends = judging.stop_early && verdict.verdict != Verdict::Ok;
            tests.push(verdict);
            if again || ends || n_late >= GIVE_UP_AFTER { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let last = tests.len() - 1;
        let again = match tests[last].verdict {
            Verdict::Infra => Some(limits),
            Verdict::TimeCpu | Verdict::TimeWall if !had_chance => Some(more),
            _ => None,
        };
        if let Some(limits) = again {
            had_chance |= is_late(&tests[last]);
            run.tests(&places[last..=last], limits, |verdict| {
                tests[last] = verdict;
                ControlFlow::Break(())
            });
            n_late += usize::from(is_late(&tests[last]));
        }
        if judging.stop_early && !matches!(tests[last].verdict, Verdict::Ok | Verdict::Infra) {
            break;
        }
        if n_late >= GIVE_UP_AFTER {
            let note = format!("not run: {n_late} tests before it ran out of time");
            tests.resize(places.len(), TestVerdict { verdict: Verdict::TimeCpu, note, cpu_s: 0.0, wall_s: 0.0 });
        }
    }
    CodeGrade::of(tests)
}

/// A program with what stands before and behind it, and the function that calls go to.
struct Prepared {
    source: String,
    function: String,
    /// Whether the function takes (form, args, kwargs) and calls the program itself.
    through_forms: bool,
}

impl Prepared {
    fn of(program: &str, problem: &Problem) -> Self {
        let Tests::Calls(CallTests { forms, .. }) = &problem.tests else {
            return Self {
                source: assemble(&problem.before, program, ""),
                function: String::new(),
                through_forms: false,
            };
        };
        if let [form] = forms.as_slice()
            && let Some(function) = plain_call(form)
        {
            let source = assemble(&problem.before, program, "");
            return Self { source, function: function.to_owned(), through_forms: false };
        }
        let mut behind = String::from("\n\n");
        let mut names = String::new();
        for (place, form) in forms.iter().enumerate() {
            let body = form.replace('\n', "\n    ");
            behind.push_str(&format!("def _grouper_form_{place}(args, kwargs):\n    {body}\n"));
            names.push_str(&format!("_grouper_form_{place}, "));
        }
        behind.push_str(&format!("def _grouper_call(form, args, kwargs):\n    return ({names})[form](args, kwargs)\n"));
        let source = assemble(&problem.before, program, &behind);
        Self { source, function: "_grouper_call".to_owned(), through_forms: true }
    }
}

/// The function of a form that only calls it: `f`, `Solution().f`.
fn plain_call(form: &str) -> Option<&str> {
    let function = form.strip_prefix("return ")?.strip_suffix("(*args, **kwargs)")?;
    let name = function.strip_prefix("Solution().").unwrap_or(function);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(function)
}

struct Run<'a> {
    sandbox: &'a Sandbox,
    problem: &'a Problem,
    judging: &'a Judging,
    prepared: Prepared,
}

impl Run<'_> {
    /// Runs the tests at these places, at least the first of them, and hands on the verdict of each until told to stop.
    fn tests(&self, places: &[usize], limits: Limits, mut each: impl FnMut(TestVerdict) -> ControlFlow<()>) {
        let program = self.prepared.source.as_str();
        let mut left = places.iter();
        let mut run = |task, verdict: &dyn Fn(&Outcome, usize) -> TestVerdict| {
            self.sandbox.run_each(&Job { program, task, limits }, |outcome| match left.next() {
                Some(&place) => each(verdict(&outcome, place)),
                None => ControlFlow::Break(()),
            });
        };
        match &self.problem.tests {
            Tests::Stdio(tests) => {
                let inputs: Vec<&[u8]> = places.iter().map(|&place| tests[place].stdin.as_bytes()).collect();
                let rules = self.problem.output_rules(self.judging.layout);
                run(Task::Stdin(&inputs), &|outcome, place| {
                    ended(outcome, || output::compare(tests[place].stdout.as_bytes(), &outcome.stdout, rules))
                });
            }
            Tests::Calls(tests) => {
                let calls: Vec<Call> = places.iter().map(|&place| self.call(&tests.calls[place])).collect();
                let task = Task::Calls { function: &self.prepared.function, calls: &calls };
                run(task, &|outcome, place| self.returned(outcome, &tests.calls[place].expected));
            }
            Tests::Pair { tests, functions, .. } => {
                let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
                run(Task::Pair { tests, functions: &functions }, &|outcome, _| ended(outcome, || Ok(())));
            }
        }
        // A sandbox that answers nothing must not be asked forever.
        if left.len() == places.len() {
            let note = "the sandbox gave no answer".to_owned();
            let _ = each(TestVerdict { verdict: Verdict::Infra, note, cpu_s: 0.0, wall_s: 0.0 });
        }
    }

    fn call(&self, test: &CallTest) -> Call {
        if !self.prepared.through_forms {
            return test.call.clone();
        }
        let kwargs = test.call.kwargs.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect();
        let form = i64::try_from(test.form).unwrap_or(i64::MAX);
        Call { args: vec![form.into(), Plain::List(test.call.args.clone()), Plain::Dict(kwargs)], kwargs: Vec::new() }
    }

    fn returned(&self, outcome: &Outcome, expected: &Relation) -> TestVerdict {
        let ended_itself = outcome.ended.well() && outcome.returned.is_none();
        if ended_itself {
            return timed(outcome, Verdict::Runtime, "the program ended before the call returned".to_owned());
        }
        ended(outcome, || {
            let Some(got) = &outcome.returned else { return Ok(()) };
            if expected.holds(got, self.problem.leeway()) {
                return Ok(());
            }
            let wanted = match (expected, expected.value()) {
                (Relation::NotEqual(_), Some(value)) => format!("anything but {}", written(value, 40)),
                (Relation::OneOf(_), Some(value)) => format!("{} or another of the listed", written(value, 40)),
                (_, Some(value)) => written(value, 40),
                (_, None) => "one of no values".to_owned(),
            };
            Err(format!("expected {wanted}, got {}", written(got, 40)))
        })
    }
}

/// The verdict on a run, where one that came well to its end is right if `compare` says so.
fn ended(outcome: &Outcome, compare: impl FnOnce() -> Result<(), String>) -> TestVerdict {
    let (verdict, note) = match &outcome.ended {
        Ended::Exited(0) => match compare() {
            Ok(()) => (Verdict::Ok, String::new()),
            Err(note) => (Verdict::WrongAnswer, note),
        },
        Ended::Exited(status) => (Verdict::Runtime, format!("exit status {status}")),
        Ended::Exception { kind, message } if kind == "NotPlain" || kind == "AssertionError" => {
            (Verdict::WrongAnswer, format!("{kind}: {}", first_line(message)))
        }
        Ended::Exception { kind, .. } if kind == "MemoryError" => (Verdict::Memory, "out of memory".to_owned()),
        Ended::Exception { kind, message } => (Verdict::Runtime, format!("{kind}: {}", first_line(message))),
        Ended::Signal(signal) => (Verdict::Runtime, format!("signal {signal}")),
        Ended::TimeCpu => (Verdict::TimeCpu, "out of processor time".to_owned()),
        Ended::TimeWall => (Verdict::TimeWall, "out of time on the clock".to_owned()),
        Ended::Memory => (Verdict::Memory, "out of memory".to_owned()),
        Ended::Output => (Verdict::Output, "too much output".to_owned()),
        Ended::Forbidden(call) => (Verdict::Forbidden, format!("the system call {call}")),
        Ended::Compile(message) => (Verdict::Compile, first_line(message)),
        Ended::Infra(reason) => (Verdict::Infra, reason.clone()),
    };
    timed(outcome, verdict, note)
}

fn timed(outcome: &Outcome, verdict: Verdict, note: String) -> TestVerdict {
    TestVerdict { verdict, note, cpu_s: outcome.cpu.as_secs_f64(), wall_s: outcome.wall.as_secs_f64() }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
