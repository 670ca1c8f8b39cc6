use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;

use super::*;

fn metrics() -> StepMetrics {
    let mut metrics = StepMetrics::new();
    // Set out of order: the console has its own.
    for (key, number) in [
        ("perf/tokens_per_second", 5100.0),
        ("perf/seconds", 0.41),
        ("reward", 0.412),
        ("accuracy", 0.38),
        ("format", 0.97),
        ("len", 61.0),
        ("cut", 0.03),
        ("kl", 0.0042),
        ("clip", 0.012),
        ("entropy", 1.41),
        ("grad", 0.83),
        ("lr", 1e-6),
    ] {
        metrics.set(key, number);
    }
    metrics
}

#[test]
fn console_line_of_the_design() {
    let line = "step  12/200  reward 0.412  accuracy 0.38  format 0.97  len 61  cut 3%  \
                kl 0.0042  clip 1.2%  entropy 1.41  grad 0.83  lr 1.0e-6  0.41s  5.1k tok/s";
    assert_eq!(metrics().console(12, 200, false), line);
    let mut with_loss = metrics();
    with_loss.set("loss", -0.2);
    assert_eq!(with_loss.console(12, 200, false), line);
    let coloured = metrics().console(12, 200, true);
    assert_eq!(coloured.replace("\x1b[2m", "").replace("\x1b[0m", ""), line);
}

#[test]
fn console_line_without_rewards_shows_the_loss() {
    let mut metrics = StepMetrics::new();
    metrics.set("lr", 2e-3);
    metrics.set("loss", 1.23456);
    assert_eq!(metrics.console(1, 9, false), "step 1/9  loss 1.2346  lr 2.0e-3");
}

#[test]
fn json_keeps_order_and_survives_nan() {
    let mut metrics = StepMetrics::new();
    metrics.set("b", 1.5);
    metrics.set("a", f64::NAN);
    metrics.set("b", 2.5);
    assert_eq!(metrics.json(3), r#"{"step":3,"b":2.5,"a":null}"#);
}

#[test]
fn no_color_is_respected() {
    assert!(wants_colour(None, true));
    assert!(wants_colour(Some(OsStr::new("")), true));
    assert!(!wants_colour(Some(OsStr::new("1")), true));
    assert!(!wants_colour(None, false));
}

#[test]
fn resume_cuts_off_what_comes_again() {
    let run = tempfile::tempdir().unwrap();
    let mut log = MetricsLog::create(run.path()).unwrap();
    for step in 1..=3 {
        log.append(step, &metrics()).unwrap();
    }
    let recorded = log.length().unwrap();
    let path = run.path().join(METRICS);
    let at_three = fs::read_to_string(&path).unwrap();
    log.append(4, &metrics()).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"ste").unwrap();
    drop(log);

    let mut log = MetricsLog::resume(run.path(), recorded, 4).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), at_three);
    log.append(4, &metrics()).unwrap();
    let whole = at_three + &metrics().json(4) + "\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);

    let error = MetricsLog::resume(run.path(), 1 << 20, 4).unwrap_err().to_string();
    assert!(error.contains("the checkpoint recorded 1048576"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
}

#[test]
fn the_last_whole_line_tells_how_far_a_run_came() {
    let run = tempfile::tempdir().unwrap();
    assert_eq!(last_step(run.path()).unwrap(), None);
    fs::write(run.path().join(METRICS), "{\"step\":3,\"loss\":1.0}\n{\"step\":4,\"lo").unwrap();
    assert_eq!(last_step(run.path()).unwrap(), Some(3));
}
