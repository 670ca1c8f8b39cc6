//! `--profile`: a trace that says what each thread did, of a run that is the same run without it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::toy_run::{STEPS, Toy, finished, same_run, text, wait, wait_until};

/// A span of a trace; times in microseconds.
#[derive(Clone, Debug)]
struct Span {
    name: String,
    track: String,
    from: f64,
    to: f64,
    args: Value,
}

/// The spans of a run's trace.
#[track_caller]
fn trace(run: &Path) -> Vec<Span> {
    let events: Vec<Value> = serde_json::from_str(&fs::read_to_string(run.join("profile.json")).unwrap()).unwrap();
    assert_eq!(events[0]["name"], "process_name");
    let threads = events.iter().filter(|event| event["name"] == "thread_name");
    let tracks: BTreeMap<u64, String> = threads
        .map(|event| (event["tid"].as_u64().unwrap(), event["args"]["name"].as_str().unwrap().to_owned()))
        .collect();
    let span = |event: &Value| {
        let from = event["ts"].as_f64().unwrap();
        Span {
            name: event["name"].as_str().unwrap().to_owned(),
            track: tracks[&event["tid"].as_u64().unwrap()].clone(),
            from,
            to: from + event["dur"].as_f64().unwrap(),
            args: event["args"].clone(),
        }
    };
    // Every other event says when it began and how long it took: none is left without its end.
    events.iter().filter(|event| event["ph"] != "M").inspect(|event| assert_eq!(event["ph"], "X")).map(span).collect()
}

/// The lines of `metrics.jsonl`.
fn lines(run: &Path) -> Vec<String> {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(str::to_owned).collect()
}

/// Half a nanosecond of rounding on either side.
const EPSILON: f64 = 0.002;

impl Span {
    fn holds(&self, inner: &Span) -> bool {
        self.from <= inner.from + EPSILON && inner.to <= self.to + EPSILON
    }

    fn apart(&self, other: &Span) -> bool {
        self.to <= other.from + EPSILON || other.to <= self.from + EPSILON
    }

    fn count(&self, key: &str) -> u64 {
        self.args[key].as_u64().unwrap_or_else(|| panic!("{key} of {self:?}"))
    }
}

#[test]
fn a_profiled_run_is_the_same_run() {
    let toy = Toy::new(&[]);
    toy.train();
    let output = toy.command(&["--profile=2"]).output().unwrap();
    finished(&output);
    assert!(text(&output.stdout).contains("runs/toy/2/profile.json; https://ui.perfetto.dev opens it"));
    same_run(&toy.run(1), &toy.run(2), STEPS);
    assert!(!toy.run(1).join("profile.json").exists());

    let spans = trace(&toy.run(2));
    let of = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    // What lies on a thread lies beside or inside what else does.
    for (i, a) in spans.iter().enumerate() {
        for b in spans[..i].iter().filter(|b| b.track == a.track) {
            assert!(a.holds(b) || b.holds(a) || a.apart(b), "{a:?} {b:?}");
        }
    }
    let steps = of("step");
    assert_eq!(steps.iter().map(|step| step.count("number")).collect::<Vec<_>>(), [1, 2]);
    let within = |name: &str, inner: &str| {
        let outer = of(name);
        for span in of(inner).into_iter().filter(|span| !span.track.starts_with("scorer ")) {
            assert!(outer.iter().any(|outer| outer.track == span.track && outer.holds(&span)), "{span:?} in {name}");
        }
    };
    for phase in ["sample", "reference", "update", "optimizer"] {
        assert!(!of(phase).is_empty(), "{phase}");
        within("step", phase);
    }
    within("sample", "score");
    within("optimizer", "refresh");
    within("microbatch", "forward");
    within("microbatch", "head");
    within("microbatch", "backward");
    within("decode", "draw");
    // Before the first step, after it and after the second; the checkpoints of both.
    assert_eq!((of("check").len(), of("open").len(), of("eval").len(), of("save").len()), (1, 1, 2, 2));

    let sampled = |spans: &[Span]| spans.iter().map(|span| span.count("rows")).sum::<u64>();
    let inside =
        |name: &str| of(name).into_iter().filter(|one| steps.iter().any(|step| step.holds(one))).collect::<Vec<_>>();
    let prompts: u64 = inside("prefill").iter().map(|span| span.count("prompts")).sum();
    assert_eq!(prompts, 8, "4 prompts a step");
    assert!(of("prefill").iter().chain(&of("decode")).all(|span| span.track.starts_with("replica ")));
    let lines: Vec<Value> = lines(&toy.run(2)).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tokens: u64 = (1..=2)
        .map(|step| lines.iter().find(|line| line["step"] == step && line["tokens"].is_number()).unwrap())
        .map(|line| line["tokens"].as_f64().unwrap() as u64)
        .sum();
    // The first token of each of 32 completions comes out of the prefill.
    assert_eq!(sampled(&inside("decode")) + 32, tokens);
    assert!(of("decode").iter().all(|span| span.count("positions") >= span.count("rows")));
    let microbatches = of("microbatch");
    assert!(
        microbatches.iter().all(|one| one.track.starts_with("worker ") && one.count("rows") >= one.count("tokens"))
    );
    assert!(microbatches.iter().map(|one| one.count("tokens")).sum::<u64>() <= tokens);
    let scored =
        spans.iter().filter(|span| span.track.starts_with("scorer ") && steps.iter().any(|step| step.holds(span)));
    assert_eq!(scored.count(), 32);
}

#[test]
fn a_trace_is_whole_whatever_ends_the_run() {
    let toy = Toy::new(&[]);
    toy.train();
    for (n, signal) in [(2, Signal::INT), (3, Signal::KILL)] {
        let run = toy.run(n);
        let mut child = toy.command(&["--profile=1000"]).spawn().unwrap();
        wait_until(&mut child, || run.join("metrics.jsonl").exists() && lines(&run).len() >= 3);
        kill_process(Pid::from_child(&child), signal).unwrap();
        wait(child, Duration::from_secs(30));
        assert!(trace(&run).iter().any(|span| span.name == "step"));
        // A profile of the rest is written over it, and the run is still the same.
        finished(&toy.command(&[&crate::toy_run::resume_flag(n), "--profile"]).output().unwrap());
        same_run(&toy.run(1), &run, STEPS);
        let steps = trace(&run).iter().filter(|span| span.name == "step").count();
        assert!((1..=4).contains(&steps), "{steps} steps");
    }
}

#[test]
fn fine_tuning_has_a_trace_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let arguments = ["sft", "configs/sft_tiny.toml", "--run", &root, "--profile=1", "--set", "sft.steps=2", "-q"];
    let arguments = [&arguments[..], &["--set", "data.source.chain_demonstrations.n_problems=500"]].concat();
    crate::cli::grouper(&arguments).assert().success();
    let run = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path().join("1");
    let spans = trace(&run);
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count("step"), count("optimizer")), (1, 1));
    assert!(count("microbatch") >= 1 && count("backward") == count("microbatch") && count("sample") == 0);
}
