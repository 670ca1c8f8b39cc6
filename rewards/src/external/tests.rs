//! Python files; programs and endpoints have files of their own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Map, Value, json};

use crate::{Lack, Rubric, RuleConfig, Sample, Score};

mod http;
mod program;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rewards");
    folder.join(name).to_str().unwrap().to_owned()
}

/// A rubric of one rule, with weight 1.
fn rubric(kind: &str, mut settings: Value) -> Rubric {
    settings["weight"] = json!(1.0);
    let config: RuleConfig = serde_json::from_value(json!({ kind: settings })).unwrap();
    Rubric::new(&[config]).unwrap()
}

fn python(file: &str, function: &str) -> Rubric {
    rubric("python", json!({"file": fixture(file), "function": function, "workers": 1, "timeout_s": 20, "retries": 0}))
}

fn columns(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn sample<'a>(completion: &'a str, columns: &'a Map<String, Value>) -> Sample<'a> {
    Sample { completion, columns, expected: "gold", step: Some(5), ..Sample::default() }
}

fn totals(scores: &[Score]) -> Vec<Option<f64>> {
    scores.iter().map(|score| score.total).collect()
}

/// What `rubric` gives completions of one row.
fn scored(rubric: &Rubric, texts: &[&str], row: Value) -> Vec<Score> {
    let columns = columns(row);
    let group: Vec<Sample<'_>> = texts.iter().map(|text| sample(text, &columns)).collect();
    rubric.score_group(&group)
}

/// The note of a completion that has no value because something failed.
fn failure(score: &Score) -> &str {
    assert_eq!((score.total, score.parts[0].lack), (None, Some(Lack::Failed)), "{score:?}");
    &score.parts[0].note
}

fn is_there(process: f64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process as u32)).unwrap_or_default();
    !stat.is_empty()
}

/// Waits until a process is gone, zombies too.
fn gone(process: f64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_there(process) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    !is_there(process)
}

#[test]
fn functions_written_for_trl() {
    let texts = ["a", "so \\boxed{4}", ""];
    let by = |function: &str, row: Value| totals(&scored(&python("trl_plain.py", function), &texts, row));
    assert_eq!(by("reward_len", json!({})), [Some(-19.0), Some(-8.0), Some(-20.0)]);
    assert_eq!(by("reward", json!({})), [Some(-19.0), Some(-8.0), Some(-20.0)]);
    assert_eq!(by("answer_reward", json!({"answer": "4"})), [Some(0.0), Some(1.0), Some(0.0)]);
    assert_eq!(by("longer_is_better", json!({})), [Some(0.0); 3]);
    assert_eq!(by("math_only", json!({"task": "math"})), [Some(0.0), Some(1.0), Some(0.0)]);
    assert_eq!(by("math_only", json!({"task": "poem"})), [None; 3], "no rule speaks");
    assert_eq!(by("shaped", json!({})), [Some(0.5); 3]);
    assert_eq!(by("judged", json!({})), [Some(0.0), Some(1.0), Some(0.0)]);
    let missing = scored(&python("trl_plain.py", "answer_reward"), &texts, json!({}));
    assert!(failure(&missing[0]).contains("TypeError: answer_reward() missing"), "{missing:?}");

    let row = Map::new();
    let tokens = Sample { tokens: &[3, 4], ..sample("a", &row) };
    assert_eq!(totals(&python("trl_plain.py", "longer_is_better").score_group(&[tokens])), [Some(2.0)]);
}

#[test]
fn none_leaves_the_sum_to_the_other_rules() {
    let config = json!([
        {"python": {"weight": 1.0, "file": fixture("trl_plain.py"), "function": "math_only", "workers": 1}},
        {"soft_overlong": {"weight": 1.0, "max_tokens": 10, "buffer": 10}},
    ]);
    let rubric = Rubric::new(&serde_json::from_value::<Vec<RuleConfig>>(config).unwrap()).unwrap();
    assert!(rubric.open().is_empty());
    let of = |task: &str| {
        let columns = columns(json!({ "task": task }));
        let score = rubric.score_group(&[Sample { n_tokens: 5, ..sample("4", &columns) }]).remove(0);
        (score.total, score.parts[0].lack)
    };
    assert_eq!(of("math"), (Some(0.5), None));
    assert_eq!(of("poem"), (Some(-0.5), Some(Lack::Abstained)));
}

