use super::*;
use crate::kernels::tests::{dot as exact_dot, noise};
use crate::team::Team;
use proptest::prelude::*;

/// Experts of rows, ascending and different in each row: `[N, k]`.
fn chosen(n: usize, k: usize, e: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop::sample::subsequence((0..e as u32).collect::<Vec<_>>(), k), n)
        .prop_map(|rows| rows.concat())
}

/// Experts of rows; k, E and width; a seed.
fn cases() -> impl Strategy<Value = (Vec<u32>, [usize; 3], u64)> {
    let rows = |e| (1..=usize::min(e, 4), 0usize..40, Just(e), 1usize..40, any::<u64>());
    let cases = (1usize..12).prop_flat_map(rows);
    cases.prop_flat_map(|(k, n, e, width, seed)| (chosen(n, k, e), Just([k, e, width]), Just(seed)))
}

proptest! {
    /// Every row and choice has one place, among those of its expert, in the order of the rows.
    #[test]
    fn sorting_is_stable_and_drops_nothing((chosen, [k, e, _], _) in cases()) {
        let dispatch = Dispatch::new(&chosen, k, e);
        prop_assert_eq!(dispatch.ends().len(), e);
        let mut start = 0;
        for (expert, &end) in dispatch.ends().iter().enumerate() {
            let expected: Vec<u32> = (0..chosen.len() as u32).filter(|&i| chosen[i as usize] == expert as u32).collect();
            prop_assert_eq!(&dispatch.origins[start..end], &expected[..]);
            start = end;
        }
        prop_assert_eq!(start, dispatch.origins.len());
        for (i, &place) in dispatch.places.iter().enumerate() {
            prop_assert_eq!(dispatch.origins[place as usize], i as u32);
        }
    }

    /// Sums over experts, weights and gradients against their definition; and a row's result does not depend on the rows
    /// beside it or the number of threads.
    #[test]
    fn rows_come_back((chosen, [k, e, width], seed) in cases(), threads in 1usize..4) {
        let n = chosen.len() / k;
        let (x, weights) = (noise(seed, n * width), noise(seed ^ 1, n * k));
        let compute = |chosen: &[u32], x: &[f32], weights: &[f32]| {
            let dispatch = Dispatch::new(chosen, k, e);
            let mut sorted = dispatch.sort(x, width);
            // What an expert does: here it adds its number.
            let mut start = 0;
            for (expert, &end) in dispatch.ends().iter().enumerate() {
                sorted[start * width..end * width].iter_mut().for_each(|number| *number += expert as f32);
                start = end;
            }
            let [mut combined, mut summed, weighed] = [x.to_vec(), x.to_vec(), vec![0.0; x.len()]];
            dispatch.combine_onto(&mut combined, &sorted, weights, width);
            dispatch.sum_onto(&mut summed, &sorted, width);
            let (dots, mut weighed_rows, mut weighed) = (dispatch.dots(&sorted, &sorted, width), sorted.clone(), weighed);
            dispatch.weigh(&mut weighed_rows, weights, width);
            dispatch.sum_onto(&mut weighed, &weighed_rows, width);
            [combined, summed, dots.to_vec(), weighed]
        };
        let all = compute(&chosen, &x, &weights);
        for row in 0..n {
            let (from, experts) = (&x[row * width..][..width], &chosen[row * k..][..k]);
            let y = |choice: usize, i: usize| f64::from(from[i]) + f64::from(experts[choice]);
            for i in 0..width {
                let weighed: f64 = (0..k).map(|c| f64::from(weights[row * k + c]) * y(c, i)).sum();
                let summed: f64 = (0..k).map(|c| y(c, i)).sum();
                let own = f64::from(from[i]);
                for (found, expected) in [(&all[0], own + weighed), (&all[1], own + summed), (&all[3], weighed)] {
                    // Some roundings of numbers below a hundred.
                    prop_assert!((f64::from(found[row * width + i]) - expected).abs() < 1e-4);
                }
            }
            for c in 0..k {
                let expected: f64 = (0..width).map(|i| y(c, i) * y(c, i)).sum();
                prop_assert!((f64::from(all[2][row * k + c]) - expected).abs() < 1e-5 * (1.0 + expected));
            }
            let alone = compute(experts, from, &weights[row * k..][..k]);
            for (all, (alone, per_row)) in all.iter().zip(alone.iter().zip([width, width, k, width])) {
                prop_assert_eq!(&all[row * per_row..][..per_row], &alone[..]);
            }
        }
        prop_assert_eq!(Team::new(threads).lead(|| compute(&chosen, &x, &weights)), all);
    }
}

#[test]
fn sums_of_products_are_in_sixteen_parts() {
    let (a, b) = (noise(1, 1003), noise(2, 1003));
    assert!((f64::from(dot(&a, &b)) - exact_dot(&a, &b)).abs() < 1e-4);
}
