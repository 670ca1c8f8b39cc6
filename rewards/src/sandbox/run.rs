//! Runs one input, all calls, or one pair on a zygote, and says what came of it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::watch::{Event, Test, next, sealed};
use super::wire::WireError;
use super::zygote::{Exit, Zygote};
use super::{Call, Ended, Limits, MarshalError, Outcome, Plain};

/// The zygote failed, or the test's process ended in a way no program can bring about: to be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("a test's process ended before its walls stood: {0}")]
    Unready(String),
    #[error("a test's process was killed from outside")]
    Killed,
    #[error("hand a program over: {0}")]
    Order(String),
}

/// The file in memory that a test's process reads its orders from.
pub(super) fn order(mode: &str, source: &str, functions: &[&str]) -> Result<OwnedFd, WireError> {
    let functions = functions.iter().map(|&name| name.into()).collect();
    sealed(&Plain::Tuple(vec![mode.into(), source.into(), Plain::List(functions)]).to_marshal())
}

/// A message of the harness, as far as one can believe it.
enum Said {
    Ready,
    Loaded,
    Value(Plain, Plain),
    Raise(String, String),
    Compile(String),
    Call(String, Plain, Plain),
    Passed,
    Unfit(String),
    NotPlain(MarshalError),
    Nonsense,
}

impl Said {
    fn read(frame: Result<Plain, MarshalError>) -> Self {
        let parts = match frame {
            Ok(Plain::Tuple(parts)) => parts,
            Ok(_) => return Self::Nonsense,
            Err(error) => return Self::NotPlain(error),
        };
        let mut parts = parts.into_iter();
        let Some(Plain::Str(tag)) = parts.next() else { return Self::Nonsense };
        match (tag.as_str(), parts.next(), parts.next(), parts.next(), parts.next()) {
            ("ready", None, ..) => Self::Ready,
            ("loaded", None, ..) => Self::Loaded,
            ("passed", None, ..) => Self::Passed,
            ("value", Some(value), Some(back), None, _) => Self::Value(value, back),
            ("raise", Some(Plain::Str(kind)), Some(Plain::Str(message)), None, _) => Self::Raise(kind, message),
            ("unfit", Some(Plain::Str(_)), Some(Plain::Str(message)), None, _) => Self::Unfit(message),
            ("compile", Some(Plain::Str(message)), None, ..) => Self::Compile(message),
            ("call", Some(Plain::Str(name)), Some(args @ Plain::Tuple(_)), Some(kwargs @ Plain::Dict(_)), None) => {
                Self::Call(name, args, kwargs)
            }
            _ => Self::Nonsense,
        }
    }
}

fn exception(kind: String, message: String) -> Ended {
    match kind.as_str() {
        "MemoryError" => Ended::Memory,
        _ => Ended::Exception { kind, message },
    }
}

const NOT_PLAIN: &str = "NotPlain";
const NONSENSE: &str = "the program wrote where only its answers go";

/// How a process ended, of which `said` is what it told about it, as an end of the span it is in.
fn ended(exit: &Exit, said: Option<Ended>, cpu: Duration, limits: &Limits) -> Result<Ended, Broken> {
    let overtime = cpu.as_secs_f64() > limits.cpu_s;
    let signal = exit.status & 0x7f;
    Ok(match (signal, said) {
        (libc::SIGXCPU, _) => Ended::TimeCpu,
        (libc::SIGSYS, _) => Ended::Forbidden("unknown".into()),
        (0, _) | (libc::SIGKILL, _) if overtime => Ended::TimeCpu,
        // Nothing inside can send it: the kernel was short of memory, or somebody meddled.
        (libc::SIGKILL, _) => return Err(Broken::Killed),
        (0, Some(said)) => said,
        (0, None) => Ended::Exited((exit.status >> 8) & 0xff),
        (signal, _) => Ended::Signal(signal),
    })
}

fn unready(test: &Test) -> Broken {
    let words = String::from_utf8_lossy(&test.err);
    Broken::Unready(words.trim().lines().last().unwrap_or("without a word").to_owned())
}

