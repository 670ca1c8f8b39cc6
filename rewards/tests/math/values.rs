//! Values of 400 expressions as mpmath gives them (scripts/golden/math_values.py).

use rewards::math::{Decimals, MathOptions, MathVerdict, grade};

use crate::data::table;

/// Expression, its value to 30 significant digits, and a value 10⁻¹⁴ of it away.
fn values() -> Vec<[String; 3]> {
    table("values").into_iter().map(|fields| fields.try_into().unwrap()).collect()
}

/// The first 24 digits of a decimal as the integer `⌊10ᵏ value⌋`, and k.
fn leading_digits(value: &str) -> (String, i64) {
    let negative = value.starts_with('-');
    let (whole, decimals) = value.trim_start_matches('-').split_once('.').unwrap();
    let digits = format!("{whole}{decimals}");
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let number: i128 = digits[zeros..zeros + 24].parse().unwrap();
    let shift = i64::try_from(zeros + 24).unwrap() - i64::try_from(whole.len()).unwrap();
    (if negative { -number - 1 } else { number }.to_string(), shift)
}

#[test]
fn expressions_have_the_values_mpmath_gives_them() {
    let options = MathOptions::default();
    let values = values();
    assert!(values.len() >= 300);
    for [expression, value, near] in values {
        let (digits, shift) = leading_digits(&value);
        let scaled = format!("\\left\\lfloor 10^{{{shift}}}\\left({expression}\\right)\\right\\rfloor");
        let found = grade(&digits, &scaled, &options);
        assert_eq!(found.verdict, MathVerdict::Correct, "{scaled} {digits} {found:?}");
        let (digits, _) = leading_digits(&near);
        let found = grade(&digits, &scaled, &options);
        assert_eq!(found.verdict, MathVerdict::Wrong, "{scaled} {digits} {found:?}");
    }
}

#[test]
fn a_decimal_is_what_rounds_to_it_where_that_is_asked_for() {
    let rounded = MathOptions { decimals: Decimals::Rounded, ..MathOptions::default() };
    for [expression, value, _] in values() {
        let found = grade(&value, &expression, &rounded);
        assert_eq!(found.verdict, MathVerdict::Correct, "{expression} {value} {found:?}");
    }
}

#[test]
fn thirty_digits_are_not_the_number_unless_rounding_is_allowed() {
    for [expression, value, _] in values() {
        for (gold, answer) in [(&value, &expression), (&expression, &value)] {
            let found = grade(gold, answer, &MathOptions::default());
            assert_eq!(found.verdict, MathVerdict::Wrong, "{gold} {answer} {found:?}");
        }
    }
}

#[test]
fn two_expressions_are_equal_where_their_values_are() {
    let mut values = values();
    let size = |text: &str| text.parse::<f64>().unwrap();
    values.sort_by(|a, b| size(&a[1]).total_cmp(&size(&b[1])));
    for (i, [gold, value, _]) in values.iter().enumerate() {
        for [answer, other, _] in values.iter().skip(i).take(8) {
            for (gold, answer) in [(gold, answer), (answer, gold)] {
                let found = grade(gold, answer, &MathOptions::default());
                let wanted = if value == other { MathVerdict::Correct } else { MathVerdict::Wrong };
                assert_eq!(found.verdict, wanted, "{gold} {answer} {found:?}");
            }
        }
    }
}
