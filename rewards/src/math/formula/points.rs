//! Two formulas by their values at random points of the real or complex numbers: in machine numbers, and in many digits
//! where those agree.

use super::{DIFFERENT, Formulas};
use crate::math::ball::Ball;
use crate::math::complex::Complex;
use crate::math::coordinate::{Kind, coordinate};
use crate::math::evaluate::{Hole, Place};
use crate::math::exact;
use crate::math::outcome::{Outcome, Reason, SAME};
use crate::math::precise::Precise;
use crate::math::real::Real;
use crate::math::tree::{Constant, Function, Node};

/// Points of a grid at which formulas with steps are compared.
const GRID: u64 = 40;
/// Points at which machine numbers must agree, the points tried for them, and the fewest that will do.
const POINTS: usize = 8;
const TRIES: u64 = 24;
const FEWEST: usize = 3;
/// Points at which many digits must agree, and how many bits those are.
const PRECISE_POINTS: usize = 2;
const BITS: [usize; 2] = [256, 1024];

impl Formulas {
    /// Tests at random points of the real or complex numbers.
    pub(super) fn at_points(&mut self, gold: &Node, answer: &Node, scaled: bool) -> Outcome {
        let mut names = Vec::new();
        gold.symbols(&mut names);
        answer.symbols(&mut names);
        names.sort_unstable();
        let complex = |node: &Node| {
            node.any(&|n| {
                matches!(n, Node::Constant(Constant::I) | Node::Call(Function::Arg | Function::Re | Function::Im, _))
            })
        };
        let complex = complex(gold) || complex(answer);
        let first = self.with_values(gold, answer, &names, complex, scaled);
        if first != Outcome::Open(Reason::TooFewPoints) || complex {
            return first;
        }
        let second = self.with_values(gold, answer, &names, true, scaled);
        // 42/0 is no number, and so not the one expected.
        let mut undefined = |node: &Node| {
            let mut place = Place::<Ball> { variables: &[], precision: (), complex: true, budget: &mut self.budget };
            matches!(place.value(node), Err(Hole::Undefined))
        };
        if second == Outcome::Open(Reason::TooFewPoints) && names.is_empty() && undefined(answer) != undefined(gold) {
            return DIFFERENT;
        }
        second
    }

    fn with_values(&mut self, gold: &Node, answer: &Node, names: &[&str], complex: bool, scaled: bool) -> Outcome {
        let mut agreed: Vec<Vec<(&str, f64)>> = Vec::new();
        let mut blurred: Vec<Vec<(&str, f64)>> = Vec::new();
        let mut reference = None;
        let counted = |node: &Node| {
            node.any(&|n| {
                use Function::*;
                matches!(n, Node::Call(Factorial | DoubleFactorial | Binomial | Permutations | Gcd | Lcm | Gamma, _))
            })
        };
        let stepped = |node: &Node| {
            node.any(&|n| {
                use Function::*;
                matches!(n, Node::Call(Floor | Ceiling | Mod | Sign | Max | Min, _))
            })
        };
        let stepped = stepped(gold) || stepped(answer);
        let integers = counted(gold) || counted(answer);
        let (wanted, tries) = match (names.is_empty(), stepped) {
            (true, _) => (1, 1),
            (false, false) => (POINTS, 2 * TRIES),
            // Steps are seen only where a point stands on either side of them.
            (false, true) => (usize::MAX, GRID + 2 * TRIES),
        };
        for attempt in 0..tries {
            if agreed.len() >= wanted || (attempt == TRIES && agreed.len() >= FEWEST && !stepped) {
                break;
            }
            let kind = match (stepped, integers) {
                (true, _) if attempt < GRID => Kind::Grid(names.len()),
                (true, true) => Kind::WideWhole,
                (true, false) => [Kind::WideReal, Kind::WideReal, Kind::Real, Kind::WideWhole][(attempt % 4) as usize],
                (false, true) => Kind::Whole,
                (false, false) if attempt >= TRIES => Kind::Whole,
                (false, false) => Kind::Real,
            };
            let coordinates = names.iter().enumerate();
            let variables: Vec<(&str, f64)> =
                coordinates.map(|(place, name)| (*name, coordinate(self.seed, name, place, attempt, kind))).collect();
            if agreed.contains(&variables) {
                continue;
            }
            let mut place = Place::<Ball> { variables: &variables, precision: (), complex, budget: &mut self.budget };
            let pair = place.value(gold).and_then(|a| Ok((a, place.value(answer)?)));
            match pair {
                Ok((a, b)) => {
                    let (a, b) = if scaled {
                        match cross(&a, &b, &mut reference) {
                            Some(pair) => pair,
                            None => {
                                blurred.push(variables);
                                continue;
                            }
                        }
                    } else {
                        (a, b)
                    };
                    if differ(&a, &b) {
                        return DIFFERENT;
                    }
                    agreed.push(variables);
                }
                Err(Hole::Unknown) => blurred.push(variables),
                Err(Hole::Undefined) => {}
                Err(Hole::Exhausted) => return Outcome::Open(Reason::OutOfSteps),
            }
        }
        let enough = if names.is_empty() { 1 } else { FEWEST };
        // Agreement only where values stay small says little.
        if agreed.len() >= enough && blurred.len() > 2 * agreed.len() {
            return Outcome::Open(Reason::TooImprecise);
        }
        // Where machine numbers do not reach, many digits must agree at as many points.
        let digits_at = if agreed.len() < enough { POINTS } else { PRECISE_POINTS };
        if agreed.len() < enough {
            agreed.extend(blurred);
        }
        if agreed.len() < enough {
            return Outcome::Open(Reason::TooFewPoints);
        }
        self.with_digits(gold, answer, &agreed, digits_at, complex, scaled)
    }

