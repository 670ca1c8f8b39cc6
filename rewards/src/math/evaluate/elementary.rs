//! Functions of one number.

use std::cmp::Ordering;

use super::{Hole, Place, Value, known};
use crate::math::complex::{Complex, angle};
use crate::math::real::Real;
use crate::math::tree::Function;

impl<R: Real> Place<'_, R> {
    pub(super) fn unary(&mut self, function: Function, x: &Complex<R>) -> Value<R> {
        use Function::*;
        let one = self.point(1.0);
        match function {
            Sin | Cos | Tan | Cot | Sec | Csc => {
                self.dear()?;
                let (sin, cos) = known(x.sin_cos(self.precision))?;
                let ratio = |a: &Complex<R>, b: &Complex<R>| a.over(b).ok_or(Hole::Undefined);
                match function {
                    Sin => Ok(sin),
                    Cos => Ok(cos),
                    Tan => ratio(&sin, &cos),
                    Cot => ratio(&cos, &sin),
                    Sec => ratio(&one, &cos),
                    _ => ratio(&one, &sin),
                }
            }
            Arcsin | Arccos | Arctan | Arccot | Arcsec | Arccsc => self.inverse_circular(function, x),
            Sinh | Cosh | Tanh | Coth | Sech | Csch => {
                self.dear()?;
                self.dear()?;
                let (up, down) = (known(x.exp())?, known(x.negated().exp())?);
                let half = self.point(0.5);
                let sinh = known(known(up.minus(&down))?.times(&half))?;
                let cosh = known(known(up.plus(&down))?.times(&half))?;
                let ratio = |a: &Complex<R>, b: &Complex<R>| a.over(b).ok_or(Hole::Undefined);
                match function {
                    Sinh => Ok(sinh),
                    Cosh => Ok(cosh),
                    Tanh => ratio(&sinh, &cosh),
                    Coth => ratio(&cosh, &sinh),
                    Sech => ratio(&one, &cosh),
                    _ => ratio(&one, &sinh),
                }
            }
            Arcsinh => {
                let root = known(known(known(x.times(x))?.plus(&one))?.sqrt(self.precision))?;
                let sum = known(x.plus(&root))?;
                self.ln(&sum)
            }
            Arccosh => {
                let square = known(known(x.times(x))?.minus(&one))?;
                if !self.complex && x.re.approximate() < 1.0 {
                    return Err(Hole::Undefined);
                }
                let sum = known(x.plus(&known(square.sqrt(self.precision))?))?;
                self.ln(&sum)
            }
            Arctanh => {
                let ratio = known(one.plus(x))?.over(&known(one.minus(x))?).ok_or(Hole::Undefined)?;
                known(self.ln(&ratio)?.times(&self.point(0.5)))
            }
            Exp => {
                self.dear()?;
                known(x.exp())
            }
            Ln => self.ln(x),
            Log => {
                let ten = self.point(10.0);
                let (top, bottom) = (self.ln(x)?, self.ln(&ten)?);
                known(top.over(&bottom))
            }
            Abs => Ok(Complex::real(known(x.magnitude())?)),
            Floor => self.rounded(x, false),
            Ceiling => self.rounded(x, true),
            Conjugate => Ok(x.conjugate()),
            Re => Ok(Complex::real(x.re.clone())),
            Im => Ok(Complex::real(x.im.clone().unwrap_or_else(|| R::point(0.0, self.precision)))),
            Arg => {
                self.dear()?;
                Ok(Complex::real(known(x.angle(self.precision))?))
            }
            Sign if x.im.is_none() => Ok(match known(x.re.sign())? {
                Ordering::Less => one.negated(),
                Ordering::Equal => self.point(0.0),
                Ordering::Greater => one,
            }),
            _ => Err(Hole::Unknown),
        }
    }

    pub(super) fn rounded(&mut self, x: &Complex<R>, up: bool) -> Value<R> {
        if x.im.is_some() {
            return Err(Hole::Undefined);
        }
        let value = if up { x.re.negated() } else { x.re.clone() };
        let floor = known(value.floor())?;
        Ok(Complex::real(if up { floor.negated() } else { floor }))
    }

    pub(super) fn inverse_circular(&mut self, function: Function, x: &Complex<R>) -> Value<R> {
        use Function::*;
        self.dear()?;
        self.dear()?;
        if x.im.is_some() {
            return Err(Hole::Unknown);
        }
        let one = R::point(1.0, self.precision);
        let half_pi = known(R::pi(self.precision).times(&R::point(0.5, self.precision)))?;
        let x = match function {
            Arcsec | Arccsc => one.over(&x.re).ok_or(Hole::Undefined)?,
            _ => x.re.clone(),
        };
        let value = match function {
            Arctan => known(x.arctan())?,
            Arccot => known(half_pi.plus(&known(x.arctan())?.negated()))?,
            _ => {
                // (1 − x)(1 + x) keeps the digits near the ends.
                let left = known(one.plus(&x.negated()))?;
                let right = known(one.plus(&x))?;
                let square = known(left.times(&right))?;
                if square.sign() == Some(Ordering::Less) {
                    return Err(Hole::Undefined);
                }
                let sine = known(angle(&known(square.sqrt())?, &x, self.precision))?;
                match function {
                    Arcsin | Arccsc => sine,
                    _ => known(half_pi.plus(&sine.negated()))?,
                }
            }
        };
        Ok(Complex::real(value))
    }
}
