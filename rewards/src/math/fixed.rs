//! Elementary functions of numbers in fixed point: an integer over 2^bits.
//!
//! Taylor series after the argument was made small, and Newton's method for the inverse functions. Results are off
//! by some units in the last places; who calls carries more bits than asked for.

use std::sync::LazyLock;

use dashu::base::{Abs, BitTest, DivEuclid, Sign};
use dashu::integer::IBig;

/// Bits to which constants are kept: more than any caller carries.
const CONSTANT_BITS: usize = 2048;

/// Arithmetic with so many bits behind the point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    pub(crate) bits: usize,
}

impl Fixed {
    pub(crate) fn new(bits: usize) -> Self {
        Self { bits }
    }

    fn one(self) -> IBig {
        IBig::ONE << self.bits
    }

    fn times(self, a: &IBig, b: &IBig) -> IBig {
        (a * b) >> self.bits
    }

    fn over(self, a: &IBig, b: &IBig) -> IBig {
        (a << self.bits) / b
    }

    /// π, by Machin's formula (1706): 16 arctan 1/5 − 4 arctan 1/239.
    pub(crate) fn pi(self) -> IBig {
        static PI: LazyLock<IBig> = LazyLock::new(|| {
            let wide = Fixed { bits: CONSTANT_BITS };
            wide.series_of_inverse(5, true) * IBig::from(16) - wide.series_of_inverse(239, true) * IBig::from(4)
        });
        &*PI >> CONSTANT_BITS.saturating_sub(self.bits)
    }

    /// ln 2 = 18 artanh 1/26 − 2 artanh 1/4801 + 8 artanh 1/8749 (Gourdon and Sebah).
    pub(crate) fn ln2(self) -> IBig {
        static LN2: LazyLock<IBig> = LazyLock::new(|| {
            let wide = Fixed { bits: CONSTANT_BITS };
            wide.series_of_inverse(26, false) * IBig::from(18) - wide.series_of_inverse(4801, false) * IBig::from(2)
                + wide.series_of_inverse(8749, false) * IBig::from(8)
        });
        &*LN2 >> CONSTANT_BITS.saturating_sub(self.bits)
    }

    /// The arc tangent, or its hyperbolic kin, of 1/n.
    fn series_of_inverse(self, n: i64, alternating: bool) -> IBig {
        let square = IBig::from(n * n);
        let mut power = self.one() / IBig::from(n);
        let mut total = power.clone();
        let mut k = 1_i64;
        while !power.is_zero() {
            power /= &square;
            let term = &power / IBig::from(2 * k + 1);
            if alternating && k % 2 == 1 {
                total -= term;
            } else {
                total += term;
            }
            k += 1;
        }
        total
    }

    /// e^x as a mantissa in fixed point and a power of two. `None` where x is huge.
    pub(crate) fn exp(self, x: &IBig) -> Option<(IBig, i64)> {
        let ln2 = self.ln2();
        let twos = x / &ln2;
        let exponent = i64::try_from(&twos).ok().filter(|e| e.abs() < 1 << 30)?;
        let reduced = x - twos * ln2;
        Some((self.exp_small(&reduced), exponent))
    }

    /// e^x for |x| < 1: halved until it is small, then squared back.
    fn exp_small(self, x: &IBig) -> IBig {
        let halvings = self.halvings();
        let wide = Self { bits: self.bits + halvings + 8 };
        let small: IBig = (x << (halvings + 8)) >> halvings;
        // e^x − 1 keeps the digits that squaring would lose.
        let mut term = small.clone();
        let mut total = small.clone();
        let mut k = 2_i64;
        while !term.is_zero() && k < 4096 {
            term = wide.times(&term, &small) / IBig::from(k);
            total += &term;
            if term.bit_len() <= 1 {
                break;
            }
            k += 1;
        }
        for _ in 0..halvings {
            total = (&total << 1) + wide.times(&total, &total);
        }
        (total + wide.one()) >> (halvings + 8)
    }

    fn halvings(self) -> usize {
        ((self.bits as f64).sqrt() * 0.8) as usize + 2
    }

