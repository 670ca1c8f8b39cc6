use super::{Decay, Schedule};

fn check(decay: Decay, floor: f64, expected: &[(u64, f64)]) {
    let schedule = Schedule { warmup_steps: 4, decay, floor };
    for &(step, rate) in expected {
        let found = schedule.learning_rate(2.0, step, 12);
        assert!((found - rate).abs() < 1e-12, "{decay:?} {step}: {found}");
    }
}

#[test]
fn worked_by_hand() {
    check(Decay::Constant, 0.5, &[(1, 0.5), (2, 1.0), (4, 2.0), (12, 2.0)]);
    check(Decay::Linear, 0.0, &[(3, 1.5), (4, 2.0), (8, 1.0), (12, 0.0)]);
    check(Decay::Linear, 0.1, &[(4, 2.0), (8, 1.1), (12, 0.2), (50, 0.2)]);
    check(Decay::Cosine, 0.0, &[(4, 2.0), (8, 1.0), (12, 0.0)]);
    let quarter = 1.0 + 0.5f64.sqrt();
    check(Decay::Cosine, 0.0, &[(6, quarter)]);
}

#[test]
fn no_warmup_starts_at_the_peak() {
    let schedule = Schedule { decay: Decay::Linear, ..Schedule::default() };
    assert_eq!(schedule.learning_rate(1.0, 1, 11), 1.0);
    assert_eq!(schedule.learning_rate(1.0, 11, 11), 0.0);
    assert_eq!(schedule.learning_rate(1.0, 1, 1), 1.0);
}

#[test]
fn reads_from_toml() {
    let found: Schedule = toml::from_str("warmup_steps = 3\ndecay = \"cosine\"").unwrap();
    assert_eq!(found.warmup_steps, 3);
    assert_eq!(found.decay, Decay::Cosine);
    assert!(toml::from_str::<Schedule>("warmup = 3").is_err());
}
