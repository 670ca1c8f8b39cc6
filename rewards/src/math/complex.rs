//! Complex numbers over either kind of real number.

use std::cmp::Ordering;

use super::real::Real;

/// A number whose imaginary part is `None` where it is certainly zero.
#[derive(Debug, Clone)]
pub(crate) struct Complex<R> {
    pub(crate) re: R,
    pub(crate) im: Option<R>,
}

impl<R: Real> Complex<R> {
    pub(crate) fn real(re: R) -> Self {
        Self { re, im: None }
    }

    pub(crate) fn negated(&self) -> Self {
        Self { re: self.re.negated(), im: self.im.as_ref().map(R::negated) }
    }

    pub(crate) fn conjugate(&self) -> Self {
        Self { re: self.re.clone(), im: self.im.as_ref().map(R::negated) }
    }

    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        let im = match (&self.im, &other.im) {
            (Some(a), Some(b)) => Some(a.plus(b)?),
            (Some(a), None) | (None, Some(a)) => Some(a.clone()),
            (None, None) => None,
        };
        Some(Self { re: self.re.plus(&other.re)?, im })
    }

    pub(crate) fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.negated())
    }

    pub(crate) fn times(&self, other: &Self) -> Option<Self> {
        Some(match (&self.im, &other.im) {
            (None, None) => Self::real(self.re.times(&other.re)?),
            (Some(im), None) => Self { re: self.re.times(&other.re)?, im: Some(im.times(&other.re)?) },
            (None, Some(im)) => Self { re: self.re.times(&other.re)?, im: Some(im.times(&self.re)?) },
            (Some(a), Some(b)) => Self {
                re: self.re.times(&other.re)?.plus(&a.times(b)?.negated())?,
                im: Some(self.re.times(b)?.plus(&a.times(&other.re)?)?),
            },
        })
    }

    pub(crate) fn over(&self, other: &Self) -> Option<Self> {
        if other.im.is_none() {
            let im = match &self.im {
                Some(im) => Some(im.over(&other.re)?),
                None => None,
            };
            return Some(Self { re: self.re.over(&other.re)?, im });
        }
        let norm = other.norm()?;
        let top = self.times(&other.conjugate())?;
        let im = match &top.im {
            Some(im) => Some(im.over(&norm)?),
            None => None,
        };
        Some(Self { re: top.re.over(&norm)?, im })
    }

    /// The square of the distance from zero.
    fn norm(&self) -> Option<R> {
        let square = self.re.times(&self.re)?;
        match &self.im {
            Some(im) => square.plus(&im.times(im)?),
            None => Some(square),
        }
    }

    /// The distance from zero.
    pub(crate) fn magnitude(&self) -> Option<R> {
        match (&self.im, self.re.sign()) {
            (None, Some(Ordering::Less)) => Some(self.re.negated()),
            (None, Some(_)) => Some(self.re.clone()),
            _ => self.norm()?.sqrt(),
        }
    }

    /// The angle, above −π and up to π.
    pub(crate) fn angle(&self, precision: R::Precision) -> Option<R> {
        let im = match &self.im {
            None => {
                return match self.re.sign()? {
                    Ordering::Greater => Some(R::point(0.0, precision)),
                    Ordering::Less => Some(R::pi(precision)),
                    Ordering::Equal => None,
                };
            }
            Some(im) => im,
        };
        angle(&self.re, im, precision)
    }

    pub(crate) fn exp(&self) -> Option<Self> {
        let scale = self.re.exp()?;
        match &self.im {
            None => Some(Self::real(scale)),
            Some(im) => {
                let (sin, cos) = im.sin_cos()?;
                Some(Self { re: scale.times(&cos)?, im: Some(scale.times(&sin)?) })
            }
        }
    }

    /// The principal logarithm.
    pub(crate) fn ln(&self, precision: R::Precision) -> Option<Self> {
        if self.im.is_none() && self.re.sign() == Some(Ordering::Greater) {
            return Some(Self::real(self.re.ln()?));
        }
        Some(Self { re: self.magnitude()?.ln()?, im: Some(self.angle(precision)?) })
    }

    /// The principal square root.
    pub(crate) fn sqrt(&self, precision: R::Precision) -> Option<Self> {
        let zero = || R::point(0.0, precision);
        match (&self.im, self.re.sign()) {
            (None, Some(Ordering::Less)) => Some(Self { re: zero(), im: Some(self.re.negated().sqrt()?) }),
            (None, _) => Some(Self::real(self.re.sqrt()?)),
            (Some(im), _) => {
                let half = R::point(0.5, precision);
                let magnitude = self.magnitude()?;
                let upper = magnitude.plus(&self.re)?.times(&half)?;
                let lower = magnitude.plus(&self.re.negated())?.times(&half)?;
                // The larger part first; the other follows from 2 re im.
                if self.re.sign() == Some(Ordering::Less) {
                    let tall = lower.sqrt()?;
                    let down = im.sign()? == Ordering::Less;
                    let tall = if down { tall.negated() } else { tall };
                    Some(Self { re: im.times(&half)?.over(&tall)?, im: Some(tall) })
                } else {
                    let wide = upper.sqrt()?;
                    Some(Self { im: Some(im.times(&half)?.over(&wide)?), re: wide })
                }
            }
        }
    }

    /// Multiplied by the imaginary unit.
    pub(crate) fn turned(&self, precision: R::Precision) -> Self {
        let re = self.im.as_ref().map_or_else(|| R::point(0.0, precision), R::negated);
        Self { re, im: Some(self.re.clone()) }
    }

    pub(crate) fn sin_cos(&self, precision: R::Precision) -> Option<(Self, Self)> {
        match &self.im {
            None => {
                let (sin, cos) = self.re.sin_cos()?;
                Some((Self::real(sin), Self::real(cos)))
            }
            Some(_) => {
                let up = self.turned(precision).exp()?;
                let down = self.turned(precision).negated().exp()?;
                let half = Self::real(R::point(0.5, precision));
                let cos = up.plus(&down)?.times(&half)?;
                let sin = up.minus(&down)?.times(&half)?.turned(precision).negated();
                Some((sin, cos))
            }
        }
    }
}

/// The angle of the point (re, im) that is not certainly on the axis.
pub(crate) fn angle<R: Real>(re: &R, im: &R, precision: R::Precision) -> Option<R> {
    let half_pi = || R::pi(precision).times(&R::point(0.5, precision));
    if im.approximate().abs() > re.approximate().abs() {
        let rest = re.over(im)?.arctan()?;
        let quarter = if im.sign()? == Ordering::Less { half_pi()?.negated() } else { half_pi()? };
        return quarter.plus(&rest.negated());
    }
    let rest = im.over(re)?.arctan()?;
    if re.sign()? == Ordering::Greater {
        return Some(rest);
    }
    let half_turn = R::pi(precision);
    if im.sign()? == Ordering::Less { rest.plus(&half_turn.negated()) } else { rest.plus(&half_turn) }
}
