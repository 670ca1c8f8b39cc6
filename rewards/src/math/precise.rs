//! Binary floating point of hundreds of bits with its error, for the last word on numbers that look the same.

use std::cmp::Ordering;

use dashu::base::{Abs, BitTest, Sign};
use dashu::float::FBig;
use dashu::float::round::mode::Zero;
use dashu::integer::IBig;
use dashu::rational::RBig;

use super::fixed::Fixed;
use super::real::Real;

type Float = FBig<Zero, 2>;

/// A number within 2^`error` of `middle`.
#[derive(Debug, Clone)]
pub(crate) struct Precise {
    middle: Float,
    /// Binary logarithm of the error; `EXACT` for none.
    error: i64,
    bits: usize,
}

const EXACT: i64 = i64::MIN / 4;
/// Binary logarithms of numbers beyond which they count as too large or small.
const LARGEST: i64 = 1 << 40;

impl Precise {
    /// The binary logarithm of the magnitude, rounded up; `EXACT` for zero.
    fn size(&self) -> i64 {
        size(&self.middle)
    }

    fn made(middle: Float, error: i64, bits: usize, exactly: bool) -> Option<Self> {
        let middle = middle.with_precision(bits).value();
        let size = size(&middle);
        if size > LARGEST || (size != EXACT && size < -LARGEST) || error > LARGEST {
            return None;
        }
        let rounding = if exactly || size == EXACT { EXACT } else { size - bits as i64 + 1 };
        let error = error.max(rounding);
        let error = if error <= EXACT { EXACT } else { error + 1 };
        Some(Self { middle, error, bits })
    }

    /// Whether two numbers are the same as far as is known, and enough is known: half the bits carried.
    pub(crate) fn agrees(&self, other: &Self) -> Option<bool> {
        let error = self.error.max(other.error);
        let difference = size(&(&self.middle - &other.middle));
        if error <= EXACT {
            return Some(difference == EXACT);
        }
        if difference > error + 2 {
            return Some(false);
        }
        let scale = self.size().max(other.size());
        let scale = if scale > error + 8 { scale } else { 0 };
        (error <= scale - self.bits as i64 / 2).then_some(true)
    }

    /// The number in fixed point with so many bits behind the point.
    fn fixed(&self, bits: usize) -> Option<IBig> {
        let (significand, exponent) = self.middle.clone().into_repr().into_parts();
        let shift = i64::try_from(exponent).ok()? + bits as i64;
        if shift > 1 << 14 {
            return None;
        }
        Some(if shift >= 0 { significand << shift as usize } else { shifted_down(significand, shift.unsigned_abs()) })
    }

    fn from_fixed(value: IBig, bits: usize, error: i64, precision: usize) -> Option<Self> {
        let middle = Float::from_parts(value, -(bits as isize));
        Self::made(middle, error.max(3 - bits as i64), precision, false)
    }
}

fn shifted_down(value: IBig, shift: u64) -> IBig {
    if shift > value.bit_len() as u64 { IBig::ZERO } else { value >> shift as usize }
}

fn size(value: &Float) -> i64 {
    let repr = value.repr();
    if repr.significand().is_zero() {
        return EXACT;
    }
    repr.exponent() as i64 + repr.significand().bit_len() as i64
}

impl Real for Precise {
    const CHEAP: u32 = 15;
    type Precision = usize;

    fn ratio(value: &RBig, bits: usize) -> Option<Self> {
        let top = Float::from(value.numerator().clone()).with_precision(bits).value();
        if value.is_int() {
            let exactly = value.numerator().bit_len() <= bits;
            return Self::made(top, EXACT, bits, exactly);
        }
        let bottom = Float::from(IBig::from(value.denominator().clone())).with_precision(bits).value();
        let quotient = top / bottom;
        let error = size(&quotient) - bits as i64 + 3;
        Self::made(quotient, error, bits, false)
    }

    fn point(value: f64, bits: usize) -> Self {
        let middle = Float::try_from(value).unwrap_or(Float::ZERO).with_precision(bits).value();
        Self { middle, error: EXACT, bits }
    }

    fn pi(bits: usize) -> Self {
        let fixed = Fixed::new(bits + 16);
        let middle = Float::from_parts(fixed.pi(), -(fixed.bits as isize)).with_precision(bits).value();
        Self { middle, error: 4 - bits as i64, bits }
    }

    fn negated(&self) -> Self {
        Self { middle: -self.middle.clone(), error: self.error, bits: self.bits }
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        let (a, b) = (self.size(), other.size());
        // Adding numbers of very different size would write out all digits between them.
        if a != EXACT && b != EXACT && (a - b).abs() > 4 * self.bits as i64 {
            let (large, small) = if a > b { (self, b) } else { (other, a) };
            return Self::made(
                large.middle.clone(),
                large.error.max(small).max(self.error).max(other.error),
                self.bits,
                false,
            );
        }
        Self::made(&self.middle + &other.middle, self.error.max(other.error), self.bits, false)
    }

    fn times(&self, other: &Self) -> Option<Self> {
        if self.size() + other.size() > LARGEST {
            return None;
        }
        let error = (self.size() + other.error).max(other.size() + self.error).max(self.error + other.error);
        let error = if self.error <= EXACT && other.error <= EXACT { EXACT } else { error.max(EXACT) + 2 };
        Self::made(&self.middle * &other.middle, error, self.bits, false)
    }

