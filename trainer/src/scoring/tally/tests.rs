use super::*;
use crate::step_log::Verbosity;

fn part(rule: &str, value: Result<f64, Lack>, weight: f64, gate: Gate) -> Part {
    Part { rule: rule.into(), value: value.ok(), lack: value.err(), weight, gate, note: String::new() }
}

fn score(total: Option<f64>, parts: Vec<Part>) -> Score {
    Score { total, right: None, parts }
}

#[test]
fn every_rule_is_counted_by_itself() {
    let good = |value| part("accuracy", Ok(value), 1.0, Gate::Open);
    let scores = vec![
        vec![
            score(Some(1.0), vec![good(1.0), part("judge", Ok(3.0), 1.0, Gate::Closed)]),
            score(Some(4.0), vec![good(0.0), part("judge", Ok(5.0), 1.0, Gate::Open)]),
            score(None, vec![good(0.0), part("judge", Err(Lack::Failed), 1.0, Gate::Open)]),
        ],
        vec![
            score(None, vec![part("accuracy", Err(Lack::Undecided), 1.0, Gate::Open)]),
            // Measured only: nothing is left out for its sake.
            score(Some(1.0), vec![good(1.0), part("measured", Err(Lack::Undecided), 0.0, Gate::Open)]),
            score(None, vec![part("judge", Err(Lack::Abstained), 1.0, Gate::Open)]),
        ],
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut log = StepLog::create(folder.path(), "rules", 1, Verbosity::Quiet).unwrap();
    log_rules(&scores, &mut log);
    let expected = [
        ("accuracy", Some(0.5)),
        ("accuracy/std", Some(0.5)),
        ("accuracy/undecided", Some(1.0)),
        ("accuracy/excluded", Some(1.0)),
        ("accuracy/failed", None),
        ("judge", Some(4.0)),
        ("judge/std", Some(1.0)),
        ("judge/failed", Some(1.0)),
        ("judge/gated", Some(1.0)),
        ("judge/excluded", Some(1.0)),
        ("judge/undecided", None),
        ("measured", None),
        ("measured/undecided", Some(1.0)),
        ("measured/excluded", None),
    ];
    for (key, value) in expected {
        assert_eq!(log.get(key), value, "{key}");
    }
}
