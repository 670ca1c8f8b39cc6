//! Programs that do not solve the problem and try to pass all the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

use rayon::prelude::*;
use rewards::code::{Judging, Problem, TestVerdict, Verdict, judge};
use rewards::sandbox::{Sandbox, SandboxConfig};
use serde_json::{Map, Value, json};

fn problem(row: Value, sandbox: &Sandbox) -> Problem {
    let Value::Object(row) = row else { unreachable!() };
    let row: Map<String, Value> = row;
    Problem::read(&row, "", sandbox).unwrap()
}

/// One problem of each kind: calls, calls through forms, outputs, and tests that run as they are.
fn problems(sandbox: &Sandbox) -> [Problem; 5] {
    let check = "def check(candidate):\n    assert candidate([3, 1, 2]) == [1, 2, 3]\n    assert candidate([]) == []\n    \
                 assert candidate([2, 1]) == [1, 2]\n";
    let pair = "def check(candidate):\n    result = candidate([3, 1, 2])\n    assert result[0] == 1 and len(result) == 3\n    \
                assert result == sorted(result)\n";
    [
        problem(json!({"prompt": "def solve(items):\n", "entry_point": "solve", "test": check}), sandbox),
        problem(
            json!({"test_list": [
                "assert set(solve([3, 1, 2])) == {1, 2, 3}", "assert solve([5, 4]) == [4, 5]", "assert is_sorted([1, 2, 3])",
            ]}),
            sandbox,
        ),
        problem(json!({"tests": [{"input": "3 1 2", "output": "1 2 3"}, {"input": "2 1", "output": "1 2"}]}), sandbox),
        problem(json!({"prompt": "def solve(items):\n", "entry_point": "solve", "test": pair}), sandbox),
        problem(json!({"function": "solve", "calls": [{"args": [[3, 1, 2]], "expected": [1, 2, 3]}]}), sandbox),
    ]
}

const HONEST: &str = "
def solve(items):
    return sorted(items)

def is_sorted(items):
    return items == sorted(items)

if __name__ == '__main__':
    print(*sorted(map(int, input().split())))
";

