use super::*;
use crate::philox::{Purpose, Stream};
use proptest::prelude::*;

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Weights, 0, 0, 0);
    (0..n).map(|i| stream.uniform(i as u32) - 0.5).collect()
}

/// Σ a(i) b(i) in f64, with the sum of absolute terms, which bounds the rounding of any order of summation.
fn dot(terms: impl Iterator<Item = (f32, f32)>) -> (f64, f64) {
    terms.fold((0.0, 0.0), |(sum, bound), (a, b)| {
        let term = f64::from(a) * f64::from(b);
        (sum + term, bound + term.abs())
    })
}

fn close(found: f32, (sum, bound): (f64, f64)) {
    // Fifty times the unit roundoff: chains of at most a few hundred terms stay far below n units.
    assert!((f64::from(found) - sum).abs() <= 3e-6 * bound + 1e-12, "{found}, expected {sum}");
}

proptest! {
    /// The three products against their definition, at every kind of edge.
    #[test]
    fn products_are_what_they_say(m in 1usize..40, n in 1usize..90, k in 1usize..90, seed: u64) {
        let (x, w, dy, old) = (noise(seed, m * k), noise(seed ^ 1, n * k), noise(seed ^ 2, m * n), noise(seed ^ 3, n * k));
        let mut panels = Panels::new(n, k);
        panels.pack(&w);
        let y = panels.product(&x);
        let dx = input_gradient(&dy, &w, k);
        let mut dw = old.clone();
        add_weight_gradient(&dy, &x, k, &mut dw);
        for row in 0..m {
            for j in 0..n {
                close(y[row * n + j], dot((0..k).map(|p| (x[row * k + p], w[j * k + p]))));
            }
            for j in 0..k {
                close(dx[row * k + j], dot((0..n).map(|p| (dy[row * n + p], w[p * k + j]))));
            }
        }
        for j in 0..n {
            for p in 0..k {
                let terms = (0..m).map(|row| (dy[row * n + j], x[row * k + p]));
                close(dw[j * k + p], dot(terms.chain([(1.0, old[j * k + p])])));
            }
        }
    }

    /// A row's bits are those it has alone, wherever it stands and whatever stands beside it.
    #[test]
    fn rows_keep_their_bits(m in 1usize..60, n in 1usize..120, k in 1usize..120, row: prop::sample::Index, seed: u64) {
        let row = row.index(m);
        let (x, w, dy) = (noise(seed, m * k), noise(seed ^ 1, n * k), noise(seed ^ 2, m * n));
        let mut panels = Panels::new(n, k);
        panels.pack(&w);
        let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(
            bits(&panels.product(&x)[row * n..][..n]),
            bits(&panels.product(&x[row * k..][..k]))
        );
        prop_assert_eq!(
            bits(&input_gradient(&dy, &w, k)[row * k..][..k]),
            bits(&input_gradient(&dy[row * n..][..n], &w, k))
        );
    }
}

/// No rows, no numbers; and weights that no row met have the gradient they had.
#[test]
fn no_rows_are_no_product() {
    let (n, k) = (3 * panel_rows() + 1, 20);
    let (w, old) = (noise(1, n * k), noise(2, n * k));
    let mut panels = Panels::new(n, k);
    panels.pack(&w);
    let all = || {
        assert!(panels.product(&[]).is_empty() && input_gradient(&[], &w, k).is_empty());
        panels.product_then(&[], |rows, _, _| assert!(rows.is_empty()));
        let mut gradient = old.clone();
        add_weight_gradient(&[], &[], k, &mut gradient);
        assert_eq!(gradient, old);
        let mut gated = Panels::new(4 * panel_rows(), k);
        gated.pack(&noise(3, 4 * panel_rows() * k));
        assert!(gated.gated_product(Activation::Silu, &[]).is_empty());
        // What a call without rows would overwrite.
        let mut beside = vec![7.0f32; 2 * n];
        // SAFETY: the panels are those of an [N, K] matrix, and there is room for two rows.
        unsafe { part(&[], &panels.numbers, [n, k], 0..panels.panels(), None, beside.as_mut_ptr()) };
        assert!(beside.iter().all(|x| *x == 7.0));
    };
    all();
    crate::team::Team::new(3).lead(all);
}

#[test]
fn the_route_is_named() {
    assert!(["avx512", "avx2", "sse2"].contains(&route()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A team gives the bits that one thread gives, whichever way it cuts the product.
    #[test]
    fn a_team_changes_no_bit(m in 1usize..300, n in 1usize..300, k in 1usize..90, threads in 2usize..5, seed: u64) {
        let (x, w, dy, old) = (noise(seed, m * k), noise(seed ^ 1, n * k), noise(seed ^ 2, m * n), noise(seed ^ 3, n * k));
        let mut panels = Panels::new(n, k);
        panels.pack(&w);
        let all = || {
            let mut dw = old.clone();
            add_weight_gradient(&dy, &x, k, &mut dw);
            let (y, dx) = (panels.product(&x), input_gradient(&dy, &w, k));
            [&y[..], &dx[..], &dw[..]].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        prop_assert_eq!(crate::team::Team::new(threads).lead(all), all());
    }
}
