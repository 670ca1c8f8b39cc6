use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use dashu::integer::IBig;

use super::{Call, Ended, Job, Limits, Outcome, Plain, Sandbox, SandboxConfig, Task};

/// The best this machine gives, for all tests that do not ask for a level.
static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    Sandbox::open(&SandboxConfig { workers: NonZeroUsize::new(2), ..SandboxConfig::default() }).unwrap()
});

const QUICK: Limits =
    Limits { cpu_s: 0.3, wall_s: 60.0, memory_bytes: 64 << 20, output_bytes: 1 << 20, threads: 8, files: false };

fn script_within(program: &str, stdin: &[u8], limits: Limits) -> Outcome {
    SANDBOX.run(&Job { program, task: Task::Stdin(&[stdin]), limits }).remove(0)
}

fn script(program: &str) -> Outcome {
    script_within(program, b"", QUICK)
}

fn printed(program: &str) -> String {
    let outcome = script(program);
    assert!(outcome.ended.well(), "{program}: {outcome:?}");
    String::from_utf8(outcome.stdout).unwrap()
}

fn call_each(program: &str, function: &str, calls: &[Call]) -> Vec<Outcome> {
    SANDBOX.run(&Job { program, task: Task::Calls { function, calls }, limits: QUICK })
}

fn call(program: &str, function: &str, args: &[Plain]) -> Outcome {
    call_each(program, function, &[Call { args: args.to_vec(), kwargs: Vec::new() }]).remove(0)
}

fn pair(program: &str, tests: &str, functions: &[&str]) -> Outcome {
    SANDBOX.run(&Job { program, task: Task::Pair { tests, functions }, limits: QUICK }).remove(0)
}

fn exception(kind: &str, message: &str) -> Ended {
    Ended::Exception { kind: kind.into(), message: message.into() }
}

#[test]
fn scripts_end_in_every_way() {
    assert_eq!(script("import sys; sys.exit(3)").ended, Ended::Exited(3));
    assert_eq!(script("import sys; sys.exit()").ended, Ended::Exited(0));
    assert_eq!(script("import sys; sys.exit('no')").ended, Ended::Exited(1));
    assert_eq!(script("raise KeyError('k')").ended, exception("KeyError", "'k'"));
    assert_eq!(script("raise KeyboardInterrupt").ended, exception("KeyboardInterrupt", ""));
    assert_eq!(script("import ctypes; ctypes.string_at(0)").ended, Ended::Signal(libc::SIGSEGV));
    assert_eq!(script("while True: pass").ended, Ended::TimeCpu);
    assert_eq!(script("x = [0] * (1 << 30)").ended, Ended::Memory);
    assert_eq!(script("print('x' * (1 << 21))").ended, Ended::Output);
    assert_eq!(script("import ctypes; ctypes.CDLL(None).chroot(b'/')").ended, Ended::Forbidden("chroot".into()));
    assert!(matches!(script("print(").ended, Ended::Compile(message) if message.starts_with("SyntaxError: ")));
    assert!(matches!(script("x = '\0'").ended, Ended::Compile(_)));
    let waits = Limits { wall_s: 0.2, ..QUICK };
    assert_eq!(script_within("import time; time.sleep(100)", b"", waits).ended, Ended::TimeWall);
}

#[test]
fn output_up_to_the_end_is_kept() {
    let outcome = script("print('before'); import sys; print('why', file=sys.stderr); raise ValueError('x')");
    assert_eq!(outcome.stdout, b"before\n");
    let stderr = String::from_utf8(outcome.stderr).unwrap();
    assert!(stderr.starts_with("why\nTraceback") && stderr.contains("program.py\", line 1"), "{stderr}");
    let looped = script("print('before', flush=True)\nwhile True: pass");
    assert_eq!((looped.ended, &looped.stdout[..]), (Ended::TimeCpu, &b"before\n"[..]));
    let flood = script("while True: print('x' * 1000)");
    assert_eq!((flood.ended, flood.stdout.len()), (Ended::Output, 1 << 20));
    let stderr = script("import sys; sys.stderr.write('x' * 1000000)");
    assert_eq!((stderr.ended, stderr.stderr.len()), (Ended::Exited(0), super::STDERR_BYTES));
    assert_eq!(printed("import os; os.write(1, b'raw\\n')"), "raw\n");
    assert_eq!(printed("import atexit; atexit.register(lambda: print('last')); print('first')"), "first\nlast\n");
}

