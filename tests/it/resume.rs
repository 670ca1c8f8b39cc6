//! A run that was killed or stopped, and goes on, is the run that never was: the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};
use trainer::config::{Ending, RunConfig, RunOptions};
use trainer::durable::set_failpoint;

use crate::toy_run::{Dice, STEPS, Toy, finished, metrics, resume_flag, same_run, text, wait, wait_until};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the run's folder is there, then kills it `after` that. True where it ended by itself before.
fn kill(mut child: Child, run: &Path, after: Duration) -> bool {
    let begun = || run.join("lock").exists() || run.join("final").exists();
    wait_until(&mut child, begun);
    thread::sleep(after);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() || output.status.code().is_none(), "{}", text(&output.stderr));
    output.status.success()
}

#[test]
fn killed_at_random_instants() {
    let toy = Toy::new(&[]);
    let mut child = toy.command(&[]).spawn().unwrap();
    wait_until(&mut child, || toy.run(1).join("lock").exists());
    let begun = Instant::now();
    finished(&wait(child, Duration::from_secs(60)));
    let duration = begun.elapsed();

    let mut dice = Dice(20);
    let (mut kills, mut round) = (0, 0);
    while kills < 20 {
        assert!(round < 80, "only {kills} of {round} runs were there to be killed");
        let root = format!("killed/{round}");
        let run = toy.path().join(&root).join("toy/1");
        // Spread over the whole run, one instant in each twentieth of it.
        let share = (f64::from(round % 20) + dice.below(1000) as f64 / 1000.0) / 20.0;
        let mut ended = kill(toy.command(&["--run", &root]).spawn().unwrap(), &run, duration.mul_f64(share));
        kills += usize::from(!ended);
        // Up to two more kills on the way.
        for _ in 0..dice.below(3) {
            if !ended {
                let after = duration.mul_f64(dice.below(1000) as f64 / 1000.0);
                let resumed = toy.command(&["--run", &root, "--resume"]).spawn().unwrap();
                thread::sleep(duration.mul_f64(dice.below(500) as f64 / 1000.0));
                ended = kill(resumed, &run, after);
                kills += usize::from(!ended);
            }
        }
        finished(&toy.command(&["--run", &root, "--resume"]).output().unwrap());
        same_run(&toy.run(1), &run, STEPS);
        round += 1;
    }
    println!("{kills} kills, spread over {duration:?}");
}

/// The child's marker: which named write step is its last one (0 for none), the folder of runs, and whether to resume.
const LAST_WRITE: &str = "GROUPER_TEST_LAST_WRITE";

/// Not a test of its own: what `killed_at_every_named_write_step` starts this binary anew for.
#[test]
fn a_child_that_is_killed_at_a_write() {
    let Ok(marker) = std::env::var(LAST_WRITE) else { return };
    let [last, root, resume] = marker.split(' ').collect::<Vec<_>>()[..] else { panic!("{marker}") };
    let (last, root): (usize, _) = (last.parse().unwrap(), PathBuf::from(root));
    tch::set_num_threads(1);
    let mut config = RunConfig::load(Path::new("toy.toml"), &Toy::policy()).unwrap();
    if last > 0 {
        // So that it comes to the removal of an old checkpoint too.
        config.run.keep_last = 1;
    }
    let passed = AtomicUsize::new(1);
    let _guard = set_failpoint(move |point, path| {
        if passed.fetch_add(1, Ordering::Relaxed) == last {
            eprintln!("killed at {point:?} {}", path.display());
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Ok(())
    });
    let resume = (resume == "resume").then(|| root.join("toy/1"));
    let options = RunOptions { root, resume, allow_inexact: false, max_hours: None, profile: None, verbosity: 0 };
    assert_eq!(trainer::grpo::train(&config, &options).unwrap(), Ending::Finished);
}

/// Runs the child. Where it was killed, or `None` where it came to its end.
fn child(toy: &Toy, last: usize, root: &str, resume: &str) -> Option<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::a_child_that_is_killed_at_a_write", "--nocapture"])
        .env(LAST_WRITE, format!("{last} {root} {resume}"))
        .current_dir(toy.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        return None;
    }
    let told = text(&output.stderr);
    let place = told.lines().find_map(|line| Some(line.split_once("killed at ")?.1));
    Some(place.unwrap_or_else(|| panic!("{}{told}", text(&output.stdout))).to_owned())
}

