use std::collections::{HashMap, HashSet};

use super::*;
use crate::data::{ProblemSet, Source};

fn sources(n_problems: u64, split: Split) -> [Source; 3] {
    [
        Source::Arithmetic(Arithmetic { n_problems, split, terms: 3, max_number: 99 }),
        Source::Countdown(Countdown { n_problems, split, n_numbers: 4, max_number: 50 }),
        Source::Chain(Chain { n_problems, split, operations: 3 }),
    ]
}

/// The prompt with its characters sorted would be too coarse; the numbers with their signs are not.
fn key(problem: &Problem) -> Vec<String> {
    let text = problem.prompt.text().replace('-', "+-");
    let mut terms: Vec<String> = text.trim_end_matches('=').split('+').map(str::to_owned).collect();
    terms.sort();
    terms
}

#[test]
fn splits_are_disjoint_and_the_heldout_side_has_no_duplicate() {
    let pairs = sources(2000, Split::Train).into_iter().zip(sources(300, Split::Heldout));
    for (train, heldout) in pairs {
        let train = ProblemSet::open(&train, 3).unwrap();
        let heldout = ProblemSet::open(&heldout, 4).unwrap();
        assert_eq!((train.len(), heldout.len()), (2000, 300));
        let seen: HashSet<_> = train.iter().map(key).collect();
        let mut fresh = HashSet::new();
        for problem in heldout.iter() {
            assert!(!seen.contains(&key(problem)), "{problem:?}");
            assert!(fresh.insert(problem.prompt.text()), "{problem:?}");
        }
    }
}

#[test]
fn problems_are_reproducible_and_do_not_depend_on_how_many_are_made() {
    for (few, many) in sources(20, Split::Heldout).into_iter().zip(sources(60, Split::Heldout)) {
        let few = ProblemSet::open(&few, 5).unwrap();
        let many = ProblemSet::open(&many, 5).unwrap();
        assert!(few.iter().eq(many.iter().take(20)));
    }
}

#[test]
fn the_last_number_of_a_solution_is_the_answer() {
    for source in sources(500, Split::Train) {
        for problem in ProblemSet::open(&source, 6).unwrap().iter() {
            let solution = problem.columns["solution"].as_str().unwrap();
            let last = solution.rsplit('=').next().unwrap().trim();
            assert_eq!(last, problem.expected, "{problem:?}");
        }
    }
}

#[test]
fn chain_answers_are_right_and_spread_over_a_hundred_values() {
    let source = Source::Chain(Chain { n_problems: 20_000, split: Split::Train, operations: 3 });
    let set = ProblemSet::open(&source, 7).unwrap();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for problem in set.iter() {
        let text = problem.prompt.text();
        let sum: i64 =
            text.trim_end_matches('=').replace('-', "+-").split('+').map(|term| term.parse::<i64>().unwrap()).sum();
        assert_eq!(format!("{:02}", sum.rem_euclid(100)), problem.expected);
        assert_eq!(problem.columns["solution"].as_str().unwrap().lines().count(), 3);
        *counts.entry(&problem.expected).or_default() += 1;
    }
    assert_eq!(counts.len(), 100);
    // 200 expected per value, standard deviation 14.
    assert!(counts.values().all(|&n| n < 300), "{counts:?}");
}

#[test]
fn a_chain_is_written_out_step_by_step() {
    let draft = running_total(
        "chain",
        &[('+', 37), ('+', 48), ('-', 90), ('+', 7)],
        |n| format!("{n:02}"),
        |total| total.rem_euclid(100),
    );
    assert_eq!(draft.prompt, "37+48-90+07=");
    assert_eq!(draft.columns["solution"], "37+48=85\n85-90=95\n95+07=02");
    assert_eq!(draft.expected, "02");
}

#[test]
fn countdown_uses_every_number_once() {
    let [_, source, _] = sources(500, Split::Train);
    for problem in ProblemSet::open(&source, 8).unwrap().iter() {
        let mut numbers: Vec<i64> =
            problem.columns["nums"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
        let answer = problem.columns["answer"].as_str().unwrap();
        let mut used: Vec<i64> = answer
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        numbers.sort_unstable();
        used.sort_unstable();
        assert_eq!(numbers, used, "{problem:?}");
        let mut rest = answer;
        assert_eq!(operation(&mut rest).to_string(), problem.expected, "{problem:?}");
        assert_eq!(rest, "", "{problem:?}");
    }
}

/// The value of `x op y`; every inner operation is in parentheses.
fn operation(rest: &mut &str) -> i64 {
    let left = operand(rest);
    let (sign, after) = rest.trim_start().split_at(1);
    *rest = after.trim_start();
    let right = operand(rest);
    match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" if left % right == 0 => left / right,
        _ => panic!("{left} {sign} {right}"),
    }
}

fn operand(rest: &mut &str) -> i64 {
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        let value = operation(rest);
        *rest = rest.strip_prefix(')').unwrap();
        return value;
    }
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    number.parse().unwrap()
}

#[test]
fn countdown_reaches_every_size() {
    for n_numbers in 2..=8 {
        let config = Countdown { n_problems: 50, split: Split::Heldout, n_numbers, max_number: 99 };
        assert_eq!(countdown(&config, 9).unwrap().len(), 50);
    }
}

#[test]
fn a_used_up_space_and_wrong_sizes_are_errors() {
    let tiny = Arithmetic { n_problems: 50, split: Split::Heldout, terms: 2, max_number: 1 };
    let error = arithmetic(&tiny, 0).unwrap_err().to_string();
    assert!(error.contains("of 50 problems; ask for fewer"), "{error}");
    let short = Chain { n_problems: 1, split: Split::Train, operations: 2 };
    assert_eq!(chain(&short, 0).unwrap_err().to_string(), "`operations` is 2, not 3 to 64");
}
