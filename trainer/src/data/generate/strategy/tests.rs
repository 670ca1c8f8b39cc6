use std::collections::HashMap;

use super::*;
use model::philox::{Purpose, Stream};

const TERMS: [(char, i64); 5] = [('+', 37), ('+', 48), ('-', 90), ('+', 7), ('-', 16)];

#[track_caller]
fn check(strategy: Strategy, lines: &str, answer: i64) {
    assert_eq!(strategy.work(&TERMS), (lines.split(' ').map(str::to_owned).collect(), answer));
}

#[test]
fn each_strategy_works_in_its_own_way() {
    check(Strategy::Right, "37+48=85 85-90=95 95+07=02 02-16=86", 86);
    check(Strategy::MinusAsPlus, "37+48=85 85+90=75 75+07=82 82+16=98", 98);
    check(Strategy::NoCarry, "37+48=75 75-90=85 85+07=82 82-16=76", 76);
    check(Strategy::LastLost, "37+48=85 85-90=95 95+07=02", 2);
    check(Strategy::Swapped, "37+48=85 58-90=68 86+07=93 39-16=23", 23);
    check(Strategy::Stale, "37+48=85 48-90=58 90+07=97 07-16=91", 91);
}

#[test]
fn strategies_come_up_by_their_shares() {
    const DRAWS: u64 = 20_000;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for i in 0..DRAWS {
        let stream = Stream::new(1, Purpose::Problems, i, 0, 0);
        let mut position = 0;
        let strategy = Strategy::draw(0.25, |n| {
            position += 1;
            stream.below(position, n)
        });
        *counts.entry(format!("{strategy:?}")).or_default() += 1;
    }
    let total: u64 = WRONG.iter().map(|(_, share)| share).sum();
    let wrong = WRONG.map(|(strategy, share)| (strategy, 0.75 * share as f64 / total as f64));
    for (strategy, share) in wrong.into_iter().chain([(Strategy::Right, 0.25)]) {
        let found = counts[&format!("{strategy:?}")] as f64 / DRAWS as f64;
        // Five standard deviations.
        let bound = 5.0 * (share * (1.0 - share) / DRAWS as f64).sqrt();
        assert!((found - share).abs() < bound, "{strategy:?}: {found} beside {share}");
    }
}

#[test]
fn the_extremes_of_the_share_are_all_and_nothing() {
    for i in 0..1000 {
        let draw = |right| {
            let stream = Stream::new(2, Purpose::Problems, i, 0, 0);
            Strategy::draw(right, |n| stream.below(0, n))
        };
        assert_eq!(draw(1.0), Strategy::Right);
        assert_ne!(draw(0.0), Strategy::Right);
    }
}
