use super::Ball;
use crate::math::real::Real;
use dashu::rational::RBig;
use proptest::prelude::*;

fn holds(ball: Option<Ball>, exact: f64) {
    let ball = ball.expect("a value");
    // The reference is itself rounded.
    assert!((ball.middle - exact).abs() <= ball.error + exact.abs() * f64::EPSILON, "{ball:?} for {exact}");
}

proptest! {
    #[test]
    fn results_lie_within_their_errors(a in -1e3..1e3_f64, b in 0.001..1e3_f64) {
        let (x, y) = (Ball { middle: a, error: 1e-9 }, Ball { middle: b, error: 1e-9 });
        for (da, db) in [(0.0, 0.0), (9e-10, 9e-10), (-9e-10, 9e-10), (9e-10, -9e-10)] {
            let (p, q) = (a + da, b + db);
            holds(x.plus(&y), p + q);
            holds(x.times(&y), p * q);
            holds(x.over(&y), p / q);
            holds(y.sqrt(), q.sqrt());
            holds(y.ln(), q.ln());
            holds(x.arctan(), p.atan());
            holds(x.sin_cos().map(|(sin, _)| sin), p.sin());
            holds(x.times(&Ball { middle: 0.01, error: 0.0 }).and_then(|s| s.exp()), (p * 0.01).exp());
        }
    }
}

#[test]
fn integers_stay_exact_and_thirds_do_not() {
    let of = |top: i64, bottom: u64| Ball::ratio(&RBig::from_parts(top.into(), bottom.into()), ()).expect("small");
    assert_eq!(of(3, 1).plus(&of(4, 1)), Some(Ball { middle: 7.0, error: 0.0 }));
    assert_eq!(of(3, 1).times(&of(-4, 1)), Some(Ball { middle: -12.0, error: 0.0 }));
    assert!(of(1, 3).error > 0.0);
    assert_eq!(of(7, 1).floor().map(|f| f.middle), Some(7.0));
    assert!(of(1, 3).times(&of(3, 1)).and_then(|one| one.floor()).is_none());
    assert!(of(1, 1).over(&of(0, 1)).is_none());
}
