use super::*;
use crate::kernels::tests::{check_gradient, dot, noise};
use proptest::prelude::*;

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
}
