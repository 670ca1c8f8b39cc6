//! Whether two formulas are equal: exactly where they are rational, by finite fields where they are rational
//! functions, else by their values at random points.

use dashu::base::BitTest;
use dashu::rational::RBig;

use super::ball::Ball;
use super::budget::Budget;
use super::complex::Complex;
use super::coordinate::{Kind, coordinate};
use super::evaluate::{Hole, Place};
use super::exact;
use super::field::{self, Element, NoValue};
use super::outcome::{Outcome, Reason, SAME};
use super::precise::Precise;
use super::seed::Seed;
use super::tree::{Constant, Function, Node};

/// Points of the field at which an identity must hold.
const FIELD_POINTS: u64 = 4;
/// Points of a grid at which formulas with steps are compared.
const GRID: u64 = 40;
/// Points at which machine numbers must agree, the points tried for them, and the fewest that will do.
const POINTS: usize = 8;
const TRIES: u64 = 24;
const FEWEST: usize = 3;
/// Points at which many digits must agree, and how many bits those are.
const PRECISE_POINTS: usize = 2;
const BITS: [usize; 2] = [256, 1024];

/// Bits of an exact term that could hide others.
const LARGE: usize = 100;

const DIFFERENT: Outcome = Outcome::Different(Reason::ValuesDiffer);

/// Compares formulas with one seed and one budget.
pub(crate) struct Formulas {
    pub(crate) seed: Seed,
    pub(crate) budget: Budget,
}

impl Formulas {
    /// Whether two formulas have the same value everywhere both are defined.
    pub(crate) fn same(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if gold == answer {
            return SAME;
        }
        let exactly =
            exact::rational(gold, &mut self.budget).and_then(|a| Some((a, exact::rational(answer, &mut self.budget)?)));
        if let Some((a, b)) = exactly {
            return if a == b { SAME } else { DIFFERENT };
        }
        if let Some(outcome) = self.without_common_terms(gold, answer) {
            return outcome;
        }
        match (infinite(gold), infinite(answer)) {
            (None, None) => {}
            (a, b) => return if a == b && a != Some(0) { SAME } else { DIFFERENT },
        }
        match self.in_field(|point| Ok((point.value(gold)?, point.value(answer)?)), |a, b, _| a == b) {
            Some(outcome) => outcome,
            None => self.at_points(gold, answer, false),
        }
    }

    /// Whether two formulas are alike: equal as rational functions of what they are made of, where a sine, a root or a
    /// power is equal only to itself.
    pub(crate) fn alike(&mut self, gold: &Node, answer: &Node) -> Outcome {
        self.in_field(|point| Ok((point.value(gold)?, point.value(answer)?)), |a, b, _| a == b).unwrap_or(DIFFERENT)
    }

    /// Compares constants of which one is a sum with a large part: what both have goes, so that it hides nothing.
    /// `None` where nothing goes.
    fn without_common_terms(&mut self, gold: &Node, answer: &Node) -> Option<Outcome> {
        if !matches!(gold, Node::Sum(_)) && !matches!(answer, Node::Sum(_)) {
            return None;
        }
        let constant = |node: &Node| !node.any(&|n| matches!(n, Node::Symbol(_) | Node::Infinity));
        if !constant(gold) || !constant(answer) {
            return None;
        }
        let mut left = Vec::new();
        let mut right = Vec::new();
        terms(gold, false, &mut left);
        terms(answer, false, &mut right);
        let before = left.len() + right.len();
        left.retain(|term| match right.iter().position(|other| other == term) {
            Some(place) => {
                right.remove(place);
                false
            }
            None => true,
        });
        let mut whole = RBig::ZERO;
        let mut large = left.len() + right.len() < before;
        for (side, sign) in [(&mut left, RBig::ONE), (&mut right, -RBig::ONE)] {
            side.retain(|(negative, term)| match exact::rational(term, &mut self.budget) {
                Some(value) => {
                    large |= value.numerator().bit_len() > LARGE;
                    let value = value * &sign;
                    whole = &whole + if *negative { -value } else { value };
                    false
                }
                None => true,
            });
        }
        if !large {
            return None;
        }
        let sum = |side: Vec<(bool, &Node)>| -> Vec<Node> {
            let signed = |(negative, term): (bool, &Node)| {
                if negative { Node::Negative(Box::new(term.clone())) } else { term.clone() }
            };
            side.into_iter().map(signed).collect()
        };
        let mut left = sum(left);
        left.push(Node::Number(super::tree::Number { value: whole, places: None }));
        let (left, right) = (Node::Sum(left), Node::Sum(sum(right)));
        let exactly = exact::rational(&left, &mut self.budget)
            .and_then(|a| Some((a, exact::rational(&right, &mut self.budget)?)));
        Some(match exactly {
            Some((a, b)) => {
                if a == b {
                    SAME
                } else {
                    DIFFERENT
                }
            }
            None => self.at_points(&left, &right, false),
        })
    }

