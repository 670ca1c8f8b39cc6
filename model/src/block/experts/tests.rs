use crate::block::KeptFeedForward;
use crate::config::Dtype;
use crate::packed::Packed;
use crate::policy::Policy;
use crate::policy::tests::{SPARSE, golden, half, named, read_golden};
use tch::Tensor;

/// What the router of each layer chose for `n` tokens, and by which weights: `[S, N, k]`, in the order of the experts.
fn routes(policy: &Policy, ids: &Tensor) -> (Vec<i32>, Vec<f32>) {
    let mut packed = Packed::default();
    for row in 0..ids.size()[0] {
        packed.push(&Vec::<i64>::try_from(ids.get(row)).unwrap());
    }
    let (mut chosen, mut weights) = (Vec::new(), Vec::new());
    policy.stream(&packed, |_, _, kept| {
        let KeptFeedForward::Experts(kept) = &kept.feed_forward else { return };
        let k = policy.config().experts.as_ref().unwrap().n_chosen;
        for row in 0..packed.len() {
            let at = row * k..(row + 1) * k;
            chosen.extend(kept.routing.chosen[at.clone()].iter().map(|&expert| expert as i32));
            weights.extend_from_slice(&kept.routing.weights[at]);
        }
    });
    (chosen, weights)
}

/// In f32 every token goes to the experts that transformers sends it to, by its weights.
#[test]
fn tokens_go_where_transformers_sends_them() {
    for family in SPARSE {
        let (policy, tensors) = golden(family);
        let (chosen, weights) = routes(&policy, named(&tensors, "ids"));
        let flat = |name: &str| named(&tensors, name).reshape([-1]);
        assert_eq!(chosen, Vec::<i32>::try_from(flat("experts")).unwrap(), "{family}");
        let expected = Vec::<f32>::try_from(flat("routing_weights")).unwrap();
        assert_eq!(weights.len(), expected.len(), "{family}");
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * expected.max(1.0), "{family}: {found}, not {expected}");
        }
    }
}

/// In bf16 no more tokens leave the experts of f32 than do in transformers.
#[test]
fn bf16_keeps_as_many_tokens_with_their_experts() {
    for family in SPARSE {
        let tensors = golden(family).1;
        let policy = half(family);
        assert_eq!(policy.dtype(), Dtype::Bf16);
        let (chosen, _) = routes(&policy, named(&tensors, "ids"));
        let read = |name: &str| Vec::<i32>::try_from(named(&tensors, name).reshape([-1])).unwrap();
        let (expected, theirs) = (read("experts"), read("experts_bf16"));
        let k = policy.config().experts.as_ref().unwrap().n_chosen;
        let moved = |found: &[i32]| found.chunks(k).zip(expected.chunks(k)).filter(|(a, b)| a != b).count();
        let (ours, theirs) = (moved(&chosen), moved(&theirs));
        assert!(ours <= theirs, "{family}: {ours} tokens moved, in transformers {theirs}");
    }
}

/// Where the last expert chosen leads by more than bf16 rounds scores, tokens go where they go in f32.
#[test]
fn bf16_changes_no_clear_choice() {
    for family in SPARSE {
        let tensors = read_golden(family, "bf16");
        let ids = named(&tensors, "ids");
        assert_eq!(routes(&half(family), ids).0, routes(&golden(family).0, ids).0, "{family}");
    }
}
