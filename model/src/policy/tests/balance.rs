//! Losses on routers, through whole policies.

use super::*;
use crate::router::{Balance, Loads, Routed, add_loads};
use crate::team::Team;
use std::ops::Range;

/// Rows of golden sequences `places`, and the sequences that routers are judged by.
fn rows(tensors: &[(String, Tensor)], places: Range<i64>) -> (Packed, Targets, Vec<Range<usize>>) {
    let (mut packed, mut sequences) = (Packed::default(), Vec::new());
    for place in places {
        let tokens = Vec::<i64>::try_from(named(tensors, "ids").get(place)).unwrap();
        let start = packed.push(&tokens).start as usize;
        sequences.push(start..start + tokens.len());
    }
    (packed, Targets { rows: vec![0], tokens: vec![1] }, sequences)
}

/// What routers did and the gradient of the losses on them alone.
fn balanced(
    policy: &Policy,
    (packed, targets, sequences): &(Packed, Targets, Vec<Range<usize>>),
    balance: &Balance,
    checkpointing: bool,
) -> (Routed, Buffer) {
    let (mut share, mut gradient) = (Share::new(policy.layout()), Buffer::zeros(policy.layout().len()));
    let lesson = Lesson { packed, targets, temperature: 1.0, checkpointing, balance, sequences };
    let mut hand = |_, range: Range<usize>, part: &[f32]| gradient[range].copy_from_slice(part);
    let routed = policy.backward_in_parts(&lesson, &mut share, &mut |range, _| vec![0.0; range.len()], &mut hand);
    (routed, gradient)
}

fn all(routed: &Routed) -> f64 {
    routed.sequence + routed.batch + routed.z
}

const EXPERTS: [&str; 4] = ["qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v3"];

fn balance(policy: &Policy, rows: &(Packed, Targets, Vec<Range<usize>>)) -> Balance {
    let (n_sequences, n_rows) = (rows.2.len() as u64, rows.0.len() as u64);
    Balance { sequence: 0.3, batch: 0.2, z: 0.1, n_sequences, n_rows, loads: policy.loads(&rows.0, &rows.2) }
}

/// Along a direction, the value changes as the gradient says.
#[test]
fn gradients_of_losses_on_routers_match_differences() {
    for family in EXPERTS {
        let (mut policy, tensors) = golden(family);
        let rows = rows(&tensors, 0..2);
        let balance = balance(&policy, &rows);
        let (routed, gradient) = balanced(&policy, &rows, &balance, false);
        assert!(routed.sequence > 0.0 && routed.batch > 0.0 && routed.z > 0.0, "{family}: {routed:?}");
        let before = policy.parameters().to_vec();
        let norm: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        // So small a step that it changes no choice, and the load with it.
        let step = 5e-5 / norm;
        let mut value = |sign: f64| {
            for ((weight, before), g) in policy.parameters_mut().iter_mut().zip(&before).zip(gradient.iter()) {
                *weight = before + (sign * step * f64::from(*g)) as f32;
            }
            policy.refresh();
            let routed = balanced(&policy, &rows, &balance, false).0;
            assert_eq!(routed.loads, balance.loads, "{family}");
            all(&routed)
        };
        let slope = (value(1.0) - value(-1.0)) / (2.0 * step);
        assert!((slope / norm.powi(2) - 1.0).abs() < 0.02, "{family}: {slope} along {norm}²");
    }
}

/// Counts are the same whoever computes; losses and gradients do not depend on how an update is cut, but for the order of
/// summation.
#[test]
fn losses_on_routers_belong_to_the_update() {
    for family in EXPERTS {
        let (policy, tensors) = golden(family);
        let whole = rows(&tensors, 0..2);
        let balance = balance(&policy, &whole);
        let (routed, gradient) = balanced(&policy, &whole, &balance, false);
        assert_eq!(routed.loads, balance.loads);
        let (k, n) = (policy.config().experts.as_ref().unwrap().n_chosen, whole.0.len());
        assert!(routed.loads.values().all(|load| load.total() == (n * k) as u64), "{family}: nothing is dropped");
        let (mut loads, mut sum, mut parts) = (Loads::new(), 0.0, Buffer::zeros(gradient.len()));
        for place in 0..2 {
            let (routed, part) = balanced(&policy, &rows(&tensors, place..place + 1), &balance, true);
            add_loads(&mut loads, &routed.loads);
            sum += all(&routed);
            parts.add(&part);
        }
        assert_eq!(loads, routed.loads, "{family}");
        assert!((sum - all(&routed)).abs() < 1e-6 * sum, "{family}: {sum}, {}", all(&routed));
        let largest = gradient.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(gradient.iter().zip(parts.iter()).all(|(a, b)| (a - b).abs() <= 1e-5 * largest), "{family}");
        for threads in [2, 3] {
            let again = Team::new(threads).lead(|| balanced(&policy, &whole, &balance, threads == 3));
            assert!(again.0 == routed && again.1[..] == gradient[..], "{family}: {threads} threads");
        }
    }
}
