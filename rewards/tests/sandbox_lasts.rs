//! What is left of a sandbox's runs, and of a sandbox: nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rewards::sandbox::{Ended, Isolation, Job, Limits, Sandbox, SandboxConfig, Task};

/// Processes of this machine whose ancestor is `root`, by what `/proc` says.
fn descendants(root: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = BTreeSet::from([root]);
    while parents.iter().any(|(pid, parent)| found.contains(parent) && found.insert(*pid)) {}
    found.remove(&root);
    found
}

fn n_descriptors(process: &str) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Memory of its own that a process holds, in KiB.
fn private_memory(process: &str) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let field = |name: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    field("Private_Dirty:") + field("Private_Clean:")
}

fn temporary_directories(process: u32) -> usize {
    let ours = format!("sandbox-{process}-");
    let names = fs::read_dir(std::env::temp_dir()).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(&ours)).count()
}

/// Programs of many kinds: that end well, by exceptions, by limits, by force, and that leave files.
const PROGRAMS: &[(&str, bool)] = &[
    ("print(int(input()) * 2)", false),
    ("print(sum(range(1000)))", false),
    ("raise ValueError('x' * 1000)", false),
    ("x = [0] * (1 << 30)", false),
    ("import os; os._exit(3)", false),
    ("print('x' * 100000)", false),
    ("(", false),
    ("open('left', 'w').write('x' * 10000)", true),
    ("import ctypes; ctypes.string_at(0)", false),
    ("import ctypes; ctypes.CDLL(None).unshare(0)", false),
];

fn run_many(sandbox: &Sandbox, n: usize) {
    std::thread::scope(|scope| {
        for worker in 0..sandbox.n_workers() {
            scope.spawn(move || {
                for i in (worker..n).step_by(sandbox.n_workers()) {
                    let (program, files) = PROGRAMS[i % PROGRAMS.len()];
                    let limits = Limits { output_bytes: 50_000, files, ..Limits::default() };
                    let outcome = sandbox.run(&Job { program, task: Task::Stdin(&[b"21"]), limits }).remove(0);
                    assert!(!matches!(outcome.ended, Ended::Infra(_)), "{outcome:?}");
                }
            });
        }
    });
}

/// Each test counts this process's descendants.
static ALONE: Mutex<()> = Mutex::new(());

/// `SANDBOX_RUNS=100000` for the full number.
#[test]
fn runs_leave_nothing() {
    let _alone = ALONE.lock();
    let n: usize = std::env::var("SANDBOX_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    for level in [Isolation::Namespaces, Isolation::LandlockSeccomp] {
        let workers = NonZeroUsize::new(2);
        // Never recycled: it is the zygotes' own growth that is looked for.
        let recycle_after = u64::MAX;
        let config =
            SandboxConfig { minimum: level, maximum: level, workers, recycle_after, ..SandboxConfig::default() };
        let sandbox = match Sandbox::open(&config) {
            Ok(sandbox) => sandbox,
            Err(error) => {
                println!("skipped: {error}");
                continue;
            }
        };
        let me = std::process::id();
        run_many(&sandbox, 200);
        let before = (descendants(me), n_descriptors("self"));
        let memory = |of: &BTreeSet<u32>| -> u64 {
            private_memory("self") + of.iter().map(|pid| private_memory(&pid.to_string())).sum::<u64>()
        };
        let memory_before = memory(&before.0);
        let started = Instant::now();
        run_many(&sandbox, n);
        let after = (descendants(me), n_descriptors("self"));
        let memory_after = memory(&after.0);
        println!(
            "{level}: {n} runs in {:?}, {} processes, {} descriptors, {memory_before} → {memory_after} KiB",
            started.elapsed(),
            after.0.len(),
            after.1
        );
        assert_eq!(before, after, "processes and descriptors");
        assert_eq!(sandbox.broken(), (0, None));
        // Heaps breathe; what grows with each run does so by hundreds of bytes at least, as a dictionary's entry does.
        assert!(memory_after < memory_before + 2048 + n as u64 / 10, "{memory_before} → {memory_after} KiB");
        drop(sandbox);
        assert_eq!(descendants(me), BTreeSet::new(), "a closed sandbox leaves no process");
        assert_eq!(temporary_directories(me), 0);
    }
}

/// In a process of its own, which is killed: says when it is at work, and waits.
#[test]
fn supervisor_to_be_killed() {
    let Ok(level) = std::env::var("SANDBOX_SUPERVISOR") else { return };
    let level = if level == "namespaces" { Isolation::Namespaces } else { Isolation::LandlockSeccomp };
    let config = SandboxConfig { minimum: level, maximum: level, ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).unwrap();
    let endless = ["while True: pass", "import time; time.sleep(1000)"];
    std::thread::scope(|scope| {
        for program in endless {
            let limits = Limits { cpu_s: 1000.0, wall_s: 1000.0, ..Limits::default() };
            let sandbox = &sandbox;
            scope.spawn(move || sandbox.run(&Job { program, task: Task::Stdin(&[b""]), limits }));
        }
        std::thread::sleep(Duration::from_millis(300));
        println!("at work");
    });
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    let _alone = ALONE.lock();
    for level in [Isolation::Namespaces, Isolation::LandlockSeccomp] {
        let mut supervisor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor_to_be_killed", "--nocapture"])
            .env("SANDBOX_SUPERVISOR", level.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(supervisor.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        if !said.into_iter().any(|line| line.ends_with("at work")) {
            println!("skipped: no sandbox of level {level} here");
            supervisor.wait().unwrap();
            continue;
        }
        let family = descendants(supervisor.id());
        assert!(family.len() >= 4, "zygotes and tests: {family:?}");
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        // One that is gone but for its entry counts as gone: who reaps it is the machine's first process.
        let alive = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
        };
        while family.iter().any(alive) || temporary_directories(supervisor.id()) > 0 {
            assert!(Instant::now() < until, "of {family:?} some live on, or leave a directory");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
