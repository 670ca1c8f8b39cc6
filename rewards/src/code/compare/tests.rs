use proptest::prelude::*;

use super::*;
use Plain::{Bool, Bytes, Complex, Dict, Float, Int, List, None, Set, Str, Tuple};

fn int(whole: i64) -> Plain {
    Plain::from(whole)
}

fn big(digits: &str) -> Plain {
    Int(IBig::from_str_radix(digits, 10).unwrap())
}

fn text(text: &str) -> Plain {
    Plain::from(text)
}

const EXACT: Leeway = Leeway { json: false, any_order: false };
const JSON: Leeway = Leeway { json: true, any_order: false };
const ANY_ORDER: Leeway = Leeway { json: false, any_order: true };

/// Python's `==`, but for NaN.
#[test]
fn equal_is_what_python_says() {
    let nan = || Float(f64::NAN);
    let same = [
        (int(1), Float(1.0)),
        (int(1), Bool(true)),
        (Float(0.0), Bool(false)),
        (Float(-0.0), int(0)),
        (Float(1e22), big("10000000000000000000000")),
        (Complex(2.0, 0.0), int(2)),
        (Set(vec![int(1), int(2)]), Set(vec![Float(2.0), Bool(true)])),
        (
            Dict(vec![(text("a"), int(1)), (text("b"), int(2))]),
            Dict(vec![(text("b"), int(2)), (text("a"), Float(1.0))]),
        ),
        (List(vec![nan()]), List(vec![nan()])),
        (Float(f64::INFINITY), Float(f64::INFINITY)),
        (Bytes(vec![1, 2]), Bytes(vec![1, 2])),
        (None, None),
    ];
    for (a, b) in same {
        for (a, b) in [(&a, &b), (&b, &a)] {
            assert!(Relation::Equal(a.clone()).holds(b, EXACT), "{a:?} == {b:?}");
            assert!(!Relation::NotEqual(a.clone()).holds(b, EXACT), "{a:?} != {b:?}");
        }
    }
    let different = [
        (int(1), text("1")),
        (int(0), None),
        (text(""), None),
        (List(vec![]), Tuple(vec![])),
        (List(vec![int(1)]), Set(vec![int(1)])),
        (List(vec![int(1), int(2)]), List(vec![int(2), int(1)])),
        (Float(0.1), Float(0.1 + 1e-16)),
        (Float(1e22), big("10000000000000000000001")),
        (Float(0.5), int(0)),
        (text("a"), Bytes(b"a".to_vec())),
        (Dict(vec![(text("a"), int(1))]), Dict(vec![])),
        (Dict(vec![(int(1), int(1))]), Dict(vec![(text("1"), int(1))])),
        (Set(vec![int(1), int(2)]), Set(vec![int(1)])),
        (Complex(0.0, 1.0), int(0)),
        (Float(f64::NAN), int(0)),
        (text("a"), text("a ")),
    ];
    for (a, b) in different {
        for (a, b) in [(&a, &b), (&b, &a)] {
            assert!(!Relation::Equal(a.clone()).holds(b, EXACT), "{a:?} == {b:?}");
            assert!(Relation::NotEqual(a.clone()).holds(b, EXACT), "{a:?} != {b:?}");
        }
    }
}

#[test]
fn is_asks_for_the_type_too() {
    assert!(Relation::Is(Bool(true)).holds(&Bool(true), EXACT));
    assert!(!Relation::Is(Bool(true)).holds(&int(1), EXACT));
    assert!(Relation::Is(None).holds(&None, EXACT));
    assert!(!Relation::Is(None).holds(&Bool(false), EXACT));
    assert!(Relation::OneOf(vec![int(1), int(2)]).holds(&Float(2.0), EXACT));
    assert!(!Relation::OneOf(vec![int(1), int(2)]).holds(&int(3), EXACT));
    assert!(!Relation::OneOf(vec![]).holds(&None, EXACT));
}

#[test]
fn json_cannot_tell_a_tuple_and_order_may_be_free() {
    let tuple = Tuple(vec![int(1), Tuple(vec![int(2)])]);
    let list = List(vec![int(1), List(vec![int(2)])]);
    assert!(Relation::Equal(list.clone()).holds(&tuple, JSON));
    assert!(!Relation::Equal(list).holds(&tuple, EXACT));
    let keys = |key: Plain| Dict(vec![(key, int(5))]);
    assert!(Relation::Equal(keys(text("1"))).holds(&keys(int(1)), JSON));
    let (ab, ba) = (List(vec![text("a"), text("b")]), List(vec![text("b"), text("a")]));
    assert!(Relation::Equal(ab.clone()).holds(&ba, ANY_ORDER));
    let twice = List(vec![text("a"), text("a"), text("b")]);
    assert!(!Relation::Equal(twice).holds(&ab, ANY_ORDER));
    // Only the answer's own items move, not those of its items.
    let nested = |one: &Plain| List(vec![one.clone(), List(vec![])]);
    assert!(!Relation::Equal(nested(&ab)).holds(&nested(&ba), ANY_ORDER));
}