#[test]
fn what_is_used_is_measured() {
    let outcome = script("x = bytearray(32 << 20)\nfor _ in range(1000000): pass");
    assert!(outcome.ended.well(), "{outcome:?}");
    assert!(outcome.cpu.as_micros() > 1000 && outcome.cpu.as_secs_f64() < 0.3, "{outcome:?}");
    assert!(outcome.wall >= outcome.cpu / 2, "{outcome:?}");
    assert!(outcome.peak_bytes > 32 << 20 && outcome.peak_bytes < 128 << 20, "{outcome:?}");
}

#[test]
fn honest_programs_find_what_they_need() {
    let large = "7 ".repeat(1 << 20);
    let sums = script_within("print(sum(map(int, input().split())))", large.as_bytes(), Limits::default());
    assert_eq!(sums.stdout, b"7340032\n", "{sums:?}");
    assert_eq!(script_within("import sys; print(len(sys.stdin.buffer.read()))", &[0xff; 3], QUICK).stdout, b"3\n");
    assert_eq!(script_within("print(open(0).read())", b"x", QUICK).stdout, b"x\n");
    assert_eq!(printed("if __name__ == '__main__': print('main')"), "main\n");
    assert_eq!(printed("import asyncio\nasync def f(): return 5\nprint(asyncio.run(f()))"), "5\n");
    assert_eq!(
        printed(
            "import csv, uuid, secrets, logging, argparse, unittest, pprint, ast, inspect, urllib.parse; print('loaded')"
        ),
        "loaded\n"
    );
    let threads = "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start(); t.join()";
    assert_eq!(printed(threads), "1\n");
    let deep = "import sys, threading\nsys.setrecursionlimit(100000)\nthreading.stack_size(16 << 20)\n\
        def f(n): return n and 1 + f(n - 1)\n\
        t = threading.Thread(target=lambda: print(f(20000)))\nt.start(); t.join()";
    assert_eq!(printed(deep), "20000\n");
    let dataclass = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(P(1))";
    assert_eq!(printed(dataclass), "P(x=1)\n");
    let pickled = "import pickle\nclass P: pass\nprint(type(pickle.loads(pickle.dumps(P()))).__name__)";
    assert_eq!(printed(pickled), "P\n");
    assert_eq!(
        printed("import random; print(hash('x') % 7, random.random())"),
        printed("import random; print(hash('x') % 7, random.random())")
    );
    assert_eq!(printed("import os; print(os.system('true') == 0)"), "False\n");
}

#[test]
fn returned_values_are_exact() {
    let list = |items: Vec<Plain>| Plain::List(items);
    let big = IBig::from(7).pow(300);
    for (source, expected) in [
        ("None", Plain::None),
        ("True", Plain::Bool(true)),
        ("-3", (-3).into()),
        ("7 ** 300", Plain::Int(big.clone())),
        ("-(7 ** 300)", Plain::Int(-big)),
        ("2 ** 31", (1i64 << 31).into()),
        ("0.1", Plain::Float(0.1)),
        ("float('-inf')", Plain::Float(f64::NEG_INFINITY)),
        ("1 - 2j", Plain::Complex(1.0, -2.0)),
        ("'é\\n'", "é\n".into()),
        ("b'\\xff'", Plain::Bytes(vec![255])),
        ("[1, (2, [3])]", list(vec![1.into(), Plain::Tuple(vec![2.into(), list(vec![3.into()])])])),
        ("{(1, 2): None}", Plain::Dict(vec![(Plain::Tuple(vec![1.into(), 2.into()]), Plain::None)])),
        ("{5}", Plain::Set(vec![5.into()])),
        ("frozenset({5})", Plain::Set(vec![5.into()])),
        ("[print][:0]", list(vec![])),
        // Kinds of the built-in types read as these.
        ("collections.Counter('a')", Plain::Dict(vec![("a".into(), 1.into())])),
        ("collections.namedtuple('P', 'x')(1)", Plain::Tuple(vec![1.into()])),
        ("[enum.IntEnum('E', 'a').a]", list(vec![1.into()])),
        ("type('S', (str,), {})('s')", "s".into()),
    ] {
        let program = format!("import collections, enum\ndef f(): return {source}");
        let outcome = call(&program, "f", &[]);
        assert_eq!((&outcome.ended, &outcome.returned), (&Ended::Exited(0), &Some(expected)), "{source} {outcome:?}");
    }
    let nan = call("def f(): return float('nan')", "f", &[]);
    assert!(matches!(nan.returned, Some(Plain::Float(value)) if value.is_nan()));
    for source in ["object()", "[lambda: 1]", "range(3)", "iter([])", "{}.keys()", "collections.deque()", "..."] {
        let outcome = call(&format!("import collections\ndef f(): return {source}"), "f", &[]);
        assert!(matches!(&outcome.ended, Ended::Exception { kind, .. } if kind == "NotPlain"), "{source} {outcome:?}");
        assert_eq!(outcome.returned, None);
    }
}