#[test]
fn conversations_are_lists_of_messages() {
    let messages = [json!({"role": "system", "content": "Be short."}), json!({"role": "user", "content": "Say hello"})];
    let by = |function: &str, text: &str| {
        let row = Map::new();
        let sample = Sample { messages: &messages, ..sample(text, &row) };
        python("trl_chat.py", function).score_group(&[sample]).remove(0).total
    };
    assert_eq!(by("format_reward", "<think>a</think> <answer>b</answer>"), Some(1.0));
    assert_eq!(by("format_reward", "b"), Some(0.0));
    assert_eq!(by("echoes", "Say hello? Hello."), Some(-1.0));
    assert_eq!(by("echoes", "Hello."), Some(0.0));
}

#[test]
fn functions_written_for_verl() {
    let gsm8k = rubric("python", json!({"file": fixture("verl_gsm8k.py"), "workers": 1, "judges": true}));
    let row = json!({"data_source": "openai/gsm8k", "reward_model": {"style": "rule", "ground_truth": "1200"}});
    let scores = scored(&gsm8k, &["it is #### 1,200", "#### 7", "1200"], row);
    assert_eq!(totals(&scores), [Some(1.0), Some(0.1), Some(0.0)]);
    let rights: Vec<_> = scores.iter().map(|score| score.right.unwrap()).collect();
    assert_eq!(rights, [true, false, false], "partial credit is not a right answer");
    let voted = gsm8k.answer(&Sample { completion: "it is #### 7", ..Sample::default() });
    assert_eq!(voted.as_deref(), Some("7"), "majorities are counted over what stands in the usual places");
    assert_eq!(totals(&scored(&gsm8k, &["#### gold", "#### 5"], json!({"ground_truth": "5"}))), [Some(0.0), Some(1.0)]);

    let routed = python("verl_routed.py", "compute_score");
    let math = scored(&routed, &["4", "5"], json!({"data_source": "math", "ground_truth": "4"}));
    assert_eq!(totals(&math), [Some(1.0), Some(-1.0)]);
    assert_eq!(math[0].parts[0].note, "{'acc': True, 'pred': '4'}");
    let words = json!({"source": "words", "extra_info": {"limit": 2}});
    assert_eq!(totals(&scored(&routed, &["a b", "a b c"], words)), [Some(1.0), Some(0.0)]);
    let unknown = scored(&routed, &["a"], json!({"data_source": "poems"}));
    let told = failure(&unknown[0]);
    assert!(told.contains("verl_routed.py\", line 11, in compute_score"), "{told}");
    assert!(told.contains("NotImplementedError: Reward function is not implemented for data_source='poems'"), "{told}");
}

#[test]
fn what_a_function_does_wrong_is_named() {
    let by = |function: &str| scored(&python("faulty.py", function), &["abc", "", "b"], json!({}));
    let first = |function: &str| failure(&by(function)[0]).to_owned();
    let raised = first("raises");
    assert!(raised.contains("faulty.py\", line 12, in raises"), "{raised}");
    assert!(raised.ends_with("ZeroDivisionError: float division by zero"), "{raised}");
    assert!(!raised.contains("<string>"), "our own frames are no help: {raised}");
    assert_eq!(first("short"), "short gave 1 scores for 3 completions");
    assert_eq!(first("no_list"), "no_list gave 0.5, a float, and must give a list of scores");
    assert!(first("calls_exit").ends_with("SystemExit: enough"));
    let exits = first("exits");
    assert_eq!(exits, "the process ended with exit code 3 before it answered; it printed:\nabout to leave");
    let crashed = first("crashes");
    assert_eq!(crashed, "the process was killed by signal 11 before it answered; it printed:\nlast words");
    // A number that is none fails its own completion; the others keep theirs.
    let mixed = by("one_of_three");
    assert_eq!(totals(&mixed), [Some(1.0), None, None]);
    assert_eq!(failure(&mixed[1]), "one_of_three gave nan");
    assert_eq!(failure(&mixed[2]), "one_of_three gave 'high', a str, and must give numbers");
}

