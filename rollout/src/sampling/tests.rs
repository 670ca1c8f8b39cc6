use super::*;
use model::philox::Purpose;
use proptest::prelude::*;

fn stream(sample: u64) -> Stream {
    Stream::new(11, Purpose::Rollout, 3, 5, sample)
}

fn frequencies(config: &SamplingConfig, logits: &[f32], n: u64) -> Vec<f64> {
    let mut counts = vec![0.0; logits.len()];
    for sample in 0..n {
        counts[config.draw(logits, &stream(sample), 0) as usize] += 1.0 / n as f64;
    }
    counts
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|&l| (f64::from(l) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}

const LOGITS: [f32; 6] = [0.3, -1.0, 2.0, 1.4, -3.0, 0.9];

#[test]
fn draws_follow_the_softmax() {
    for temperature in [0.6, 1.0, 1.7] {
        let config = SamplingConfig { temperature, ..SamplingConfig::default() };
        let n = 40_000;
        for (found, expected) in frequencies(&config, &LOGITS, n).into_iter().zip(softmax(&LOGITS, temperature)) {
            // Four standard deviations of a binomial share.
            let bound = 4.0 * (expected * (1.0 - expected) / n as f64).sqrt() + 1e-4;
            assert!((found - expected).abs() < bound, "at {temperature}: {found}, expected {expected}");
        }
    }
}

#[test]
fn truncation_keeps_what_it_names() {
    let kept = |config: SamplingConfig| -> Vec<usize> {
        let found = frequencies(&config, &LOGITS, 4000);
        (0..LOGITS.len()).filter(|&i| found[i] > 0.0).collect()
    };
    // Shares at temperature 1: 0.092, 0.025, 0.503, 0.276, 0.003, 0.167.
    let plain = SamplingConfig::default();
    assert_eq!(kept(SamplingConfig { top_k: 2, ..plain.clone() }), [2, 3]);
    assert_eq!(kept(SamplingConfig { top_p: 0.5, ..plain.clone() }), [2, 3]);
    assert_eq!(kept(SamplingConfig { top_p: 0.4, ..plain.clone() }), [2]);
    assert_eq!(kept(SamplingConfig { top_p: 0.8, ..plain.clone() }), [2, 3, 5]);
    assert_eq!(kept(SamplingConfig { min_p: 0.3, ..plain.clone() }), [2, 3, 5]);
    assert_eq!(kept(SamplingConfig { top_k: 3, top_p: 0.6, ..plain }), [2, 3]);
}

#[test]
fn greedy_takes_the_lowest_of_equals() {
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    assert_eq!(greedy.draw(&[1.0, 3.0, 3.0, 2.0], &stream(0), 0), 1);
    assert_eq!(greedy.logprob_temperature(), 1.0);
}

proptest! {
    /// Truncation that keeps everything draws what no truncation draws, and a token drawn under truncation that plain
    /// sampling also drew is the same token: the noise belongs to the token, not to the candidate list.
    #[test]
    fn truncation_only_removes_candidates(
        logits in prop::collection::vec(-8f32..8.0, 1..200),
        sample: u64,
        top_p in 0.05f64..1.0,
    ) {
        let plain = SamplingConfig::default();
        let all = SamplingConfig { top_k: logits.len(), ..plain.clone() };
        let drawn = plain.draw(&logits, &stream(sample), 7);
        prop_assert_eq!(drawn, all.draw(&logits, &stream(sample), 7));
        let truncated = SamplingConfig { top_p, ..plain };
        let kept = truncated.kept(&logits).unwrap();
        let from_kept = truncated.draw(&logits, &stream(sample), 7);
        prop_assert!(kept.contains(&(from_kept as usize)));
        if kept.contains(&(drawn as usize)) {
            prop_assert_eq!(drawn, from_kept);
        }
    }
}

/// Rows drawn together on a device have the tokens of rows drawn one by one, whatever the settings; of equals the lowest.
#[test]
fn rows_on_a_device_are_drawn_alike() {
    let (b, v) = (37, 1003);
    let word = |i: usize| model::philox::open_unit(Stream::new(2, Purpose::Problems, 0, 0, 0).block(i as u32, 0)[0]);
    // Rounded, so that many logits of a row are equal, as they are in bf16.
    let logits: Vec<f32> = (0..b * v).map(|i| (40.0 * word(i)).round() / 4.0).collect();
    let draws: Vec<(Stream, u32)> = (0..b).map(|i| (stream(i as u64), 3 * i as u32)).collect();
    let tensor = tch::Tensor::from_slice(&logits).view([b as i64, v as i64]);
    let plain = SamplingConfig::default();
    for config in [
        plain.clone(),
        SamplingConfig { temperature: 0.0, ..plain.clone() },
        SamplingConfig { temperature: 0.01, ..plain.clone() },
        SamplingConfig { temperature: 1.7, ..plain.clone() },
        SamplingConfig { top_k: 5, top_p: 0.9, ..plain },
    ] {
        for vocabulary in [v, v - 2, 3] {
            let expected: Vec<u32> = draws
                .iter()
                .zip(logits.chunks_exact(v))
                .map(|((stream, position), row)| config.draw(&row[..vocabulary], stream, *position))
                .collect();
            assert_eq!(config.draw_rows(&tensor, vocabulary, &draws), expected, "{config:?}");
        }
    }
}