#[test]
fn arguments_arrive_as_they_are() {
    let values = vec![
        Plain::Int(IBig::from(3).pow(200)),
        Plain::Tuple(vec![Plain::Bool(false), Plain::None]),
        Plain::Dict(vec![(1.into(), "x".into())]),
        Plain::Set(vec![1.into()]),
        Plain::Float(f64::INFINITY),
        Plain::Str("long ".repeat(500_000)),
    ];
    let echoed = call("def f(*a): return list(a)", "f", &values);
    assert_eq!(echoed.returned, None, "the reply is longer than output may be");
    assert_eq!(echoed.ended, Ended::Output);
    let echoed = call("def f(*a): return [*a[:5], len(a[5])]", "f", &values);
    let expected = [&values[..5], &[2_500_000.into()]].concat();
    assert_eq!(echoed.returned, Some(Plain::List(expected)), "{echoed:?}");
    let named = Call { args: vec![1.into()], kwargs: vec![("b".into(), 2.into())] };
    assert_eq!(call_each("def f(a, *, b): return a - b", "f", &[named])[0].returned, Some((-1).into()));
}

#[test]
fn functions_are_found_by_name() {
    let program = "class Solution:\n    n = 0\n    def up(self):\n        self.n += 1\n        return self.n\n\
        \x20   @staticmethod\n    def two(): return 2\nif __name__ == '__main__': raise SystemExit(9)";
    let twice = vec![Call::default(); 2];
    let returned = |function| -> Vec<Option<Plain>> {
        call_each(program, function, &twice).into_iter().map(|outcome| outcome.returned).collect()
    };
    assert_eq!(returned("Solution().up"), [Some(1.into()), Some(1.into())], "an object for each call");
    assert_eq!(returned("Solution.two"), [Some(2.into()), Some(2.into())]);
    assert_eq!(call(program, "down", &[]).ended, exception("NameError", "name 'down' is not defined"));
    assert!(
        matches!(call(program, "Solution().down", &[]).ended, Ended::Exception { kind, .. } if kind == "AttributeError")
    );
}

#[test]
fn calls_are_answered_one_by_one() {
    let program = "import os, sys\nseen = []\nprint('loaded')\ndef f(n):\n    print('n', n)\n    seen.append(n)\n\
        \x20   if n == 1: os._exit(7)\n    if n == 2: raise ValueError('two')\n    if n == 3:\n        while True: pass\n\
        \x20   if n == 4: sys.exit(5)\n    if n == 5: return object()\n    return len(seen)";
    let calls: Vec<Call> = (0..8).map(|n: i64| Call { args: vec![n.into()], kwargs: vec![] }).collect();
    let outcomes = call_each(program, "f", &calls);
    let ends: Vec<Ended> = outcomes.iter().map(|outcome| outcome.ended.clone()).collect();
    let not_plain = exception("NotPlain", "`object` is no plain data");
    assert_eq!(
        ends,
        [
            Ended::Exited(0),
            Ended::Exited(7),
            exception("ValueError", "two"),
            Ended::TimeCpu,
            Ended::Exited(5),
            not_plain,
            Ended::Exited(0),
            Ended::Exited(0)
        ]
    );
    let returned: Vec<Option<Plain>> = outcomes.iter().map(|outcome| outcome.returned.clone()).collect();
    assert_eq!((&returned[0], &returned[6], &returned[7]), (&Some(1.into()), &Some(2.into()), &Some(3.into())));
    let stdout: Vec<&[u8]> = outcomes.iter().map(|outcome| &outcome.stdout[..]).collect();
    assert_eq!(stdout[0], b"loaded\nn 0\n");
    assert_eq!((stdout[6], stdout[7]), (&b"n 6\n"[..], &b"n 7\n"[..]));
    // What a process that is killed had printed and not flushed is lost, as anywhere.
    assert_eq!((stdout[3], stdout[4]), (&b""[..], &b"loaded\nn 4\n"[..]));
}

