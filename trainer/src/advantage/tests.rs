use proptest::prelude::*;

use super::{RuleValues, decoupled_advantages, group_advantages};

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

/// A group of the rules' values, one row for each completion.
fn rows(weights: &[f64], rows: &[Option<&[f64]>]) -> RuleValues {
    let values = rows.iter().map(|row| row.map(|row| row.iter().copied().map(Some).collect())).collect();
    RuleValues { weights: weights.to_vec(), values }
}

#[test]
fn decoupled_worked_by_hand() {
    // Rule a: (0, 0, 1, 1) → (−1, −1, 1, 1); rule b: (0, 20, 0, 20) → (−1, 1, −1, 1). With weights 1 and 0.5 the sums
    // are −1.5, −0.5, 0.5, 1.5; the other group is zeros. Mean square: 5 / 8.
    let first = rows(&[1.0, 0.5], &[Some(&[0.0, 0.0]), Some(&[0.0, 20.0]), Some(&[1.0, 0.0]), Some(&[1.0, 20.0])]);
    let equal = rows(&[1.0, 0.5], &[Some(&[1.0, 5.0] as &[f64]); 4]);
    let found = decoupled_advantages(&[first.clone(), equal], true, 0.0);
    let spread = (5.0_f64 / 8.0).sqrt();
    for (a, b) in found[0].iter().zip([-1.5, -0.5, 0.5, 1.5]) {
        assert!((a.unwrap() - b / spread).abs() < 1e-12, "{found:?}");
    }
    assert_eq!(found[1], scored(&[0.0; 4]), "a group of equals teaches nothing");
    // Summed first, rule a would be worth a twentieth of rule b.
    let sums = group_advantages(&[scored(&[0.0, 10.0, 1.0, 11.0])], true, 0.0);
    assert!(sums[0][1].unwrap() > 0.0 && found[0][1].unwrap() < 0.0);
    // Epsilon stands in both divisions.
    let soft = decoupled_advantages(&[rows(&[1.0], &[Some(&[1.0]), Some(&[3.0])])], true, 1.0);
    assert_eq!(soft, [scored(&[-0.5 / 1.5, 0.5 / 1.5])]);
}

#[test]
fn decoupled_leaves_out_what_is_not_known() {
    let group = rows(&[1.0], &[Some(&[1.0]), None, Some(&[3.0])]);
    assert_eq!(decoupled_advantages(&[group], true, 0.0), [[Some(-1.0), None, Some(1.0)]]);
    let alone = rows(&[1.0], &[Some(&[1.0]), None]);
    assert_eq!(decoupled_advantages(&[alone], true, 0.0), [[None, None]]);
    // A rule that is silent on a completion takes no part in its sum, nor that completion in the rule's mean.
    let mut group = rows(&[1.0, 1.0], &[Some(&[0.0, 9.0]), Some(&[0.0, 1.0]), Some(&[3.0, 3.0])]);
    group.values[0].as_mut().unwrap()[1] = None;
    let found = decoupled_advantages(&[group], false, 0.0);
    let spread = ((1.0 + 4.0 + 9.0) / 3.0_f64).sqrt();
    assert_eq!(found, [scored(&[-1.0 / spread, -2.0 / spread, 3.0 / spread])]);
    assert_eq!(decoupled_advantages(&[], true, 0.0), Vec::<Vec<_>>::new());
    assert_eq!(decoupled_advantages(&[rows(&[], &[Some(&[]), Some(&[])])], true, 0.0), [scored(&[0.0, 0.0])]);
}

proptest! {
    /// One rule alone: the direction of GRPO's advantages. Spread 1 and mean 0 over the step, whatever the weight.
    #[test]
    fn one_rule_decoupled_is_grpo_scaled(r in rewards(), weight in 0.1..10.0_f64) {
        let values = r.iter().map(|one| one.map(|value| vec![Some(value)])).collect();
        let found = decoupled_advantages(&[RuleValues { weights: vec![weight], values }], true, 0.0).remove(0);
        prop_assert!(close(&found, &one(&r, true, 0.0)), "{found:?}");
    }

    /// Neither the order of completions nor the scale of a rule matters.
    #[test]
    fn decoupled_ignores_a_rules_scale(r in rewards(), scale in 1..9_i32) {
        let group = |factor: f64| {
            let row = |(i, one): (usize, &Option<f64>)| {
                one.map(|value| vec![Some(value * factor), Some(f64::from(u8::from(i % 3 == 0)))])
            };
            RuleValues { weights: vec![1.0, 0.5], values: r.iter().enumerate().map(row).collect() }
        };
        let plain = decoupled_advantages(&[group(1.0)], true, 0.0).remove(0);
        let scaled = decoupled_advantages(&[group(f64::from(scale))], true, 0.0).remove(0);
        prop_assert!(close(&plain, &scaled), "{plain:?} {scaled:?}");
        let sum: f64 = plain.iter().flatten().sum();
        prop_assert!(sum.abs() < 1e-9, "{sum}");
    }
}
