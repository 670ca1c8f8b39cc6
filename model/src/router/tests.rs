use super::*;
use crate::config::experts::{ExpertGroups, GroupScore};
use crate::kernels::tests::{check_gradient, dot, noise};
use crate::team::Team;
use proptest::prelude::*;

pub(super) fn config(e: usize, k: usize, scoring: Scoring) -> ExpertsConfig {
    ExpertsConfig {
        n_experts: e,
        n_chosen: k,
        width: 1,
        shared_width: None,
        scoring,
        groups: None,
        normalise: true,
        scaling: 1.0,
        correction_bias: false,
    }
}

fn configs() -> impl Strategy<Value = ExpertsConfig> {
    let by = prop_oneof![Just(GroupScore::Max), Just(GroupScore::TopTwo)];
    let groups = (1usize..5, 1usize..6, prop::option::of(by)).prop_flat_map(|(n, size, by)| {
        (1..=n).prop_map(move |n_chosen| (n * size, by.map(|by| ExpertGroups { n, n_chosen, by })))
    });
    let chosen = groups.prop_flat_map(|(e, groups)| {
        let allowed = groups.map_or(e, |groups| e / groups.n * groups.n_chosen);
        (1..=allowed, Just((e, groups)), any::<[bool; 2]>())
    });
    chosen.prop_map(|(k, (e, groups), [sigmoid, normalise])| {
        let scoring = if sigmoid { Scoring::Sigmoid } else { Scoring::Softmax };
        ExpertsConfig { groups, normalise, scaling: 2.5, correction_bias: sigmoid, ..config(e, k, scoring) }
    })
}

/// The largest by sorting; of equal ones the lowest index first.
fn largest(scores: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).expect("numbers").then(a.cmp(&b)));
    order.truncate(k);
    order.sort_unstable();
    order
}

/// One row by the definition, from scores as the router has them: comparisons are exact, and weights in f64.
fn by_definition(scores: &[f32], bias: Option<&[f32]>, config: &ExpertsConfig) -> (Vec<usize>, Vec<f64>) {
    let mut ranked: Vec<f64> =
        scores.iter().enumerate().map(|(i, s)| f64::from(bias.map_or(*s, |bias| s + bias[i]))).collect();
    if let Some(groups) = config.groups {
        let size = config.n_experts / groups.n;
        let judge = |group: &[f64]| {
            let mut sorted = group.to_vec();
            sorted.sort_by(|a, b| b.partial_cmp(a).expect("numbers"));
            let n = if groups.by == GroupScore::TopTwo { 2 } else { 1 };
            f64::from(sorted.iter().take(n).map(|&s| s as f32).sum::<f32>())
        };
        let used = largest(&ranked.chunks(size).map(judge).collect::<Vec<_>>(), groups.n_chosen);
        (0..ranked.len()).filter(|i| !used.contains(&(i / size))).for_each(|i| ranked[i] = f64::NEG_INFINITY);
    }
    let chosen = largest(&ranked, config.n_chosen);
    let sum: f64 = if config.normalise { chosen.iter().map(|&i| f64::from(scores[i])).sum() } else { 1.0 };
    let weights = chosen.iter().map(|&i| f64::from(scores[i]) / sum * config.scaling).collect();
    (chosen, weights)
}

proptest! {
    /// Choice and weights against the definition; exactly k, each once; the same alone, among others and on any number of
    /// threads. Rounded logits make ties.
    #[test]
    fn routing_is_what_it_says(config in configs(), n in 1usize..30, ties: bool, threads in 1usize..4, seed: u64) {
        let (e, k) = (config.n_experts, config.n_chosen);
        let round = |x: f32| if ties { (2.0 * x).round() / 2.0 } else { x };
        let logits: Vec<f32> = noise(seed, n * e).into_iter().map(round).collect();
        let bias: Vec<f32> = noise(seed ^ 1, e).into_iter().map(|b| 0.1 * round(b)).collect();
        let bias = config.correction_bias.then_some(&bias[..]);
        let routing = route(&logits, bias, &config);
        for row in 0..n {
            let scores = &routing.scores[row * e..][..e];
            let logits = &logits[row * e..][..e];
            let sum: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
            for (&score, &logit) in scores.iter().zip(logits) {
                let expected = match config.scoring {
                    Scoring::Softmax => f64::from(logit).exp() / sum,
                    Scoring::Sigmoid => 1.0 / (1.0 + f64::from(-logit).exp()),
                };
                prop_assert!((f64::from(score) - expected).abs() < 1e-6 * expected);
            }
            let (chosen, weights) = by_definition(scores, bias, &config);
            let found = &routing.chosen[row * k..][..k];
            prop_assert_eq!(found.iter().map(|&i| i as usize).collect::<Vec<_>>(), chosen);
            for (found, expected) in routing.weights[row * k..][..k].iter().zip(weights) {
                prop_assert!((f64::from(*found) - expected).abs() < 2e-6 * expected);
            }
            let alone = route(logits, bias, &config);
            prop_assert_eq!(&alone.chosen[..], found);
            prop_assert_eq!(&alone.weights[..], &routing.weights[row * k..][..k]);
        }
        let mut load = Load::new(e);
        load.count(&routing.chosen);
        prop_assert_eq!(load.total(), (n * k) as u64);
        prop_assert!(load.counts().iter().all(|&count| count <= n as u64));
        let (again, gradient) = Team::new(threads).lead(|| {
            let routing = route(&logits, bias, &config);
            let gradient = route_backward(&routing, &routing.weights, &config);
            (routing, gradient)
        });
        prop_assert_eq!(&again.chosen, &routing.chosen);
        prop_assert_eq!(&again.weights[..], &routing.weights[..]);
        prop_assert_eq!(&gradient[..], &route_backward(&routing, &routing.weights, &config)[..]);
    }
}