    /// The last word: many digits at some of the points at which machine numbers agree.
    fn with_digits(
        &mut self,
        gold: &Node,
        answer: &Node,
        points: &[Vec<(&str, f64)>],
        points_wanted: usize,
        complex: bool,
        scaled: bool,
    ) -> Outcome {
        for (bits, points_wanted) in [(BITS[0], points_wanted), (BITS[1], 1)] {
            let mut settled = 0;
            let mut reference = None;
            let points_wanted = (points_wanted + usize::from(scaled)).min(points.len());
            for variables in points {
                let mut place = Place::<Precise> { variables, precision: bits, complex, budget: &mut self.budget };
                let pair = place.value(gold).and_then(|a| Ok((a, place.value(answer)?)));
                let (a, b) = match pair {
                    Ok(pair) => pair,
                    Err(Hole::Exhausted) => return Outcome::Open(Reason::OutOfSteps),
                    Err(_) => continue,
                };
                let pair = if scaled { cross(&a, &b, &mut reference) } else { Some((a, b)) };
                match pair.and_then(|(a, b)| agree(&a, &b, bits)) {
                    Some(true) => settled += 1,
                    Some(false) => return DIFFERENT,
                    None => continue,
                }
                if settled >= points_wanted {
                    break;
                }
            }
            if settled < points_wanted {
                return Outcome::Open(Reason::TooImprecise);
            }
        }
        SAME
    }

    /// A real constant as a machine number with its error.
    pub(crate) fn approximate(&mut self, node: &Node) -> Option<Ball> {
        if let Some(value) = exact::rational(node, &mut self.budget) {
            return Real::ratio(&value, ());
        }
        let mut place = Place::<Ball> { variables: &[], precision: (), complex: false, budget: &mut self.budget };
        place.value(node).ok().filter(|value| value.im.is_none()).map(|value| value.re)
    }

    /// How far two real constants are from each other, and the size of the first, from many digits.
    pub(crate) fn gap(&mut self, a: &Node, b: &Node) -> Option<(f64, f64)> {
        let mut place =
            Place::<Precise> { variables: &[], precision: BITS[0], complex: false, budget: &mut self.budget };
        let (a, b) = (place.value(a).ok()?, place.value(b).ok()?);
        if a.im.is_some() || b.im.is_some() {
            return None;
        }
        let gap = a.re.plus(&b.re.negated())?;
        Some((gap.approximate().abs(), a.re.approximate().abs()))
    }

    /// The sign of the constant factor between two proportional formulas.
    pub(crate) fn factor_sign(&mut self, gold: &Node, answer: &Node) -> Option<bool> {
        let mut names = Vec::new();
        gold.symbols(&mut names);
        answer.symbols(&mut names);
        for attempt in 0..TRIES {
            let coordinates = names.iter().enumerate();
            let variables: Vec<(&str, f64)> = coordinates
                .map(|(place, name)| (*name, coordinate(self.seed, name, place, attempt, Kind::Real)))
                .collect();
            let mut place =
                Place::<Ball> { variables: &variables, precision: (), complex: false, budget: &mut self.budget };
            if let (Ok(a), Ok(b)) = (place.value(gold), place.value(answer))
                && let (Some(a), Some(b)) = (a.re.sign(), b.re.sign())
                && a.is_ne()
                && b.is_ne()
            {
                return Some(a == b);
            }
        }
        None
    }
}

/// Products of each with the other's value at the first point: equal where the ratio is the same.
fn cross<R: Real>(
    a: &Complex<R>,
    b: &Complex<R>,
    reference: &mut Option<(Complex<R>, Complex<R>)>,
) -> Option<(Complex<R>, Complex<R>)> {
    let (x, y) = reference.get_or_insert_with(|| (a.clone(), b.clone()));
    let certain = |z: &Complex<R>| {
        z.re.sign().is_some_and(|s| s.is_ne()) || z.im.as_ref().is_some_and(|im| im.sign().is_some_and(|s| s.is_ne()))
    };
    if !certain(x) || !certain(y) {
        *reference = None;
        return None;
    }
    Some((a.times(y)?, b.times(x)?))
}

/// Whether two machine numbers are certainly different.
fn differ(a: &Complex<Ball>, b: &Complex<Ball>) -> bool {
    let apart = |a: &Ball, b: &Ball| (a.middle - b.middle).abs() > 2.0 * (a.error + b.error);
    let zero = Ball { middle: 0.0, error: 0.0 };
    apart(&a.re, &b.re) || apart(a.im.as_ref().unwrap_or(&zero), b.im.as_ref().unwrap_or(&zero))
}

fn agree(a: &Complex<Precise>, b: &Complex<Precise>, bits: usize) -> Option<bool> {
    let re = a.re.agrees(&b.re)?;
    let zero = <Precise as Real>::point(0.0, bits);
    let im = match (&a.im, &b.im) {
        (None, None) => true,
        (x, y) => x.as_ref().unwrap_or(&zero).agrees(y.as_ref().unwrap_or(&zero))?,
    };
    Some(re && im)
}
