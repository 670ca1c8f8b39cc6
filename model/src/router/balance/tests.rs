use super::*;
use crate::kernels::tests::{check_gradient, noise};
use crate::router::route;
use crate::router::tests::config;
use crate::team::Team;

const E: usize = 6;
const K: usize = 2;

/// Logits of nine rows, far enough apart that a step of differences changes no choice.
fn logits() -> Vec<f32> {
    (0..9 * E).map(|i| 0.3 * ((5 * i + i / E) % 7) as f32 - 0.8).collect()
}

/// A row's shares of its scores, in f64.
fn shares(logits: &[f32], scoring: Scoring) -> Vec<f64> {
    let scores = logits.iter().map(|&l| match scoring {
        Scoring::Softmax => f64::from(l).exp(),
        Scoring::Sigmoid => 1.0 / (1.0 + f64::from(-l).exp()),
    });
    let scores: Vec<f64> = scores.collect();
    let sum: f64 = scores.iter().sum();
    scores.into_iter().map(|score| score / sum).collect()
}

/// How often each expert is among the largest of `rows`, and its mean share.
fn frequency_and_share(logits: &[f32], rows: Range<usize>, scoring: Scoring) -> [Vec<f64>; 2] {
    let (mut frequency, mut share) = (vec![0.0; E], vec![0.0; E]);
    let n = rows.len() as f64;
    for logits in logits[rows.start * E..rows.end * E].chunks_exact(E) {
        let mut order: Vec<usize> = (0..E).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        order[..K].iter().for_each(|&i| frequency[i] += 1.0 / n);
        shares(logits, scoring).iter().zip(&mut share).for_each(|(s, to)| *to += s / n);
    }
    [frequency, share]
}

#[test]
fn the_loss_of_sequences_matches_its_formula_and_its_differences() {
    let (alpha, sequences) = (0.7, [5..9, 0..3]);
    for scoring in [Scoring::Softmax, Scoring::Sigmoid] {
        let config = config(E, K, scoring);
        let expected = |logits: &[f32]| -> f64 {
            let value = |rows: &Range<usize>| {
                let [frequency, share] = frequency_and_share(logits, rows.clone(), scoring);
                alpha * E as f64 / K as f64 * frequency.iter().zip(share).map(|(f, p)| f * p).sum::<f64>()
            };
            sequences.iter().map(value).sum()
        };
        let logits = logits();
        // A bias moves the choice, and not the loss.
        let routing = route(&logits, Some(&[9.0, 0.0, 0.0, 0.0, 0.0, 0.0]), &config);
        let mut gradient = vec![0.0; logits.len()];
        let value = add_sequence_balance(&routing, &sequences, alpha, &config, &mut gradient);
        assert!((value - expected(&logits)).abs() < 1e-6, "{value}");
        check_gradient(&logits, &gradient, expected);
        assert!(gradient[3 * E..5 * E].iter().all(|g| *g == 0.0), "rows of no sequence have no loss");
        let mut apart = vec![0.0; logits.len()];
        let mut part = |i: usize| add_sequence_balance(&routing, &sequences[i..=i], alpha, &config, &mut apart);
        let parts = [part(0), part(1)];
        assert_eq!((parts[0] + parts[1], &apart), (value, &gradient), "a sequence is a piece");
        let mut threads = vec![0.0; logits.len()];
        Team::new(3).lead(|| add_sequence_balance(&routing, &sequences, alpha, &config, &mut threads));
        assert_eq!(threads, gradient);
    }
}

#[test]
fn the_loss_of_a_batch_matches_its_formula_and_its_differences() {
    let alpha = 0.7;
    for scoring in [Scoring::Softmax, Scoring::Sigmoid] {
        let config = config(E, K, scoring);
        let expected = |logits: &[f32]| -> f64 {
            let [frequency, share] = frequency_and_share(logits, 0..8, scoring);
            alpha * E as f64 * frequency.iter().zip(share).map(|(f, p)| f * p).sum::<f64>()
        };
        let logits = logits();
        let routing = route(&logits, None, &config);
        let mut load = Load::new(E);
        load.count(&routing.chosen[..8 * K]);
        let mut gradient = vec![0.0; logits.len()];
        let value = add_batch_balance(&routing, 0..8, (&load, 8, 8), alpha, &config, &mut gradient);
        assert!((value - expected(&logits)).abs() < 1e-6, "{value}");
        check_gradient(&logits, &gradient, expected);
        assert!(gradient[8 * E..].iter().all(|g| *g == 0.0), "rows of nobody have no loss");
        let mut pieces = vec![0.0; logits.len()];
        let value_of =
            |rows, pieces: &mut [f32]| add_batch_balance(&routing, rows, (&load, 8, 8), alpha, &config, pieces);
        let sum = value_of(0..3, &mut pieces) + value_of(3..8, &mut pieces);
        assert!((sum - value).abs() < 1e-12);
        assert_eq!(pieces, gradient, "a batch in pieces has the gradient of the whole");
        let mut threads = vec![0.0; logits.len()];
        Team::new(3).lead(|| value_of(0..8, &mut threads));
        assert_eq!(threads, gradient);
    }
}

#[test]
fn an_even_router_has_the_least_loss() {
    let config = config(4, 1, Scoring::Softmax);
    let of = |logits: &[f32]| {
        let routing = route(logits, None, &config);
        let mut load = Load::new(4);
        load.count(&routing.chosen);
        let n = logits.len() / 4;
        add_batch_balance(&routing, 0..n, (&load, n as u64, n as u64), 1.0, &config, &mut vec![0.0; logits.len()])
    };
    let even: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { 3.0 } else { 0.0 }).collect();
    let lopsided: Vec<f32> = (0..16).map(|i| if i % 4 == 0 { 3.0 } else { 0.0 }).collect();
    assert!((of(&even) - 1.0).abs() < 1e-6, "E times the sum of E terms of 1/E²");
    assert!(of(&lopsided) > 3.0);
}

#[test]
fn the_z_loss_matches_its_formula_and_its_differences() {
    let (alpha, logits) = (0.7, noise(5, 3 * E));
    let expected = |logits: &[f32]| -> f64 {
        let square = |row: &[f32]| row.iter().map(|&l| f64::from(l).exp()).sum::<f64>().ln().powi(2);
        logits.chunks_exact(E).take(2).map(square).sum::<f64>() * alpha / 4.0
    };
    let mut gradient = vec![0.0; logits.len()];
    let value = add_z_loss(&logits, 0..2, 4, alpha, E, &mut gradient);
    assert!((value - expected(&logits)).abs() < 1e-9);
    check_gradient(&logits, &gradient, expected);
}
