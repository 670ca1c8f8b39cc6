use super::*;
use crate::philox::{Purpose, open_unit};
use proptest::prelude::*;

/// The definition, token by token.
fn defined(logits: &[f32], scale: f32, stream: &Stream, position: u32) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (id, logit) in logits.iter().enumerate() {
        let unit = open_unit(stream.block(position, id as u32 / 4)[id % 4]);
        let value = logit * scale - (-unit.ln()).ln();
        if value > best.0 {
            best = (value, id);
        }
    }
    best.1 as u32
}

/// Logits between ±`spread`; with 0 all are equal, with 40 most cannot win.
fn logits(seed: u64, n: usize, spread: f32) -> Vec<f32> {
    let noise = Stream::new(seed, Purpose::Order, 0, 0, 0);
    (0..n).map(|i| (2.0 * noise.uniform(i as u32) - 1.0) * spread).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the number of tokens, and however flat or steep their distribution is.
    #[test]
    fn a_draw_is_the_one_defined(
        n in 1usize..700,
        spread in prop::sample::select(vec![0f32, 0.01, 1.0, 4.0, 12.0, 40.0]),
        scale in prop::sample::select(vec![1f32, 0.5, 1.0 / 0.6]),
        seed: u64,
        position: u32,
        out in 0usize..300,
    ) {
        let mut logits = logits(seed, n, spread);
        let stream = Stream::new(seed ^ 1, Purpose::Rollout, 3, 5, 7);
        prop_assert_eq!(draw(&logits, scale, &stream, position), defined(&logits, scale, &stream, position));
        // Tokens without a probability.
        logits[..out.min(n - 1)].fill(f32::NEG_INFINITY);
        prop_assert_eq!(draw(&logits, scale, &stream, position), defined(&logits, scale, &stream, position));
    }

    #[test]
    fn the_largest_is_the_first_of_equals(n in 1usize..300, levels in 1u32..20, seed: u64) {
        let noise = Stream::new(seed, Purpose::Order, 0, 0, 0);
        let logits: Vec<f32> = (0..n).map(|i| noise.below(i as u32, levels.into()) as f32 - 7.0).collect();
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert_eq!(argmax(&logits) as usize, logits.iter().position(|&l| l == top).unwrap());
    }
}

#[test]
fn a_large_vocabulary_draws_what_is_defined() {
    for seed in 0..200 {
        let logits = logits(seed, 50_000, [0.0, 2.0, 9.0][seed as usize % 3]);
        let stream = Stream::new(seed, Purpose::Rollout, 0, 0, 0);
        assert_eq!(draw(&logits, 1.0, &stream, 9), defined(&logits, 1.0, &stream, 9));
    }
}

#[test]
fn numbers_that_are_not_finite_do_not_win() {
    let stream = Stream::new(0, Purpose::Rollout, 0, 0, 0);
    let mut odd = vec![f32::NAN; 100];
    odd[70] = -3.0;
    assert_eq!((draw(&odd, 1.0, &stream, 0), argmax(&odd)), (70, 70));
    assert_eq!((draw(&[f32::NAN; 5], 1.0, &stream, 0), argmax(&[f32::NAN; 5])), (0, 0));
}
