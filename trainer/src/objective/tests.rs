use proptest::prelude::*;

use super::*;

fn config(kl: KlEstimator, kl_coef: f64) -> ObjectiveConfig {
    ObjectiveConfig { clip_low: 0.2, clip_high: 0.28, dual_clip: Some(3.0), kl, kl_coef, ..ObjectiveConfig::default() }
}

/// One token of weight 1 with this ratio to an old log-probability of −1.
fn one(ratio: f64, advantage: f32, config: &ObjectiveConfig) -> Objective {
    let new = (-1.0 + ratio.ln()) as f32;
    let tokens = TokenBatch { new: &[new], old: &[-1.0], reference: None, advantages: &[advantage], weights: &[1.0] };
    clipped_objective(&tokens, config)
}

/// Ratio, advantage → loss, d(loss)/d(new), clipped; all by hand, with clip 0.2 / 0.28 and a dual clip of 3.
#[test]
fn clip_by_hand() {
    let config = config(KlEstimator::K3, 0.0);
    for (ratio, advantage, loss, gradient, clipped) in [
        (1.0, 2.0, -2.0, -2.0, 0),
        (1.25, 2.0, -2.5, -2.5, 0),
        (1.5, 2.0, -2.56, 0.0, 1),
        (0.5, 2.0, -1.0, -1.0, 0),
        (1.5, -2.0, 3.0, 3.0, 0),
        (0.5, -2.0, 1.6, 0.0, 1),
        (4.0, -2.0, 6.0, 0.0, 1),
        (4.0, 0.0, 0.0, 0.0, 0),
    ] {
        let found = one(ratio, advantage, &config);
        let case = format!("ratio {ratio}, advantage {advantage}: {found:?}");
        assert!((found.tally.loss - loss).abs() < 1e-6, "{case}");
        assert!((f64::from(found.d_logprob[0]) - gradient).abs() < 1e-6, "{case}");
        assert!((found.tally.ratio_max - ratio).abs() < 1e-6, "{case}");
        assert_eq!(found.tally.clipped, clipped, "{case}");
    }
}

/// Two tokens with KL: d = ln 2 and −ln 2, so k3 = 1 − ln 2 and ln 2 − 1/2, k2 = (ln 2)² / 2 for both.
#[test]
fn kl_by_hand() {
    let ln2 = std::f64::consts::LN_2;
    let new = [-1.0, -2.0];
    let reference = [-1.0 + ln2 as f32, -2.0 - ln2 as f32];
    let tokens = TokenBatch {
        new: &new,
        old: &new,
        reference: Some(&reference),
        advantages: &[1.0, 0.0],
        weights: &[0.25, 0.75],
    };
    for (kl, losses, gradients) in [
        (KlEstimator::K1, [0.0, 0.0], [0.0, 0.0]),
        (KlEstimator::K2, [ln2 * ln2 / 2.0; 2], [-ln2, ln2]),
        (KlEstimator::K3, [1.0 - ln2, ln2 - 0.5], [-1.0, 0.5]),
    ] {
        let found = clipped_objective(&tokens, &config(kl, 0.1));
        let loss = 0.25 * (-1.0 + 0.1 * losses[0]) + 0.75 * 0.1 * losses[1];
        assert!((found.tally.loss - loss).abs() < 1e-7, "{kl:?}: {found:?}");
        assert!((found.tally.kl - 0.5).abs() < 1e-6, "{kl:?}: {found:?}");
        for (found, expected) in
            found.d_logprob.iter().zip([0.25 * (-1.0 + 0.1 * gradients[0]), 0.75 * 0.1 * gradients[1]])
        {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{kl:?}: {found} for {expected}");
        }
    }
}

#[test]
fn kl_of_a_reward() {
    let config = config(KlEstimator::K1, 0.5);
    assert!(config.kl_in_reward() && !config.kl_in_loss());
    assert_eq!(kl_reward(&[-1.0, -2.0], &[-1.5, -4.0], 0.5), -1.25);
    assert_eq!(kl_reward(&[-1.0, -2.0], &[-1.0, -2.0], 0.5), 0.0);
    assert_eq!(kl_reward(&[], &[], 0.5), 0.0);
}

#[test]
fn what_is_not_finite_shows_in_the_loss() {
    let config = config(KlEstimator::K3, 0.1);
    for (new, reference) in [(f32::NAN, -1.0), (f32::INFINITY, -1.0), (-1.0, f32::NAN)] {
        let tokens = TokenBatch {
            new: &[new],
            old: &[-1.0],
            reference: Some(&[reference]),
            advantages: &[-1.0],
            weights: &[1.0],
        };
        assert!(!clipped_objective(&tokens, &config).tally.loss.is_finite(), "{new} {reference}");
    }
    let free = ObjectiveConfig { dual_clip: None, kl_coef: 0.0, ..config };
    assert!(!one(f64::INFINITY, -1.0, &free).tally.loss.is_finite());
    assert_eq!(one(f64::INFINITY, 0.0, &free).tally.loss, 0.0);
}

