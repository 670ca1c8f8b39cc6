use super::same;
use crate::math::budget::Budget;
use crate::math::formula::Formulas;
use crate::math::reading::Reading;
use crate::math::seed::Seed;

fn verdict(gold: &str, answer: &str, inequalities: bool) -> Option<bool> {
    let mut formulas = Formulas { seed: Seed::of(gold, answer), budget: Budget::new() };
    let outcome = same(&mut formulas, &Reading::of(gold).node, &Reading::of(answer).node, inequalities);
    outcome.map(|outcome| outcome.is_same())
}

#[test]
fn sets_of_numbers_are_compared_by_their_members() {
    for (gold, answer, expected) in [
        (r"(-\infty,0)\cup(0,\infty)", r"\mathbb{R}\setminus\{0\}", true),
        (r"[0,1)\cup[1,2]", "[0,2]", true),
        (r"[0,1)\cup(1,2]", "[0,2]", false),
        (r"(0,3)\cap(1,5)", "(1,3)", true),
        (r"[1,2]\cup\{3\}", r"\{3\}\cup[1,2]", true),
        (r"(\sqrt2,\pi)", r"(\frac{2}{\sqrt2},\pi)", true),
        ("(0,1)", "(0,1]", false),
        (r"\{x\mid x\ge 2\}", r"[2,\infty)", true),
    ] {
        assert_eq!(verdict(gold, answer, false), Some(expected), "{gold}, {answer}");
    }
}

#[test]
fn inequalities_are_sets_only_where_they_may_be() {
    assert_eq!(verdict("x<3", r"(-\infty,3)", false), None);
    assert_eq!(verdict("x<3", r"(-\infty,3)", true), Some(true));
    assert_eq!(verdict("1<x\\le 3", "(1,3]", true), Some(true));
    assert_eq!(verdict("x<3", "y<3", true), Some(false));
    assert_eq!(verdict("(2,2)", "(1,1)", true), None);
    assert_eq!(verdict("(5,2)", r"\emptyset", true), None);
    assert_eq!(verdict("(a,b)", "(a,b)", true), None);
}
