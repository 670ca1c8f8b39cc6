//! Machine numbers with their error: fast, and enough to tell most different numbers apart for certain.

use std::cmp::Ordering;

use dashu::rational::RBig;

use super::real::Real;

/// A number within `error` of `middle`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ball {
    pub(crate) middle: f64,
    pub(crate) error: f64,
}

/// Four units in the last place: what rounding and the system's functions together may be off by.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

fn ball(middle: f64, error: f64) -> Option<Ball> {
    let error = error * (1.0 + 4.0 * f64::EPSILON) + middle.abs() * ROUNDING + f64::MIN_POSITIVE;
    (middle.is_finite() && error.is_finite()).then_some(Ball { middle, error })
}

/// The sum or product of exact numbers where it is exact too: of integers, and of quarters.
fn exactly(a: &Ball, b: &Ball, result: f64) -> Option<Ball> {
    let short = |x: f64| (x * 4.0).fract() == 0.0 && x.abs() < 1e6;
    let exact = a.error == 0.0 && b.error == 0.0 && short(a.middle) && short(b.middle);
    exact.then_some(Ball { middle: result, error: 0.0 })
}

impl Real for Ball {
    const CHEAP: u32 = 1;
    type Precision = ();

    fn ratio(value: &RBig, (): ()) -> Option<Self> {
        let middle = value.to_f64_fast();
        let exact = value.is_int() && middle.abs() < 9e15;
        if exact { Some(Self { middle, error: 0.0 }) } else { ball(middle, middle.abs() * ROUNDING) }
    }

    fn point(value: f64, (): ()) -> Self {
        Self { middle: value, error: 0.0 }
    }

    fn pi((): ()) -> Self {
        Self { middle: std::f64::consts::PI, error: 1e-15 }
    }

    fn negated(&self) -> Self {
        Self { middle: -self.middle, error: self.error }
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        if let Some(exact) = exactly(self, other, self.middle + other.middle) {
            return Some(exact);
        }
        ball(self.middle + other.middle, self.error + other.error)
    }

    fn times(&self, other: &Self) -> Option<Self> {
        if let Some(exact) = exactly(self, other, self.middle * other.middle) {
            return Some(exact);
        }
        let error = self.middle.abs() * other.error + other.middle.abs() * self.error + self.error * other.error;
        ball(self.middle * other.middle, error)
    }

    fn over(&self, other: &Self) -> Option<Self> {
        let least = other.middle.abs() - other.error;
        if least <= 0.0 {
            return None;
        }
        let middle = self.middle / other.middle;
        ball(middle, (self.error + middle.abs() * other.error) / least)
    }

    fn sqrt(&self) -> Option<Self> {
        let least = self.middle - self.error;
        if least > 0.0 {
            let root = self.middle.sqrt();
            return ball(root, self.error / (root + least.sqrt()));
        }
        let most = self.middle + self.error;
        if most < 0.0 { None } else { ball(0.0, most.sqrt()) }
    }

    fn exp(&self) -> Option<Self> {
        if self.middle > 650.0 || self.error > 1.0 {
            return None;
        }
        let middle = self.middle.exp();
        ball(middle, middle * self.error.exp_m1())
    }

    fn ln(&self) -> Option<Self> {
        let least = self.middle - self.error;
        if least <= 0.0 {
            return None;
        }
        ball(self.middle.ln(), self.error / least + ROUNDING)
    }

    fn sin_cos(&self) -> Option<(Self, Self)> {
        if self.middle.abs() > 1e9 || self.error > 1.0 {
            return None;
        }
        let (sin, cos) = self.middle.sin_cos();
        Some((ball(sin, self.error + ROUNDING)?, ball(cos, self.error + ROUNDING)?))
    }

    fn arctan(&self) -> Option<Self> {
        ball(self.middle.atan(), self.error)
    }

    fn sign(&self) -> Option<Ordering> {
        if self.middle.abs() > self.error {
            self.middle.partial_cmp(&0.0)
        } else if self.middle == 0.0 && self.error == 0.0 {
            Some(Ordering::Equal)
        } else {
            None
        }
    }

    fn either(&self, other: &Self) -> Option<Self> {
        ball(self.middle, (self.middle - other.middle).abs() + self.error.max(other.error))
    }

    fn floor(&self) -> Option<Self> {
        let low = (self.middle - self.error).floor();
        let high = (self.middle + self.error).floor();
        (low == high && low.abs() < 9e15).then_some(Self { middle: low, error: 0.0 })
    }

    fn approximate(&self) -> f64 {
        self.middle
    }

    fn dear((): ()) -> u32 {
        3
    }
}

#[cfg(test)]
mod tests;