    fn over(&self, other: &Self) -> Option<Self> {
        let size = other.size();
        if size == EXACT || (other.error > EXACT && size - 2 <= other.error) {
            return None;
        }
        let quotient = &self.middle / &other.middle;
        let own = self.error - size + 2;
        let theirs =
            if other.error <= EXACT { EXACT } else { self::size(&quotient).max(EXACT) + other.error - size + 2 };
        let error = own.max(theirs).max(EXACT);
        let error = if self.error <= EXACT && other.error <= EXACT { EXACT } else { error + 1 };
        Self::made(quotient, error, self.bits, false)
    }

    fn sqrt(&self) -> Option<Self> {
        let size = self.size();
        if size == EXACT && self.error <= EXACT {
            return Some(self.clone());
        }
        let certain = self.error <= EXACT || size - 2 > self.error;
        if certain {
            if self.middle.sign() == Sign::Negative {
                return None;
            }
            use dashu::base::SquareRoot;
            let root = self.middle.sqrt();
            let error = if self.error <= EXACT { EXACT } else { self.error - size / 2 + 2 };
            return Self::made(root, error, self.bits, false);
        }
        let most = size.max(self.error) + 1;
        Self::made(Float::ZERO, most / 2 + 1, self.bits, true)
    }

    fn exp(&self) -> Option<Self> {
        if self.size() > 20 || self.error > -4 {
            return None;
        }
        let fixed = Fixed::new(self.bits + 48);
        let (mantissa, exponent) = fixed.exp(&self.fixed(fixed.bits)?)?;
        let middle = Float::from_parts(mantissa, exponent as isize - fixed.bits as isize);
        let size = size(&middle);
        let error = size + if self.error <= EXACT { -(self.bits as i64) } else { self.error + 1 };
        Self::made(middle, error.max(size - self.bits as i64), self.bits, false)
    }

    fn ln(&self) -> Option<Self> {
        let size = self.size();
        if size == EXACT || self.middle.sign() == Sign::Negative || (self.error > EXACT && size - 2 <= self.error) {
            return None;
        }
        let fixed = Fixed::new(self.bits + 48);
        // The number as 2^size times one from a half to one.
        let (significand, _) = self.middle.clone().into_repr().into_parts();
        let length = significand.bit_len();
        let mantissa = if length <= fixed.bits {
            significand << (fixed.bits - length)
        } else {
            significand >> (length - fixed.bits)
        };
        let value = fixed.ln(&mantissa)? + fixed.ln2() * IBig::from(size);
        let error = if self.error <= EXACT { EXACT } else { self.error - size + 2 };
        Self::from_fixed(value, fixed.bits, error.max(-(self.bits as i64) - 8), self.bits)
    }

    fn sin_cos(&self) -> Option<(Self, Self)> {
        let size = self.size();
        if size > 64 || self.error > -4 {
            return None;
        }
        let fixed = Fixed::new(self.bits + 48 + usize::try_from(size.max(0)).ok()?);
        let (sin, cos) = fixed.sin_cos(&self.fixed(fixed.bits)?);
        let error = self.error.max(size.max(0) + 8 - fixed.bits as i64);
        Some((
            Self::from_fixed(sin, fixed.bits, error, self.bits)?,
            Self::from_fixed(cos, fixed.bits, error, self.bits)?,
        ))
    }

    fn arctan(&self) -> Option<Self> {
        let size = self.size();
        if size == EXACT && self.error <= EXACT {
            return Some(self.clone());
        }
        if size > 200 {
            return None;
        }
        let fixed = Fixed::new(self.bits + 48 + usize::try_from(size.max(0)).ok()?);
        let value = fixed.arctan(&self.fixed(fixed.bits)?)?;
        Self::from_fixed(value, fixed.bits, self.error.max(8 - fixed.bits as i64), self.bits)
    }

    fn sign(&self) -> Option<Ordering> {
        let size = self.size();
        if size == EXACT {
            return (self.error <= EXACT).then_some(Ordering::Equal);
        }
        if self.error > EXACT && size - 2 <= self.error {
            return None;
        }
        Some(if self.middle.sign() == Sign::Negative { Ordering::Less } else { Ordering::Greater })
    }

    fn either(&self, other: &Self) -> Option<Self> {
        let gap = size(&(&self.middle - &other.middle));
        Self::made(self.middle.clone(), gap.max(self.error).max(other.error), self.bits, false)
    }

    fn floor(&self) -> Option<Self> {
        if self.size() > self.bits as i64 / 2 {
            return None;
        }
        let low = self.middle.floor();
        if self.error > EXACT {
            // The middle must be further from both neighbours than the error.
            let above = &self.middle - &low;
            let below = &low + Float::ONE - &self.middle;
            if size(&above) - 1 <= self.error + 1 || size(&below) - 1 <= self.error + 1 {
                return None;
            }
        }
        Some(Self { middle: low.with_precision(self.bits).value(), error: EXACT, bits: self.bits })
    }

    fn approximate(&self) -> f64 {
        let size = self.size();
        if size > 1000 {
            return f64::INFINITY * self.middle.signum().to_f64().value();
        }
        if size < -1000 {
            0.0
        } else {
            self.middle.clone().abs().to_f64().value() * if self.middle.sign() == Sign::Negative { -1.0 } else { 1.0 }
        }
    }

    fn dear(bits: usize) -> u32 {
        if bits <= 256 { 500 } else { 3500 }
    }
}

#[cfg(test)]
mod tests;
