use super::{Call, Ended, Isolation, Job, Limits, Plain, Sandbox, SandboxConfig, Task};

fn sandbox(level: Isolation) -> Sandbox {
    let config = SandboxConfig {
        minimum: level,
        maximum: level,
        workers: std::num::NonZeroUsize::new(1),
        ..SandboxConfig::default()
    };
    Sandbox::open(&config).unwrap()
}

#[test]
fn a_script_prints() {
    for level in [Isolation::Namespaces, Isolation::LandlockSeccomp, Isolation::None] {
        let sandbox = sandbox(level);
        let job =
            Job { program: "print(int(input()) * 2)", task: Task::Stdin(&[b"21", b"4"]), limits: Limits::default() };
        let outcomes = sandbox.run(&job);
        assert_eq!(outcomes.len(), 2);
        assert_eq!((&outcomes[0].ended, &outcomes[0].stdout[..]), (&Ended::Exited(0), &b"42\n"[..]), "{outcomes:?}");
        assert_eq!(outcomes[1].stdout, b"8\n", "{level} {outcomes:?}");
    }
}

#[test]
fn calls_return_plain_values() {
    let sandbox = sandbox(Isolation::Namespaces);
    let calls: Vec<Call> = [1i64, 2, 0, 3].map(|n| Call { args: vec![n.into()], kwargs: vec![] }).into();
    let program = "import os\ndef f(n):\n    print('n', n)\n    if n == 0: os._exit(7)\n    return [n, 2**(100*n), (1.5,), {'a'}, {1: None}]";
    let outcomes =
        sandbox.run(&Job { program, task: Task::Calls { function: "f", calls: &calls }, limits: Limits::default() });
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    assert_eq!(outcomes[2].ended, Ended::Exited(7));
    assert_eq!(outcomes[3].returned.as_ref().unwrap().items().unwrap()[0], Plain::from(3), "{outcomes:?}");
    assert_eq!(outcomes[3].stdout, b"n 3\n");
}

#[test]
fn a_pair_is_relayed() {
    let sandbox = sandbox(Isolation::Namespaces);
    let pair = |program: &str, tests: &str| {
        let task = Task::Pair { tests, functions: &["f"] };
        sandbox.run(&Job { program, task, limits: Limits::default() }).remove(0)
    };
    let ok = pair("def f(x):\n    x.append(1)\n    return len(x)", "a=[5]\nassert f(a) == 2 and a == [5, 1]");
    assert_eq!(ok.ended, Ended::Exited(0), "{ok:?}");
    let bad = pair("def f(x):\n    return 3", "assert f([]) == 2, 'no'");
    assert_eq!(bad.ended, Ended::Exception { kind: "AssertionError".into(), message: "no".into() });
}

#[test]
fn a_forbidden_call_is_named() {
    for level in [Isolation::Namespaces, Isolation::LandlockSeccomp] {
        let sandbox = sandbox(level);
        let program = "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0); print('on')";
        let threaded = "import threading\ndef f():\n    import ctypes; ctypes.CDLL(None).unshare(0)\nt=threading.Thread(target=f); t.start(); t.join(); print('on')";
        for (program, call) in [(program, "ptrace"), (threaded, "unshare")] {
            let outcome = sandbox.run(&Job { program, task: Task::Stdin(&[b""]), limits: Limits::default() }).remove(0);
            assert_eq!(outcome.ended, Ended::Forbidden(call.into()), "{outcome:?}");
            assert!(outcome.stdout.is_empty());
        }
    }
}
