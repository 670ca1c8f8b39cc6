use std::fs;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rewards::Part;
use rollout::completion::FinishReason;
use serde_json::Map;

use super::*;
use crate::eval::Shown;

/// A stream whose text a test can read.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<u8>>>);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Streams {
    out: Stream,
    err: Stream,
}

fn open(run: &Path, verbosity: Verbosity, lengths: Lengths, next_step: u64) -> (StepLog, Streams) {
    let shown = Streams { out: Stream::default(), err: Stream::default() };
    let console = Console::with(run, verbosity, Box::new(shown.out.clone()), Box::new(shown.err.clone())).unwrap();
    (StepLog::open(run, "tiny · cpu", 200, console, lengths, next_step).unwrap(), shown)
}

fn sample(step: u64) -> SampleRecord {
    SampleRecord {
        step,
        set: None,
        index: 7,
        prompt: "1 + 1".into(),
        messages: Vec::new(),
        expected: String::new(),
        columns: Map::new(),
        completion: "<answer>2</answer>".into(),
        n_tokens: 9,
        finish: FinishReason::Length,
        advantage: Some(0.5),
        total: None,
        parts: vec![part(None, "no reference")],
    }
}

fn evaluation(name: &str, main: bool) -> Evaluation {
    let record = SampleRecord {
        index: 3,
        prompt: "2 + 3".into(),
        completion: "5".into(),
        n_tokens: 2,
        finish: FinishReason::Stop,
        advantage: None,
        total: Some(1.0),
        parts: vec![part(Some(1.0), "expected 5")],
        ..sample(0)
    };
    let shown = Shown { question: "2 + 3".into(), expected: "5".into(), correct: Some(true), record };
    Evaluation {
        name: name.into(),
        main,
        n_problems: 128,
        k: 8,
        pass_at: [(1, 0.36), (8, 0.611)].into(),
        maj: None,
        len: Some(50.0),
        cut: None,
        unscored: 0,
        shown: vec![shown],
    }
}

fn take_step(log: &mut StepLog, step: u64) {
    log.mean("reward", 0.25, 1.0);
    log.mean("reward", 0.75, 3.0);
    log.add("tokens", 100.0);
    log.add("tokens", 20.0);
    log.max("len_max", 3.0);
    log.max("len_max", 2.0);
    log.set("lr", 1e-3);
    log.sample(&sample(step)).unwrap();
    log.finish(step).unwrap();
}

/// The lines of `metrics.jsonl` without the keys that depend on the machine.
fn repeatable(run: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line| {
        let mut line: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        line.retain(|key, _| !key.starts_with("perf/"));
        line
    };
    text.lines().map(line).collect()
}

fn part(value: Option<f64>, note: &str) -> Part {
    Part { rule: "accuracy".into(), value, lack: None, weight: 1.0, gate: Default::default(), note: note.into() }
}

