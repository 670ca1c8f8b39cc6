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
    for offset in [0.0, 1.0] {
        let (y, rstd) = rms_norm(&x, &w, offset, eps);
        for row in 0..n {
            let x = &x[row * d..][..d];
            let scale = 1.0 / (dot(x, x) / d as f64 + f64::from(eps)).sqrt();
            for i in 0..d {
                let expected = f64::from(x[i]) * scale * (f64::from(offset) + f64::from(w[i]));
                assert!((f64::from(y[row * d + i]) - expected).abs() < 1e-6 * (1.0 + expected.abs()));
            }
        }
        let mut dw = vec![0.0; d];
        let dx = rms_norm_backward(&dy, &x, &w, offset, &rstd, None, &mut dw);
        check_gradient(&x, &dx, |x| dot(&rms_norm(x, &w, offset, eps).0, &dy));
        check_gradient(&w, &dw, |w| dot(&rms_norm(&x, w, offset, eps).0, &dy));
    }
}

#[test]
fn an_offset_of_nothing_keeps_every_weight() {
    let (x, weight) = ([1.0, -2.0, 3.0], [-0.0, 0.0, 1e-30]);
    let (y, rstd) = rms_norm(&x, &weight, 0.0, 1e-6);
    let expected = [0, 1, 2].map(|i: usize| weight[i] * (x[i] * rstd[0]));
    assert!(y.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{y:?}, expected {expected:?}");
}

const ACTIVATIONS: [Activation; 2] = [Activation::Silu, Activation::GeluTanh];

/// By their own formulas; GELU's is equation 2 of arXiv 1606.08415.
fn activated(activation: Activation, x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => 0.5 * x * (1.0 + inner.tanh()),
    }
}

#[test]
fn gated_matches_its_formula_and_its_differences() {
    let (n, f) = (3, 19);
    let (x, dy) = (noise(4, n * 2 * f), noise(5, n * f));
    for activation in ACTIVATIONS {
        let y = gated(activation, &x, f);
        for row in 0..n {
            for i in 0..f {
                let (gate, up) = (f64::from(x[row * 2 * f + i]), f64::from(x[row * 2 * f + f + i]));
                let expected = activated(activation, gate) * up;
                assert!((f64::from(y[row * f + i]) - expected).abs() < 1e-6 * (1.0 + expected.abs()));
            }
        }
        let (mut again, mut dx) = (dy.clone(), x.clone());
        gated_backward(activation, &mut again, &mut dx, f);
        check_gradient(&x, &dx, |x| dot(&gated(activation, x, f), &dy));
        assert!(again.iter().zip(y.iter()).all(|(a, b)| a.to_bits() == b.to_bits()), "what it gave, bit for bit");
    }
}

#[test]
fn gated_is_finite_at_the_ends() {
    for activation in ACTIVATIONS {
        for far in [1e4, 1e20] {
            let (mut dy, mut x) = ([1.0, 1.0], [-far, far, 1.0, 1.0]);
            let y = gated(activation, &x, 2);
            // The true value underflows; the kernel's exponential saturates at e^88, which leaves far / e^88.
            assert!(y[0].abs() < far * 1e-38, "{}", y[0]);
            assert_eq!(y[1], far);
            gated_backward(activation, &mut dy, &mut x, 2);
            assert!(x.iter().all(|x| x.is_finite()), "{activation:?} at {far}: {x:?}");
            assert_eq!(x[1], 1.0);
        }
    }
}

#[test]
fn rope_turns_pairs_and_turns_back() {
    let (n, heads, head_dim) = (5, 3, 50);
    let x = noise(6, n * heads * head_dim);
    let positions = [0, 7, 3, 3, 1];
    let whole = Rotary::halves(head_dim);
    let part = Rotary { from: 7, width: 40, ..whole };
    let small = Rotary { from: 44, width: 6, ..whole };
    for rotary in
        [whole, part, small].into_iter().flat_map(|r| [false, true].map(|interleaved| Rotary { interleaved, ..r }))
    {
        let Rotary { from, width, interleaved, .. } = rotary;
        let half = width / 2;
        let angles: Vec<f32> = (0..8 * half).map(|i| i as f32 * 0.37).collect();
        let [cosine, sine] = [f32::cos, f32::sin].map(|of| angles.iter().map(|&a| of(a)).collect::<Vec<f32>>());
        let mut turned = x.clone();
        rope(&mut turned, &positions, &cosine, &sine, rotary, Rotation::Forward);
        for (at, (x, turned)) in x.chunks_exact(head_dim).zip(turned.chunks_exact(head_dim)).enumerate() {
            let mut expected: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            for pair in 0..half {
                let (a, b) = if interleaved {
                    (from + 2 * pair, from + 2 * pair + 1)
                } else {
                    (from + pair, from + half + pair)
                };
                let angle = positions[at / heads] as usize * half + pair;
                let (c, s) = (f64::from(cosine[angle]), f64::from(sine[angle]));
                (expected[a], expected[b]) = (expected[a] * c - expected[b] * s, expected[b] * c + expected[a] * s);
            }
            for (found, expected) in turned.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 2e-6, "{rotary:?}: {found}, expected {expected}");
            }
            let beside = |x: &[f32]| [&x[..from], &x[from + width..]].concat();
            assert_eq!(beside(turned), beside(x), "columns beside those that rotate");
        }
        rope(&mut turned, &positions, &cosine, &sine, rotary, Rotation::Backward);
        for (a, b) in x.iter().zip(&turned) {
            assert!((a - b).abs() < 2e-6, "{a} came back as {b}");
        }
    }
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

    /// A number's bits do not depend on its column: the last ones go the way of all.
    #[test]
    fn gates_are_independent(f in 1usize..70, gate in -12f32..12.0, up in -3f32..3.0) {
        for activation in ACTIVATIONS {
            let y = gated(activation, &[vec![gate; f], vec![up; f]].concat(), f);
            prop_assert!(y.iter().all(|a| a.to_bits() == gated(activation, &[gate, up], 1)[0].to_bits()));
        }
    }

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
        prop_assert!(same(&rms_norm(&x, &w, 1.0, 1e-6).0, &rms_norm(last, &w, 1.0, 1e-6).0));
        for activation in ACTIVATIONS {
            prop_assert!(same(&gated(activation, &x, d), &gated(activation, last, d)));
        }
        let targets = vec![0i64; n];
        let all = token_logprobs(&x, &targets, 1.0, 2 * d);
        let one = token_logprobs(last, &targets[..1], 1.0, 2 * d);
        prop_assert!(same(&all.logprobs, &one.logprobs) && same(&all.entropies, &one.entropies));
    }
}