#[test]
fn gradients_match_differences() {
    for (scoring, normalise) in
        [(Scoring::Softmax, true), (Scoring::Softmax, false), (Scoring::Sigmoid, true), (Scoring::Sigmoid, false)]
    {
        let config = ExpertsConfig { normalise, scaling: 2.5, ..config(7, 3, scoring) };
        // Far enough apart that a step of the differences changes no choice.
        let logits: Vec<f32> = (0..14).map(|i| 0.3 * ((5 * i) % 7) as f32 - 0.8).collect();
        let weight = noise(3, 6);
        let routing = route(&logits, None, &config);
        let gradient = route_backward(&routing, &weight, &config);
        check_gradient(&logits, &gradient, |logits| dot(&route(logits, None, &config).weights, &weight));
    }
}

#[test]
fn what_is_no_number_comes_last_and_shows() {
    let sigmoid = config(4, 2, Scoring::Sigmoid);
    let routing = route(&[f32::NAN, -5.0, f32::NAN, -6.0], None, &sigmoid);
    assert_eq!(routing.chosen, [1, 3]);
    assert!(routing.weights.iter().all(|weight| weight.is_finite()));
    let routing = route(&[0.0, 1.0, f32::NAN, 2.0], None, &config(4, 2, Scoring::Softmax));
    assert_eq!(routing.chosen, [0, 1], "a softmax with what is no number has no other scores");
    assert!(routing.weights.iter().all(|weight| weight.is_nan()));
    let grouped = ExpertsConfig { groups: Some(ExpertGroups { n: 2, n_chosen: 1, by: GroupScore::TopTwo }), ..sigmoid };
    let routing = route(&[f32::NAN; 4], None, &grouped);
    assert_eq!(routing.chosen, [0, 1]);
}

#[test]
fn scores_too_small_to_add_up_give_weights_of_zero() {
    let routing = route(&[-200.0; 4], None, &config(4, 2, Scoring::Sigmoid));
    assert_eq!(routing.weights.to_vec(), [0.0; 2]);
}

#[test]
#[should_panic(expected = "3 experts chosen of 2")]
fn groups_must_hold_enough_experts() {
    let by = GroupScore::Max;
    let config =
        ExpertsConfig { groups: Some(ExpertGroups { n: 2, n_chosen: 1, by }), ..config(4, 3, Scoring::Softmax) };
    route(&[0.0; 4], None, &config);
}

#[test]
fn the_bias_moves_against_the_load() {
    let (mut load, mut more) = (Load::new(4), Load::new(4));
    load.count(&[0, 0, 0, 1, 1]);
    more.count(&[2, 0, 1]);
    load.add(&more);
    assert_eq!((load.counts(), load.total()), (&[4, 3, 1, 0][..], 8));
    assert_eq!(load.max_violation(), 1.0);
    assert_eq!(Load::new(4).max_violation(), 0.0);
    let mut bias = [0.5; 4];
    load.move_bias(&mut bias, 0.25);
    assert_eq!(bias, [0.25, 0.25, 0.75, 0.75]);
    let mut even = Load::new(4);
    even.count(&[3, 2, 1, 0]);
    even.move_bias(&mut bias, 0.25);
    assert_eq!(bias, [0.25, 0.25, 0.75, 0.75], "an even load moves nothing");
}
