//! Exact values of constant expressions: rationals, as long as they stay small enough to write out.

use dashu::base::{Abs, BitTest, Inverse, Signed, UnsignedAbs};
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::budget::{Budget, MAX_BITS};
use super::tree::{Function, Node};

/// The largest number whose factorial is written out.
const MAX_FACTORIAL: usize = 2500;

/// The rational number a tree stands for. `None` where it is irrational, has variables, is too large to write out, or
/// the steps are spent.
pub(crate) fn rational(node: &Node, budget: &mut Budget) -> Option<RBig> {
    budget.take(3).ok()?;
    let value = match node {
        Node::Number(number) => return Some(number.value.clone()),
        Node::Based(digits, base) => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let scale = UBig::from(*base).pow(fraction.len());
            let value = UBig::from_str_radix(&format!("0{whole}{fraction}"), *base).ok()?;
            return Some(RBig::from_parts(value.into(), scale));
        }
        Node::Negative(inner) => -rational(inner, budget)?,
        Node::Sum(terms) => {
            let mut total = RBig::ZERO;
            for term in terms {
                total += rational(term, budget)?;
                small(&total, budget)?;
            }
            total
        }
        Node::Product(factors) => {
            let mut total = RBig::ONE;
            for factor in factors {
                total *= rational(factor, budget)?;
                small(&total, budget)?;
            }
            total
        }
        Node::Quotient(top, bottom) => {
            let bottom = rational(bottom, budget)?;
            if bottom.is_zero() {
                return None;
            }
            rational(top, budget)? / bottom
        }
        Node::Percent(inner) => rational(inner, budget)? / RBig::from(100),
        Node::Power(base, exponent) => power(&rational(base, budget)?, &rational(exponent, budget)?)?,
        Node::Root(index, radicand) => {
            root(&rational(radicand, budget)?, usize::try_from(integer(&rational(index, budget)?)?).ok()?)?
        }
        Node::Call(function, arguments) => call(*function, arguments, budget)?,
        _ => return None,
    };
    small(&value, budget)?;
    Some(value)
}

/// An integer's value.
pub(crate) fn integer(value: &RBig) -> Option<IBig> {
    value.is_int().then(|| value.numerator().clone())
}

/// Whether a number may be kept, for the steps that its digits cost.
fn small(value: &RBig, budget: &mut Budget) -> Option<()> {
    let bits = value.numerator().bit_len() + value.denominator().bit_len();
    let words = u32::try_from(bits / 64).unwrap_or(u32::MAX);
    budget.take(words.saturating_mul(words) / 32).ok()?;
    (bits <= MAX_BITS).then_some(())
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

fn call(function: Function, arguments: &[Node], budget: &mut Budget) -> Option<RBig> {
    match (function, arguments) {
        (Function::Abs, [x]) => Some(rational(x, budget)?.abs()),
        (Function::Conjugate | Function::Re, [x]) => rational(x, budget),
        (Function::Floor, [x]) => Some(rational(x, budget)?.floor().into()),
        (Function::Ceiling, [x]) => Some(rational(x, budget)?.ceil().into()),
        (Function::Factorial, [n]) => factorial(&natural(n, budget)?, 1, budget).map(RBig::from),
        (Function::DoubleFactorial, [n]) => factorial(&natural(n, budget)?, 2, budget).map(RBig::from),
        (Function::Gamma, [n]) => {
            let n = natural(n, budget)?;
            (!n.is_zero()).then(|| factorial(&(n - UBig::ONE), 1, budget)).flatten().map(RBig::from)
        }
        (Function::Binomial, [n, k]) => {
            let (n, k) = (natural(n, budget)?, natural(k, budget)?);
            binomial(&n, &k, budget)
        }
        .map(RBig::from),
        (Function::Permutations, [n, k]) => {
            let (n, k) = (natural(n, budget)?, natural(k, budget)?);
            Some(RBig::from(binomial(&n, &k, budget)? * factorial(&k, 1, budget)?))
        }
        (Function::Max | Function::Min, [_, ..]) => {
            let values = arguments.iter().map(|a| rational(a, budget)).collect::<Option<Vec<_>>>()?;
            if function == Function::Max { values.into_iter().max() } else { values.into_iter().min() }
        }
        (Function::Gcd | Function::Lcm, [_, ..]) => {
            use dashu::base::Gcd;
            let mut values = arguments.iter().map(|a| natural(a, budget)).collect::<Option<Vec<_>>>()?.into_iter();
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
        (Function::Sign, [x]) => Some(match rational(x, budget)? {
            x if x.is_zero() => RBig::ZERO,
            x if x.is_positive() => RBig::ONE,
            _ => -RBig::ONE,
        }),
        _ => None,
    }
}

fn natural(node: &Node, budget: &mut Budget) -> Option<UBig> {
    UBig::try_from(integer(&rational(node, budget)?)?).ok()
}

/// n (n − step) (n − 2 step) …, where it is small enough to write out.
fn factorial(n: &UBig, step: usize, budget: &mut Budget) -> Option<UBig> {
    let n = usize::try_from(n).ok().filter(|&n| n <= MAX_FACTORIAL)?;
    // A product of so many factors, the last of them with many digits.
    budget.take(u32::try_from(8 * n / step).unwrap_or(u32::MAX)).ok()?;
    let mut total = UBig::ONE;
    let mut factor = n;
    while factor > 1 {
        total *= UBig::from(factor);
        factor = factor.saturating_sub(step);
    }
    Some(total)
}

fn binomial(n: &UBig, k: &UBig, budget: &mut Budget) -> Option<UBig> {
    if k > n {
        return Some(UBig::ZERO);
    }
    let rest = n - k;
    let fewer = usize::try_from(if *k < rest { k } else { &rest }).ok().filter(|&k| k <= MAX_FACTORIAL)?;
    budget.take(u32::try_from(16 * fewer).unwrap_or(u32::MAX)).ok()?;
    if n.bit_len().checked_mul(fewer)? > MAX_BITS {
        return None;
    }
    let mut total = UBig::ONE;
    for place in 0..fewer {
        total = total * (n - UBig::from(place)) / UBig::from(place + 1);
    }
    Some(total)
}

#[cfg(test)]
mod tests;