#[test]
fn near_lets_numbers_be_off_and_nothing_else() {
    let near =
        |expected: Plain, got: Plain| Relation::Near(expected, Tolerance { rel: 1e-3, abs: 1e-6 }).holds(&got, EXACT);
    assert!(near(Float(100.0), Float(100.09)));
    assert!(!near(Float(100.0), Float(100.2)));
    assert!(near(int(0), Float(1e-7)));
    assert!(!near(int(0), Float(1e-5)));
    assert!(near(List(vec![Float(1.0), text("a")]), List(vec![Float(1.0001), text("a")])));
    assert!(!near(List(vec![Float(1.0), text("a")]), List(vec![Float(1.0), text("b")])));
    assert!(!near(List(vec![Float(1.0)]), Tuple(vec![Float(1.0)])));
    assert!(near(Set(vec![Float(2.5), int(1)]), Set(vec![Float(1.0005), Float(2.5)])));
    assert!(near(Dict(vec![(text("a"), Float(1.5))]), Dict(vec![(text("a"), Float(1.5001))])));
    assert!(near(Complex(1.0, 1.0), Complex(1.0, 1.0005)));
    assert!(!near(Complex(1.0, 1.0), int(1)));
    assert!(near(Float(f64::INFINITY), Float(f64::INFINITY)));
    assert!(!near(Float(f64::INFINITY), Float(1e308)));
    assert!(!near(Float(1.0), Float(f64::NAN)));
    assert!(near(Float(f64::NAN), Float(f64::NAN)));
    assert!(!near(Float(1.0), text("1.0")));
}

#[test]
fn values_are_written_as_python_writes_them_and_cut() {
    let value = List(vec![Tuple(vec![int(1)]), None, Bool(true), Float(2.0), text("a"), Set(vec![])]);
    assert_eq!(written(&value, 100), "[(1,), None, True, 2.0, \"a\", set()]");
    assert_eq!(written(&Dict(vec![(text("k"), int(1))]), 100), "{\"k\": 1}");
    assert_eq!(written(&text("aaaaaaaaaa"), 4), "\"aaa…");
    let huge = Int(IBig::from(1) << 100_000);
    assert_eq!(written(&huge, 60), "<integer of 100032 bits>");
    assert!(written(&List(vec![int(7); 100_000]), 40).chars().count() <= 41);
}

fn values() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        Just(None),
        any::<bool>().prop_map(Bool),
        (-3..3_i64).prop_map(int),
        any::<i64>().prop_map(int),
        any::<f64>().prop_map(Float),
        (any::<f64>(), any::<f64>()).prop_map(|(a, b)| Complex(a, b)),
        "[ab]{0,2}".prop_map(Str),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let many = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            many().prop_map(List),
            many().prop_map(Tuple),
            many().prop_map(Set),
            prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(Dict),
        ]
    })
}

proptest! {
    #[test]
    fn equality_is_reflexive_and_symmetric(a in values(), b in values(), json in any::<bool>(), any_order in any::<bool>()) {
        let leeway = Leeway { json, any_order };
        let equal = |a: &Plain, b: &Plain| Relation::Equal(a.clone()).holds(b, leeway);
        prop_assert!(equal(&a, &a));
        prop_assert_eq!(equal(&a, &b), equal(&b, &a));
        prop_assert_eq!(equal(&a, &b), !Relation::NotEqual(a.clone()).holds(&b, leeway));
        // What is equal is near, whatever the tolerance.
        if equal(&a, &b) {
            let nothing = Tolerance { rel: 0.0, abs: 0.0 };
            prop_assert!(Relation::Near(a.clone(), nothing).holds(&b, leeway));
        }
    }

    #[test]
    fn numbers_have_one_order(a in any::<f64>(), b in any::<i64>(), c in any::<f64>()) {
        let mut keys = [Number::of(a), Number::Whole(b.into()), Number::of(c)];
        keys.sort();
        let floats: Vec<f64> = keys.iter().map(Number::float).filter(|x| !x.is_nan()).collect();
        prop_assert!(floats.windows(2).all(|pair| pair[0] <= pair[1]), "{floats:?}");
    }
}
