use super::*;

fn outcome(correct: &[bool], lengths: &[usize], unscored: usize, n_cut: usize) -> Outcome {
    let answers = correct.iter().map(|right| Some(if *right { "right" } else { "wrong" }.to_owned())).collect();
    let judged = Judged { correct: correct.to_vec(), answers };
    Outcome { judged, unscored, lengths: lengths.to_vec(), n_cut, shown: None }
}

#[test]
fn numbers_by_hand() {
    let outcomes = vec![
        outcome(&[true, false, false, false], &[10, 20, 30, 40], 0, 1),
        outcome(&[true, true, true], &[10, 10, 10, 30], 1, 0),
    ];
    let of = Evaluation::of("sums", true, 4, outcomes);
    assert_eq!(of.pass_at.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
    // Two of the four draws of a pair hold the right one, and the second problem is always right.
    assert_eq!(of.pass_at_1(), Some(0.625));
    assert_eq!(of.pass_at[&2], 0.75);
    // The second problem has three scored completions: pass@4 is the first's alone.
    assert_eq!(of.pass_at[&4], 1.0);
    let numbers: BTreeMap<_, _> = of.numbers().into_iter().collect();
    assert_eq!(numbers["eval/maj@4"], 0.5);
    assert_eq!(numbers["eval/len"], 20.0);
    assert_eq!(numbers["eval/cut"], 0.125);
    assert_eq!(numbers["eval/unscored"], 1.0);
    assert_eq!(numbers["eval/prompts"], 2.0);
}

#[test]
fn keys_of_a_named_set() {
    let of = Evaluation::of("hard", false, 1, vec![outcome(&[false], &[7], 0, 1)]);
    let keys: Vec<_> = of.numbers().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["eval/hard/pass@1", "eval/hard/maj@1", "eval/hard/len", "eval/hard/cut", "eval/hard/prompts"]);
    let mut metrics = StepMetrics::new();
    of.add_to(&mut metrics);
    assert_eq!(metrics.get("eval/hard/cut"), Some(1.0));
}

#[test]
fn nothing_measured_gives_no_number() {
    assert_eq!(Evaluation::of("sums", true, 8, Vec::new()).numbers(), [("eval/prompts".to_owned(), 0.0)]);
    let unscored = Evaluation::of("sums", true, 2, vec![outcome(&[], &[5, 5], 2, 0)]);
    let keys: Vec<_> = unscored.numbers().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["eval/len", "eval/cut", "eval/unscored", "eval/prompts"]);
    assert_eq!(unscored.pass_at_1(), None);
}

#[test]
fn a_table_aligns_its_sets() {
    let sets = [
        Evaluation::of("sums", true, 2, vec![outcome(&[true, false], &[7, 9], 0, 0)]),
        Evaluation::of("harder", false, 2, vec![outcome(&[true], &[7], 1, 0)]),
    ];
    let expected = "\
set     problems    pass@1    pass@2     maj@2       len       cut  unscored
sums           1    0.5000    1.0000    1.0000         8    0.0000         –
harder         1    1.0000         –    1.0000         7    0.0000         1
";
    assert_eq!(table(&sets), expected);
}
