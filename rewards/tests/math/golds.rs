//! The expected answers of the public math sets, graded as answers to themselves and to each other.

use std::collections::BTreeMap;

use rewards::math::{Gold, Grade, MathOptions, MathVerdict, grade};

use crate::data::golds;

/// At most one of so many expected answers is prose, or LaTeX that is at fault.
const MOST_UNDERSTOOD: usize = 45;

/// The exact value of an integer, a decimal or a fraction of integers, read by rules of this test alone.
fn rational(text: &str) -> Option<(i128, i128)> {
    let text = text.trim().trim_matches('$').trim();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let fraction = text.strip_prefix("\\frac{").or_else(|| text.strip_prefix("\\dfrac{"));
    let (top, bottom) = match fraction {
        Some(rest) => {
            let (top, bottom) = rest.strip_suffix('}')?.split_once("}{")?;
            (decimal(top)?, decimal(bottom)?)
        }
        None => (decimal(text)?, (1, 1)),
    };
    let (top, bottom) = (top.0.checked_mul(bottom.1)?, top.1.checked_mul(bottom.0)?);
    if bottom == 0 {
        return None;
    }
    let common = gcd(top, bottom).max(1);
    Some((if negative { -top / common } else { top / common }, bottom / common))
}

fn decimal(text: &str) -> Option<(i128, i128)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{decimals}");
    let plain = !digits.is_empty() && digits.len() < 18 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { Some((digits.parse().ok()?, 10_i128.pow(u32::try_from(decimals.len()).ok()?))) } else { None }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

#[test]
fn every_gold_equals_itself() {
    let options = MathOptions::default();
    let mut sets: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut failures = Vec::new();
    for gold in golds() {
        let [total, not_understood] = sets.entry(gold.set).or_default();
        *total += 1;
        *not_understood += usize::from(!Gold::new(&gold.text, &options).is_understood());
        for options in [options, MathOptions::lenient()] {
            let found = grade(&gold.text, &gold.text, &options);
            if found.verdict != MathVerdict::Correct {
                failures.push(format!("{}\t{:?}\t{found:?}", gold.set, gold.text));
            }
        }
    }
    for (set, [total, not_understood]) in &sets {
        println!("{set}: {total} different expected answers, of {not_understood} only the same text is right");
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    let [total, not_understood] = sets.values().fold([0, 0], |sum, set| [sum[0] + set[0], sum[1] + set[1]]);
    assert!(
        not_understood * MOST_UNDERSTOOD <= total,
        "{not_understood} of {total} expected answers are not understood"
    );
}

#[test]
fn numbers_are_equal_where_their_values_are() {
    let options = MathOptions::default();
    let mut numbers: Vec<(String, (i128, i128))> =
        golds().into_iter().filter_map(|gold| rational(&gold.text).map(|value| (gold.text, value))).collect();
    numbers.sort();
    numbers.dedup();
    // A stride that is prime to the length visits partners of every kind.
    for (i, (gold, value)) in numbers.iter().enumerate() {
        for step in [1, 7, 101, 1009] {
            let (answer, other) = &numbers[(i + step) % numbers.len()];
            let found = grade(gold, answer, &options);
            let wanted = if value == other { MathVerdict::Correct } else { MathVerdict::Wrong };
            assert_eq!(found.verdict, wanted, "{gold} {answer} {found:?}");
        }
    }
    println!("{} numbers", numbers.len());
}

#[test]
fn verdicts_do_not_depend_on_threads_or_repetition() {
    let pairs: Vec<(String, String)> = {
        let golds = golds();
        let texts: Vec<String> = golds.into_iter().step_by(7).map(|gold| gold.text).collect();
        let partners = texts.iter().skip(1).chain(texts.first()).cloned().collect::<Vec<_>>();
        texts.into_iter().zip(partners).collect()
    };
    let all = || -> Vec<Grade> {
        let both =
            |(a, b): &(String, String)| [grade(a, b, &MathOptions::default()), grade(a, a, &MathOptions::lenient())];
        pairs.iter().flat_map(both).collect()
    };
    let once = all();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(all)).collect();
        for thread in threads {
            assert!(thread.join().unwrap() == once);
        }
    });
}

#[test]
fn numbers_are_equal_both_ways() {
    let options = MathOptions::default();
    let golds: Vec<String> = golds().into_iter().map(|gold| gold.text).collect();
    for (i, a) in golds.iter().enumerate().step_by(5) {
        let b = &golds[(i * 31 + 17) % golds.len()];
        if rational(a).is_some() || rational(b).is_some() {
            let (there, back) = (grade(a, b, &options).verdict, grade(b, a, &options).verdict);
            let equal = MathVerdict::Correct;
            assert_eq!(there == equal, back == equal, "{a} {b}");
        }
    }
}