#[test]
fn weights_by_hand() {
    let lengths = [1, 3, 4];
    assert_eq!(completion_weights(Normalize::Completion, &lengths), [1.0 / 3.0, 1.0 / 9.0, 1.0 / 12.0]);
    assert_eq!(completion_weights(Normalize::Token, &lengths), [0.125; 3]);
    assert_eq!(completion_weights(Normalize::Constant(10.0), &lengths), [1.0 / 30.0; 3]);
    assert!(completion_weights(Normalize::Token, &[]).is_empty());
}

/// The loss of one token in f64, where a finite difference is sharp.
fn loss(new: f64, old: f64, reference: f64, advantage: f64, config: &ObjectiveConfig) -> (f64, f64) {
    let (policy, kl) = (surrogate(new - old, advantage, config), penalty(reference - new, config));
    (policy.loss + kl.loss, policy.gradient + kl.gradient)
}

#[test]
fn gradient_near_every_clip() {
    let step = 1e-6;
    for (kl, clip) in [(KlEstimator::K2, 0.8), (KlEstimator::K3, 1.28), (KlEstimator::K3, 3.0), (KlEstimator::K1, 1.28)]
    {
        for (offset, advantage) in [(-1e-4, 1.5), (1e-4, 1.5), (-1e-4, -1.5), (1e-4, -1.5)] {
            let config = config(kl, 0.3);
            let new = -1.0 + f64::ln(clip + offset);
            let at = |new| loss(new, -1.0, -1.7, advantage, &config);
            let difference = (at(new + step).0 - at(new - step).0) / (2.0 * step);
            assert!((difference - at(new).1).abs() < 1e-8, "{clip} {offset} {advantage}: {difference} {:?}", at(new));
        }
    }
}

/// A softmax over three tokens, with its log-probabilities.
fn log_softmax(logits: [f64; 3]) -> [f64; 3] {
    let normaliser = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
    logits.map(|x| x - normaliser)
}

fn kl(p: [f64; 3], q: [f64; 3]) -> f64 {
    (0..3).map(|x| p[x].exp() * (p[x] - q[x])).sum()
}

const LOGITS: [f64; 3] = [0.3, -0.8, 1.1];
const REFERENCE: [f64; 3] = [-0.4, 0.5, 0.2];

/// E over x ~ π of d(term)/d(log π(x)) · ∂ log π(x) / ∂ logits, by enumeration.
fn expected_gradient(d_logprob: impl Fn(usize) -> f64) -> [f64; 3] {
    let policy = log_softmax(LOGITS);
    let score = |x: usize, j: usize| f64::from(u8::from(x == j)) - policy[j].exp();
    [0, 1, 2].map(|j| (0..3).map(|x| policy[x].exp() * d_logprob(x) * score(x, j)).sum())
}

/// The gradient of a function of the policy's log-probabilities with respect to the logits, by differences.
fn gradient_of(f: impl Fn([f64; 3]) -> f64) -> [f64; 3] {
    let step = 1e-5;
    [0, 1, 2].map(|j| {
        let moved = |by: f64| {
            let mut logits = LOGITS;
            logits[j] += by;
            f(log_softmax(logits))
        };
        (moved(step) - moved(-step)) / (2.0 * step)
    })
}

fn assert_close(found: [f64; 3], expected: [f64; 3], tolerance: f64) {
    for j in 0..3 {
        assert!((found[j] - expected[j]).abs() < tolerance, "{found:?}, not {expected:?}");
    }
}

/// ∇k1 = 0, ∇k2 = ∇KL(π‖ref), ∇k3 = ∇KL(ref‖π) in expectation over the policy's own tokens, and k1 in the reward
/// follows KL(π‖ref).
#[test]
fn which_kl_an_estimator_follows() {
    let (policy, reference) = (log_softmax(LOGITS), log_softmax(REFERENCE));
    let forward = gradient_of(|p| kl(p, reference));
    let reverse = gradient_of(|p| kl(reference, p));
    assert!((0..3).any(|j| (forward[j] - reverse[j]).abs() > 0.01), "the two are worth telling apart");

    let as_loss =
        |estimator| expected_gradient(|x| penalty(reference[x] - policy[x], &config(estimator, 1.0)).gradient);
    assert_close(expected_gradient(|_| 1.0), [0.0; 3], 1e-15); // k1 = log π − log π_ref: its derivative is 1
    assert_eq!(as_loss(KlEstimator::K1), [0.0; 3]);
    assert_close(as_loss(KlEstimator::K2), forward, 1e-9);
    assert_close(as_loss(KlEstimator::K3), reverse, 1e-9);

    let as_reward = expected_gradient(|x| {
        let reward = kl_reward(&[policy[x] as f32], &[reference[x] as f32], 1.0);
        surrogate(0.0, reward, &config(KlEstimator::K1, 1.0)).gradient
    });
    assert_close(as_reward, forward, 1e-6); // kl_reward reads f32
}

