use proptest::prelude::*;

use super::group_advantages;

fn one(rewards: &[Option<f64>], std: bool, epsilon: f64) -> Vec<Option<f64>> {
    group_advantages(&[rewards.to_vec()], std, epsilon).remove(0)
}

fn scored(rewards: &[f64]) -> Vec<Option<f64>> {
    rewards.iter().copied().map(Some).collect()
}

#[test]
fn worked_by_hand() {
    // mean 0.25, deviations 0.75 and 3 × −0.25, variance 0.1875.
    let found = one(&scored(&[1.0, 0.0, 0.0, 0.0]), true, 0.0);
    let root = 3f64.sqrt();
    for (a, b) in found.iter().zip([root, -1.0 / root, -1.0 / root, -1.0 / root]) {
        assert!((a.unwrap() - b).abs() < 1e-12, "{found:?}");
    }
    // mean 2, deviation 1, epsilon 1 halves it.
    assert_eq!(one(&scored(&[1.0, 3.0]), true, 1.0), scored(&[-0.5, 0.5]));
    assert_eq!(one(&scored(&[1.0, 4.0, 4.0]), false, 1.0), scored(&[-2.0, 1.0, 1.0]));
}

#[test]
fn missing_scores() {
    assert_eq!(one(&[Some(1.0), None, Some(3.0)], true, 0.0), [Some(-1.0), None, Some(1.0)]);
    assert_eq!(one(&[Some(1.0), None], true, 0.0), [None, None]);
    assert_eq!(one(&[], true, 0.0), []);
}

#[test]
fn groups_do_not_mix() {
    let found = group_advantages(&[scored(&[0.0, 2.0]), scored(&[100.0, 100.0])], true, 0.0);
    assert_eq!(found, [scored(&[-1.0, 1.0]), scored(&[0.0, 0.0])]);
}

/// Rewards in eighths, so that sums and shifts by whole numbers are exact.
fn rewards() -> impl Strategy<Value = Vec<Option<f64>>> {
    prop::collection::vec(prop::option::weighted(0.8, (-64i32..64).prop_map(|n| f64::from(n) / 8.0)), 2..24)
}

fn close(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Some(x), Some(y)) => (x - y).abs() < 1e-9,
            (None, None) => true,
            _ => false,
        })
}

proptest! {
    #[test]
    fn sums_to_zero(r in rewards(), std: bool) {
        let sum: f64 = one(&r, std, 1e-6).iter().flatten().sum();
        prop_assert!(sum.abs() < 1e-9, "{sum}");
    }

    #[test]
    fn ignores_a_shift(r in rewards(), shift in -100i32..100, std: bool) {
        let moved: Vec<_> = r.iter().map(|x| x.map(|x| x + f64::from(shift))).collect();
        prop_assert!(close(&one(&r, std, 1e-6), &one(&moved, std, 1e-6)));
    }

    #[test]
    fn follows_a_permutation((r, order) in rewards().prop_flat_map(|r| {
        let order: Vec<usize> = (0..r.len()).collect();
        (Just(r), Just(order).prop_shuffle())
    })) {
        let before = one(&r, true, 1e-6);
        let shuffled: Vec<_> = order.iter().map(|&i| r[i]).collect();
        let expected: Vec<_> = order.iter().map(|&i| before[i]).collect();
        prop_assert!(close(&one(&shuffled, true, 1e-6), &expected));
    }

    #[test]
    fn vanishes_when_equal(r in -1e6f64..1e6, n in 2usize..20, std: bool) {
        prop_assert_eq!(one(&vec![Some(r); n], std, 0.0), vec![Some(0.0); n]);
    }
}
