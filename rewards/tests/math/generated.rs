//! Generated answers, rewritten and perturbed.

mod expressions;
mod lists;
mod numbers;
mod oracle;

use proptest::prelude::*;
use rewards::math::{MathOptions, MathVerdict, grade};

/// `a x + b` as people write it.
pub(super) fn linear(a: i64, b: i64, x: &str) -> String {
    let head = match a {
        1 => x.to_owned(),
        -1 => format!("-{x}"),
        _ => format!("{a}{x}"),
    };
    match b {
        0 => head,
        b if b < 0 => format!("{head}{b}"),
        b => format!("{head}+{b}"),
    }
}

pub(super) fn nonzero(bound: i64) -> impl Strategy<Value = i64> {
    (1..=bound, any::<bool>()).prop_map(|(n, negative)| if negative { -n } else { n })
}

/// Wants `answers` right and `others` not, for one expected answer.
pub(super) fn hold(gold: &str, answers: &[String], others: &[String]) -> Result<(), TestCaseError> {
    let options = MathOptions::default();
    for answer in answers {
        let found = grade(gold, answer, &options);
        prop_assert!(found.verdict == MathVerdict::Correct, "{gold} should be {answer}: {found:?}");
    }
    for answer in others {
        let found = grade(gold, answer, &options);
        prop_assert!(found.verdict != MathVerdict::Correct, "{gold} should not be {answer}: {found:?}");
    }
    Ok(())
}
