use model::config::PolicyConfig;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fixture::Folder;
use crate::sft::LossOn;

fn policy(folder: &TempDir) -> Policy {
    let config = PolicyConfig { random_init: true, ..PolicyConfig::new(folder.path()) };
    Policy::load(folder.path(), &config, 3).unwrap()
}

/// What evens out routers, all of it at once.
const ROUTER: RouterConfig =
    RouterConfig { bias_update_rate: 0.001, sequence_balance: 0.02, aux_loss: 0.03, z_loss: 0.01, frozen: false };

fn config(microbatch_tokens: usize) -> SftConfig {
    SftConfig {
        steps: 1,
        batch_tokens: 1,
        max_tokens: 100,
        microbatch_tokens,
        loss_on: LossOn::Assistant,
        activation_checkpointing: None,
        mtp: None,
        eval_every: 0,
    }
}

/// A sequence of the given length, learned after its first third.
fn sequence(length: usize, seed: i64) -> Sequence {
    let tokens: Vec<i64> = (0..length as i64).map(|i| (seed * 31 + i * i * 7) % 256).collect();
    let mask = (0..length).map(|i| i > 0 && i >= length / 3).collect();
    Sequence { tokens, mask }
}

/// [`learn`] with the gradient it leaves.
fn learned(policy: &Policy, batch: &[&Sequence], config: &SftConfig, workers: usize) -> (Learned, Vec<f32>) {
    let mut gradient = Gradient::new(policy.layout(), workers, workers.div_ceil(2));
    let cancel = AtomicBool::new(false);
    let learned = learn(policy, batch, (config, &ROUTER), 0.0, false, &cancel, &mut gradient).unwrap();
    (learned, gradient.total().to_vec())
}

fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = squares(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    difference / squares(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn the_loss_is_the_mean_over_the_updates_learned_tokens() {
    let folder = Folder::default().write();
    let policy = policy(&folder);
    let sequences = [sequence(9, 1), sequence(30, 2), sequence(2, 3)];
    let (learned, _) = learned(&policy, &sequences.iter().collect::<Vec<_>>(), &config(1000), 1);
    assert_eq!((learned.n_tokens, learned.n_learned), (41, 6 + 20 + 1));
    // Each sequence alone, so nothing of one is seen by another.
    let mut sum = 0.0;
    for sequence in &sequences {
        let (packed, targets) = pack([sequence]);
        sum -= policy.logprobs(&packed, &targets, 1.0).logprobs.iter().map(|&x| f64::from(x)).sum::<f64>();
    }
    assert!((learned.loss - sum / 27.0).abs() < 1e-9, "{} beside {}", learned.loss, sum / 27.0);
}

#[test]
fn a_move_against_the_gradient_lowers_the_loss_as_much_as_it_says() {
    let folder = Folder::default().write();
    let mut policy = policy(&folder);
    let sequences = [sequence(20, 1), sequence(30, 2)];
    let batch: Vec<&Sequence> = sequences.iter().collect();
    let (before, gradient) = learned(&policy, &batch, &config(1000), 1);
    let square: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
    let rate = 1e-3;
    for (weight, gradient) in policy.parameters_mut().iter_mut().zip(gradient.iter()) {
        *weight -= rate * gradient;
    }
    policy.refresh();
    let (after, _) = learned(&policy, &batch, &config(1000), 1);
    let expected = f64::from(rate) * square;
    let found = before.loss - after.loss;
    assert!((found / expected - 1.0).abs() < 0.02, "{found} beside {expected}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn neither_cuts_nor_workers_change_the_gradient(
        lengths in prop::collection::vec(2_usize..60, 2..14),
        limit in 20_usize..200,
        experts: bool,
    ) {
        let folder = Folder { experts, ..Folder::default() }.write();
        let policy = policy(&folder);
        let sequences: Vec<Sequence> = lengths.iter().enumerate().map(|(i, &n)| sequence(n, i as i64)).collect();
        let batch: Vec<&Sequence> = sequences.iter().collect();
        let (whole, whole_gradient) = learned(&policy, &batch, &config(10_000), 1);
        let (cut, cut_gradient) = learned(&policy, &batch, &config(limit), 1);
        let (spread, spread_gradient) = learned(&policy, &batch, &config(limit), 3);
        prop_assert!((whole.loss - cut.loss).abs() < 1e-9);
        let (a, b) = (&whole.routed, &cut.routed);
        prop_assert_eq!((&a.loads, a.n_sent), (&b.loads, b.n_sent));
        prop_assert_eq!(a.loads.len(), if experts { 2 } else { 0 });
        for (a, b) in [(a.sequence, b.sequence), (a.batch, b.batch), (a.z, b.z)] {
            prop_assert!((a - b).abs() <= 1e-6 * a && (a > 0.0) == experts, "{} beside {}", a, b);
        }
        prop_assert_eq!(&cut.routed, &spread.routed);
        prop_assert!(relative_difference(&cut_gradient, &whole_gradient) < 1e-5);
        prop_assert_eq!(cut.loss.to_bits(), spread.loss.to_bits());
        let bits = |gradient: &[f32]| gradient.iter().map(|g| g.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&cut_gradient), bits(&spread_gradient));
    }
}
