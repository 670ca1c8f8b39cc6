use super::*;
use crate::philox::{Purpose, Stream};
use crate::router;
use tch::{Device, Kind};

/// The routers of the families, and choices that are narrow: as many groups as a row may use experts.
fn configs() -> Vec<ExpertsConfig> {
    let plain = ExpertsConfig {
        n_experts: 8,
        n_chosen: 3,
        width: 1,
        shared_width: None,
        scoring: Scoring::Softmax,
        groups: None,
        normalise: true,
        scaling: 1.0,
        correction_bias: false,
    };
    let groups = |n, n_chosen, by| Some(ExpertGroups { n, n_chosen, by });
    vec![
        plain.clone(),
        ExpertsConfig { groups: groups(4, 2, GroupScore::Max), normalise: false, scaling: 16.0, ..plain.clone() },
        ExpertsConfig {
            scoring: Scoring::Sigmoid,
            groups: groups(4, 2, GroupScore::TopTwo),
            scaling: 2.5,
            correction_bias: true,
            ..plain.clone()
        },
        ExpertsConfig { scoring: Scoring::Sigmoid, groups: groups(8, 3, GroupScore::TopTwo), ..plain },
    ]
}

/// Logits of few different values, so that scores are equal all the time, some of them not numbers.
fn logits(rows: usize) -> Vec<f32> {
    let stream = Stream::new(3, Purpose::Problems, 0, 0, 0);
    (0..8 * rows)
        .map(|i| match stream.below(i as u32, 40) {
            0 => f32::NAN,
            1 => f32::NEG_INFINITY,
            n => (n % 3) as f32 / 4.0,
        })
        .collect()
}

/// Experts are chosen as on the CPU, also where scores are equal or not numbers, and count as much.
#[test]
fn the_choice_is_the_cpus() {
    let biases = [0.25f32, -0.125, 0.25, 0.0, f32::NAN, 0.5, -0.25, 0.25];
    for (config, device) in
        configs().into_iter().flat_map(|c| super::super::tests::devices().into_iter().map(move |d| (c.clone(), d)))
    {
        let logits = logits(400);
        let bias = config.correction_bias.then_some(&biases[..]);
        let expected = router::route(&logits, bias, &config);
        let on_device = |numbers: &[f32]| Tensor::from_slice(numbers).to_device(device);
        let found = route(&on_device(&logits).view([-1, 8]), bias.map(on_device).as_ref(), &config);
        let chosen = Vec::<i64>::try_from(found.chosen.to_device(Device::Cpu).reshape([-1])).unwrap();
        // A row in which a softmax meets no number has none at all.
        assert_eq!(chosen, expected.chosen.iter().map(|&e| i64::from(e)).collect::<Vec<_>>(), "{config:?}");
        let weights = Vec::<f32>::try_from(found.weights.to_device(Device::Cpu).reshape([-1])).unwrap();
        for (found, expected) in weights.iter().zip(expected.weights.iter()) {
            let near = (found - expected).abs() <= 1e-6 * (1.0 + expected.abs());
            assert!(near || found.is_nan() && expected.is_nan(), "{config:?}: {found}, not {expected}");
        }
    }
}

/// The weights' gradient is the CPU's.
#[test]
fn the_gradient_is_the_cpus() {
    for config in configs() {
        let stream = Stream::new(4, Purpose::Problems, 0, 0, 0);
        let logits: Vec<f32> = (0..8 * 50).map(|i| stream.normal(i)).collect();
        let expected = router::route(&logits, None, &config);
        let d_weights: Vec<f32> = (0..3 * 50).map(|i| stream.normal(1000 + i)).collect();
        let expected = router::route_backward(&expected, &d_weights, &config);
        let leaf = Tensor::from_slice(&logits).view([-1, 8]).set_requires_grad(true);
        let loss =
            (route(&leaf, None, &config).weights.reshape([-1]) * Tensor::from_slice(&d_weights)).sum(Kind::Float);
        let found = Tensor::run_backward(&[loss], &[&leaf], false, false);
        let found = Vec::<f32>::try_from(found[0].reshape([-1])).unwrap();
        let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
        assert!(found.iter().zip(expected.iter()).all(|(a, b)| (a - b).abs() <= 1e-6 * largest), "{config:?}");
    }
}