#[test]
fn a_function_that_hangs_is_killed_and_another_asked() {
    let hangs = rubric(
        "python",
        json!({"file": fixture("faulty.py"), "function": "hangs", "workers": 1, "timeout_s": 0.5, "retries": 1}),
    );
    let scores = scored(&hangs, &["a", "b"], json!({}));
    assert_eq!(failure(&scores[1]), "no answer after 0.5 s; it printed:\nthinking (2 tries)");
}

#[test]
fn what_a_function_prints_is_no_answer() {
    assert_eq!(totals(&scored(&python("faulty.py", "talks"), &["abc", "a"], json!({}))), [Some(3.0), Some(1.0)]);
}

#[test]
fn a_call_whose_process_died_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = json!({"file": fixture("faulty.py"), "function": "second_time", "workers": 2});
    let row = |name: &str| json!({"path": folder.path().join(name)});
    assert_eq!(totals(&scored(&rubric("python", settings.clone()), &["a"], row("a"))), [Some(2.0)]);
    settings["retries"] = json!(0);
    let fresh = rubric("python", settings);
    failure(&scored(&fresh, &["a"], row("b"))[0]);
    assert_eq!(totals(&scored(&fresh, &["a"], row("b"))), [Some(2.0)], "and the next call finds a new process");
}

#[test]
fn workers_run_side_by_side_and_end_with_the_rubric() {
    let settings = json!({"file": fixture("faulty.py"), "function": "whose", "workers": 4});
    let rubric = rubric("python", settings);
    assert!(rubric.open().is_empty());
    let one = || scored(&rubric, &["a"], json!({}))[0].total.unwrap();
    let mut seen: Vec<f64> = thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|process| is_there(*process)), "they wait for more");
    drop(rubric);
    // At once: whoever drops the rubric has waited for them.
    assert!(!seen.iter().any(|process| is_there(*process)));
}

#[test]
fn children_of_a_worker_end_with_it() {
    let rubric = python("faulty.py", "with_a_child");
    let child = scored(&rubric, &["a"], json!({}))[0].total.unwrap();
    assert!(is_there(child));
    drop(rubric);
    assert!(gone(child));
}

/// The other half of the next test: a process with a worker, which waits to be killed.
#[test]
fn a_parent_that_is_killed() {
    let Ok(told) = std::env::var("GROUPER_TELL_WORKER") else { return };
    let rubric = python("faulty.py", "whose");
    let worker = scored(&rubric, &["a"], json!({}))[0].total.unwrap();
    fs::write(PathBuf::from(&told).with_extension("part"), worker.to_string()).unwrap();
    fs::rename(PathBuf::from(&told).with_extension("part"), &told).unwrap();
    thread::sleep(Duration::from_secs(100));
}

