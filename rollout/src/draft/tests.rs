use super::*;
use crate::sampling::SamplingConfig;
use model::philox::{Purpose, Stream};

fn draft(drafts: &Drafts, sample: usize, most: usize) -> Vec<u32> {
    drafts.draft(sample).take(most).collect()
}

#[test]
fn a_draft_is_what_mostly_followed_the_same_tokens() {
    let mut drafts = Drafts::new(&[1, 2, 3, 4, 5, 1, 2], 2);
    assert_eq!(draft(&drafts, 0, 3), [3, 4, 5], "`5 1 2` is new, `1 2` stood in the prompt");
    assert_eq!(draft(&drafts, 0, 7), [3, 4, 5, 1, 2, 3, 4], "what repeats itself is taken to go on");

    for token in [7, 8, 9, 6] {
        drafts.push(0, token);
    }
    assert_eq!(draft(&drafts, 1, 9), [7, 8, 9, 6], "`5 1 2` is now what a sibling had, and ends where it does");
    drafts.push(1, 8);
    assert!(draft(&drafts, 1, 4).is_empty(), "nobody had `2 8`");
    drafts.push(1, 9);
    assert_eq!(draft(&drafts, 1, 4), [6], "`2 8 9` is new, `8 9` is the sibling's");
}

#[test]
fn the_most_frequent_token_is_drafted_and_the_last_of_equals() {
    for (siblings, most) in [([5, 5, 6], 5), ([6, 5, 5], 5), ([5, 6, 6], 6)] {
        let mut drafts = Drafts::new(&[1, 2], 4);
        siblings.into_iter().enumerate().for_each(|(sample, token)| drafts.push(sample, token));
        assert_eq!(draft(&drafts, 3, 1), [most]);
    }
    let mut drafts = Drafts::new(&[1, 2], 3);
    [5, 6].into_iter().enumerate().for_each(|(sample, token)| drafts.push(sample, token));
    assert_eq!(draft(&drafts, 2, 1), [6]);
}

#[test]
fn short_prompts_have_no_drafts() {
    for prompt in [&[][..], &[5], &[5, 6]] {
        let mut drafts = Drafts::new(prompt, 1);
        assert!(draft(&drafts, 0, 4).is_empty());
        drafts.push(0, 5);
        assert!(draft(&drafts, 0, 4).is_empty());
    }
}

#[test]
fn a_tally_without_drafts_has_no_shares() {
    let mut tally = DraftTally::default();
    assert_eq!((tally.accepted(), tally.tokens_per_step()), (None, None));
    tally += DraftTally { steps: 3, ..DraftTally::default() };
    assert_eq!((tally.accepted(), tally.tokens_per_step()), (None, Some(1.0)));
    tally += DraftTally { drafted: 8, stood: 2, steps: 1, ..DraftTally::default() };
    assert_eq!((tally.accepted(), tally.tokens_per_step()), (Some(0.25), Some(1.5)));
}

/// With p and q that overlap by 0.80, argmaxes under the same noise agree a little less often than rejection sampling would
/// let a draft stand: token v is both with probability 1 / Σ_w max(p_w / p_v, q_w / q_v), here 0.753 in all.
#[test]
fn keyed_draws_agree_a_little_less_than_rejection_sampling() {
    let p = [0f32; 8];
    let q: [f32; 8] = std::array::from_fn(|i| 0.920942 * (3.0 * i as f32).sin());
    let sampling = SamplingConfig::default();
    assert!((sampling.overlap(&p, &q) - 0.80).abs() < 1e-6);
    let n = 40_000;
    let agree = (0..n).filter(|&i| {
        let stream = Stream::new(5, Purpose::Sample, 0, i, 0);
        sampling.draw(&p, &stream, 3) == sampling.draw(&q, &stream, 3)
    });
    let share = agree.count() as f64 / n as f64;
    // Two standard deviations of the share are 0.0043.
    assert!((share - 0.753).abs() < 0.0065, "{share}");

    let cold = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    assert_eq!([cold.overlap(&q, &q), cold.overlap(&p, &q)], [1.0, 0.0]);
    let cut = SamplingConfig { top_k: 1, ..SamplingConfig::default() };
    assert_eq!(cut.overlap(&q, &q), 1.0);
}
