//! Pairs of an expected answer and an answer, with the verdict a careful teacher gives, one table for each kind of
//! answer in `cases/`.
//!
//! A line holds the expected answer, the answer, and the verdict under [`MathOptions::default`]; where
//! [`MathOptions::lenient`] differs, its verdict follows. Verdicts are `correct`, `wrong`, `not` (wrong or undecided)
//! and `any`. The tables were written from mathematics alone, before the grader was there.

use rewards::math::{MathOptions, grade};

use crate::data::{Case, Wanted, cases, folder};

/// Kinds of answers, in the order of the documentation; each has a table of this name.
const KINDS: [&str; 44] = [
    "integers",
    "thousands",
    "decimals",
    "repeating",
    "fractions",
    "mixed_numbers",
    "negatives",
    "scientific",
    "percentages",
    "currency",
    "units",
    "degrees",
    "times",
    "ratios",
    "powers_roots",
    "constants",
    "logs",
    "trig",
    "factorials",
    "floors",
    "complex",
    "plus_minus",
    "infinity",
    "sets",
    "intervals",
    "tuples",
    "matrices",
    "equations",
    "inequalities",
    "assignments",
    "systems",
    "functions",
    "families",
    "expressions",
    "bases",
    "choices",
    "words",
    "latex_noise",
    "unicode",
    "wrapped",
    "sequences",
    "integrals",
    "number_sets",
    "attacks",
];

#[test]
fn every_kind_has_its_cases_and_as_many_negatives_as_positives() {
    let (mut right, mut not_right) = (0, 0);
    for kind in KINDS {
        let cases = cases(kind);
        assert!(cases.len() >= 20, "{kind}: {} cases", cases.len());
        right += cases.iter().filter(|case| case.training == Wanted::Correct).count();
        not_right += cases.iter().filter(|case| case.training != Wanted::Correct).count();
    }
    println!("{right} right answers, {not_right} others");
    assert!(right + not_right >= 600 && not_right >= right, "{right} right answers, {not_right} others");
}

#[test]
fn training_grades_as_a_careful_teacher() {
    judge(|case| case.training, &MathOptions::default());
}

#[test]
fn lenient_grades_as_leaderboards_do() {
    judge(|case| case.lenient, &MathOptions::lenient());
}

/// Grades every case and lists all that come out otherwise than wanted.
fn judge(wanted: impl Fn(&Case) -> Wanted, options: &MathOptions) {
    let mut failures = Vec::new();
    for kind in KINDS {
        for case in cases(kind) {
            let found = grade(&case.gold, &case.answer, options);
            if !wanted(&case).is(found.verdict) {
                failures.push(format!("{kind}\t{}\t{}\twanted {:?}\t{found:?}", case.gold, case.answer, wanted(&case)));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// What the grader is known not to do. A right answer in this table is not yet seen to be right; should it be, the line
/// moves to the table of its kind. Nothing wrong may ever be taken for right, so no such line can stand here.
#[test]
fn known_gaps_are_still_gaps() {
    for case in cases("unsupported") {
        let found = grade(&case.gold, &case.answer, &MathOptions::default());
        assert!(Wanted::Not.is(found.verdict), "no longer a gap: {} {} {found:?}", case.gold, case.answer);
    }
}

#[test]
fn tables_are_all_listed() {
    let listed: Vec<String> = KINDS.iter().map(|kind| format!("{kind}.tsv")).collect();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = ["unsupported.tsv", "values.tsv"].contains(&name.as_str());
        assert!(known || listed.contains(&name), "{name}");
    }
}
