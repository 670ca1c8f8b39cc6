//! Whether an answer is the expected one, kind by kind. The expected answer decides how the other is read.

mod collection;
mod family;
mod quantity;
mod relation;

use super::formula::Formulas;
use super::matrix;
use super::options::MathOptions;
use super::outcome::{Outcome, Reason, SAME};
use super::region;
use super::tree::{Edge, Node, Relation};
use super::words;

const KINDS: Outcome = Outcome::Different(Reason::KindsDiffer);

/// Containers within one another that are compared.
const MAX_NESTED: usize = 24;

/// One comparison: options, and formulas with their budget.
pub(crate) struct Comparison<'o> {
    pub(crate) options: &'o MathOptions,
    pub(crate) formulas: Formulas,
    pub(crate) depth: usize,
}

impl Comparison<'_> {
    /// Compares two answers or parts of them.
    pub(crate) fn same(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let size = u32::try_from(gold.size() + answer.size()).unwrap_or(u32::MAX);
        if let Err(spent) = self.formulas.budget.take(5 + size / 4) {
            return spent.into();
        }
        if gold == answer {
            return SAME;
        }
        if self.depth >= MAX_NESTED {
            return Outcome::Open(Reason::OutOfSteps);
        }
        self.depth += 1;
        let outcome = self.by_kind(gold, answer);
        self.depth -= 1;
        outcome
    }

    fn by_kind(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if gold.is_scalar() && answer.is_scalar() && !is_quantity(gold) && !is_quantity(answer) {
            return self.scalars(gold, answer);
        }
        match (gold, answer) {
            (Node::Text(a), Node::Text(b)) => self.texts(a, b),
            (Node::List(_) | Node::Either(_), _) | (_, Node::List(_) | Node::Either(_)) => self.lists(gold, answer),
            (Node::Chain(..), _) | (_, Node::Chain(..)) => self.relations(gold, answer),
            (Node::Ratio(a), Node::Ratio(b)) => self.ratios(a, b),
            (Node::Ratio(parts), other) | (other, Node::Ratio(parts)) => {
                let [top, bottom] = parts.as_slice() else {
                    return KINDS;
                };
                if self.options.brackets_matter || !other.is_scalar() {
                    return KINDS;
                }
                let quotient = Node::Quotient(Box::new(top.clone()), Box::new(bottom.clone()));
                self.same(&quotient, other)
            }
            _ if is_quantity(gold) || is_quantity(answer) => self.quantities(gold, answer),
            (Node::NumberSet(a), Node::Symbol(b)) if **b == a.to_string() => SAME,
            (Node::Text(a), Node::Symbol(b)) | (Node::Symbol(b), Node::Text(a)) => self.texts(a, b),
            (Node::Text(_), _) | (_, Node::Text(_)) => self.with_text(gold, answer),
            _ => self.structures(gold, answer),
        }
    }

    /// Numbers and formulas.
    fn scalars(&mut self, gold: &Node, answer: &Node) -> Outcome {
        // A numeral in another base is more than its value: the question often is the conversion.
        match (based(gold), based(answer)) {
            (Some((_, a)), Some((_, b))) if a != b => return Outcome::Different(Reason::KindsDiffer),
            (Some((digits, base)), None) if base != 10 => {
                let same = match answer {
                    Node::Number(number) => number.places.is_none() && *digits == number.value.to_string(),
                    _ => false,
                };
                let same = same && !self.options.brackets_matter;
                return if same { SAME } else { Outcome::Different(Reason::KindsDiffer) };
            }
            (None, Some((_, base))) if base != 10 => return Outcome::Different(Reason::KindsDiffer),
            _ => {}
        }
        let outcome = self.formulas.same(gold, answer);
        if let Outcome::Different(_) = outcome
            && self.options.decimals == super::Decimals::Rounded
            && let Some((gap, size)) = self.formulas.gap(gold, answer)
            && super::rounding::rounds_to(gold, answer, gap, size)
        {
            return Outcome::Same(Reason::Rounded);
        }
        if matches!(outcome, Outcome::Different(_)) && is_family(gold) && is_family(answer) {
            return match self.families(gold, answer) {
                Outcome::Different(_) => outcome,
                found => found,
            };
        }
        outcome
    }

    fn texts(&mut self, gold: &str, answer: &str) -> Outcome {
        if words::same(gold, answer, self.options.case_matters) {
            return Outcome::Same(Reason::Identical);
        }
        Outcome::Different(Reason::WordsDiffer)
    }

    /// Words beside something else: names of things that have signs.
    fn with_text(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let meaning = |node: &Node| match node {
            Node::Text(text) => words::meaning(text),
            _ => None,
        };
        match (meaning(gold), meaning(answer)) {
            (Some(gold), None) => self.same(&gold, answer),
            (None, Some(answer)) => self.same(gold, &answer),
            _ => KINDS,
        }
    }

    /// Tuples, sets, matrices and sets of numbers.
    fn structures(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if matrix::is_matrix(gold) && matrix::is_matrix(answer) {
            let steps = matrix::cost(gold).saturating_add(matrix::cost(answer));
            if let Err(spent) = self.formulas.budget.take(steps) {
                return spent.into();
            }
            let (Some(a), Some(b)) = (matrix::fold(gold), matrix::fold(answer)) else {
                return Outcome::Open(Reason::TooImprecise);
            };
            return self.matrices(&a, &b);
        }
        if let (Node::Tuple(..), Node::Tuple(..)) = (gold, answer) {
            let outcome = self.tuples(gold, answer);
            if outcome.is_same() || !region::is_region(gold) || !region::is_region(answer) {
                return outcome;
            }
        }
        if !self.options.brackets_matter
            && let (Node::Tuple(l, a, r), Node::Set(b)) | (Node::Set(a), Node::Tuple(l, b, r)) = (gold, answer)
            && a.len() == b.len()
            && *l != Edge::Closed
            && *r != Edge::Closed
        {
            return self.matching(a, b);
        }
        if let (Node::Set(a), Node::Set(b)) = (gold, answer) {
            return self.cover(a, b);
        }
        if region::is_region(gold) && region::is_region(answer) {
            if let Some(outcome) = region::same(&mut self.formulas, gold, answer, false) {
                return outcome;
            }
            return self.set_expressions(gold, answer);
        }
        if let (Node::Sets(..), Node::Sets(..)) = (gold, answer) {
            return self.set_expressions(gold, answer);
        }
        if !self.options.brackets_matter {
            return self.across_brackets(gold, answer);
        }
        KINDS
    }

    /// Unions and the like whose parts are no constant sets of numbers: part by part.
    fn set_expressions(&mut self, gold: &Node, answer: &Node) -> Outcome {
        match (gold, answer) {
            (Node::Sets(p, a, b), Node::Sets(q, c, d)) if p == q => {
                let straight = self.same(a, c).and(|| self.same(b, d));
                if *p == super::tree::SetOperation::Without {
                    return straight;
                }
                straight.or(|| self.same(a, d).and(|| self.same(b, c)))
            }
            (Node::Builder(a, p), Node::Builder(b, q)) => self.same(a, b).and(|| self.same(p, q)),
            (Node::Tuple(..), Node::Tuple(..)) => self.tuples(gold, answer),
            _ => KINDS,
        }
    }

    fn matrices(&mut self, gold: &[Vec<Node>], answer: &[Vec<Node>]) -> Outcome {
        let shape = |rows: &[Vec<Node>]| (rows.len(), rows.first().map_or(0, Vec::len));
        if shape(gold) != shape(answer) {
            let line = |rows: &[Vec<Node>]| rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
            let swapped = (shape(answer).1, shape(answer).0);
            if self.options.brackets_matter || !line(gold) || shape(gold) != swapped {
                return Outcome::Different(Reason::LengthsDiffer);
            }
        }
        self.in_order(gold.iter().flatten(), answer.iter().flatten())
    }

    /// Pairs in order.
    fn in_order<'n>(
        &mut self,
        gold: impl Iterator<Item = &'n Node>,
        answer: impl Iterator<Item = &'n Node>,
    ) -> Outcome {
        let mut outcome = SAME;
        for (a, b) in gold.zip(answer) {
            outcome = outcome.and(|| self.same(a, b));
            if let Outcome::Different(_) = outcome {
                break;
            }
        }
        outcome
    }
}