    /// Whether one formula is the other times a constant, which is positive where `positive` asks for it.
    pub(crate) fn proportional(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let varies = |node: &Node| node.any(&|n| matches!(n, Node::Symbol(_) | Node::Opaque(..)));
        // Any constant is any other times a constant.
        if !varies(gold) || !varies(answer) {
            return DIFFERENT;
        }
        let by_field = self.in_field(
            |point| Ok((point.value(gold)?, point.value(answer)?)),
            |a, b, first| {
                let (x, y) = *first.get_or_insert((a, b));
                !a.is_zero() && !b.is_zero() && a.times(y) == b.times(x)
            },
        );
        by_field.unwrap_or_else(|| self.at_points(gold, answer, true))
    }

    /// Tests at random points of the field. `None` where they do not tell.
    fn in_field(
        &mut self,
        mut values: impl FnMut(&mut field::Point<'_>) -> Result<(Element, Element), NoValue>,
        mut holds: impl FnMut(Element, Element, &mut Option<(Element, Element)>) -> bool,
    ) -> Option<Outcome> {
        let mut first = None;
        let mut agreed = 0;
        for number in 0..2 * FIELD_POINTS {
            let seed = self.seed.with_number(number);
            let mut point = field::Point { seed, budget: &mut self.budget, rational: true };
            match values(&mut point) {
                Ok((a, b)) => {
                    if !holds(a, b, &mut first) {
                        return point.rational.then_some(DIFFERENT);
                    }
                    agreed += 1;
                    if agreed == FIELD_POINTS {
                        return Some(SAME);
                    }
                }
                Err(NoValue::Hole) => {}
                Err(NoValue::Exhausted) => return Some(Outcome::Open(Reason::OutOfSteps)),
            }
        }
        None
    }

    /// Tests at random points of the real or complex numbers.
    fn at_points(&mut self, gold: &Node, answer: &Node, scaled: bool) -> Outcome {
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
            return super::real::Real::ratio(&value, ());
        }
        let mut place = Place::<Ball> { variables: &[], precision: (), complex: false, budget: &mut self.budget };
        place.value(node).ok().filter(|value| value.im.is_none()).map(|value| value.re)
    }

    /// How far two real constants are from each other, and the size of the first, from many digits.
    pub(crate) fn gap(&mut self, a: &Node, b: &Node) -> Option<(f64, f64)> {
        use super::real::Real;
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
            if let (Ok(a), Ok(b)) = (place.value(gold), place.value(answer)) {
                use super::real::Real;
                if let (Some(a), Some(b)) = (a.re.sign(), b.re.sign())
                    && a.is_ne()
                    && b.is_ne()
                {
                    return Some(a == b);
                }
            }
        }
        None
    }
}

/// The terms of a sum and of the sums in it, each with whether it is taken away.
fn terms<'n>(node: &'n Node, negative: bool, into: &mut Vec<(bool, &'n Node)>) {
    match node {
        Node::Sum(parts) => parts.iter().for_each(|part| terms(part, negative, into)),
        Node::Negative(inner) => terms(inner, !negative, into),
        node => into.push((negative, node)),
    }
}

/// The sign of an infinite constant: 1 or −1, 0 where infinity stands inside some other formula. `None` for finite.
fn infinite(node: &Node) -> Option<i8> {
    match node {
        Node::Infinity => Some(1),
        Node::Negative(inner) => infinite(inner).map(|sign| -sign),
        Node::Opaque(..) => None,
        _ => node.any(&|n| matches!(n, Node::Infinity)).then_some(0),
    }
}

/// Products of each with the other's value at the first point: equal where the ratio is the same.
fn cross<R: super::real::Real>(
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
    let zero = <Precise as super::real::Real>::point(0.0, bits);
    let im = match (&a.im, &b.im) {
        (None, None) => true,
        (x, y) => x.as_ref().unwrap_or(&zero).agrees(y.as_ref().unwrap_or(&zero))?,
    };
    Some(re && im)
}