/// What each cheat does at its top; `solve` and `is_sorted` are added where it defines none.
const CHEATS: &[(&str, &str)] = &[
    ("prints that all is well", "print('all tests passed')\nprint('OK')\nprint('1')"),
    ("leaves with success", "import sys\nsys.exit(0)"),
    ("leaves with success at once", "import os\nos._exit(0)"),
    ("leaves when called", "import os\ndef solve(items): os._exit(0)\nis_sorted = solve"),
    ("raises SystemExit when called", "def solve(items): raise SystemExit(0)\nis_sorted = solve"),
    ("raises what tests raise", "def solve(items): raise AssertionError\nis_sorted = solve"),
    (
        "an object equal to everything",
        "class Any:\n    def __eq__(self, other): return True\n    __ne__ = lambda self, other: False\n    \
         __hash__ = lambda self: 1\n    __len__ = lambda self: 3\n    __getitem__ = lambda self, i: 1\n    \
         __iter__ = lambda self: iter(())\n    __bool__ = lambda self: True\n    __contains__ = lambda self, x: True\n\
         def solve(items): return Any()\ndef is_sorted(items): return Any() and False",
    ),
    (
        "a list equal to everything",
        "class Any(list):\n    def __eq__(self, other): return True\n    __ne__ = lambda self, other: False\n\
         def solve(items): return Any([7])\ndef is_sorted(items): return 0",
    ),
    (
        "a number equal to everything",
        "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n\
         def solve(items): return Any(7)\ndef is_sorted(items): return Any(0)",
    ),
    (
        "walks frames for what is expected",
        "import sys\ndef solve(items):\n    frame = sys._getframe()\n    while frame:\n        \
         for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):\n            \
         if isinstance(value, dict) and 'expected' in value: return value['expected']\n            \
         if isinstance(value, list) and value and value is not items and all(isinstance(x, int) for x in value):\n                \
         return value\n        frame = frame.f_back\n    return None\ndef is_sorted(items): return None",
    ),
    (
        "asks the collector for what is expected",
        "import gc\ndef solve(items):\n    for value in gc.get_objects():\n        \
         if isinstance(value, dict) and 'expected' in value: return value['expected']\n        \
         if isinstance(value, tuple) and len(value) == 3 and value[1] == '==': return value[2]\n    return None\n\
         def is_sorted(items): return None",
    ),
    (
        "patches what compares",
        "import builtins, operator\nbuiltins.set = lambda *a: {1}\nbuiltins.sorted = lambda *a, **k: [0]\n\
         builtins.len = lambda *a: 3\noperator.eq = lambda a, b: True\nbuiltins.all = lambda *a: True\n\
         def solve(items): return [9]\ndef is_sorted(items): return False",
    ),
    (
        "defines a test runner of its own",
        "def check(candidate): pass\ndef _grouper_call(form, args, kwargs): return True\n\
         import sys, types\nsys.modules['unittest'] = types.ModuleType('unittest')\n\
         def solve(items): return []\ndef is_sorted(items): return False",
    ),
    (
        "patches the process's streams and exits",
        "import atexit, os, sys\nsys.stdout = sys.stderr\natexit.register(lambda: os.write(1, b'passed\\n'))\n\
         def solve(items): return 'passed'\ndef is_sorted(items): return 0",
    ),
    (
        "writes to every descriptor",
        "import os\nfor fd in range(1, 64):\n    try: os.write(fd, b'\\x05\\x00\\x00\\x00value')\n    \
         except OSError: pass\ndef solve(items): return []\ndef is_sorted(items): return 0",
    ),
    (
        "traces asserts away",
        "import sys\nsys.settrace(lambda *a: None)\nsys.excepthook = lambda *a: None\n__debug__x = False\n\
         def solve(items): return [1]\ndef is_sorted(items): return ''",
    ),
    (
        "reads the tests from disk",
        "import glob\nfound = [open(f).read() for f in glob.glob('/**/*test*', recursive=True)[:100] if f.endswith('.json')]\n\
         def solve(items): return found[0] if found else None\ndef is_sorted(items): return found",
    ),
    ("is no program", "def solve(items:\n    return sorted(items)"),
    ("returns its own code", "def solve(items): return solve\nis_sorted = lambda items: None"),
    ("sleeps", "import time\ntime.sleep(1000)"),
    ("never ends", "while True: pass"),
];

#[test]
fn none_passes() {
    let sandbox = Sandbox::open(&SandboxConfig::default()).unwrap();
    let problems = problems(&sandbox);
    let judging = Judging { time_limit_s: 0.4, ..Judging::default() };
    for (place, problem) in problems.iter().enumerate() {
        let grade = judge(&sandbox, HONEST, problem, None, &judging);
        assert_eq!(grade.verdict, Verdict::Ok, "honest on {place}: {:?}", grade.tests);
    }
    CHEATS.par_iter().for_each(|(name, cheat)| {
        for (place, problem) in problems.iter().enumerate() {
            let grade = judge(&sandbox, cheat, problem, None, &judging);
            assert!(!matches!(grade.verdict, Verdict::Ok | Verdict::Infra), "{name} on {place}: {:?}", grade.tests);
        }
    });
}

