use proptest::prelude::*;

use super::*;

#[test]
fn an_epoch_shows_each_sequence_once_in_an_order_of_its_own() {
    let mut batches = Batches::new(vec![10; 30], 7, 50);
    let epoch = |batches: &mut Batches, first: u64| -> Vec<usize> {
        (first..first + 6).flat_map(|step| batches.batch(step)).collect()
    };
    let (first, second) = (epoch(&mut batches, 1), epoch(&mut batches, 7));
    assert_ne!(first, second);
    for mut order in [first, second] {
        order.sort_unstable();
        assert_eq!(order, (0..30).collect::<Vec<_>>());
    }
    assert_eq!(batches.epoch(), 1);
}

#[test]
fn a_batch_ends_where_its_tokens_are_reached_and_holds_at_least_one_sequence() {
    let mut batches = Batches::new(vec![30, 40, 50], 1, 60);
    for step in 1..20 {
        let batch = batches.batch(step);
        let total: usize = batch.iter().map(|&i| [30, 40, 50][i]).sum();
        let last = [30, 40, 50][batch[batch.len() - 1]];
        assert!(total >= 60 && total - last < 60, "{batch:?}");
    }
    assert_eq!(Batches::new(vec![500], 1, 60).batch(3), [0]);
}

#[test]
fn sequences_are_packed_apart_with_their_learned_tokens_as_targets() {
    let sequences = [
        Sequence { tokens: vec![5, 6, 7], mask: vec![false, false, true] },
        Sequence { tokens: vec![8, 9], mask: vec![false, true] },
    ];
    let (packed, targets) = pack(&sequences);
    assert_eq!(packed.tokens, [5, 6, 8]);
    assert_eq!(packed.positions, [0, 1, 0]);
    assert_eq!(packed.segments.len(), 2);
    assert_eq!((targets.rows, targets.tokens), (vec![1, 2], vec![7, 9]));
}

proptest! {
    #[test]
    fn a_batch_is_a_function_of_the_step(
        lengths in prop::collection::vec(1_usize..90, 1..40),
        seed in any::<u64>(),
        batch_tokens in 1_usize..200,
        step in 1_u64..12,
    ) {
        let mut in_order = Batches::new(lengths.clone(), seed, batch_tokens);
        let all: Vec<_> = (1..=step).map(|step| in_order.batch(step)).collect();
        let mut alone = Batches::new(lengths, seed, batch_tokens);
        prop_assert_eq!(&alone.batch(step), &all[all.len() - 1]);
        prop_assert_eq!(&alone.batch(1), &all[0]);
    }

    #[test]
    fn cuts_keep_order_and_limit(lengths in prop::collection::vec(1_usize..50, 0..40), limit in 1_usize..120) {
        let runs = cut(&lengths, limit);
        let joined: Vec<usize> = runs.iter().cloned().flatten().collect();
        prop_assert_eq!(joined, (0..lengths.len()).collect::<Vec<_>>());
        for run in runs {
            prop_assert!(run.len() == 1 || lengths[run].iter().sum::<usize>() <= limit);
        }
    }
}