#[test]
fn console_and_files_of_a_run() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, shown) = open(run.path(), Verbosity::Normal, Lengths::default(), 1);
    drop(log.span("eval"));
    log.evaluations(0, &[evaluation("sums", true), evaluation("aime", false)]).unwrap();
    take_step(&mut log, 1);
    log.evaluations(12, &[evaluation("sums", true)]).unwrap();
    log.line("saved");

    let header = format!("tiny · cpu · {}", run.path().display());
    let console = shown.out.text();
    let lines: Vec<&str> = console.lines().collect();
    assert_eq!(lines[0], header);
    assert_eq!(lines[1], "eval   0      pass@1 0.360  pass@8 0.611  len 50  (128 problems)");
    assert_eq!(lines[2], "eval   0      aime  pass@1 0.360  pass@8 0.611  len 50  (128 problems)");
    assert!(lines[3].starts_with("step   1/200  reward 0.625  lr 1.0e-3  0.00s  "), "{}", lines[3]);
    assert!(lines[3].ends_with(" tok/s"), "{}", lines[3]);
    assert!(lines[4].starts_with("eval  12      pass@1 0.360"), "{}", lines[4]);
    assert_eq!(*lines.last().unwrap(), "saved");
    assert_eq!(shown.err.text(), "");
    assert_eq!(fs::read_to_string(run.path().join(RUN_LOG)).unwrap(), console);

    let lines = repeatable(run.path());
    let expected = serde_json::json!([
        {"step": 0, "eval/pass@1": 0.36, "eval/pass@8": 0.611, "eval/len": 50.0, "eval/prompts": 128.0,
         "eval/aime/pass@1": 0.36, "eval/aime/pass@8": 0.611, "eval/aime/len": 50.0, "eval/aime/prompts": 128.0},
        {"step": 1, "reward": 0.625, "tokens": 120.0, "len_max": 3.0, "lr": 1e-3},
        {"step": 12, "eval/pass@1": 0.36, "eval/pass@8": 0.611, "eval/len": 50.0, "eval/prompts": 128.0},
    ]);
    assert_eq!(serde_json::to_value(lines).unwrap(), expected);

    let text = fs::read_to_string(run.path().join(SAMPLES)).unwrap();
    let read: Vec<SampleRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), 4);
    assert_eq!((read[1].step, read[1].set.as_deref(), read[1].index), (0, Some("aime"), 3));
    assert_eq!((read[1].total, read[1].parts[0].note.as_str()), (Some(1.0), "expected 5"));
    assert_eq!(read[2], sample(1));
    assert!(text.contains(r#""finish":"length","advantage":0.5,"total":null"#), "{text}");
}

#[test]
fn tensorboard_has_the_keys_of_metrics_jsonl() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _shown) = open(run.path(), Verbosity::Normal, Lengths::default(), 1);
    drop(log.span("sample"));
    take_step(&mut log, 1);
    let events = fs::read_dir(run.path().join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(events).unwrap();
    let line: serde_json::Map<_, _> =
        serde_json::from_str(&fs::read_to_string(run.path().join("metrics.jsonl")).unwrap()).unwrap();
    assert!(line.contains_key("perf/seconds/sample") && line.contains_key("perf/tokens_per_second"), "{line:?}");
    for key in line.keys().filter(|key| *key != "step") {
        // A tag: field 1, its length, its bytes.
        let mut tag = vec![0x0a, key.len() as u8];
        tag.extend(key.as_bytes());
        assert!(bytes.windows(tag.len()).any(|window| window == tag), "{key} is not in the event file");
    }
}

#[test]
fn a_resumed_run_has_the_files_of_one_never_stopped() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut log, _shown) = open(whole.path(), Verbosity::Quiet, Lengths::default(), 1);
    (1..=5).for_each(|step| take_step(&mut log, step));

    let (mut log, _shown) = open(cut.path(), Verbosity::Quiet, Lengths::default(), 1);
    (1..=3).for_each(|step| take_step(&mut log, step));
    let lengths = log.lengths().unwrap();
    take_step(&mut log, 4);
    log.sample(&sample(5)).unwrap();
    drop(log);
    for name in ["metrics.jsonl", SAMPLES] {
        fs::OpenOptions::new().append(true).open(cut.path().join(name)).unwrap().write_all(b"{\"st").unwrap();
    }
    let (mut log, _shown) = open(cut.path(), Verbosity::Quiet, lengths, 4);
    (4..=5).for_each(|step| take_step(&mut log, step));

    let samples = |run: &Path| fs::read(run.join(SAMPLES)).unwrap();
    assert_eq!(samples(cut.path()), samples(whole.path()));
    assert_eq!(repeatable(cut.path()), repeatable(whole.path()));
    assert_eq!(repeatable(whole.path()).len(), 5);
    let log = fs::read_to_string(cut.path().join(RUN_LOG)).unwrap();
    assert_eq!(log.matches("tiny · cpu").count(), 2, "run.log keeps both parts:\n{log}");
    assert_eq!(log.matches("step   4/200").count(), 2, "run.log keeps both parts:\n{log}");
}

#[test]
fn quiet_shows_warnings_and_verbose_details() {
    let shown = |verbosity| {
        let run = tempfile::tempdir().unwrap();
        let (mut log, shown) = open(run.path(), verbosity, Lengths::default(), 1);
        take_step(&mut log, 1);
        log.warn("3 prompts are too long");
        log.detail("workers 4");
        let kept = fs::read_to_string(run.path().join(RUN_LOG)).unwrap();
        for line in ["tiny · cpu", "step   1/200", "warning: 3 prompts are too long", "workers 4"] {
            assert!(kept.contains(line), "{line} is not in run.log:\n{kept}");
        }
        assert_eq!(shown.err.text(), "warning: 3 prompts are too long\n");
        shown.out.text()
    };
    assert_eq!(shown(Verbosity::Quiet), "");
    assert_eq!(shown(Verbosity::Normal).lines().count(), 2);
    let verbose = shown(Verbosity::Verbose);
    assert_eq!(verbose.lines().count(), 3);
    assert!(verbose.ends_with("workers 4\n"), "{verbose}");
}

