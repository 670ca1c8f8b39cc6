use super::Precise;
use crate::math::real::Real;
use dashu::rational::RBig;

fn of(top: i64, bottom: u64) -> Precise {
    Precise::ratio(&RBig::from_parts(top.into(), bottom.into()), 256).expect("a small ratio")
}

#[test]
fn what_is_equal_agrees_and_what_is_not_does_not() {
    let root = of(2, 1).sqrt().expect("positive");
    assert_eq!(root.times(&root).expect("small").agrees(&of(2, 1)), Some(true));
    let third = of(1, 3).plus(&of(2, 3)).expect("small");
    assert_eq!(third.agrees(&of(1, 1)), Some(true));
    let close = of(1, 1).plus(&of(1, 1 << 60)).expect("small");
    assert_eq!(close.agrees(&of(1, 1)), Some(false));
    assert_eq!(of(3, 1).ln().expect("positive").exp().expect("small").agrees(&of(3, 1)), Some(true));
    let (sin, cos) = of(1000, 7).sin_cos().expect("moderate");
    let one = sin.times(&sin).and_then(|s| s.plus(&cos.times(&cos)?)).expect("small");
    assert_eq!(one.agrees(&of(1, 1)), Some(true));
}

#[test]
fn signs_and_floors_are_told_only_where_they_are_certain() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    assert_eq!([of(-1, 3).sign(), of(0, 1).sign(), of(1, 3).sign()], [Some(Less), Some(Equal), Some(Greater)]);
    let root = of(2, 1).sqrt().expect("positive");
    let nothing = root.times(&root).and_then(|two| two.plus(&of(-2, 1))).expect("small");
    assert_eq!(nothing.sign(), None);
    assert!(root.times(&root).and_then(|two| two.floor()).is_none());
    assert_eq!(of(-7, 2).floor().map(|f| f.approximate()), Some(-4.0));
    assert!(of(1, 1).over(&nothing).is_none());
    assert!(of(-2, 1).sqrt().is_none() && of(-2, 1).ln().is_none());
}

#[test]
fn nothing_overflows() {
    let mut large = of(2, 1);
    let mut times = 0;
    while let Some(next) = large.times(&large) {
        large = next;
        times += 1;
    }
    assert!((30..60).contains(&times));
    assert!(large.exp().is_none() && large.sin_cos().is_none());
    assert!(large.plus(&of(1, 3)).is_some());
}
