//! Whether two formulas are equal: exactly where they are rational, by finite fields where they are rational
//! functions, else by their values at random points.

mod points;

use dashu::base::BitTest;
use dashu::rational::RBig;

use super::budget::Budget;
use super::exact;
use super::field::{self, Element, NoValue};
use super::outcome::{Outcome, Reason, SAME};
use super::seed::Seed;
use super::tree::{Node, Number};

/// Points of the field at which an identity must hold.
const FIELD_POINTS: u64 = 4;

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
        left.push(Node::Number(Number { value: whole, places: None }));
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
