use proptest::prelude::*;

use super::*;

fn judged(correct: &[bool], answers: &[&str]) -> Judged {
    let answer = |text: &&str| (!text.is_empty()).then(|| text.to_string());
    Judged { correct: correct.to_vec(), answers: answers.iter().map(answer).collect() }
}

#[test]
fn pass_at_k_by_hand() {
    // 4 completions, 1 right: two draws miss it with chance 3/4 · 2/3 = 1/2.
    assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
    assert!((pass_at_k(4, 1, 2).unwrap() - 0.5).abs() < 1e-15);
    assert_eq!(pass_at_k(4, 1, 4), Some(1.0));
    // 5 completions, 2 right: C(3, 2) / C(5, 2) = 3/10.
    assert!((pass_at_k(5, 2, 2).unwrap() - 0.7).abs() < 1e-15);
    assert_eq!(pass_at_k(5, 2, 4), Some(1.0));
    assert_eq!(pass_at_k(8, 0, 8), Some(0.0));
    assert_eq!(pass_at_k(8, 8, 1), Some(1.0));
    for impossible in [(4, 1, 5), (0, 0, 1), (4, 1, 0), (3, 4, 2)] {
        assert_eq!(pass_at_k(impossible.0, impossible.1, impossible.2), None, "{impossible:?}");
    }
}

#[test]
fn which_k_are_reported() {
    assert_eq!(reported_k(8), [1, 2, 4, 8]);
    assert_eq!(reported_k(6), [1, 2, 4, 6]);
    assert_eq!(reported_k(1), [1]);
    assert_eq!(reported_k(0), [0; 0]);
}

#[test]
fn pass_at_1_is_the_share_of_right_completions() {
    let problems = [judged(&[true, false, false, false], &["1"; 4]), judged(&[true; 4], &["1"; 4])];
    assert_eq!(mean_pass_at_k(&problems, 1), Some(0.625));
    assert_eq!(mean_pass_at_k(&[], 1), None);
    // A problem short of scored completions leaves pass@4, not pass@1.
    let short = [problems[0].clone(), judged(&[true, true], &["1"; 2])];
    assert_eq!(mean_pass_at_k(&short, 1), Some(0.625));
    assert_eq!(mean_pass_at_k(&short, 4), Some(1.0));
    assert_eq!(mean_pass_at_k(&short, 8), None);
}

#[test]
fn the_majority_votes() {
    let cases: [(&[bool], &[&str], bool); 7] = [
        (&[false, true, true], &["3", "4", "4"], true),
        (&[true, false, false], &["4", "3", "3"], false),
        // A tie goes to the answer that came first.
        (&[true, false, true, false], &["4", "3", "4", "3"], true),
        (&[false, true, true, false], &["3", "4", "4", "3"], false),
        // Those without an answer do not vote.
        (&[false, false, false, true], &["", "", "", "4"], true),
        (&[false, false], &["", ""], false),
        (&[], &[], false),
    ];
    for (correct, answers, expected) in cases {
        assert_eq!(majority_is_right(&judged(correct, answers)), expected, "{answers:?}");
    }
    let problems = [judged(&[true], &["4"]), judged(&[false], &["3"]), judged(&[], &[])];
    assert_eq!(mean_majority(&problems), Some(0.5));
    assert_eq!(mean_majority(&problems[2..]), None);
}

/// Share of all subsets of `k` of the completions that hold a right one.
fn enumerated(correct: &[bool], k: usize) -> f64 {
    let (mut subsets, mut passed) = (0, 0);
    for subset in 0_u32..1 << correct.len() {
        if subset.count_ones() as usize == k {
            subsets += 1;
            passed += u32::from((0..correct.len()).any(|i| subset >> i & 1 == 1 && correct[i]));
        }
    }
    f64::from(passed) / f64::from(subsets)
}

proptest! {
    #[test]
    fn pass_at_k_is_what_counting_gives(correct in prop::collection::vec(any::<bool>(), 1..=10)) {
        let c = correct.iter().filter(|one| **one).count();
        for k in 1..=correct.len() {
            let estimate = pass_at_k(correct.len(), c, k).unwrap();
            prop_assert!((estimate - enumerated(&correct, k)).abs() < 1e-12, "k = {}", k);
        }
    }

    #[test]
    fn pass_at_k_grows_with_k_and_with_c(n in 1_usize..200, c in 0_usize..200) {
        let c = c.min(n);
        let of = |c: usize, k: usize| pass_at_k(n, c, k).unwrap();
        prop_assert!((of(c, 1) - c as f64 / n as f64).abs() < 1e-12);
        for k in 1..=n {
            prop_assert!((0.0..=1.0).contains(&of(c, k)));
            prop_assert!(k == n || of(c, k) <= of(c, k + 1) + 1e-12);
            prop_assert!(c == n || of(c, k) <= of(c + 1, k) + 1e-12);
        }
    }
}