/// Whether a formula has a member for each integer.
fn is_family(node: &Node) -> bool {
    node.any(&|n| matches!(n, Node::Symbol(name) if name.starts_with('ℤ')))
}

/// The digits and base of a numeral, whatever its sign.
fn based(node: &Node) -> Option<(&str, u32)> {
    match node {
        Node::Based(digits, base) => Some((digits, *base)),
        Node::Negative(inner) => based(inner),
        _ => None,
    }
}

/// Whether a value has a unit, a percent or a degree sign, with a sign before it or not.
fn is_quantity(node: &Node) -> bool {
    match node {
        Node::Quantity(..) | Node::Percent(_) | Node::Degrees(_) => true,
        Node::Negative(inner) => is_quantity(inner),
        _ => false,
    }
}

/// The name and value of `x = 5`, `f(x) = x + 1` and `x ∈ [0, 1]`.
fn assignment(node: &Node) -> Option<(&Node, &Node)> {
    let Node::Chain(name, rest) = node else {
        return None;
    };
    let [(Relation::Equal | Relation::Member | Relation::Approximately, value)] = rest.as_slice() else {
        return None;
    };
    // A = B is a statement, and so is f'(x) = f(x).
    let names = |node: &Node| matches!(node, Node::Symbol(_));
    let functions = |node: &Node| matches!(node, Node::Opaque(..));
    if (names(name) && names(value)) || (functions(name) && functions(value)) {
        return None;
    }
    is_name(name, value).then_some((name, value))
}

/// Whether a side is a lone name that does not occur in the other.
fn is_name(name: &Node, value: &Node) -> bool {
    match name {
        Node::Symbol(symbol) => !value.any(&|n| matches!(n, Node::Symbol(other) if other == symbol)),
        Node::Opaque(function, arguments) => {
            arguments.iter().all(|a| matches!(a, Node::Symbol(_) | Node::Number(_)))
                && !value.any(&|n| matches!(n, Node::Opaque(other, _) if other == function))
        }
        Node::Text(_) => true,
        Node::Tuple(_, names, _) => names.iter().all(|name| matches!(name, Node::Symbol(_))),
        Node::Constant(super::tree::Constant::I | super::tree::Constant::E) => true,
        _ => false,
    }
}