/// One process and what it says about itself, until it ends or is stopped.
struct Watched {
    test: [Test; 1],
    news: Vec<super::zygote::News>,
}

enum Step {
    Said(Said),
    /// It has ended. The end, unless a limit ended it, is to be read from the exit and what was said before.
    Over(Exit, Option<Ended>),
}

impl Watched {
    fn fork(
        zygote: &mut Zygote,
        order: &OwnedFd,
        stdin: &[u8],
        limits: &Limits,
        n_spans: usize,
    ) -> Result<Self, Broken> {
        let stdin = sealed(stdin)?;
        let mut news = Vec::new();
        let test = Test::fork(zygote, order, stdin.as_fd(), limits, n_spans, &mut news)?;
        let mut watched = Self { test: [test], news };
        match watched.step(zygote)? {
            Step::Said(Said::Ready) => watched.test[0].begin_span(),
            Step::Over(..) => return Err(unready(watched.test())),
            Step::Said(_) => {
                watched.finish(zygote)?;
                return Err(unready(watched.test()));
            }
        }
        Ok(watched)
    }

    fn test(&mut self) -> &mut Test {
        &mut self.test[0]
    }

    fn step(&mut self, zygote: &Zygote) -> Result<Step, Broken> {
        let limit = match next(zygote, &mut self.test, &mut self.news)?.1 {
            Event::Frame(frame) => return Ok(Step::Said(Said::read(frame))),
            Event::Exit(exit) => return Ok(Step::Over(exit, None)),
            Event::TimeCpu => Ended::TimeCpu,
            Event::TimeWall => Ended::TimeWall,
            Event::Forbidden(call) => Ended::Forbidden(call.into()),
            Event::Output => Ended::Output,
        };
        let exit = self.finish(zygote)?;
        Ok(Step::Over(exit, Some(limit)))
    }

    /// Kills it and waits until it is gone.
    fn finish(&mut self, zygote: &Zygote) -> Result<Exit, Broken> {
        self.test().kill();
        loop {
            if let Event::Exit(exit) = next(zygote, &mut self.test, &mut self.news)?.1 {
                return Ok(exit);
            }
        }
    }

    fn outcome(&mut self, ended: Ended, returned: Option<Plain>, exit: Option<&Exit>) -> Outcome {
        let test = self.test();
        let (cpu, wall) = test.spent();
        let mut stdout = std::mem::take(&mut test.out);
        let limit = usize::try_from(test.limits().output_bytes).unwrap_or(usize::MAX);
        let ended = if stdout.len() > limit { Ended::Output } else { ended };
        stdout.truncate(limit);
        let stderr = std::mem::take(&mut test.err);
        Outcome { ended, stdout, stderr, returned, cpu, wall, peak_bytes: exit.map_or(0, |exit| exit.peak_bytes) }
    }

    /// The outcome of a process that is over.
    fn last(&mut self, exit: &Exit, limit: Option<Ended>, said: Option<Ended>) -> Result<Outcome, Broken> {
        let (cpu, _) = self.test().spent();
        let ended = match limit {
            Some(limit) => limit,
            None => ended(exit, said, cpu, &self.test().limits())?,
        };
        Ok(self.outcome(ended, None, Some(exit)))
    }
}

/// The program as a script.
pub(super) fn script(zygote: &mut Zygote, order: &OwnedFd, stdin: &[u8], limits: &Limits) -> Result<Outcome, Broken> {
    let mut watched = Watched::fork(zygote, order, stdin, limits, 1)?;
    let mut said = None;
    loop {
        match watched.step(zygote)? {
            Step::Said(Said::Raise(kind, message)) => said = Some(exception(kind, message)),
            Step::Said(Said::Compile(message)) => said = Some(Ended::Compile(message)),
            Step::Said(_) => {}
            Step::Over(exit, limit) => {
                // What it says of an exception counts only where it ended as after one.
                let said = said.filter(|_| (exit.status >> 8) & 0xff == 1);
                return watched.last(&exit, limit, said);
            }
        }
    }
}

