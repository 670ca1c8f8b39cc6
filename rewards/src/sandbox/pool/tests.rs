use std::num::NonZeroUsize;

use super::{Sandbox, SandboxConfig, SandboxError};
use crate::sandbox::{Call, Ended, Isolation, Job, Limits, Plain, Task};

const QUICK: Limits =
    Limits { cpu_s: 0.3, wall_s: 60.0, memory_bytes: 64 << 20, output_bytes: 1 << 20, threads: 8, files: false };

#[test]
fn levels_are_ordered_and_named() {
    assert!(Isolation::None < Isolation::LandlockSeccomp && Isolation::LandlockSeccomp < Isolation::Namespaces);
    for level in [Isolation::None, Isolation::LandlockSeccomp, Isolation::Namespaces] {
        assert_eq!(serde_json::to_value(level).unwrap(), level.to_string());
    }
}

#[test]
fn each_level_runs_programs() {
    for level in [Isolation::Namespaces, Isolation::LandlockSeccomp, Isolation::None] {
        let workers = NonZeroUsize::new(1);
        let config = SandboxConfig { minimum: level, maximum: level, workers, ..SandboxConfig::default() };
        let sandbox = match Sandbox::open(&config) {
            Ok(sandbox) => sandbox,
            Err(SandboxError::Isolation { missing, .. }) => {
                println!("skipped: no {level} here: {missing:?}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(sandbox.isolation(), level);
        let limits = Limits { files: true, ..QUICK };
        let program = "open('x', 'w').write(input()); print(open('x').read())";
        let outcomes = sandbox.run(&Job { program, task: Task::Stdin(&[b"21", b"4"]), limits });
        let out: Vec<&[u8]> = outcomes.iter().map(|outcome| &outcome.stdout[..]).collect();
        assert_eq!(out, [b"21\n" as &[u8], b"4\n"], "{level} {outcomes:?}");
    }
}

#[test]
fn a_level_that_is_not_there_is_refused() {
    let refused = SandboxConfig {
        minimum: Isolation::Namespaces,
        maximum: Isolation::LandlockSeccomp,
        ..SandboxConfig::default()
    };
    assert!(matches!(Sandbox::open(&refused), Err(SandboxError::Isolation { minimum: Isolation::Namespaces, .. })));
    let python = SandboxConfig { python: "no-such-python".into(), ..SandboxConfig::default() };
    let Err(error) = Sandbox::open(&python) else { panic!("there is no such python") };
    assert!(error.to_string().starts_with("python for the sandbox `no-such-python`: "), "{error}");
    let module = SandboxConfig { modules: vec!["no_such_module".into()], ..SandboxConfig::default() };
    let Err(error) = Sandbox::open(&module) else { panic!("there is no such module") };
    assert!(error.to_string().contains("no_such_module"), "{error}");
}

#[test]
fn installed_packages_are_there_only_when_asked_for() {
    let job = Job { program: "import pip; print(pip.__name__)", task: Task::Stdin(&[b""]), limits: QUICK };
    let bare = SandboxConfig { workers: NonZeroUsize::new(1), ..SandboxConfig::default() };
    let outcome = Sandbox::open(&bare).unwrap().run(&job).remove(0);
    assert!(matches!(outcome.ended, Ended::Exception { kind, .. } if kind == "ModuleNotFoundError"));
    let config =
        SandboxConfig { modules: vec!["pip".into()], workers: NonZeroUsize::new(1), ..SandboxConfig::default() };
    match Sandbox::open(&config) {
        Ok(sandbox) => {
            assert_eq!(sandbox.run(&job)[0].stdout, b"pip\n");
        }
        Err(error) => {
            assert!(error.to_string().contains("No module named 'pip'"), "{error}");
            println!("skipped: {error}");
        }
    }
}

#[test]
fn a_zygote_is_replaced_when_it_is_old_and_when_it_breaks() {
    let config = SandboxConfig { recycle_after: 8, workers: NonZeroUsize::new(1), ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).unwrap();
    let inputs = vec![&b""[..]; 10];
    let job = Job { program: "print(1)", task: Task::Stdin(&inputs), limits: QUICK };
    assert!(sandbox.run(&job).iter().all(|outcome| outcome.stdout == b"1\n"));
    assert_eq!(sandbox.broken(), (0, None), "age is no fault");
    sandbox.break_idle_zygotes();
    assert!(sandbox.run(&job).iter().all(|outcome| outcome.stdout == b"1\n"));
    assert_eq!(sandbox.broken().0, 1);
}

#[test]
fn numpys_numbers_read_as_pythons() {
    let Ok(python) = std::env::var("GROUPER_TENSORBOARD_PYTHON") else {
        println!("skipped: no Python with numpy (GROUPER_TENSORBOARD_PYTHON)");
        return;
    };
    let workers = NonZeroUsize::new(1);
    let config = SandboxConfig { python, modules: vec!["numpy".into()], workers, ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).unwrap();
    let program = "import numpy as np\ndef f(n): return (np.arange(n), np.float64(0.5), {np.int64(1): np.bool_(True)})";
    let task = Task::Calls { function: "f", calls: &[Call { args: vec![2.into()], kwargs: vec![] }] };
    let outcome = sandbox.run(&Job { program, task, limits: QUICK }).remove(0);
    let expected = Plain::Tuple(vec![
        Plain::List(vec![0.into(), 1.into()]),
        Plain::Float(0.5),
        Plain::Dict(vec![(1.into(), Plain::Bool(true))]),
    ]);
    assert_eq!(outcome.returned, Some(expected), "{outcome:?}");
}
