//! Programs that try to get out of the sandbox, to exhaust it, or to pass without solving anything. Each is a file of
//! `tests/attacks` that says at its top what it attempts and how it may end:
//!
//! ```text
//! # Attempts: to trace its zygote
//! # Ends: Forbidden(ptrace)
//! # Mode: calls | pair        else it is run as a script
//! # Files: yes                with a `/tmp` it may write
//! # Runs: 2                   to leave something for the next test
//! # Level: namespaces         where it means nothing below
//! ```
//!
//! An attack that succeeds prints `ESCAPED`, or gives the expected answer, which it cannot know. Afterwards an honest
//! program runs on the same zygote, which must not have been replaced.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use rewards::sandbox::{Call, Ended, Isolation, Job, Limits, Outcome, Plain, Sandbox, SandboxConfig, Task};

/// What no attack can know.
const SECRET: i64 = 913_472_651;

struct Attack {
    name: String,
    source: String,
}

impl Attack {
    fn header(&self, key: &str) -> Option<&str> {
        self.source.lines().find_map(|line| line.strip_prefix(&format!("# {key}: ")))
    }

    fn may_end(&self, ended: &Ended) -> bool {
        let (kind, detail) = match ended {
            Ended::Exited(_) => ("Exited", ""),
            Ended::Exception { kind, .. } => ("Exception", kind.as_str()),
            Ended::Signal(_) => ("Signal", ""),
            Ended::TimeCpu => ("TimeCpu", ""),
            Ended::TimeWall => ("TimeWall", ""),
            Ended::Memory => ("Memory", ""),
            Ended::Output => ("Output", ""),
            Ended::Forbidden(call) => ("Forbidden", call.as_str()),
            Ended::Compile(_) => ("Compile", ""),
            Ended::Infra(_) => ("Infra", ""),
        };
        let ends = self.header("Ends").expect("a header `Ends`");
        ends.split(' ').any(|end| end == kind || end == format!("{kind}({detail})"))
    }

    /// What is wrong with what came of it.
    fn faults(&self, sandbox: &Sandbox) -> Vec<String> {
        let runs = self.header("Runs").map_or(1, |n| n.parse().expect("a number of runs"));
        (0..runs).flat_map(|_| self.faults_of_a_run(sandbox)).collect()
    }

    fn faults_of_a_run(&self, sandbox: &Sandbox) -> Vec<String> {
        // Wide where time on the clock is not what ends it: this machine may be busy.
        let waits = self.header("Ends").is_some_and(|ends| ends.contains("TimeWall"));
        let limits = Limits {
            cpu_s: 0.25,
            wall_s: if waits { 1.5 } else { 60.0 },
            memory_bytes: 96 << 20,
            output_bytes: 1 << 20,
            files: self.header("Files").is_some(),
            ..Limits::default()
        };
        let calls = [1, 2].map(|n: i64| Call { args: vec![n.into()], kwargs: Vec::new() });
        let tests = format!("assert solve(1) == {SECRET}\nassert solve(2) == {SECRET}");
        let task = match self.header("Mode") {
            None => Task::Stdin(&[b""]),
            Some("calls") => Task::Calls { function: "solve", calls: &calls },
            Some("pair") => Task::Pair { tests: &tests, functions: &["solve"] },
            Some(other) => panic!("mode `{other}` of {}", self.name),
        };
        let outcomes = sandbox.run(&Job { program: &self.source, task, limits });
        assert_eq!(outcomes.len(), if self.header("Mode") == Some("calls") { 2 } else { 1 }, "{}", self.name);
        for outcome in &outcomes {
            println!("{} {:<32} {:?} {:?}", sandbox.isolation(), self.name, outcome.ended, outcome.returned);
        }
        outcomes.iter().filter_map(|outcome| self.fault(outcome)).collect()
    }

    fn fault(&self, outcome: &Outcome) -> Option<String> {
        let holds = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        let passed = match self.header("Mode") {
            None => holds(&outcome.stdout, &SECRET.to_string()),
            Some("calls") => outcome.returned == Some(Plain::from(SECRET)),
            _ => outcome.ended.well() || holds(&outcome.stdout, &SECRET.to_string()),
        };
        let what = if holds(&outcome.stdout, "ESCAPED") {
            "escaped"
        } else if passed {
            "passed"
        } else if !self.may_end(&outcome.ended) {
            "ended otherwise"
        } else {
            return None;
        };
        let words = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        let (out, err) = (words(&outcome.stdout), words(&outcome.stderr));
        Some(format!("{}: {what}: {:?} {:?}\n{out}\n{err}", self.name, outcome.ended, outcome.returned))
    }
}

fn attacks() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let mut attacks: Vec<Attack> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| Attack {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            source: fs::read_to_string(&path).unwrap(),
        })
        .collect();
    attacks.sort_by(|a, b| a.name.cmp(&b.name));
    let only = std::env::var("ATTACK").ok();
    attacks.retain(|attack| only.as_ref().is_none_or(|only| attack.name.contains(only.as_str())));
    attacks
}

/// A sandbox of exactly this level; none where the machine does not give it.
fn sandbox(level: Isolation) -> Option<Sandbox> {
    let workers = NonZeroUsize::new(2);
    let config = SandboxConfig { minimum: level, maximum: level, workers, ..SandboxConfig::default() };
    match Sandbox::open(&config) {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Processes the kernel killed since it started because memory was short: tests are the first it takes.
fn n_killed_for_memory() -> u64 {
    let counts = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    counts.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

fn all_are_contained(level: Isolation) {
    let Some(sandbox) = sandbox(level) else { return };
    let attacks = attacks();
    assert!(attacks.len() >= 60 || std::env::var("ATTACK").is_ok(), "{} attacks", attacks.len());
    let honest = || {
        let job = Job { program: "print(6 * 7)", task: Task::Stdin(&[b""]), limits: Limits::default() };
        sandbox.run(&job).remove(0)
    };
    let killed_before = n_killed_for_memory();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let attack_in_turn = || {
        let mut faults = Vec::new();
        while let Some(attack) = attacks.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            if attack.header("Level").is_some_and(|needed| needed != level.to_string()) {
                continue;
            }
            faults.extend(attack.faults(&sandbox));
            let after = honest();
            if !after.ended.well() || after.stdout != b"42\n" {
                faults.push(format!("{}: an honest program afterwards: {after:?}", attack.name));
            }
            if let (1.., why) = sandbox.broken() {
                if n_killed_for_memory() > killed_before {
                    println!("skipped: the rest, as this machine ran out of memory: {why:?}");
                } else {
                    faults.push(format!("{}: a zygote broke: {why:?}", attack.name));
                }
                break;
            }
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(attack_in_turn), scope.spawn(attack_in_turn)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn attacks_are_contained_by_namespaces() {
    all_are_contained(Isolation::Namespaces);
}

#[test]
fn attacks_are_contained_without_namespaces() {
    all_are_contained(Isolation::LandlockSeccomp);
}
