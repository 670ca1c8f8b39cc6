use dashu::rational::RBig;

use super::rational;
use crate::math::budget::Budget;
use crate::math::reading::Reading;

fn value(text: &str) -> Option<RBig> {
    rational(&Reading::of(text).node, &mut Budget::new())
}

#[test]
fn constants_have_their_exact_values() {
    let table = [
        (r"\frac{1}{3}+\frac{1}{6}", (1, 2)),
        ("0.1+0.2", (3, 10)),
        ("8^{2/3}", (4, 1)),
        (r"\sqrt[3]{-27}", (-3, 1)),
        (r"\sqrt{\frac{4}{9}}", (2, 3)),
        ("(-2)^{-3}", (-1, 8)),
        ("5!", (120, 1)),
        ("7!!", (105, 1)),
        (r"\binom{10}{3}", (120, 1)),
        (r"\lfloor -3.5\rfloor", (-4, 1)),
        (r"\gcd(12, 18)", (6, 1)),
        (r"\max(1, 3, 2)", (3, 1)),
        ("1011_2", (11, 1)),
        ("0.11_2", (3, 4)),
        (r"50\%", (1, 2)),
    ];
    for (text, (top, bottom)) in table {
        assert_eq!(value(text), Some(RBig::from_parts(top.into(), u64::into(bottom))), "{text}");
    }
}

#[test]
fn what_is_irrational_undefined_or_huge_has_none() {
    for text in [r"\sqrt2", r"\pi", "x", "1/0", "0^0", "2^{100000}", "(10^9)!", r"\sqrt{-4}", "9^{9^{9^9}}", r"\ln 1"] {
        assert_eq!(value(text), None, "{text}");
    }
    let mut spent = Budget::new();
    while spent.take(1).is_ok() {}
    assert_eq!(rational(&Reading::of("1+1").node, &mut spent), None);
}
