use super::{Element, P, Point};
use crate::math::budget::Budget;
use crate::math::reading::Reading;
use crate::math::seed::Seed;

fn value(text: &str) -> (Option<Element>, bool) {
    let mut budget = Budget::new();
    let mut point = Point { seed: Seed::of("some", "seed"), budget: &mut budget, rational: true };
    (point.value(&Reading::of(text).node).ok(), point.rational)
}

#[test]
fn arithmetic_is_that_of_the_field() {
    let last = Element(P - 1);
    assert_eq!(last.times(last), Element::ONE);
    assert_eq!(last.add(Element::ONE), Element(0));
    assert_eq!(Element(12345).inverse().map(|inverse| inverse.times(Element(12345))), Some(Element::ONE));
    assert_eq!(Element(0).inverse(), None);
}

#[test]
fn equal_rational_functions_have_equal_values() {
    for (a, b) in [
        ("(x+y)^3", "x^3+3x^2y+3xy^2+y^3"),
        (r"\frac{1}{x}-\frac{1}{x+1}", r"\frac{1}{x(x+1)}"),
        (r"2\pi r\cdot r", r"2\pi r^2"),
        (r"\sin(x+1)+\sin(1+x)", r"2\sin(1+x)"),
    ] {
        assert_eq!(value(a).0, value(b).0, "{a}, {b}");
        assert!(value(a).0.is_some());
    }
    assert_ne!(value("x^2").0, value("x^3").0);
    assert_eq!(value(r"\frac{1}{x-x}").0, None);
    assert!(value(r"\frac{x^2}{3}+\pi").1);
    assert!(!value(r"\sqrt{x}").1 && !value("2^x").1);
}