#[test]
fn what_comes_before_the_first_step_is_not_its_time() {
    let run = tempfile::tempdir().unwrap();
    let since = Instant::now();
    let (mut log, _shown) = open(run.path(), Verbosity::Quiet, Lengths::default(), 1);
    std::thread::sleep(Duration::from_millis(20));
    log.begin_step();
    log.finish(1).unwrap();
    let line: serde_json::Value =
        serde_json::from_str(fs::read_to_string(run.path().join("metrics.jsonl")).unwrap().trim()).unwrap();
    let rest = since.elapsed() - Duration::from_millis(20);
    assert!(line["perf/seconds"].as_f64().unwrap() <= rest.as_secs_f64(), "{line}");
}

#[test]
fn phases_add_up_and_seconds_leave_out_eval_and_save() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _shown) = open(run.path(), Verbosity::Quiet, Lengths::default(), 1);
    for phase in ["sample", "sample", "eval", "save"] {
        let _span = log.span(phase);
        std::thread::sleep(Duration::from_millis(20));
    }
    log.finish(1).unwrap();
    log.finish(2).unwrap();
    let text = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |step: usize, key: &str| lines[step - 1][key].as_f64().unwrap();
    assert!(number(1, "perf/seconds/sample") >= 0.04);
    assert!(number(1, "perf/seconds/eval") >= 0.02);
    assert!(number(1, "perf/seconds") >= number(1, "perf/seconds/sample"));
    assert!(number(2, "perf/seconds") < number(1, "perf/seconds"));
    assert!(lines[1].get("perf/seconds/sample").is_none(), "a phase belongs to one step");
}

#[test]
fn a_phase_inside_another_has_its_own_time() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _shown) = open(run.path(), Verbosity::Quiet, Lengths::default(), 1);
    let rest = || std::thread::sleep(Duration::from_millis(20));
    let outer = log.span("sample");
    rest();
    let inner = log.span("score");
    rest();
    rest();
    drop(inner);
    rest();
    drop(outer);
    log.finish(1).unwrap();
    let line: serde_json::Value =
        serde_json::from_str(fs::read_to_string(run.path().join("metrics.jsonl")).unwrap().trim()).unwrap();
    let number = |key: &str| line[key].as_f64().unwrap();
    let (outer, inner) = (number("perf/seconds/sample"), number("perf/seconds/score"));
    assert!(outer >= 0.04 && inner >= 0.04, "{line}");
    assert!(outer + inner <= number("perf/seconds"), "no time is counted twice: {line}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_names_the_file() {
    for name in ["metrics.jsonl", SAMPLES, RUN_LOG] {
        let run = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", run.path().join(name)).unwrap();
        let console =
            Console::with(run.path(), Verbosity::Quiet, Box::new(Stream::default()), Box::new(Stream::default()));
        let mut log = match StepLog::open(run.path(), "tiny", 1, console.unwrap(), Lengths::default(), 1) {
            Ok(log) => log,
            Err(error) => {
                assert_eq!(name, RUN_LOG);
                assert!(error.to_string().contains("run.log: No space left"), "{error}");
                continue;
            }
        };
        let error = log.sample(&sample(1)).and_then(|()| log.finish(1)).unwrap_err().to_string();
        assert!(error.contains(&format!("{name}: No space left")), "{error}");
    }
}

#[test]
fn a_mean_of_nothing_is_not_set() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _shown) = open(run.path(), Verbosity::Quiet, Lengths::default(), 1);
    log.mean("reward", 1.0, 0.0);
    assert_eq!(log.get("reward"), None);
    log.max("mismatch_max", f64::NAN);
    log.max("mismatch_max", 1.0);
    assert!(log.get("mismatch_max").unwrap().is_nan(), "a NaN is not covered up");
    log.finish(1).unwrap();
    assert_eq!(repeatable(run.path())[0].get("mismatch_max"), Some(&serde_json::Value::Null));
}
