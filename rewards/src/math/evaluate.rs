//! The value of a formula at a point.

mod elementary;

use std::cmp::Ordering;

use dashu::base::{BitTest, Signed, UnsignedAbs};
use dashu::integer::UBig;
use dashu::rational::RBig;

use super::budget::{Budget, Exhausted};
use super::complex::Complex;
use super::exact;
use super::real::Real;
use super::seed::Seed;
use super::tree::{Constant, Function, Node};

/// Why a formula has no value at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hole {
    /// It is not defined there, or not as a real number.
    Undefined,
    /// It is too large, or not known well enough.
    Unknown,
    /// The verdict's steps are spent.
    Exhausted,
}

impl From<Exhausted> for Hole {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

type Value<R> = Result<Complex<R>, Hole>;

/// Values of the variables, and how to compute with them.
pub(crate) struct Place<'a, R: Real> {
    pub(crate) variables: &'a [(&'a str, f64)],
    pub(crate) precision: R::Precision,
    /// Whether roots and logarithms of negative numbers have values.
    pub(crate) complex: bool,
    pub(crate) budget: &'a mut Budget,
}

fn known<T>(value: Option<T>) -> Result<T, Hole> {
    value.ok_or(Hole::Unknown)
}

impl<R: Real> Place<'_, R> {
    fn point(&self, value: f64) -> Complex<R> {
        Complex::real(R::point(value, self.precision))
    }

    fn ratio(&self, value: &RBig) -> Value<R> {
        Ok(Complex::real(known(R::ratio(value, self.precision))?))
    }

    fn dear(&mut self) -> Result<(), Hole> {
        Ok(self.budget.take(R::dear(self.precision))?)
    }

    /// The value of a tree without relations, lists and the like.
    pub(crate) fn value(&mut self, node: &Node) -> Value<R> {
        self.budget.take(R::CHEAP)?;
        match node {
            Node::Number(number) => self.ratio(&number.value),
            Node::Based(..) => {
                let value = exact::rational(node, self.budget).ok_or(Hole::Unknown)?;
                self.ratio(&value)
            }
            Node::Constant(Constant::Pi) => Ok(Complex::real(R::pi(self.precision))),
            Node::Constant(Constant::E) => {
                self.dear()?;
                known(self.point(1.0).exp())
            }
            Node::Constant(Constant::I) => Ok(self.point(1.0).turned(self.precision)),
            Node::Symbol(name) => {
                let value = self.variables.iter().find(|(own, _)| *own == &**name).map(|(_, value)| *value);
                Ok(self.point(value.ok_or(Hole::Unknown)?))
            }
            Node::Infinity => Err(Hole::Undefined),
            Node::Negative(inner) => Ok(self.value(inner)?.negated()),
            Node::Sum(terms) => {
                let mut total = self.point(0.0);
                for term in terms {
                    total = known(total.plus(&self.value(term)?))?;
                }
                Ok(total)
            }
            Node::Product(factors) => {
                let mut total = self.point(1.0);
                for factor in factors {
                    total = known(total.times(&self.value(factor)?))?;
                }
                Ok(total)
            }
            Node::Quotient(top, bottom) => {
                let (top, bottom) = (self.value(top)?, self.value(bottom)?);
                top.over(&bottom).ok_or(Hole::Undefined)
            }
            Node::Percent(inner) => known(self.value(inner)?.over(&self.point(100.0))),
            Node::Degrees(inner) => {
                let radian = known(R::pi(self.precision).over(&R::point(180.0, self.precision)))?;
                known(self.value(inner)?.times(&Complex::real(radian)))
            }
            Node::Power(base, exponent) => self.power(base, exponent),
            Node::Root(index, radicand) => self.root(index, radicand),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Opaque(name, arguments) => self.opaque(name, arguments),
            Node::Text(text) => Ok(self.point(1.0 + Seed::of("", text).share())),
            _ => Err(Hole::Unknown),
        }
    }

    fn power(&mut self, base: &Node, exponent: &Node) -> Value<R> {
        let Some(exponent) = exact::rational(exponent, self.budget) else {
            if matches!(base, Node::Constant(Constant::E)) {
                let exponent = self.value(exponent)?;
                self.dear()?;
                return known(exponent.exp());
            }
            let (base, exponent) = (self.value(base)?, self.value(exponent)?);
            // (−1)^n at an integer point.
            if exponent.im.is_none() {
                let whole = exponent.re.approximate();
                if whole.fract() == 0.0 && whole.abs() < 1e6 {
                    return self.integer_power(&base, &UBig::from(whole.abs() as u64), whole < 0.0);
                }
            }
            return self.general_power(&base, &exponent);
        };
        let value = self.value(base)?;
        let times = exponent.numerator().clone().unsigned_abs();
        let index = exponent.denominator();
        if index.is_one() {
            return self.integer_power(&value, &times, exponent.is_negative());
        }
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let few = index <= 12 && times.bit_len() <= 12;
        let positive = value.im.is_none() && value.re.sign() == Some(Ordering::Greater);
        if !few && (positive || self.complex || index.is_multiple_of(2)) {
            let exponent = self.ratio(&exponent)?;
            return self.general_power(&value, &exponent);
        }
        let root = self.real_root(&value, index)?;
        self.integer_power(&root, &times, exponent.is_negative())
    }

    fn integer_power(&mut self, base: &Complex<R>, times: &UBig, inverse: bool) -> Value<R> {
        let bits = times.bit_len();
        if bits > 64 {
            return Err(Hole::Unknown);
        }
        let mut total: Option<Complex<R>> = None;
        for bit in (0..bits).rev() {
            self.budget.take(2 * R::CHEAP)?;
            if let Some(so_far) = &total {
                total = Some(known(so_far.times(so_far))?);
            }
            if times.bit(bit) {
                total = Some(match &total {
                    Some(so_far) => known(so_far.times(base))?,
                    None => base.clone(),
                });
            }
        }
        let total = total.unwrap_or_else(|| self.point(1.0));
        if inverse { self.point(1.0).over(&total).ok_or(Hole::Undefined) } else { Ok(total) }
    }

    fn general_power(&mut self, base: &Complex<R>, exponent: &Complex<R>) -> Value<R> {
        let logarithm = self.ln(base)?;
        self.dear()?;
        known(known(logarithm.times(exponent))?.exp())
    }

    fn ln(&mut self, value: &Complex<R>) -> Value<R> {
        if !self.complex && value.re.sign() != Some(Ordering::Greater) {
            return Err(Hole::Undefined);
        }
        self.dear()?;
        self.dear()?;
        value.ln(self.precision).ok_or(Hole::Undefined)
    }

    fn root(&mut self, index: &Node, radicand: &Node) -> Value<R> {
        let value = self.value(radicand)?;
        match exact::rational(index, self.budget)
            .as_ref()
            .and_then(exact::integer)
            .and_then(|n| usize::try_from(n).ok())
        {
            Some(index @ 1..=1000) => self.real_root(&value, index),
            _ => {
                let index = self.value(index)?;
                let exponent = self.point(1.0).over(&index).ok_or(Hole::Undefined)?;
                self.general_power(&value, &exponent)
            }
        }
    }

    /// The root that is a real number where there is one: of a negative number too where the index is odd. Else the
    /// principal one.
    fn real_root(&mut self, value: &Complex<R>, index: usize) -> Value<R> {
        if index == 1 {
            return Ok(value.clone());
        }
        let negative = value.im.is_none() && value.re.sign() == Some(Ordering::Less);
        if negative && index.is_multiple_of(2) && !self.complex {
            return Err(Hole::Undefined);
        }
        if index == 2 {
            self.budget.take(2 * R::CHEAP)?;
            return known(value.sqrt(self.precision));
        }
        if negative && index % 2 == 1 {
            return Ok(self.real_root(&value.negated(), index)?.negated());
        }
        if value.im.is_none() && value.re.sign() == Some(Ordering::Equal) {
            return Ok(value.clone());
        }
        let share = self.ratio(&RBig::from_parts(1.into(), index.into()))?;
        self.general_power(value, &share)
    }

    fn call(&mut self, function: Function, arguments: &[Node]) -> Value<R> {
        if let Some(value) = self.counted(function, arguments)? {
            return Ok(value);
        }
        let [first, rest @ ..] = arguments else {
            return Err(Hole::Undefined);
        };
        let x = self.value(first)?;
        match (function, rest) {
            (Function::LogBase, [argument]) => {
                let argument = self.value(argument)?;
                let top = self.ln(&argument)?;
                let bottom = self.ln(&x)?;
                top.over(&bottom).ok_or(Hole::Undefined)
            }
            (Function::Max | Function::Min, rest) => {
                let mut best = x;
                for (place, other) in rest.iter().enumerate() {
                    // The same again changes nothing, and would leave open which is larger.
                    if arguments[..=place].contains(other) {
                        continue;
                    }
                    let other = self.value(other)?;
                    let difference = known(other.minus(&best))?;
                    let wanted = if function == Function::Max { Ordering::Greater } else { Ordering::Less };
                    if difference.im.is_some() {
                        return Err(Hole::Undefined);
                    }
                    best = match difference.re.sign() {
                        Some(sign) if sign == wanted => other,
                        Some(_) => best,
                        None => Complex::real(known(best.re.either(&other.re))?),
                    };
                }
                Ok(best)
            }
            (_, []) => self.unary(function, &x),
            _ => Err(Hole::Unknown),
        }
    }

    /// Functions of integers: factorials and their kin. `None` for any other.
    fn counted(&mut self, function: Function, arguments: &[Node]) -> Result<Option<Complex<R>>, Hole> {
        use Function::*;
        if !matches!(function, Factorial | DoubleFactorial | Binomial | Permutations | Gcd | Lcm | Gamma | Mod) {
            return Ok(None);
        }
        let mut numbers = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let value = match exact::rational(argument, self.budget) {
                Some(value) => Node::Number(super::tree::Number { value, places: None }),
                None => {
                    let value = self.value(argument)?;
                    let near = value.re.approximate();
                    if near.abs() > 1e6 {
                        return Err(Hole::Unknown);
                    }
                    if value.im.is_some() || (near - near.round()).abs() > 1e-9 {
                        return Err(Hole::Undefined);
                    }
                    Node::integer(near.round() as i64)
                }
            };
            numbers.push(value);
        }
        self.budget.take(400)?;
        let natural = numbers.iter().all(|n| matches!(n, Node::Number(number) if !number.value.is_negative()));
        // Of natural numbers they have values, which may be too large to write out.
        let hole = if natural { Hole::Unknown } else { Hole::Undefined };
        let value = exact::rational(&Node::Call(function, numbers), self.budget).ok_or(hole)?;
        Ok(Some(self.ratio(&value)?))
    }

    /// A function nothing is known of stands for a cubic whose coefficients follow from its name.
    fn opaque(&mut self, name: &str, arguments: &[Node]) -> Value<R> {
        let mut total = self.point(Seed::of("", name).share());
        for (place, argument) in arguments.iter().enumerate() {
            let x = match argument {
                Node::Chain(..) | Node::List(_) | Node::Tuple(..) | Node::Set(_) | Node::Matrix(_) => {
                    return Err(Hole::Unknown);
                }
                Node::Infinity => self.point(7.0),
                _ => self.value(argument)?,
            };
            self.budget.take(8 * R::CHEAP)?;
            let mut power = x.clone();
            for degree in 1..=3 {
                let seed = Seed::of("", name).with_number((place * 4 + degree) as u64);
                let coefficient = self.point(0.25 + seed.share());
                total = known(total.plus(&known(power.times(&coefficient))?))?;
                power = known(power.times(&x))?;
            }
        }
        Ok(total)
    }
}