#[test]
fn killed_at_every_named_write_step() {
    let toy = Toy::new(&[]);
    assert_eq!(child(&toy, 0, "runs", "new"), None);
    // One step before its end, with that step's checkpoint, and an older one that is the best.
    toy.copy_until(1, 2, STEPS - 1);
    for step in 1..STEPS - 2 {
        fs::remove_dir_all(toy.run(2).join(format!("step_{step:04}"))).unwrap();
    }
    let places = Mutex::new(Vec::new());
    let dies_and_goes_on = |n: usize, root: &str, resume: &str| {
        let Some(place) = child(&toy, n, root, resume) else { return false };
        assert_eq!(child(&toy, 0, root, "resume"), None, "{place}");
        same_run(&toy.run(1), &toy.path().join(root).join("toy/1"), STEPS);
        places.lock().unwrap().push(place);
        true
    };
    let (start, end) = (AtomicUsize::new(1), AtomicUsize::new(1));
    let work = || {
        // The configuration and the first evaluation, four write steps each, and the first checkpoint.
        while let Some(n) = Some(start.fetch_add(1, Ordering::Relaxed)).filter(|n| *n <= 10) {
            assert!(dies_and_goes_on(n, &format!("start/{n}"), "new"));
        }
        loop {
            let root = format!("end/{}", end.fetch_add(1, Ordering::Relaxed));
            let n = root[4..].parse().unwrap();
            fs::create_dir_all(toy.path().join(&root).join("toy")).unwrap();
            toy.copy(2, &toy.path().join(&root).join("toy/1"));
            if !dies_and_goes_on(n, &root, "resume") {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let places = places.into_inner().unwrap();
    for point in ["Write", "Sync", "Rename", "SyncFolder", "Remove", "Delete"] {
        let at = places.iter().filter(|place| place.starts_with(&format!("{point} "))).count();
        assert!(at > 0, "never killed at {point}: {places:#?}");
    }
    // The last checkpoint with state and manifest, the old one's removal, the result.
    assert!(places.len() >= 30, "{places:#?}");
}

/// The steps in a run's metrics, one for each line.
fn lines(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.matches('\n').count())
}

#[test]
fn a_signal_saves_and_leaves() {
    let toy = Toy::new(&[]);
    toy.train();
    for (n, signal) in [(2, Signal::TERM), (3, Signal::INT)] {
        let run = toy.run(n);
        let mut child = toy.command(&[]).spawn().unwrap();
        wait_until(&mut child, || lines(&run) >= n);
        send(&child, signal);
        let output = wait(child, Duration::from_secs(30));
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
        let told = text(&output.stdout);
        let last = told.lines().last().unwrap();
        assert!(last.contains("stopped after step") && last.contains("--resume"), "{told}");
        // Nothing is done twice: the checkpoint is that of the last step logged.
        let taken = metrics(&run).last().unwrap().split(',').next().unwrap().replace("\"step\":", "");
        let saved = run.join(format!("step_{:0>4}", taken));
        assert!(saved.is_dir(), "{}", saved.display());
        assert!(!run.join("final").exists());
        toy.resume(n);
        same_run(&toy.run(1), &run, STEPS);
    }
}

#[test]
fn a_signal_during_an_evaluation_saves_and_leaves() {
    // Evaluations so long that the signal falls into one.
    let toy = Toy::new(&["eval.samples=1024", "eval.max_tokens=64", "grpo.steps=2"]);
    toy.train();
    for (n, step, before) in [(2, 0, 0), (3, 2, 3)] {
        let run = toy.run(n);
        let mut child = toy.command(&[]).spawn().unwrap();
        wait_until(&mut child, || run.join("metrics.jsonl").exists() && lines(&run) >= before);
        thread::sleep(Duration::from_millis(30));
        send(&child, Signal::TERM);
        let output = wait(child, Duration::from_secs(30));
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
        assert_eq!(lines(&run), before, "the evaluation was not finished");
        let saved = run.join(format!("step_{step:04}"));
        assert!(saved.is_dir());
        toy.resume(n);
        same_run(&toy.run(1), &run, 2);
    }
}

#[test]
fn one_writer_in_a_folder() {
    let toy = Toy::new(&["grpo.steps=1000", "eval.samples=1"]);
    let mut child = toy.command(&[]).spawn().unwrap();
    wait_until(&mut child, || toy.run(1).join("step_0001").exists());
    let second = toy.command(&[&resume_flag(1)]).output().unwrap();
    let (told, pid) = (text(&second.stderr), child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(second.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("is in use by process {pid}")), "{told}");
}

#[test]
fn lost_checkpoints_are_no_fresh_start() {
    let toy = Toy::new(&[]);
    toy.train();
    for step in 1..=STEPS {
        fs::remove_dir_all(toy.run(1).join(format!("step_{step:04}"))).unwrap();
    }
    let before = metrics(&toy.run(1));
    let (told, code) = toy.refuse(1);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("every checkpoint of it is gone"), "{told}");
    assert_eq!(metrics(&toy.run(1)), before);
}
