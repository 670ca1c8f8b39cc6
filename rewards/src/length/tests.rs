use proptest::prelude::*;

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

proptest! {
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