/// The verdict says what happened, and `stop_early` says it of the first failure alone.
#[test]
fn verdicts_name_what_happened() {
    let sandbox = Sandbox::open(&SandboxConfig::default()).unwrap();
    let [calls, _, stdio, pair, _] = problems(&sandbox);
    let judging = Judging { time_limit_s: 1.0, memory_mib: 256, ..Judging::default() };
    for (program, verdict) in [
        ("def solve(items): return items", Verdict::WrongAnswer),
        ("def solve(items): return 1 / 0", Verdict::Runtime),
        ("def solved(items): return 1", Verdict::Runtime),
        ("def solve(items):\n  while True: pass", Verdict::TimeCpu),
        ("def solve(items): return [0] * (1 << 40)", Verdict::Memory),
        ("def solve(items) return items", Verdict::Compile),
        ("import socket\ndef solve(items): socket.socket()\n", Verdict::Runtime),
        ("def solve(items): return object()", Verdict::WrongAnswer),
        ("def solve(items):\n  while True: print('x' * 100000)", Verdict::Output),
    ] {
        let grade = judge(&sandbox, program, &calls, None, &judging);
        // A machine that is busy with other work may let the clock run out first.
        let told = |got: Verdict| got == verdict || (verdict == Verdict::TimeCpu && got == Verdict::TimeWall);
        assert!(told(grade.verdict), "{program}: {:?}", grade.tests);
        let early = judge(&sandbox, program, &calls, None, &Judging { stop_early: true, ..judging });
        assert!(told(early.verdict), "{program}: {:?}", early.tests);
        assert!(early.tests[..early.tests.len() - 1].iter().all(|one| one.verdict == Verdict::Ok), "{program}");
    }
    for (program, verdict) in [
        ("print(input())", Verdict::WrongAnswer),
        ("raise ValueError", Verdict::Runtime),
        ("import sys\nprint('1 2 3')\nsys.exit(3)", Verdict::Runtime),
        ("print(input(), input())", Verdict::Runtime),
        ("import time\ntime.sleep(100)", Verdict::TimeWall),
    ] {
        let grade = judge(&sandbox, program, &stdio, None, &judging);
        assert_eq!(grade.verdict, verdict, "{program}: {:?}", grade.tests);
    }
    for (program, verdict) in [
        ("def solve(items): return [1, 3, 2]", Verdict::WrongAnswer),
        ("def solve(items): return 1 / 0", Verdict::Runtime),
        ("def other(items): return 1", Verdict::Runtime),
        ("def solve(items) return", Verdict::Compile),
    ] {
        let grade = judge(&sandbox, program, &pair, None, &judging);
        assert_eq!(grade.verdict, verdict, "{program}: {:?}", grade.tests);
    }
}

/// What tests use of Python's library is there for them, whatever the program imports.
#[test]
fn tests_bring_their_own_imports() {
    let sandbox = Sandbox::open(&SandboxConfig::default()).unwrap();
    let tests =
        ["assert collections.Counter(f([1, 1])) == {1: 2}", "assert math.floor(f([2.5])[0]) == math.floor(2.9)"];
    let problem = problem(json!({"test_list": tests}), &sandbox);
    let grade = judge(&sandbox, "def f(items): return items", &problem, None, &Judging::default());
    assert_eq!(grade.verdict, Verdict::Ok, "{:?}", grade.tests);
    let grade = judge(&sandbox, "def f(items): return items[:1]", &problem, None, &Judging::default());
    assert_eq!((grade.verdict, grade.n_passed()), (Verdict::WrongAnswer, 1), "{:?}", grade.tests);
}

/// Three tests out of time end the judging of a program; those before it keep their verdicts.
#[test]
fn a_program_that_is_slow_everywhere_is_given_up() {
    let sandbox = Sandbox::open(&SandboxConfig::default()).unwrap();
    let calls: Vec<Value> = (0..40).map(|i| json!({"args": [i], "expected": i})).collect();
    let problem = problem(json!({"function": "f", "calls": calls}), &sandbox);
    let program = "def f(x):\n    while x >= 5: pass\n    return x";
    let judging = Judging { time_limit_s: 0.2, ..Judging::default() };
    let grade = judge(&sandbox, program, &problem, None, &judging);
    // A machine that is busy with other work may let the clock run out first.
    let late = |one: &TestVerdict| matches!(one.verdict, Verdict::TimeCpu | Verdict::TimeWall);
    assert!(grade.tests[..5].iter().all(|one| one.verdict == Verdict::Ok), "{:?}", grade.tests);
    assert!(grade.tests.len() == 40 && grade.tests[5..].iter().all(late), "{:?}", grade.tests);
    let spent: f64 = grade.tests.iter().map(|one| one.cpu_s).sum();
    assert!(spent < 20.0 * judging.time_limit_s, "{spent} s for 40 tests of {} s", judging.time_limit_s);
    assert!(grade.tests[39].note.contains("not run"), "{}", grade.tests[39].note);
    let some = judge(&sandbox, program, &problem, Some(&[3, 1, 999]), &judging);
    assert_eq!((some.verdict, some.tests.len()), (Verdict::Ok, 2));
}