    /// ln x for x from a half to one, by Newton's method on e^y (each step triples the digits).
    pub(crate) fn ln(self, x: &IBig) -> Option<IBig> {
        let near = self.to_f64(x);
        if !(0.25..=4.0).contains(&near) {
            return None;
        }
        let mut y = self.of_f64(near.ln());
        let mut known = 45;
        while known < self.bits {
            let e = self.exp_signed(&y)?;
            let step = self.over(&((x - &e) << 1), &(x + &e));
            y += step;
            known *= 3;
        }
        Some(y)
    }

    fn exp_signed(self, x: &IBig) -> Option<IBig> {
        let (mantissa, exponent) = self.exp(x)?;
        Some(if exponent >= 0 { mantissa << exponent as usize } else { mantissa >> exponent.unsigned_abs() as usize })
    }

    fn to_f64(self, x: &IBig) -> f64 {
        let kept = x >> self.bits.saturating_sub(60);
        i64::try_from(&kept).map_or(f64::INFINITY, |kept| kept as f64 / (1_u64 << 60) as f64)
    }

    fn of_f64(self, x: f64) -> IBig {
        IBig::from((x * (1_u64 << 58) as f64) as i64) << (self.bits - 58)
    }

    /// Sine and cosine of any number.
    pub(crate) fn sin_cos(self, x: &IBig) -> (IBig, IBig) {
        let half_pi: IBig = self.pi() >> 1;
        let quarters = (x + (&half_pi >> 1)).div_euclid(&half_pi);
        let reduced = x - &quarters * &half_pi;
        let (sin, cos) = self.sin_cos_small(&reduced);
        match (&quarters & IBig::from(3)).try_into().unwrap_or(0_u8) {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    /// For |x| < 1: 1 − cos of the halved argument, doubled back.
    fn sin_cos_small(self, x: &IBig) -> (IBig, IBig) {
        let halvings = self.halvings() / 2;
        let wide = Self { bits: self.bits + 2 * halvings + 16 };
        let small: IBig = (x << (2 * halvings + 16)) >> halvings;
        let square = wide.times(&small, &small);
        let mut sin_term = small.clone();
        let mut sin = small;
        let mut versine_term: IBig = &square >> 1;
        let mut versine = versine_term.clone();
        let mut k = 1_i64;
        while k < 4096 {
            sin_term = -wide.times(&sin_term, &square) / IBig::from(2 * k * (2 * k + 1));
            versine_term = -wide.times(&versine_term, &square) / IBig::from((2 * k + 1) * (2 * k + 2));
            sin += &sin_term;
            versine += &versine_term;
            if sin_term.bit_len() <= 1 && versine_term.bit_len() <= 1 {
                break;
            }
            k += 1;
        }
        for _ in 0..halvings {
            // sin 2x = 2 sin x (1 − v), v(2x) = 2 sin² x.
            let square = wide.times(&sin, &sin);
            sin = (&sin - wide.times(&sin, &versine)) << 1;
            versine = square << 1;
        }
        let shift = 2 * halvings + 16;
        (sin >> shift, (wide.one() - versine) >> shift)
    }

    /// The angle whose tangent is x, by Newton's method on sine and cosine.
    pub(crate) fn arctan(self, x: &IBig) -> Option<IBig> {
        if x.is_zero() {
            return Some(IBig::ZERO);
        }
        let negative = x.sign() == Sign::Negative;
        let x = x.clone().abs();
        if x > self.one() {
            let inverse = self.arctan(&self.over(&self.one(), &x))?;
            let angle = (self.pi() >> 1) - inverse;
            return Some(if negative { -angle } else { angle });
        }
        let mut angle = self.of_f64(self.to_f64(&x).atan());
        let mut known = 45;
        while known < self.bits {
            // tan(a + d) = x gives tan d = (x cos a − sin a) / (cos a + x sin a); d³ is below what is kept next.
            let (sin, cos) = self.sin_cos(&angle);
            let d = self.over(&(self.times(&x, &cos) - &sin), &(cos + self.times(&x, &sin)));
            let cube = self.times(&self.times(&d, &d), &d);
            angle += d - cube / IBig::from(3);
            known *= 3;
        }
        Some(if negative { -angle } else { angle })
    }
}

#[cfg(test)]
mod tests;
