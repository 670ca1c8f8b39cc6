//! Whether two formulas are equal: exactly where they are rational, by finite fields where they are rational
//! functions, else by their values at random points.

use dashu::rational::RBig;

use super::ball::Ball;
use super::budget::Budget;
use super::complex::Complex;
use super::evaluate::{Hole, Place};
use super::exact;
use super::field::{self, Element, NoValue};
use super::outcome::{Outcome, Reason, SAME};
use super::precise::Precise;
use super::seed::Seed;
use super::tree::{Constant, Function, Node};

/// Points of the field at which an identity must hold.
const FIELD_POINTS: u64 = 4;
/// Points at which machine numbers must agree, the points tried for them, and the fewest that will do.
const POINTS: usize = 8;
const TRIES: u64 = 24;
const FEWEST: usize = 3;
/// Points at which many digits must agree, and how many bits those are.
const PRECISE_POINTS: usize = 2;
const BITS: [usize; 2] = [256, 1024];

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
        if let (Some(a), Some(b)) = (exact::rational(gold), exact::rational(answer)) {
            return if a == b { SAME } else { DIFFERENT };
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

    /// Whether one formula is the other times a constant, which is positive where `positive` asks for it.
    pub(crate) fn proportional(&mut self, gold: &Node, answer: &Node) -> Outcome {
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
        if first == Outcome::Open(Reason::TooFewPoints) && !complex {
            return self.with_values(gold, answer, &names, true, scaled);
        }
        first
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
        let integers = !names.is_empty() && (counted(gold) || counted(answer));
        let (wanted, tries) = if names.is_empty() { (1, 1) } else { (POINTS, 2 * TRIES) };
        for attempt in 0..tries {
            if agreed.len() >= wanted || (attempt >= TRIES && agreed.len() >= FEWEST) {
                break;
            }
            let whole = integers || attempt >= TRIES;
            let variables: Vec<(&str, f64)> =
                names.iter().map(|name| (*name, coordinate(self.seed, name, attempt, whole))).collect();
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
        if agreed.len() < enough {
            agreed.extend(blurred);
        }
        if agreed.len() < enough {
            return Outcome::Open(Reason::TooFewPoints);
        }
        self.with_digits(gold, answer, &agreed, complex, scaled)
    }

    /// The last word: many digits at some of the points at which machine numbers agree.
    fn with_digits(
        &mut self,
        gold: &Node,
        answer: &Node,
        points: &[Vec<(&str, f64)>],
        complex: bool,
        scaled: bool,
    ) -> Outcome {
        for (bits, points_wanted) in [(BITS[0], PRECISE_POINTS), (BITS[1], 1)] {
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
        if let Some(value) = exact::rational(node) {
            return super::real::Real::ratio(&value, ());
        }
        let mut place = Place::<Ball> { variables: &[], precision: (), complex: false, budget: &mut self.budget };
        place.value(node).ok().filter(|value| value.im.is_none()).map(|value| value.re)
    }

    /// The sign of the constant factor between two proportional formulas.
    pub(crate) fn factor_sign(&mut self, gold: &Node, answer: &Node) -> Option<bool> {
        let mut names = Vec::new();
        gold.symbols(&mut names);
        answer.symbols(&mut names);
        for attempt in 0..TRIES {
            let variables: Vec<(&str, f64)> =
                names.iter().map(|name| (*name, coordinate(self.seed, name, attempt, false))).collect();
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

/// The sign of an infinite constant: 1 or −1, 0 where infinity stands inside some other formula. `None` for finite.
fn infinite(node: &Node) -> Option<i8> {
    match node {
        Node::Infinity => Some(1),
        Node::Negative(inner) => infinite(inner).map(|sign| -sign),
        Node::Opaque(..) => None,
        _ => node.any(&|n| matches!(n, Node::Infinity)).then_some(0),
    }
}

/// The value of a variable at one of the points: positive and of either sign in turn, or a small whole number.
fn coordinate(seed: Seed, name: &str, attempt: u64, whole: bool) -> f64 {
    const REACH: [f64; 6] = [1.0, 2.0, 4.0, 0.5, 16.0, 1.5];
    let share = seed.with(name).with_number(attempt).share();
    if whole {
        return (share * 12.0).floor() + 1.0;
    }
    let reach = REACH[(attempt / 2 % 6) as usize];
    if attempt.is_multiple_of(2) { (share + 0.001_953_125) * reach } else { (share - 0.5) * 2.0 * reach }
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

/// Whether a decimal stands for a value after rounding: see [`super::Decimals::Rounded`].
pub(crate) fn rounds_to(gold: &Node, gold_value: &Ball, answer: &Node, answer_value: &Ball) -> bool {
    let gap = (gold_value.middle - answer_value.middle).abs();
    let size = gold_value.middle.abs();
    if gap <= 5.1e-7 && gap <= 1e-5 * size {
        return true;
    }
    let Some((places, digits)) = decimal(gold) else {
        return false;
    };
    let enough = digits >= 3
        || (digits == 2 && decimal(answer).is_none() && exact::rational(answer).is_none_or(|v| !v.is_int()));
    enough && gap <= 0.5 * 10_f64.powi(-places) * (1.0 + 1e-9)
}

/// Places behind the point and significant digits of a decimal, scientific notation included.
fn decimal(node: &Node) -> Option<(i32, usize)> {
    match node {
        Node::Number(number) => {
            let places = number.places.filter(|&p| p > 0)?;
            let scaled = &number.value * RBig::from(dashu::integer::UBig::from(10u8).pow(places as usize));
            let digits = scaled.numerator().to_string().trim_start_matches('-').len();
            Some((i32::try_from(places).ok()?, digits))
        }
        Node::Negative(inner) => decimal(inner),
        Node::Product(factors) => match factors.as_slice() {
            [mantissa, Node::Power(base, exponent)] if exact::rational(base) == Some(RBig::from(10)) => {
                let (places, digits) = decimal(mantissa)?;
                let exponent = i32::try_from(exact::integer(&exact::rational(exponent)?)?).ok()?;
                Some((places.checked_sub(exponent)?, digits))
            }
            _ => None,
        },
        _ => None,
    }
}