#[test]
fn workers_die_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("worker");
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "external::tests::a_parent_that_is_killed"])
        .env("GROUPER_TELL_WORKER", &told)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !told.exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let worker: f64 = fs::read_to_string(&told).unwrap().parse().unwrap();
    assert!(is_there(worker));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(gone(worker));
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let refused = |settings: Value| {
        let rubric = rubric("python", settings);
        let found = rubric.open();
        assert_eq!(found.len(), 1, "{rubric:?}");
        // Asked all the same, it fails and does not stop the others.
        failure(&scored(&rubric, &["a"], json!({}))[0]);
        found[0].1.replace(folder.path().to_str().unwrap(), "DIR").replace(&fixture(""), "")
    };
    let missing = refused(json!({"file": "no/such.py"}));
    assert_eq!(missing, "python: `file` no/such.py: No such file or directory (os error 2)");
    let typo = refused(json!({"file": write("typo.py", "import re\n\ndef reward(completions:\n    return 1\n")}));
    assert!(typo.starts_with("python: `file` DIR/typo.py:"), "{typo}");
    assert!(typo.contains("typo.py\", line 3") && typo.contains("SyntaxError"), "{typo}");
    let import = refused(json!({"file": write("import.py", "import re\nimport no_such_module\n")}));
    assert!(import.contains("import.py\", line 2") && import.contains("No module named 'no_such_module'"), "{import}");
    let nameless = refused(json!({"file": write("nameless.py", "def score(x):\n    return 1\n")}));
    assert_eq!(
        nameless,
        "python: `function` DIR/nameless.py: there is no function `reward` or `compute_score` in it (it has score)"
    );
    let other = refused(json!({"file": fixture("verl_gsm8k.py"), "function": "compute"}));
    assert!(other.contains("there is no function `compute` in it (it has extract_solution, compute_score)"), "{other}");
    let neither = refused(json!({"file": fixture("faulty.py"), "function": "neither"}));
    assert!(neither.contains("`signature` faulty.py: neither has the parameters of neither"), "{neither}");
    let python = refused(json!({"file": fixture("faulty.py"), "python": "no-such-python"}));
    assert_eq!(python, "python: `python` no-such-python: No such file or directory (os error 2)");
    let quits = refused(json!({"file": write("quits.py", "import os\nprint('bye')\nos._exit(9)\n")}));
    let ended = "import `file` DIR/quits.py: the process ended with exit code 9 before it answered; it printed:\nbye";
    assert_eq!(quits, format!("python: {ended}"));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |kind: &str, mut settings: Value| {
        settings["weight"] = json!(1.0);
        let config: RuleConfig = serde_json::from_value(json!({ kind: settings })).unwrap();
        Rubric::new(&[config]).unwrap_err().to_string()
    };
    assert_eq!(refused("python", json!({"file": ""})), "python: `file` is empty");
    assert_eq!(
        refused("python", json!({"file": "a", "workers": 0})),
        "python: `workers` is 0: nothing would be scored"
    );
    let timeout = "python: `timeout_s` is -1, and must be above 0 and at most 1e6";
    assert_eq!(refused("python", json!({"file": "a", "timeout_s": -1.0})), timeout);
    assert_eq!(refused("program", json!({"command": []})), "program: `command` names no program");
    assert_eq!(
        refused("program", json!({"command": ["a"], "batch": 0})),
        "program: `batch` is 0: nothing would be asked"
    );
    let url = "http: `url` is `localhost`, and must begin with http:// or https://";
    assert_eq!(refused("http", json!({"url": "localhost"})), url);
    let pause = "http: `backoff_s` is -2, and must be between 0 and 1e6";
    assert_eq!(refused("http", json!({"url": "http://a", "backoff_s": -2.0})), pause);
}

/// Reward functions as TRL ships them, through our workers.
#[test]
fn functions_that_trl_ships() {
    let Ok(interpreter) = std::env::var("GROUPER_PEERS_PYTHON") else {
        eprintln!("skipped: GROUPER_PEERS_PYTHON names no interpreter with trl");
        return;
    };
    let found = std::process::Command::new(&interpreter).args(["-c", "import trl.rewards, math_verify"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: {interpreter} has no trl, or no math_verify");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shipped.py");
    fs::write(
        &file,
        "from trl.rewards import accuracy_reward, get_repetition_penalty_reward, get_soft_overlong_punishment\n\
         from trl.rewards import think_format_reward\n\
         overlong = get_soft_overlong_punishment(max_completion_len=10, soft_punish_cache=4)\n\
         repetition = get_repetition_penalty_reward(ngram_size=2, max_penalty=-1.0)\n",
    )
    .unwrap();
    let messages = [json!({"role": "user", "content": "?"})];
    let by = |function: &str, text: &str, tokens: &[u32], row: Value| {
        let columns = columns(row);
        let settings =
            json!({"file": file, "function": function, "python": interpreter, "signature": "trl", "workers": 1});
        let sample = Sample { messages: &messages, tokens, n_tokens: tokens.len(), ..sample(text, &columns) };
        let score = rubric("python", settings).score_group(&[sample]).remove(0);
        assert!(score.total.is_some(), "{score:?}");
        score.total
    };
    assert_eq!(by("think_format_reward", "<think>\na\n</think>\nb", &[], json!({})), Some(1.0));
    assert_eq!(by("think_format_reward", "a</think>", &[], json!({})), Some(0.0));
    assert_eq!(by("overlong", "", &[1; 8], json!({})), Some(-0.5));
    assert_eq!(by("repetition", "", &[5; 5], json!({})), Some(-0.75));
    let solution = json!({"solution": "$\\frac{1}{3}$"});
    assert_eq!(by("accuracy_reward", "it is $\\boxed{\\frac{1}{3}}$", &[], solution.clone()), Some(1.0));
    assert_eq!(by("accuracy_reward", "it is $\\boxed{\\frac{1}{2}}$", &[], solution), Some(0.0));
}
