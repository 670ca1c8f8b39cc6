//! What a sandboxed run costs, beside what it cannot cost less than and what it replaces, in one run: forks of an
//! interpreter with the same modules and nothing around them, sandboxed runs, and a fresh `python3` for each program.
//!
//! `cargo bench -p rewards --bench sandbox`; rates are per second of processor time, that of all processes together, so
//! that other work on the machine matters less, and per second on the clock.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rewards::sandbox::{Call, Ended, Job, Limits, Sandbox, SandboxConfig, Task};

const PROGRAM: &str = r#"
import sys
from collections import defaultdict

def main():
    data = sys.stdin.read().split()
    n = int(data[0])
    values = list(map(int, data[1:1 + n]))
    seen = defaultdict(int)
    total = 0
    for value in values:
        total += seen[value]
        seen[value] += 1
    print(total)

if __name__ == "__main__":
    main()
"#;
const INPUT: &[u8] = b"6\n1 2 1 2 3 1\n";
const ANSWER: &[u8] = b"4\n";

const FORKS: &str = r#"
import sys, os, gc
for name in sys.argv[2].split(): __import__(name)
gc.collect(); gc.freeze()
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0: os._exit(0)
    os.wait4(child, 0)
"#;
const MODULES: &str = "array bisect cmath collections contextlib copy ctypes dataclasses datetime decimal fractions \
    functools hashlib heapq io itertools json math queue random re shutil socket statistics string struct textwrap \
    threading traceback typing unicodedata zlib";

/// Processor time of this process and of those it has waited for.
fn processor() -> Duration {
    let of = |who| {
        // SAFETY: `rusage` is plain numbers, for which zeros are a value, and valid to write for the call.
        let usage: libc::rusage = unsafe {
            let mut usage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        [usage.ru_utime, usage.ru_stime]
            .map(|time| Duration::new(time.tv_sec.unsigned_abs(), time.tv_usec as u32 * 1000))
            .iter()
            .sum::<Duration>()
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

/// Says what `n` runs cost, of which a start that is not counted took `start`.
fn report(what: &str, n: usize, start: Duration, work: impl FnOnce()) -> f64 {
    let (cpu, clock) = (processor(), Instant::now());
    work();
    let spent = (processor() - cpu).saturating_sub(start).as_secs_f64();
    let rate = n as f64 / spent;
    let clock = n as f64 / clock.elapsed().as_secs_f64();
    println!("{what:<44} {rate:>8.0} /s of a core {clock:>8.0} /s on the clock");
    rate
}

fn fresh(python: &str, arguments: &[&str], n: usize) {
    for _ in 0..n {
        let mut command = Command::new(python);
        command.args(arguments).args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        child.stdin.take().expect("piped").write_all(INPUT).expect("python3 reads");
        assert_eq!(child.wait_with_output().expect("python3 ends").stdout, ANSWER);
    }
}

fn sandboxed(n: usize, threads: usize) {
    let config = SandboxConfig { workers: std::num::NonZeroUsize::new(threads), ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).expect("a sandbox");
    let run = || {
        let inputs = vec![INPUT; n / threads];
        let job = Job { program: PROGRAM, task: Task::Stdin(&inputs), limits: Limits::default() };
        for outcome in sandbox.run(&job) {
            assert_eq!((outcome.ended, &outcome.stdout[..]), (Ended::Exited(0), ANSWER));
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
}

fn called(n: usize) {
    let config = SandboxConfig { workers: std::num::NonZeroUsize::new(1), ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).expect("a sandbox");
    let calls = vec![Call::from_json(&[serde_json::json!([1, 2, 1, 2, 3, 1])]); n];
    let program = "def pairs(a):\n    return sum(a[:i].count(x) for i, x in enumerate(a))";
    let task = Task::Calls { function: "pairs", calls: &calls };
    let outcomes = sandbox.run(&Job { program, task, limits: Limits::default() });
    assert!(outcomes.iter().all(|outcome| outcome.ended.well()));
}

fn main() {
    let n: usize = std::env::var("RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let level = Sandbox::open(&SandboxConfig::default()).expect("a sandbox").isolation();
    println!("isolation {level}, {n} runs of each kind\n");

    // What `PATH` finds may be a script that looks for the interpreter.
    let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = String::from_utf8_lossy(&found.expect("python3 starts").stdout).trim().to_owned();
    let real = |arguments: &[&str]| Command::new(&python).args(arguments).output().expect("python3 starts");
    let cost = |work: &dyn Fn()| {
        let before = processor();
        work();
        processor() - before
    };
    let start = cost(&|| drop(real(&["-S", "-c", FORKS, "0", MODULES])));
    let floor = report("fork of the same interpreter, no walls", n, start, || {
        drop(real(&["-S", "-c", FORKS, &n.to_string(), MODULES]));
    });
    let start = cost(&|| sandboxed(0, 1));
    let one = report("sandboxed run, one at a time", n, start, || sandboxed(n, 1));
    let start = cost(&|| sandboxed(0, cores));
    report(&format!("sandboxed run, {cores} at a time"), n * cores, start, || sandboxed(n * cores, cores));
    let start = cost(&|| called(1));
    report("sandboxed call, all in one process", n * 10, start, || called(n * 10));
    let few = (n / 20).clamp(5, 30);
    let none = Duration::ZERO;
    let fresh_one = report("fresh python3", few, none, || fresh(&python, &[], few));
    report("fresh python3 -I -S", few, none, || fresh(&python, &["-I", "-S"], few));
    println!(
        "\na sandboxed run: {:.2} × the fork floor, {:.1} × faster than a fresh python3",
        floor / one,
        one / fresh_one
    );
}
