use dashu::rational::RBig;

use super::read;
use crate::math::token::TokenKind;

fn value(text: &str) -> Option<(RBig, usize)> {
    let found = read(text, false).ok()??;
    match found.tokens.as_slice() {
        [TokenKind::Number(literal)] => Some((literal.value.clone(), found.length)),
        _ => None,
    }
}

#[test]
fn numbers_are_read_as_far_as_they_go() {
    let table = [
        ("42 apples", (42, 1), 2),
        ("1,234,567", (1_234_567, 1), 9),
        ("1{,}000", (1000, 1), 7),
        ("1\\,000", (1000, 1), 6),
        ("12 345", (12_345, 1), 6),
        ("12,34", (12, 1), 2),
        ("1,2345", (1, 1), 1),
        ("0,123", (0, 1), 1),
        ("3.25x", (13, 4), 4),
        (".5", (1, 2), 2),
        ("0.1\\overline{6}", (1, 6), 15),
        ("0.(3)", (1, 3), 5),
        ("0.333...", (1, 3), 8),
        ("0.1212…", (4, 33), 9),
        ("5.", (5, 1), 1),
    ];
    for (text, (top, bottom), length) in table {
        assert_eq!(value(text), Some((RBig::from_parts(top.into(), u64::into(bottom)), length)), "{text}");
    }
}

#[test]
fn digits_behind_an_index_are_not_thousands() {
    let found = read("6 216", true).expect("short").expect("a number");
    assert_eq!(found.length, 1);
    assert!(read(&"9".repeat(10_000), false).is_err());
}
