//! Exact values of constant expressions: rationals, as long as they stay small enough to write out.

use dashu::base::{Abs, BitTest, Inverse, Signed, UnsignedAbs};
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::budget::MAX_BITS;
use super::tree::{Function, Node};

/// The rational number a tree stands for. `None` where it is irrational, has variables, or is too large to write out.
pub(crate) fn rational(node: &Node) -> Option<RBig> {
    let value = match node {
        Node::Number(number) => return Some(number.value.clone()),
        Node::Based(digits, base) => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let scale = UBig::from(*base).pow(fraction.len());
            let value = UBig::from_str_radix(&format!("0{whole}{fraction}"), *base).ok()?;
            return Some(RBig::from_parts(value.into(), scale));
        }
        Node::Negative(inner) => -rational(inner)?,
        Node::Sum(terms) => {
            let mut total = RBig::ZERO;
            for term in terms {
                total += rational(term)?;
                small(&total)?;
            }
            total
        }
        Node::Product(factors) => {
            let mut total = RBig::ONE;
            for factor in factors {
                total *= rational(factor)?;
                small(&total)?;
            }
            total
        }
        Node::Quotient(top, bottom) => {
            let bottom = rational(bottom)?;
            if bottom.is_zero() {
                return None;
            }
            rational(top)? / bottom
        }
        Node::Percent(inner) => rational(inner)? / RBig::from(100),
        Node::Power(base, exponent) => power(&rational(base)?, &rational(exponent)?)?,
        Node::Root(index, radicand) => root(&rational(radicand)?, usize::try_from(integer(&rational(index)?)?).ok()?)?,
        Node::Call(function, arguments) => call(*function, arguments)?,
        _ => return None,
    };
    small(&value)?;
    Some(value)
}

/// An integer's value.
pub(crate) fn integer(value: &RBig) -> Option<IBig> {
    value.is_int().then(|| value.numerator().clone())
}

fn small(value: &RBig) -> Option<()> {
    (value.numerator().bit_len() + value.denominator().bit_len() <= MAX_BITS).then_some(())
}

/// A rational power with a rational value.
pub(crate) fn power(base: &RBig, exponent: &RBig) -> Option<RBig> {
    if exponent.is_zero() {
        return (!base.is_zero()).then_some(RBig::ONE);
    }
    let index = usize::try_from(exponent.denominator()).ok()?;
    let base = if index == 1 { base.clone() } else { root(base, index)? };
    if base.is_zero() {
        return exponent.is_positive().then_some(RBig::ZERO);
    }
    if base.is_one() {
        return Some(base);
    }
    let times = usize::try_from(exponent.numerator().clone().unsigned_abs()).ok()?;
    if base == -RBig::ONE {
        return Some(if times.is_multiple_of(2) { RBig::ONE } else { base });
    }
    let bits = base.numerator().bit_len().max(base.denominator().bit_len());
    if times.checked_mul(bits)? > MAX_BITS {
        return None;
    }
    let raised = base.pow(times);
    Some(if exponent.is_negative() { raised.inv() } else { raised })
}

/// The real root of a rational where it is rational.
pub(crate) fn root(radicand: &RBig, index: usize) -> Option<RBig> {
    if index == 0 || index > MAX_BITS || (radicand.is_negative() && index.is_multiple_of(2)) {
        return None;
    }
    let exact = |value: &UBig| {
        if value.is_zero() || value.is_one() {
            return Some(value.clone());
        }
        let root = value.nth_root(index);
        (root.pow(index) == *value).then_some(root)
    };
    let top = exact(&radicand.numerator().clone().unsigned_abs())?;
    let bottom = exact(radicand.denominator())?;
    let magnitude = RBig::from_parts(top.into(), bottom);
    Some(if radicand.is_negative() { -magnitude } else { magnitude })
}

fn call(function: Function, arguments: &[Node]) -> Option<RBig> {
    match (function, arguments) {
        (Function::Abs, [x]) => Some(rational(x)?.abs()),
        (Function::Conjugate | Function::Re, [x]) => rational(x),
        (Function::Floor, [x]) => Some(rational(x)?.floor().into()),
        (Function::Ceiling, [x]) => Some(rational(x)?.ceil().into()),
        (Function::Factorial, [n]) => factorial(&natural(n)?, 1).map(RBig::from),
        (Function::DoubleFactorial, [n]) => factorial(&natural(n)?, 2).map(RBig::from),
        (Function::Gamma, [n]) => {
            let n = natural(n)?;
            (!n.is_zero()).then(|| factorial(&(n - UBig::ONE), 1)).flatten().map(RBig::from)
        }
        (Function::Binomial, [n, k]) => binomial(&natural(n)?, &natural(k)?).map(RBig::from),
        (Function::Permutations, [n, k]) => {
            let (n, k) = (natural(n)?, natural(k)?);
            Some(RBig::from(binomial(&n, &k)? * factorial(&k, 1)?))
        }
        (Function::Max | Function::Min, [_, ..]) => {
            let values = arguments.iter().map(rational).collect::<Option<Vec<_>>>()?;
            if function == Function::Max { values.into_iter().max() } else { values.into_iter().min() }
        }
        (Function::Gcd | Function::Lcm, [_, ..]) => {
            use dashu::base::Gcd;
            let mut values = arguments.iter().map(natural).collect::<Option<Vec<_>>>()?.into_iter();
            let mut total = values.next()?;
            for value in values {
                if total.is_zero() && value.is_zero() {
                    return None;
                }
                let divisor = (&total).gcd(&value);
                total = if function == Function::Gcd { divisor } else { total / divisor * value };
            }
            Some(total.into())
        }
        (Function::Sign, [x]) => Some(match rational(x)? {
            x if x.is_zero() => RBig::ZERO,
            x if x.is_positive() => RBig::ONE,
            _ => -RBig::ONE,
        }),
        _ => None,
    }
}

fn natural(node: &Node) -> Option<UBig> {
    UBig::try_from(integer(&rational(node)?)?).ok()
}

/// n (n − step) (n − 2 step) …, where it is small enough to write out.
fn factorial(n: &UBig, step: usize) -> Option<UBig> {
    let n = usize::try_from(n).ok().filter(|&n| n <= 1500)?;
    let mut total = UBig::ONE;
    let mut factor = n;
    while factor > 1 {
        total *= UBig::from(factor);
        factor = factor.saturating_sub(step);
    }
    Some(total)
}

fn binomial(n: &UBig, k: &UBig) -> Option<UBig> {
    if k > n {
        return Some(UBig::ZERO);
    }
    let rest = n - k;
    let fewer = usize::try_from(if *k < rest { k } else { &rest }).ok().filter(|&k| k <= 1500)?;
    if n.bit_len().checked_mul(fewer)? > MAX_BITS {
        return None;
    }
    let mut total = UBig::ONE;
    for place in 0..fewer {
        total = total * (n - UBig::from(place)) / UBig::from(place + 1);
    }
    Some(total)
}