/// The calls from the first, as far as one process goes: at least one outcome, and at most one for each call.
pub(super) fn calls(
    zygote: &mut Zygote,
    order: &OwnedFd,
    function: &str,
    calls: &[Call],
    limits: &Limits,
    each: &mut dyn FnMut(Outcome) -> bool,
) -> Result<Served, Broken> {
    let mut watched = Watched::fork(zygote, order, b"", limits, calls.len() + 1)?;
    let mut said = None;
    loop {
        match watched.step(zygote)? {
            Step::Said(Said::Loaded) => break,
            Step::Said(Said::Raise(kind, message)) => said = Some(exception(kind, message)),
            Step::Said(Said::Compile(message)) => said = Some(Ended::Compile(message)),
            Step::Said(_) => {}
            Step::Over(exit, limit) => return Ok(Served::NotLoaded(Box::new(watched.last(&exit, limit, said)?))),
        }
    }
    for (i, call) in calls.iter().enumerate() {
        watched.test().begin_span();
        watched.test().send(&request(function, &call.args, &call.kwargs));
        let mut lost = false;
        let (ended, returned) = match watched.step(zygote)? {
            Step::Said(Said::Value(value, _)) => (Ended::Exited(0), Some(value)),
            Step::Said(Said::Raise(kind, message)) => (exception(kind, message), None),
            Step::Said(Said::NotPlain(error)) => (exception(NOT_PLAIN.into(), error.to_string()), None),
            Step::Said(_) => {
                lost = true;
                (exception(NOT_PLAIN.into(), NONSENSE.into()), None)
            }
            Step::Over(exit, limit) => {
                let wants_more = each(watched.last(&exit, limit, None)?);
                return Ok(if wants_more { Served::Some } else { Served::Enough });
            }
        };
        let late = watched.test().spent().0.as_secs_f64() > limits.cpu_s;
        let (ended, returned) = if late { (Ended::TimeCpu, None) } else { (ended, returned) };
        // The process is of no use to the next call where the limit was passed or the channel's order lost.
        let useless = late || lost;
        if useless || i + 1 == calls.len() {
            let outcome = watched.outcome(ended, returned, None);
            let exit = watched.finish(zygote)?;
            let wants_more = each(Outcome { peak_bytes: exit.peak_bytes, ..outcome });
            return Ok(if wants_more { Served::Some } else { Served::Enough });
        }
        if !each(watched.outcome(ended, returned, None)) {
            watched.finish(zygote)?;
            return Ok(Served::Enough);
        }
    }
    watched.finish(zygote)?;
    Ok(Served::Some)
}

/// How far a process came with calls.
pub(super) enum Served {
    /// The module could not be loaded, for this reason; no call was made.
    NotLoaded(Box<Outcome>),
    /// Those it answered were handed over; the rest need another process.
    Some,
    /// The caller wants no more.
    Enough,
}

fn request(function: &str, args: &[Plain], kwargs: &[(String, Plain)]) -> Plain {
    let kwargs = kwargs.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect();
    Plain::Tuple(vec![function.into(), Plain::Tuple(args.to_vec()), Plain::Dict(kwargs), Plain::Bool(false)])
}

/// Tests in one process, the program in another.
pub(super) fn pair(
    zygote: &mut Zygote,
    program: &OwnedFd,
    tests: &OwnedFd,
    limits: &Limits,
) -> Result<Outcome, Broken> {
    let mut news = Vec::new();
    let nothing = sealed(b"")?;
    let judge = Test::fork(zygote, tests, nothing.as_fd(), limits, 1, &mut news)?;
    let solver = Test::fork(zygote, program, nothing.as_fd(), limits, 1, &mut news)?;
    let mut both = [judge, solver];
    let result = relay(zygote, &mut both, &mut news, limits);
    if matches!(result, Err(Broken::Wire(_))) {
        return result;
    }
    // Neither outlives the pair.
    both.iter_mut().for_each(Test::kill);
    while both.iter().any(|test| !test.is_over()) {
        next(zygote, &mut both, &mut news)?;
    }
    let mut outcome = result?;
    outcome.peak_bytes = both[SOLVER].peak_bytes();
    Ok(outcome)
}

