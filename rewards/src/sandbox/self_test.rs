//! A short list of attacks, tried when a sandbox opens: a machine that lets one through is refused.

use super::{Ended, Isolation, Job, Limits, Sandbox, Task};

/// Each prints `ESCAPED` where it gets what it wants.
const ATTACKS: &[&str] = &[
    "open('/etc/passwd').read(); print('ESCAPED')",
    "open('/proc/1/environ').read(); print('ESCAPED')",
    "open('escaped', 'w').write('x'); print('ESCAPED')",
    "import os; os.fork(); print('ESCAPED')",
    "import os; os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])",
    "import os; os.kill(os.getppid(), 9); print('ESCAPED')",
    "import socket; socket.socket(); print('ESCAPED')",
    "import ctypes; print('ESCAPED' if ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 else '')",
    "import ctypes; print('ESCAPED' if ctypes.CDLL(None).unshare(0x10000000) == 0 else '')",
    "x = bytearray(1 << 34); print('ESCAPED')",
];

pub(super) fn run(sandbox: &Sandbox) -> Result<(), String> {
    let limits = Limits { cpu_s: 2.0, wall_s: 20.0, ..Limits::default() };
    let outcome = |program: &str| {
        let mut outcomes = sandbox.run(&Job { program, task: Task::Stdin(&[b"21"]), limits });
        outcomes.pop().ok_or_else(|| "no outcome".to_owned())
    };
    let honest = outcome("print(int(input()) * 2)")?;
    if honest.ended != Ended::Exited(0) || honest.stdout != b"42\n" {
        return Err(format!("a program that should print 42: {honest:?}"));
    }
    if sandbox.isolation() == Isolation::None {
        return Ok(());
    }
    for attack in ATTACKS {
        let came_of = outcome(attack)?;
        if let Ended::Infra(why) = came_of.ended {
            return Err(format!("`{attack}` broke the sandbox: {why}"));
        }
        if came_of.stdout.windows(7).any(|window| window == b"ESCAPED") {
            return Err(format!("`{attack}` was not contained"));
        }
    }
    Ok(())
}
