use proptest::prelude::*;

use super::*;

#[test]
fn counts_runs_of_words() {
    let table = [
        ("", 3, 0.0),
        ("one two", 3, 0.0),
        ("one two three", 3, 0.0),
        ("the cat saw the dog", 2, 0.0),
        ("first we add two, then we take three", 2, 0.0),
        ("a b a b", 2, -1.0 / 3.0),
        ("a b a b a b", 2, -3.0 / 5.0),
        ("The cat. the CAT.", 2, -2.0 / 5.0),
        ("no no no no no", 1, -4.0 / 5.0),
        ("wait wait wait wait", 3, -1.0 / 2.0),
        ("!!!!!", 2, -3.0 / 4.0),
        ("7 + 7 = 14", 3, 0.0),
        ("我们先加再减", 2, 0.0),
        ("等等等等等", 2, -3.0 / 4.0),
        ("我们我们我们", 2, -3.0 / 5.0),
    ];
    for (text, n, want) in table {
        let value = score(text, n).value.unwrap();
        assert!((value - want).abs() < 1e-12, "{text:?} by {n}: {value}");
    }
}

#[test]
fn a_repetition_without_spaces_is_one() {
    for text in ["a".repeat(300), "ha".repeat(300), "3".repeat(300), "-".repeat(300), "啊".repeat(300)] {
        assert!(score(&text, 4).value.unwrap() < -0.95, "{text}");
    }
}

proptest! {
    #[test]
    fn stays_within_bounds(text in any::<String>(), wordy in "(ab |ab|!|我|1 ){0,40}", n in 0_usize..9) {
        for text in [&text, &wordy] {
            let value = score(text, n).value.unwrap();
            prop_assert!(value > -1.0 && value <= 0.0, "{}", value);
        }
    }

    /// Text said twice never scores above the text said once.
    #[test]
    fn saying_it_again_never_pays(text in "([a-e]{1,3} ){1,30}", n in 1_usize..5) {
        let twice = format!("{text}{text}");
        prop_assert!(score(&twice, n).value <= score(&text, n).value);
    }
}