const JUDGE: usize = 0;
const SOLVER: usize = 1;

fn relay(
    zygote: &Zygote,
    both: &mut [Test; 2],
    news: &mut Vec<super::zygote::News>,
    limits: &Limits,
) -> Result<Outcome, Broken> {
    let (mut ready, mut loaded, mut said) = ([false; 2], false, None);
    let mut waiting: Option<Plain> = None;
    // Whether the judge waits for an answer: what the solver says unasked goes nowhere.
    let mut asked = false;
    let end = loop {
        let (who, event) = next(zygote, both, news)?;
        let said_now = match event {
            Event::Frame(frame) => Said::read(frame),
            Event::Exit(_) if !ready[who] => return Err(unready(&both[who])),
            Event::Exit(exit) => {
                let cpu = both[who].spent().0;
                let end = ended(&exit, said.take(), cpu, limits)?;
                if who == JUDGE {
                    break Ended::Infra(format!("the tests ended early: {end:?}"));
                }
                match end {
                    // The program ended itself in the middle of the tests.
                    Ended::Exited(code) => {
                        break Ended::Exception { kind: "SystemExit".into(), message: code.to_string() };
                    }
                    end => break end,
                }
            }
            Event::TimeCpu => break Ended::TimeCpu,
            Event::TimeWall => break Ended::TimeWall,
            Event::Forbidden(call) => break Ended::Forbidden(call.into()),
            Event::Output => break Ended::Output,
        };
        match (who, said_now) {
            (who, Said::Ready) if !ready[who] => {
                ready[who] = true;
                both[who].begin_span();
            }
            (SOLVER, Said::Loaded) if !loaded => {
                loaded = true;
                if let Some(request) = waiting.take() {
                    both[SOLVER].send(&request);
                    asked = true;
                }
            }
            (SOLVER, Said::Compile(message)) if !loaded => said = Some(Ended::Compile(message)),
            (SOLVER, Said::Raise(kind, message)) if !loaded => said = Some(exception(kind, message)),
            (SOLVER, answer) if asked => {
                asked = false;
                let text = |tag: &str, a: &str, b: &str| Plain::Tuple(vec![tag.into(), a.into(), b.into()]);
                both[JUDGE].send(&match answer {
                    Said::Value(value, back @ Plain::Tuple(_)) => Plain::Tuple(vec!["value".into(), value, back]),
                    Said::Raise(kind, message) => text("raise", &kind, &message),
                    Said::NotPlain(error) => text("raise", NOT_PLAIN, &error.to_string()),
                    _ => text("raise", NOT_PLAIN, NONSENSE),
                });
            }
            (JUDGE, Said::Call(name, args, kwargs)) => {
                let request = Plain::Tuple(vec![name.as_str().into(), args, kwargs, Plain::Bool(true)]);
                if loaded {
                    both[SOLVER].send(&request);
                    asked = true;
                } else {
                    waiting = Some(request);
                }
            }
            (JUDGE, Said::Passed) => break Ended::Exited(0),
            (JUDGE, Said::Raise(kind, message)) => break exception(kind, message),
            (JUDGE, Said::Compile(message)) => break Ended::Infra(format!("the tests do not compile: {message}")),
            (JUDGE, Said::Unfit(message)) => break Ended::Infra(format!("the tests cannot be kept apart: {message}")),
            _ => {}
        }
    };
    let ((cpu, wall), [judge, solver]) = (both[SOLVER].spent(), both);
    let mut stderr = std::mem::take(&mut judge.err);
    stderr.extend(std::mem::take(&mut solver.err));
    stderr.truncate(super::outcome::STDERR_BYTES);
    let mut stdout = std::mem::take(&mut solver.out);
    stdout.truncate(usize::try_from(limits.output_bytes).unwrap_or(usize::MAX));
    Ok(Outcome { ended: end, stdout, stderr, returned: None, cpu, wall, peak_bytes: 0 })
}
