use super::*;
use crate::philox::{Purpose, Stream};
use proptest::prelude::*;

pub(crate) fn noise(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Weights, 0, 0, 0);
    (0..n).map(|i| stream.normal(i as u32)).collect()
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Compares a gradient with central differences of `value`, entry by entry.
pub(crate) fn check_gradient(x: &[f32], gradient: &[f32], value: impl Fn(&[f32]) -> f64) {
    let step = 1e-2f32;
    for i in 0..x.len() {
        let (mut up, mut down) = (x.to_vec(), x.to_vec());
        up[i] += step;
        down[i] -= step;
        let expected = (value(&up) - value(&down)) / f64::from(up[i] - down[i]);
        let found = f64::from(gradient[i]);
        // Second-order differences in f32: truncation of 1e-4 relative, rounding of 1e-4 absolute.
        assert!((expected - found).abs() < 2e-3 * (1.0 + expected.abs()), "entry {i}: {found}, expected {expected}");
    }
}

#[test]
fn rms_norm_matches_its_formula_and_its_differences() {
    let (n, d, eps) = (3, 21, 1e-5);
    let (x, w, dy) = (noise(1, n * d), noise(2, d), noise(3, n * d));
    let (y, rstd) = rms_norm(&x, &w, eps);
    for row in 0..n {
        let x = &x[row * d..][..d];
        let scale = 1.0 / (dot(x, x) / d as f64 + f64::from(eps)).sqrt();
        for i in 0..d {
            let expected = f64::from(x[i]) * scale * f64::from(w[i]);
            assert!((f64::from(y[row * d + i]) - expected).abs() < 1e-6 * (1.0 + expected.abs()));
        }
    }
    let mut dw = vec![0.0; d];
    let dx = rms_norm_backward(&dy, &x, &w, &rstd, &mut dw);
    check_gradient(&x, &dx, |x| dot(&rms_norm(x, &w, eps).0, &dy));
    check_gradient(&w, &dw, |w| dot(&rms_norm(&x, w, eps).0, &dy));
}

#[test]
fn swiglu_matches_its_formula_and_its_differences() {
    let (n, f) = (3, 19);
    let (x, dy) = (noise(4, n * 2 * f), noise(5, n * f));
    let y = swiglu(&x, f);
    for row in 0..n {
        for i in 0..f {
            let (gate, up) = (f64::from(x[row * 2 * f + i]), f64::from(x[row * 2 * f + f + i]));
            let expected = gate / (1.0 + (-gate).exp()) * up;
            assert!((f64::from(y[row * f + i]) - expected).abs() < 1e-6 * (1.0 + expected.abs()));
        }
    }
    let (mut again, mut dx) = (dy.clone(), x.clone());
    swiglu_backward(&mut again, &mut dx, f);
    check_gradient(&x, &dx, |x| dot(&swiglu(x, f), &dy));
    assert!(again.iter().zip(y.iter()).all(|(a, b)| a.to_bits() == b.to_bits()), "what it gave, bit for bit");
}

#[test]
fn swiglu_is_finite_at_the_ends() {
    let y = swiglu(&[-1e4, 1e4, 1.0, 1.0], 2);
    // The true value underflows; the kernel's exponential saturates at e^88, which leaves 1e4 / e^88.
    assert!(y[0].abs() < 1e-34, "{}", y[0]);
    assert_eq!(y[1], 1e4);
}

#[test]
fn rope_turns_back() {
    let (n, heads, k) = (5, 3, 10);
    let x = noise(6, n * heads * k);
    let angles: Vec<f32> = (0..8 * k / 2).map(|i| i as f32 * 0.37).collect();
    let cosine: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
    let sine: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
    let positions = [0, 7, 3, 3, 1];
    let turned = rope(&x, &positions, &cosine, &sine, k, Rotation::Forward);
    let back = rope(&turned, &positions, &cosine, &sine, k, Rotation::Backward);
    let mut in_place = turned.to_vec();
    rope_in_place(&mut in_place, &positions, &cosine, &sine, k, Rotation::Backward);
    assert_eq!(in_place, back[..]);
    for (a, b) in x.iter().zip(back.iter()) {
        assert!((a - b).abs() < 2e-6, "{a} came back as {b}");
    }
    assert_eq!((x[0], x[k / 2]), (turned[0], turned[k / 2]), "an angle of 0 leaves its pair alone");
}

#[test]
fn logprobs_match_softmax_and_their_differences() {
    let (n, v, vocabulary, temperature) = (4, 37, 33, 0.7f32);
    let (logits, weights) = (noise(7, n * v), noise(8, n));
    let targets = [0, 32, 5, 17];
    let got = token_logprobs(&logits, &targets, temperature, vocabulary);
    for row in 0..n {
        let scaled: Vec<f64> =
            logits[row * v..][..vocabulary].iter().map(|&l| f64::from(l) / f64::from(temperature)).collect();
        let normaliser: f64 = scaled.iter().map(|l| l.exp()).sum();
        let expected = scaled[targets[row] as usize] - normaliser.ln();
        let entropy: f64 = scaled.iter().map(|l| (normaliser.ln() - l) * l.exp() / normaliser).sum();
        assert!((f64::from(got.logprobs[row]) - expected).abs() < 2e-6);
        assert!((f64::from(got.entropies[row]) - entropy).abs() < 5e-6);
    }
    let mut gradient = logits.clone();
    token_logprobs_backward(&mut gradient, &targets, &weights, &got.log_normalisers, temperature, vocabulary);
    check_gradient(&logits, &gradient, |l| {
        dot(&token_logprobs(l, &targets, temperature, vocabulary).logprobs, &weights)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A row's bits do not depend on the rows beside it.
    #[test]
    fn rows_are_independent(n in 1usize..20, d in 1usize..70, seed: u64) {
        let (x, w) = (noise(seed, n * 2 * d), noise(seed ^ 1, 2 * d));
        let row = n - 1;
        let last = &x[row * 2 * d..];
        let same = |all: &[f32], one: &[f32]| {
            let tail = &all[all.len() - one.len()..];
            tail.iter().zip(one).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        prop_assert!(same(&rms_norm(&x, &w, 1e-6).0, &rms_norm(last, &w, 1e-6).0));
        prop_assert!(same(&swiglu(&x, d), &swiglu(last, d)));
        let targets = vec![0i64; n];
        let all = token_logprobs(&x, &targets, 1.0, 2 * d);
        let one = token_logprobs(last, &targets[..1], 1.0, 2 * d);
        prop_assert!(same(&all.logprobs, &one.logprobs) && same(&all.entropies, &one.entropies));
    }
}