/// On three tokens through the public function: minus the objective's gradient is that of the expected advantage.
#[test]
fn ratio_one_is_the_policy_gradient() {
    let policy = log_softmax(LOGITS);
    let new = policy.map(|x| x as f32);
    let advantages = [1.0f32, -0.5, 0.25];
    let weights = policy.map(f64::exp);
    let tokens = TokenBatch { new: &new, old: &new, reference: None, advantages: &advantages, weights: &weights };
    let found = clipped_objective(&tokens, &config(KlEstimator::K3, 0.0));
    assert_eq!((found.tally.clipped, found.tally.ratio_max, found.tally.n_tokens), (0, 1.0, 3));

    let through_softmax = [0, 1, 2].map(|j| {
        (0..3).map(|x| f64::from(found.d_logprob[x]) * (f64::from(u8::from(x == j)) - policy[j].exp())).sum::<f64>()
    });
    let expected = gradient_of(|p| -(0..3).map(|x| p[x].exp() * f64::from(advantages[x])).sum::<f64>());
    assert_close(through_softmax, expected, 1e-6);
}

#[derive(Clone, Debug)]
struct Tokens {
    new: Vec<f32>,
    old: Vec<f32>,
    reference: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f64>,
}

impl Tokens {
    fn slice(&self, range: std::ops::Range<usize>) -> TokenBatch<'_> {
        TokenBatch {
            new: &self.new[range.clone()],
            old: &self.old[range.clone()],
            reference: Some(&self.reference[range.clone()]),
            advantages: &self.advantages[range.clone()],
            weights: &self.weights[range],
        }
    }
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let token = (-8f32..0.0, -1f32..1.0, -1f32..1.0, -3f32..3.0, 1e-6f64..1.0);
    prop::collection::vec(token, 1..40).prop_map(|rows| Tokens {
        new: rows.iter().map(|r| r.0).collect(),
        old: rows.iter().map(|r| r.0 + r.1).collect(),
        reference: rows.iter().map(|r| r.0 + r.2).collect(),
        advantages: rows.iter().map(|r| r.3).collect(),
        weights: rows.iter().map(|r| r.4).collect(),
    })
}

fn estimators() -> impl Strategy<Value = KlEstimator> {
    prop::sample::select(vec![KlEstimator::K1, KlEstimator::K2, KlEstimator::K3])
}

proptest! {
    #[test]
    fn cuts_change_no_gradient(tokens in tokens(), cut in 0usize..40, kl in estimators()) {
        let config = config(kl, 0.1);
        let n = tokens.new.len();
        let cut = cut.min(n);
        let whole = clipped_objective(&tokens.slice(0..n), &config);
        let (head, tail) = (
            clipped_objective(&tokens.slice(0..cut), &config),
            clipped_objective(&tokens.slice(cut..n), &config),
        );
        prop_assert_eq!(&whole.d_logprob, &[head.d_logprob, tail.d_logprob].concat());
        let mut sum = head.tally;
        sum += tail.tally;
        prop_assert!((sum.loss - whole.tally.loss).abs() <= 1e-12 * n as f64);
        prop_assert!((sum.kl - whole.tally.kl).abs() <= 1e-12 * n as f64);
        prop_assert_eq!(Tally { loss: 0.0, kl: 0.0, ..sum }, Tally { loss: 0.0, kl: 0.0, ..whole.tally });
    }

    #[test]
    fn gradient_is_the_difference_quotient(
        new in -6f64..0.0, shift in -2f64..2.0, d in -2f64..2.0, advantage in -3f64..3.0, kl in estimators(),
    ) {
        let config = config(kl, 0.3);
        let step = 1e-6;
        // A kink within the step has two slopes.
        let kinks = [0.8f64, 1.28, 3.0].map(|ratio| (shift - ratio.ln()).abs());
        prop_assume!(kinks.iter().all(|distance| *distance > 2.0 * step));
        let at = |moved: f64| loss(new + moved, new - shift, new + d, advantage, &config);
        let difference = (at(step).0 - at(-step).0) / (2.0 * step);
        prop_assert!((difference - at(0.0).1).abs() < 1e-7 * (1.0 + difference.abs()), "{} {}", difference, at(0.0).1);
    }

    #[test]
    fn kl_is_zero_only_for_equals(new in -20f32..-1e-3, d in -5f32..5.0) {
        let reference = new + d;
        let k3 = penalty(f64::from(reference) - f64::from(new), &config(KlEstimator::K3, 1.0)).k3;
        prop_assert!(if reference == new { k3 == 0.0 } else { k3 > 0.0 }, "{}", k3);
    }

    #[test]
    fn terms_keep_their_bounds(log_ratio in -5f64..5.0, advantage in -3f64..3.0) {
        let config = config(KlEstimator::K3, 0.0);
        let term = -surrogate(log_ratio, advantage, &config).loss;
        let plain = log_ratio.exp() * advantage;
        // Pessimistic: never above the plain term, save where the dual clip lifts it to 3·A.
        prop_assert!(term <= plain.max(3.0 * advantage.min(0.0)) + 1e-12);
        prop_assert!(term <= 1.28 * advantage.max(0.0) + 1e-12);
        prop_assert!(term >= 3.0 * advantage.min(0.0) - 1e-12);
    }
}
