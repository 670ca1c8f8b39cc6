use super::*;
use crate::philox::{Purpose, Stream};
use proptest::prelude::*;

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Weights, 0, 0, 0);
    (0..n).map(|i| stream.normal(i as u32)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Compares a gradient with central differences of `value`, entry by entry.
fn check_gradient(x: &[f32], gradient: &[f32], value: impl Fn(&[f32]) -> f64) {
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
    check_gradient(&x, &swiglu_backward(&dy, &x, f), |x| dot(&swiglu(x, f), &dy));
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

/// A prompt of `prefix` rows, encoded once, and two completions after it.
fn branches(prefix: i32, first: i32, second: i32) -> Vec<Segment> {
    vec![
        Segment { start: 0, length: prefix, prefix_start: 0, prefix_length: 0 },
        Segment { start: prefix, length: first, prefix_start: 0, prefix_length: prefix },
        Segment { start: prefix + first, length: second, prefix_start: 0, prefix_length: prefix },
    ]
}

#[test]
fn attention_matches_its_formula() {
    let heads = Heads { n_heads: 4, n_kv_heads: 2, head_dim: 12 };
    let segments = branches(37, 30, 5);
    let n = 72;
    let (q, key, value) = (noise(9, n * 48), noise(10, n * 24), noise(11, n * 24));
    let (out, _) = attention(&q, &key, &value, &segments, heads, 0.3);
    for segment in &segments {
        for own in 0..segment.length as usize {
            let row = segment.start as usize + own;
            let visible: Vec<usize> = (0..segment.prefix_length as usize)
                .map(|p| segment.prefix_start as usize + p)
                .chain(segment.start as usize..=row)
                .collect();
            for head in 0..4 {
                let query = &q[(row * 4 + head) * 12..][..12];
                let at = |j: usize| (j * 2 + head / 2) * 12;
                let scores: Vec<f64> =
                    visible.iter().map(|&j| 0.3f32 as f64 * dot(query, &key[at(j)..][..12])).collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for i in 0..12 {
                    let expected: f64 =
                        visible.iter().zip(&scores).map(|(&j, s)| s.exp() / total * f64::from(value[at(j) + i])).sum();
                    let found = f64::from(out[(row * 4 + head) * 12 + i]);
                    assert!((found - expected).abs() < 1e-5, "row {row}: {found}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn attention_gradients_match_differences() {
    let heads = Heads { n_heads: 2, n_kv_heads: 1, head_dim: 4 };
    let segments = branches(34, 3, 2);
    let n = 39;
    let (q, key, value) = (noise(12, n * 8), noise(13, n * 4), noise(14, n * 4));
    let d_out = noise(15, n * 8);
    let (out, log_sum) = attention(&q, &key, &value, &segments, heads, 0.5);
    let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &out, log_sum: &log_sum };
    let (dq, dkey, dvalue) = attention_backward(&d_out, saved, &segments, heads, 0.5);
    check_gradient(&q, &dq, |q| dot(&attention(q, &key, &value, &segments, heads, 0.5).0, &d_out));
    check_gradient(&key, &dkey, |k| dot(&attention(&q, k, &value, &segments, heads, 0.5).0, &d_out));
    check_gradient(&value, &dvalue, |v| dot(&attention(&q, &key, v, &segments, heads, 0.5).0, &d_out));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A completion's rows have the same bits packed behind a shared prompt and alone as one long sequence.
    #[test]
    fn attention_is_exact_under_packing(prefix in 1i32..80, first in 1i32..60, second in 1i32..60, k in 1usize..20, seed: u64) {
        let heads = Heads { n_heads: 3, n_kv_heads: 1, head_dim: k };
        let n = (prefix + first + second) as usize;
        let (q, key, value) = (noise(seed, n * 3 * k), noise(seed ^ 1, n * k), noise(seed ^ 2, n * k));
        let packed = attention(&q, &key, &value, &branches(prefix, first, second), heads, 0.4).0;

        let cut = (prefix + first) as usize;
        let alone = |x: &[f32], width: usize| [&x[..prefix as usize * width], &x[cut * width..]].concat();
        let (q, key, value) = (alone(&q, 3 * k), alone(&key, k), alone(&value, k));
        let whole = Segment { start: 0, length: prefix + second, prefix_start: 0, prefix_length: 0 };
        let single = attention(&q, &key, &value, &[whole], heads, 0.4).0;
        let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&alone(&packed, 3 * k)), bits(&single));
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
        prop_assert!(same(&rms_norm(&x, &w, 1e-6).0, &rms_norm(last, &w, 1e-6).0));
        prop_assert!(same(&swiglu(&x, d), &swiglu(last, d)));
        let targets = vec![0i64; n];
        let all = token_logprobs(&x, &targets, 1.0, 2 * d);
        let one = token_logprobs(last, &targets[..1], 1.0, 2 * d);
        prop_assert!(same(&all.logprobs, &one.logprobs) && same(&all.entropies, &one.entropies));
    }
}
