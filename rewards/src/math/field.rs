//! Identity of rational functions, tested at random points of the field of 2^61 − 1 elements (Schwartz and Zippel,
//! 1979 and 1980): two different ones of degree d agree at such a point with probability below d / 2^60.
//!
//! What is no rational function (a sine, a root, a power with a variable above) is given the value of a random
//! function of its arguments' values. Equal trees then stay equal; unequal values say something only where every
//! part was a rational function.

use dashu::base::{Signed, UnsignedAbs};
use dashu::integer::UBig;
use dashu::rational::RBig;

use super::budget::{Budget, Exhausted};
use super::exact;
use super::seed::Seed;
use super::tree::{Constant, Function, Node};

const P: u64 = (1 << 61) - 1;

/// An element of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element(u64);

impl Element {
    const ZERO: Self = Self(0);
    pub(crate) const ONE: Self = Self(1);

    fn add(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        Self(if sum >= P { sum - P } else { sum })
    }

    fn negated(self) -> Self {
        Self(if self.0 == 0 { 0 } else { P - self.0 })
    }

    pub(crate) fn times(self, other: Self) -> Self {
        let wide = u128::from(self.0) * u128::from(other.0);
        let low = (wide as u64) & P;
        let high = (wide >> 61) as u64;
        let sum = low + high;
        Self(if sum >= P { sum - P } else { sum })
    }

    fn raised(self, mut exponent: u64) -> Self {
        let mut base = self;
        let mut total = Self::ONE;
        while exponent > 0 {
            if exponent & 1 == 1 {
                total = total.times(base);
            }
            base = base.times(base);
            exponent >>= 1;
        }
        total
    }

    fn inverse(self) -> Option<Self> {
        (self.0 != 0).then(|| self.raised(P - 2))
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn of(value: &RBig) -> Option<Self> {
        let top = Self(remainder(&value.numerator().clone().unsigned_abs()));
        let top = if value.numerator().is_negative() { top.negated() } else { top };
        if value.is_int() {
            return Some(top);
        }
        Some(top.times(Self(remainder(value.denominator())).inverse()?))
    }
}

fn remainder(value: &UBig) -> u64 {
    value % P
}

/// Evaluation at one random point.
pub(crate) struct Point<'b> {
    pub(crate) seed: Seed,
    pub(crate) budget: &'b mut Budget,
    /// Whether all that was evaluated so far was a rational function of variables and π.
    pub(crate) rational: bool,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoValue {
    /// A division by zero, or a part that has no value at all.
    Hole,
    Exhausted,
}

impl From<Exhausted> for NoValue {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl Point<'_> {
    fn random(&self, name: &str, values: &[Element]) -> Element {
        let mut seed = self.seed.with(name);
        for value in values {
            seed = seed.with_number(value.0);
        }
        Element(seed.number() & P).reduced()
    }

    /// The value of a tree without relations, lists and the like.
    pub(crate) fn value(&mut self, node: &Node) -> Result<Element, NoValue> {
        self.budget.take(2)?;
        Ok(match node {
            Node::Number(number) => Element::of(&number.value).ok_or(NoValue::Hole)?,
            Node::Based(..) => {
                exact::rational(node, self.budget).and_then(|value| Element::of(&value)).ok_or(NoValue::Hole)?
            }
            Node::Constant(Constant::Pi) => self.random("π", &[]),
            Node::Constant(Constant::E) => {
                self.rational = false;
                self.random("e", &[])
            }
            Node::Constant(Constant::I) => {
                self.rational = false;
                self.random("i", &[])
            }
            Node::Symbol(name) => self.random(name, &[]),
            Node::Negative(inner) => self.value(inner)?.negated(),
            Node::Sum(terms) => {
                let mut total = Element::ZERO;
                for term in terms {
                    total = total.add(self.value(term)?);
                }
                total
            }
            Node::Product(factors) => {
                let mut total = Element::ONE;
                for factor in factors {
                    total = total.times(self.value(factor)?);
                }
                total
            }
            Node::Quotient(top, bottom) => {
                let bottom = self.value(bottom)?.inverse().ok_or(NoValue::Hole)?;
                self.value(top)?.times(bottom)
            }
            Node::Percent(inner) => {
                let hundredth = Element(100).inverse().ok_or(NoValue::Hole)?;
                self.value(inner)?.times(hundredth)
            }
            Node::Power(base, exponent) => self.power(base, exponent)?,
            Node::Root(index, radicand) => {
                if let Some(value) = exact::rational(node, self.budget) {
                    return Element::of(&value).ok_or(NoValue::Hole);
                }
                self.unknown("root", [&**index, &**radicand].into_iter())?
            }
            Node::Call(function, arguments) => {
                if let Some(value) = exact::rational(node, self.budget) {
                    return Element::of(&value).ok_or(NoValue::Hole);
                }
                let name = match function {
                    // These four do not care for the order of their arguments.
                    Function::Max | Function::Min | Function::Gcd | Function::Lcm => {
                        self.rational = false;
                        let mut values = arguments.iter().map(|a| self.value(a)).collect::<Result<Vec<_>, _>>()?;
                        values.sort_unstable_by_key(|value| value.0);
                        return Ok(self.random(&format!("{function:?}"), &values));
                    }
                    Function::Exp => {
                        self.rational = false;
                        let base = self.random("e", &[]);
                        let exponent = self.value(arguments.first().ok_or(NoValue::Hole)?)?;
                        return Ok(self.random("power", &[base, exponent]));
                    }
                    other => NAMES[*other as usize % NAMES.len()],
                };
                let code = *function as usize;
                self.rational = false;
                let mut values = vec![Element(code as u64)];
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                self.random(name, &values)
            }
            Node::Opaque(name, arguments) => self.unknown(name, arguments.iter())?,
            Node::Degrees(inner) => {
                let radian = Element(180).inverse().ok_or(NoValue::Hole)?.times(self.random("π", &[]));
                self.value(inner)?.times(radian)
            }
            Node::Text(text) => self.random(text, &[Element::ONE]),
            _ => return Err(NoValue::Hole),
        })
    }

    fn unknown<'n>(&mut self, name: &str, arguments: impl Iterator<Item = &'n Node>) -> Result<Element, NoValue> {
        self.rational = false;
        let values = arguments.map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.random(name, &values))
    }

    fn power(&mut self, base: &Node, exponent: &Node) -> Result<Element, NoValue> {
        if let Some(exponent) = exact::rational(exponent, self.budget)
            && let Some(times) = exact::integer(&exponent).and_then(|n| u64::try_from(n.unsigned_abs()).ok())
        {
            // A degree near the field's size would weaken the test.
            if times < 1 << 32 {
                self.budget.take(8)?;
                let raised = self.value(base)?.raised(times);
                return if exponent.is_negative() { raised.inverse().ok_or(NoValue::Hole) } else { Ok(raised) };
            }
        }
        self.unknown("power", [base, exponent].into_iter())
    }
}

/// Salt for functions of one name each; their number is mixed in besides.
const NAMES: [&str; 1] = ["call"];

impl Element {
    fn reduced(self) -> Self {
        Self(if self.0 >= P { self.0 - P } else { self.0 })
    }
}

#[cfg(test)]
mod tests;
