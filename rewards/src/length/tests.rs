use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn soft_overlong_follows_the_paper() {
    let table = [(0, 0.0), (60, 0.0), (70, -0.25), (80, -0.5), (100, -1.0), (101, -1.0), (9_999, -1.0)];
    for (len, want) in table {
        assert_eq!(soft_overlong(len, 100, 40).value, Some(want), "{len}");
    }
}

#[test]
fn k15_follows_the_paper() {
    let table = [
        (10, 10, 30, Some(true), Some(0.5)),
        (20, 10, 30, Some(true), Some(0.0)),
        (30, 10, 30, Some(true), Some(-0.5)),
        (10, 10, 30, Some(false), Some(0.0)),
        (25, 10, 30, Some(false), Some(-0.25)),
        (30, 10, 30, Some(false), Some(-0.5)),
        (10, 10, 10, Some(true), Some(0.0)),
        (10, 10, 10, Some(false), Some(0.0)),
        (10, 10, 30, None, None),
    ];
    for (len, min, max, correct, want) in table {
        assert_eq!(k15(len, min, max, correct).value, want, "{len} {correct:?}");
    }
}

#[test]
fn cosine_follows_the_paper() {
    let corners = CosineCorners::default();
    let table = [
        (0, Some(true), Some(2.0)),
        (50, Some(true), Some(1.5)),
        (99, Some(true), Some(1.000_246_719)),
        (0, Some(false), Some(-10.0)),
        (50, Some(false), Some(-5.0)),
        (99, Some(false), Some(-0.002_467_198)),
        (100, Some(true), Some(-10.0)),
        (100, Some(false), Some(-10.0)),
        (5_000, Some(true), Some(-10.0)),
        (10, None, None),
    ];
    for (len, correct, want) in table {
        let value = cosine(len, 100, &corners, correct).value;
        let near = value.zip(want).is_some_and(|(value, want): (f64, f64)| (value - want).abs() < 1e-8);
        assert!(near || (value.is_none() && want.is_none()), "{len} {correct:?}: {value:?}");
    }
}

#[test]
fn target_reads_the_effort_of_the_row() {
    use TargetMode::{Exact, Max};
    let budgets = Budgets { low: 100, medium: 200, high: 400 };
    let table = [
        (Exact, json!("low"), 100, None, Some(0.0)),
        (Exact, json!("low"), 150, None, Some(-0.5)),
        (Exact, json!("low"), 50, Some(true), Some(-0.5)),
        (Exact, json!(" High "), 400, None, Some(0.0)),
        (Exact, json!("medium"), 900, None, Some(-1.0)),
        (Exact, json!(120), 100, None, Some(-0.2)),
        (Exact, json!("120"), 100, None, Some(-0.2)),
        (Max, json!("medium"), 200, Some(true), Some(0.5)),
        (Max, json!("medium"), 150, Some(true), Some(1.0)),
        (Max, json!("medium"), 0, Some(true), Some(1.0)),
        (Max, json!("medium"), 230, Some(true), Some(0.2)),
        (Max, json!("medium"), 251, Some(true), Some(0.0)),
        (Max, json!("medium"), 100, Some(false), Some(0.0)),
        (Max, json!("medium"), 100, None, None),
        (Exact, json!("utmost"), 100, None, None),
        (Exact, json!(-5), 100, None, None),
        (Exact, json!(null), 100, None, None),
    ];
    for (mode, effort, len, correct, want) in table {
        let columns = Map::from_iter([("effort".to_owned(), effort.clone())]);
        let value = target(len, &columns, &budgets, mode, 0.01, correct).value;
        let near = value.zip(want).is_some_and(|(value, want): (f64, f64)| (value - want).abs() < 1e-12);
        assert!(near || (value.is_none() && want.is_none()), "{mode:?} {effort} {len}: {value:?}");
    }
    assert_eq!(target(1, &Map::new(), &budgets, Exact, 0.01, None).value, None);
}

proptest! {
    #[test]
    fn cosine_and_target_stay_within_bounds(
        len in any::<usize>(), limit in 1_u32.., right in any::<bool>(), alpha in 0.0..1e300,
        corners in prop::array::uniform5(-1e6..1e6), effort in 0..u32::MAX,
    ) {
        let [right_short, right_long, wrong_short, wrong_long, exceeded] = corners;
        let corners = CosineCorners { right_short, right_long, wrong_short, wrong_long, exceeded };
        let value = cosine(len, limit, &corners, Some(right)).value.unwrap();
        let values = corners.values();
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        prop_assert!((low..=high).contains(&value));

        let columns = Map::from_iter([("effort".to_owned(), json!(effort))]);
        let budgets = Budgets { low: 1, medium: 2, high: 3 };
        let exact = target(len, &columns, &budgets, TargetMode::Exact, alpha, None).value.unwrap();
        prop_assert!((-1.0..=0.0).contains(&exact));
        let max = target(len, &columns, &budgets, TargetMode::Max, alpha, Some(right)).value.unwrap();
        prop_assert!((0.0..=1.0).contains(&max));
    }

    #[test]
    fn stays_within_bounds(
        len in any::<usize>(), lo in any::<usize>(), hi in any::<usize>(), right in any::<bool>(),
        limit in 1_u32.., buffer in 1_u32..,
    ) {
        let soft = soft_overlong(len, limit, buffer.min(limit)).value.unwrap();
        prop_assert!((-1.0..=0.0).contains(&soft));
        let (lo, hi) = (lo.min(hi), lo.max(hi));
        let k = k15(len.clamp(lo, hi), lo, hi, Some(right)).value.unwrap();
        prop_assert!((-0.5..=0.5).contains(&k) && (right || k <= 0.0));
    }
}