#[test]
fn a_module_that_does_not_load_answers_every_call() {
    let calls = vec![Call::default(); 3];
    for (program, end) in [
        ("raise ValueError('no')", exception("ValueError", "no")),
        ("while True: pass", Ended::TimeCpu),
        ("import os; os._exit(4)", Ended::Exited(4)),
        ("import sys; sys.exit(4)", Ended::Exited(4)),
    ] {
        let ends: Vec<Ended> = call_each(program, "f", &calls).into_iter().map(|outcome| outcome.ended).collect();
        assert_eq!(ends, vec![end; 3], "{program}");
    }
    assert!(matches!(call("def", "f", &[]).ended, Ended::Compile(_)));
    assert!(call_each("def f(): pass", "f", &[]).is_empty());
}

#[test]
fn nothing_is_run_after_enough() {
    let mut n = 0;
    let inputs = vec![&b""[..]; 5];
    let job = Job { program: "print(1)", task: Task::Stdin(&inputs), limits: QUICK };
    SANDBOX.run_each(&job, |_| {
        n += 1;
        if n == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(n, 2);
    let calls = vec![Call::default(); 5];
    for program in ["def f(): pass", "import os\ndef f(): os._exit(1)", "1 / 0"] {
        let mut n = 0;
        let job = Job { program, task: Task::Calls { function: "f", calls: &calls }, limits: QUICK };
        SANDBOX.run_each(&job, |_| {
            n += 1;
            if n == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(n, 2, "{program}");
    }
}

#[test]
fn pairs_of_tests_and_program() {
    let program = "def f(x, *, by=1):\n    if x is None: raise ValueError('nothing')\n    if isinstance(x, list): x.append([by])\n\
        \x20   elif isinstance(x, dict): x['by'] = by\n    return (len(x), by)\n\
        class Solution:\n    def g(self, n): return n * 2";
    let functions = ["f", "Solution().g"];
    for (tests, end) in [
        ("assert f('abc', by=2) == (3, 2)", Ended::Exited(0)),
        ("a = [5]\nb = a\nassert f(a) == (2, 1) and b == [5, [1]]", Ended::Exited(0)),
        ("a = {}\nf(a, by=3)\nassert a == {'by': 3}", Ended::Exited(0)),
        ("assert Solution().g(4) == 8", Ended::Exited(0)),
        ("try: f(None)\nexcept ValueError as e: assert str(e) == 'nothing'\nelse: assert False", Ended::Exited(0)),
        (
            "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        with self.assertRaises(ValueError): f(None)\n\
          \x20       self.assertEqual(f('a'), (1, 1))\nunittest.main()",
            Ended::Exited(0),
        ),
        ("assert f('abc') == (3, 2), 'by'", exception("AssertionError", "by")),
        ("f(None)", exception("ValueError", "nothing")),
        ("f()", exception("TypeError", "f() missing 1 required positional argument: 'x'")),
        ("h(1)", exception("NameError", "name 'h' is not defined")),
        ("while True: pass", Ended::TimeCpu),
    ] {
        let outcome = pair(program, tests, &functions);
        assert_eq!(outcome.ended, end, "{tests}\n{outcome:?}");
    }
    let failing = "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f('a'), 0)\n\
        unittest.main()";
    let failed = pair(program, failing, &functions);
    assert!(matches!(&failed.ended, Ended::Exception { kind, .. } if kind == "SystemExit"), "{failed:?}");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("(1, 1) != 0"), "{failed:?}");
    assert!(matches!(pair(program, "assert", &functions).ended, Ended::Infra(_)), "the tests are no Python");
    assert!(matches!(pair(program, "f(lambda: 1)", &functions).ended, Ended::Infra(_)), "no plain argument");
    assert!(matches!(pair("def", "f(1)", &functions).ended, Ended::Compile(_)));
    assert_eq!(pair("1 / 0", "f(1)", &functions).ended, exception("ZeroDivisionError", "division by zero"));
    let loops = pair("def f(x):\n    while True: pass", "f(1)", &functions);
    assert_eq!(loops.ended, Ended::TimeCpu);
    let prints = pair("def f(x): print(x, flush=True)", "f(1); f(2)", &functions);
    assert_eq!(prints.stdout, b"1\n2\n");
}

#[test]
fn many_threads_share_few_zygotes() {
    std::thread::scope(|scope| {
        for n in 0..12 {
            scope.spawn(move || {
                let input = n.to_string();
                let outcome = script_within("print(int(input()) ** 2)", input.as_bytes(), QUICK);
                assert_eq!(outcome.stdout, format!("{}\n", n * n).as_bytes(), "{outcome:?}");
            });
        }
    });
}
