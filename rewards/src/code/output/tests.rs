use proptest::prelude::*;

use super::*;

fn same(expected: &str, got: &str, rules: OutputRules) -> bool {
    compare(expected.as_bytes(), got.as_bytes(), rules).is_ok()
}

#[test]
fn tokens_are_what_contests_compare() {
    let rules = OutputRules::default();
    for (expected, got, right) in [
        ("1 2\n3\n", "1 2\n3", true),
        ("1 2\n3\n", "  1\n2 3  \r\n\n", true),
        ("", "\n \n", true),
        ("YES", "YES", true),
        ("YES", "yes", false),
        ("5", "5", true),
        ("5", "5.0", false),
        ("5", "05", false),
        ("010", "10", false),
        ("2.50", "2.5", true),
        ("2.5", "2.50000", true),
        ("5.0", "5", true),
        ("-0.0", "0", true),
        (".5", "0.5", true),
        ("1e3", "1000", true),
        ("0.1", "0.10000000000000000001", false),
        ("0.30", "0.30000000000000004", false),
        ("12.5", "125", false),
        ("1 2 3", "1 2", false),
        ("1 2", "1 2 3", false),
        ("nan", "nan", true),
        ("inf", "1e999", false),
        ("1.5", "NaN", false),
        ("1.0e5", "100000.00", true),
    ] {
        assert_eq!(same(expected, got, rules), right, "{expected:?} {got:?}");
    }
    assert!(compare(b"a", b"\xff", rules).is_err());
    assert_eq!(compare(b"1 2", b"1 3", rules).unwrap_err(), "token 2: expected `2`, got `3`");
    assert_eq!(compare(b"1 2", b"1", rules).unwrap_err(), "token 2: expected `2`, got nothing more");
}

#[test]
fn a_problem_may_leave_case_and_decimals_open() {
    let rules = OutputRules { any_case: true, ..OutputRules::default() };
    assert!(same("YES\nNO", "yes No", rules));
    assert!(!same("YES", "YE", rules));
    let rules = OutputRules { tolerance: Some(Tolerance { rel: 1e-6, abs: 1e-6 }), ..OutputRules::default() };
    assert!(same("3.1415926536", "3.14159", rules));
    assert!(!same("3.1415926536", "3.1415", rules));
    assert!(same("0", "0.0000000", rules));
    assert!(same("1000000000.0", "1000000900", rules));
    assert!(!same("1.0", "nan", rules));
    assert!(!same("1.0", "one", rules));
}

#[test]
fn lines_and_bytes() {
    let lines = OutputRules { layout: Layout::Lines, ..OutputRules::default() };
    assert!(same("1 2\n3\n", "1  2 \n3\n\n", lines));
    assert!(!same("1 2\n3\n", "1 2 3\n", lines));
    assert!(!same("1\n", "1\n2\n", lines));
    assert_eq!(compare(b"1\n2", b"1\n3", lines).unwrap_err(), "line 2, token 1: expected `2`, got `3`");
    let exact = OutputRules { layout: Layout::Exact, ..OutputRules::default() };
    assert!(same(" *\n***\n", " *  \n***", exact));
    assert!(!same(" *\n***\n", "*\n***\n", exact));
    assert!(!same("2.50", "2.5", exact));
}

fn digits() -> impl Strategy<Value = (String, f64)> {
    (any::<bool>(), 0..10_000_u32, 0..1000_u32, 0..4_usize).prop_map(|(negative, whole, part, zeros)| {
        let text = format!("{}{whole}.{part:03}{}", if negative { "-" } else { "" }, "0".repeat(zeros));
        let value = text.parse().unwrap();
        (text, value)
    })
}

proptest! {
    #[test]
    fn never_panics(a in any::<Vec<u8>>(), b in any::<Vec<u8>>(), numbers in "[-0-9.eE \n]{0,20}") {
        for layout in [Layout::Tokens, Layout::Lines, Layout::Exact] {
            let rules = OutputRules { layout, ..OutputRules::default() };
            let _ = compare(&a, &b, rules);
            prop_assert!(compare(&a, &a, rules).is_ok());
            prop_assert!(compare(numbers.as_bytes(), numbers.as_bytes(), rules).is_ok());
            let _ = compare(numbers.as_bytes(), &a, rules);
        }
    }

    /// With few digits floats tell decimals apart exactly, so they are the oracle.
    #[test]
    fn decimals_are_equal_by_value((a, x) in digits(), (b, y) in digits()) {
        prop_assert_eq!(same(&a, &b, OutputRules::default()), x == y, "{} {}", a, b);
        let again = format!("{}00", a);
        prop_assert!(same(&a, &again, OutputRules::default()));
    }
}
