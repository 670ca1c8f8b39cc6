//! Values with units, percentages, angles and ratios.

use dashu::base::Signed;
use dashu::rational::RBig;

use super::{Comparison, KINDS};
use crate::math::exact;
use crate::math::options::Units;
use crate::math::outcome::{Outcome, Reason, SAME};
use crate::math::tree::{Constant, Node, Number};
use crate::math::unit::Unit;

/// What stands behind a value.
#[derive(Debug, Clone, PartialEq)]
enum Mark {
    None,
    Percent,
    Unit(Unit),
    /// Words that are no unit.
    Words,
}

impl Comparison<'_> {
    /// Values of which at least one has a unit.
    pub(super) fn quantities(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let (mut a, mut a_mark) = marked(gold);
        let (mut b, mut b_mark) = marked(answer);
        // 2 h beside 2 hours: letters that are read as variables where no unit is expected.
        match (&a_mark, &b_mark) {
            (Mark::Unit(_), Mark::None) => (b, b_mark) = lettered(b),
            (Mark::None, Mark::Unit(_)) => (a, a_mark) = lettered(a),
            _ => {}
        }
        if matches!(a, Node::Quantity(..) | Node::Text(_)) || matches!(b, Node::Quantity(..) | Node::Text(_)) {
            return KINDS;
        }
        if a_mark == Mark::Words && b_mark == Mark::Words {
            let (Node::Quantity(_, x), Node::Quantity(_, y)) = (gold, answer) else {
                return KINDS;
            };
            let (x, y) = (x.clone(), y.clone());
            return self.texts(&x, &y).and(|| self.same(&a, &b));
        }
        match (&a_mark, &b_mark) {
            (Mark::Words, _) => Outcome::Different(Reason::UnitsDiffer),
            (_, Mark::Words) => Outcome::Different(Reason::AnswerUnreadable),
            (Mark::None, Mark::None) | (Mark::Percent, Mark::Percent) => self.same(&a, &b),
            (Mark::Percent, _) | (_, Mark::Percent) => self.percentages(&a, &a_mark, &b, &b_mark),
            (Mark::Unit(x), Mark::Unit(y)) => self.in_units(&a, x, &b, y),
            (Mark::Unit(x), Mark::None) => {
                let plain = if x.is_plain() { self.same(&scaled(&a, &x.factor), &b) } else { KINDS };
                if x.is_plain() {
                    return plain;
                }
                if self.options.units == Units::Required {
                    return Outcome::Different(Reason::UnitMissing);
                }
                // Without a unit π/2 is an angle in radians.
                let plain = if x.is_degrees() && has_pi(&b) { KINDS } else { self.same(&a, &b) };
                plain.or(|| if x.is_angle() { self.same(&radians(&a, x), &b) } else { KINDS })
            }
            (Mark::None, Mark::Unit(y)) => {
                if y.is_plain() {
                    return self.same(&a, &scaled(&b, &y.factor));
                }
                let plain = if y.is_degrees() && has_pi(&a) { KINDS } else { self.same(&a, &b) };
                plain.or(|| if y.is_angle() { self.same(&a, &radians(&b, y)) } else { KINDS })
            }
        }
    }

    fn in_units(&mut self, a: &Node, x: &Unit, b: &Node, y: &Unit) -> Outcome {
        if self.options.units == Units::Ignored && !(x.is_half_day() && y.is_half_day()) {
            let plain = self.same(a, b);
            if plain.is_same() {
                return plain;
            }
        }
        if x.is_angle() && y.is_angle() {
            return self.same(&radians(a, x), &radians(b, y));
        }
        if x.is_plain() != y.is_plain() && self.options.units == Units::Required {
            return Outcome::Different(Reason::UnitMissing);
        }
        if x.is_plain() == y.is_plain() && !x.agrees(y) {
            return Outcome::Different(Reason::UnitsDiffer);
        }
        self.same(&scaled(a, &x.factor), &scaled(b, &y.factor))
    }

    /// A percentage beside something that is none.
    fn percentages(&mut self, a: &Node, a_mark: &Mark, b: &Node, b_mark: &Mark) -> Outcome {
        if matches!(a_mark, Mark::Unit(_)) || matches!(b_mark, Mark::Unit(_)) {
            return Outcome::Different(Reason::UnitsDiffer);
        }
        // Only of numbers there are per cents.
        let number = |node: &Node| node.is_scalar() && !node.any(&|n| matches!(n, Node::Symbol(_) | Node::Opaque(..)));
        if !number(a) || !number(b) {
            return KINDS;
        }
        let hundredth = RBig::from_parts(1.into(), 100u8.into());
        let sign_missing = *a_mark == Mark::Percent && self.options.units == Units::Required;
        let plain = if sign_missing { Outcome::Different(Reason::UnitMissing) } else { self.same(a, b) };
        plain.or(|| {
            if !self.options.percent_is_fraction {
                return Outcome::Different(Reason::ValuesDiffer);
            }
            if *a_mark == Mark::Percent {
                self.same(&scaled(a, &hundredth), b)
            } else {
                self.same(a, &scaled(b, &hundredth))
            }
        })
    }

    /// Ratios are equal up to a factor; what may be a time of day is only equal to itself.
    pub(super) fn ratios(&mut self, gold: &[Node], answer: &[Node]) -> Outcome {
        if gold.len() != answer.len() {
            return Outcome::Different(Reason::LengthsDiffer);
        }
        let plain = self.in_order(gold.iter(), answer.iter());
        if plain.is_same() || is_time(gold) {
            return plain;
        }
        let (Some(a), Some(b)) = (gold.first(), answer.first()) else {
            return SAME;
        };
        let mut zero =
            |node: &Node| exact::rational(node, &mut self.formulas.budget).is_some_and(|value| value.is_zero());
        if zero(a) || zero(b) {
            return plain;
        }
        let mut outcome = SAME;
        for (x, y) in gold.iter().zip(answer).skip(1) {
            let cross = |p: &Node, q: &Node| Node::Product(vec![p.clone(), q.clone()]);
            outcome = outcome.and(|| self.same(&cross(x, b), &cross(y, a)));
        }
        outcome
    }
}

/// Whether a ratio looks like a time of day: hours, and minutes of two digits.
fn is_time(parts: &[Node]) -> bool {
    let value = |node: &Node| match node {
        Node::Number(Number { value, places: None }) if value.is_int() && !value.is_negative() => {
            u32::try_from(value.numerator()).ok()
        }
        _ => None,
    };
    match parts {
        [hours, minutes] => {
            value(hours).is_some_and(|h| h < 24) && value(minutes).is_some_and(|m| m == 0 || (10..60).contains(&m))
        }
        _ => false,
    }
}

/// A node without what stands behind its value.
fn marked(node: &Node) -> (Node, Mark) {
    match node {
        Node::Percent(inner) => ((**inner).clone(), Mark::Percent),
        Node::Degrees(inner) => ((**inner).clone(), Mark::Unit(degree())),
        Node::Negative(inner) if super::is_quantity(inner) => {
            let (value, mark) = marked(inner);
            (Node::Negative(Box::new(value)), mark)
        }
        Node::Quantity(inner, words) => match &**words {
            "percent" | "percentage" | "per cent" => ((**inner).clone(), Mark::Percent),
            words => {
                // $5 dollars, 30% off: the inner mark is kept where the outer adds nothing known.
                match (&**inner, Unit::read(words)) {
                    (inner, Some(unit)) => match marked(inner) {
                        (value, Mark::None) => (value, Mark::Unit(unit)),
                        (value, inner_mark) if inner_mark == Mark::Unit(unit.clone()) => (value, inner_mark),
                        (value, Mark::Unit(own)) if unit.is_plain() => (scaled(&value, &unit.factor), Mark::Unit(own)),
                        (value, _) => (value, Mark::Words),
                    },
                    (inner, None) => (inner.clone(), Mark::Words),
                }
            }
        },
        node => (node.clone(), Mark::None),
    }
}

fn has_pi(node: &Node) -> bool {
    node.any(&|n| matches!(n, Node::Constant(Constant::Pi)))
}

/// A number times letters that are signs of units, as a value with that unit.
fn lettered(node: Node) -> (Node, Mark) {
    let read = |value: &Node, words: &str| {
        let constant = !value.any(&|n| matches!(n, Node::Symbol(_)));
        Unit::read(words).filter(|unit| constant && unit.is_measure()).map(|unit| (value.clone(), Mark::Unit(unit)))
    };
    let found = match &node {
        Node::Product(factors) => match factors.as_slice() {
            [value, Node::Symbol(letter)] => read(value, letter),
            _ => None,
        },
        Node::Quotient(top, bottom) => match (&**top, &**bottom) {
            (Node::Product(factors), Node::Symbol(below)) => match factors.as_slice() {
                [value, Node::Symbol(above)] => read(value, &format!("{above}/{below}")),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    found.unwrap_or((node, Mark::None))
}

fn degree() -> Unit {
    Unit::read("degree").unwrap_or_else(|| unreachable!("degree is a known unit"))
}

fn scaled(node: &Node, factor: &RBig) -> Node {
    if factor.is_one() {
        return node.clone();
    }
    let factor = Node::Number(Number { value: factor.clone(), places: None });
    Node::Product(vec![node.clone(), factor])
}

/// An angle without its unit.
fn radians(node: &Node, unit: &Unit) -> Node {
    let value = scaled(node, &unit.factor);
    if unit.is_degrees() {
        let share = Node::Number(Number { value: RBig::from_parts(1.into(), 180u8.into()), places: None });
        Node::Product(vec![value, share, Node::Constant(Constant::Pi)])
    } else {
        value
    }
}
