//! Sets of real numbers: intervals, points, and what unions, intersections and complements make of them.

use std::cmp::Ordering;

use super::formula::Formulas;
use super::outcome::{Outcome, Reason, SAME};
use super::tree::{Edge, Node, Relation, SetOperation};

/// Boundaries of one comparison.
const MAX_BOUNDARIES: usize = 64;

/// A set of real numbers over numbered boundaries.
#[derive(Debug)]
enum Region {
    /// Between two boundaries; `None` is unbounded.
    Between {
        low: Option<usize>,
        low_closed: bool,
        high: Option<usize>,
        high_closed: bool,
    },
    Empty,
    Operation(SetOperation, Box<Region>, Box<Region>),
}

/// Whether two nodes are the same set of real numbers. `None` where either is no such set, or its ends are no
/// constants. Inequalities are sets only where `inequalities` says so.
pub(crate) fn same(formulas: &mut Formulas, gold: &Node, answer: &Node, inequalities: bool) -> Option<Outcome> {
    if let (Some(a), Some(b)) = (variable(gold), variable(answer))
        && a != b
    {
        return Some(Outcome::Different(Reason::NamesDiffer));
    }
    let mut line = Line { formulas, boundaries: Vec::new(), inequalities };
    let gold = line.region(gold)?;
    let answer = line.region(answer)?;
    let order = line.order()?;
    let places = 2 * order.len() + 1;
    let equal = (0..places).all(|place| gold.contains(place, &order) == answer.contains(place, &order));
    Some(if equal { SAME } else { Outcome::Different(Reason::ValuesDiffer) })
}

/// The variable that an inequality, or a list of some, is about.
fn variable(node: &Node) -> Option<&str> {
    match node {
        Node::Chain(first, rest) => {
            std::iter::once(&**first).chain(rest.iter().map(|(_, side)| side)).find_map(|side| match side {
                Node::Symbol(name) => Some(&**name),
                _ => None,
            })
        }
        Node::List(items) | Node::Either(items) => items.first().and_then(variable),
        _ => None,
    }
}

/// Whether a node is written as a set of real numbers.
pub(crate) fn is_region(node: &Node) -> bool {
    match node {
        Node::Tuple(left, items, right) => items.len() == 2 && *left != Edge::Angle && *right != Edge::Angle,
        Node::Sets(_, a, b) => is_region(a) || is_region(b),
        Node::Set(_) | Node::NumberSet('R') | Node::Builder(..) => true,
        _ => false,
    }
}

struct Line<'f> {
    formulas: &'f mut Formulas,
    /// Distinct constants, with their approximate values.
    boundaries: Vec<(Node, f64)>,
    inequalities: bool,
}

impl Line<'_> {
    /// The number of a boundary; `None` inside for one at infinity, with its sign.
    fn boundary(&mut self, node: &Node) -> Option<Result<usize, bool>> {
        match node {
            Node::Infinity => return Some(Err(true)),
            Node::Negative(inner) if matches!(**inner, Node::Infinity) => return Some(Err(false)),
            _ => {}
        }
        let value = self.formulas.approximate(node)?;
        for (place, (known, near)) in self.boundaries.iter().enumerate() {
            if (near - value.middle).abs() <= 1e-9 * (1.0 + value.middle.abs()) {
                return match self.formulas.same(known, node) {
                    Outcome::Same(_) => Some(Ok(place)),
                    Outcome::Different(_) => continue,
                    Outcome::Open(_) => None,
                };
            }
        }
        if self.boundaries.len() >= MAX_BOUNDARIES {
            return None;
        }
        self.boundaries.push((node.clone(), value.middle));
        Some(Ok(self.boundaries.len() - 1))
    }

    /// For each boundary its rank on the line.
    fn order(&self) -> Option<Vec<usize>> {
        let mut sorted: Vec<usize> = (0..self.boundaries.len()).collect();
        sorted.sort_by(|&a, &b| self.boundaries[a].1.partial_cmp(&self.boundaries[b].1).unwrap_or(Ordering::Equal));
        let mut ranks = vec![0; sorted.len()];
        for (rank, boundary) in sorted.into_iter().enumerate() {
            ranks[boundary] = rank;
        }
        Some(ranks)
    }

    fn region(&mut self, node: &Node) -> Option<Region> {
        match node {
            Node::NumberSet('R') => {
                Some(Region::Between { low: None, low_closed: false, high: None, high_closed: false })
            }
            Node::Tuple(left, items, right) => match items.as_slice() {
                [low, high] if *left != Edge::Angle && *right != Edge::Angle => {
                    let low = self.boundary(low)?;
                    let high = self.boundary(high)?;
                    if low == Err(true) || high == Err(false) {
                        return None;
                    }
                    let (low, high) = (low.ok(), high.ok());
                    // (2, 2) and (5, 2) are points, never empty intervals.
                    if let (Some(low), Some(high)) = (low, high) {
                        let point = low == high && !(*left == Edge::Closed && *right == Edge::Closed);
                        if point || self.boundaries[low].1 > self.boundaries[high].1 {
                            return None;
                        }
                    }
                    Some(Region::Between {
                        low,
                        low_closed: *left == Edge::Closed,
                        high,
                        high_closed: *right == Edge::Closed,
                    })
                }
                _ => None,
            },
            Node::Set(items) => {
                let mut all = Region::Empty;
                for item in items {
                    let at = self.boundary(item)?.ok()?;
                    all = united(all, at_point(at));
                }
                Some(all)
            }
            Node::Sets(operation, a, b) => {
                Some(Region::Operation(*operation, Box::new(self.region(a)?), Box::new(self.region(b)?)))
            }
            Node::Builder(element, condition) => {
                let outer = std::mem::replace(&mut self.inequalities, true);
                let region = match &**element {
                    Node::Symbol(_) => self.region(condition),
                    Node::Chain(name, rest) => match (&**name, rest.as_slice()) {
                        (Node::Symbol(_), [(Relation::Member, Node::NumberSet('R'))]) => self.region(condition),
                        _ => None,
                    },
                    _ => None,
                };
                self.inequalities = outer;
                region
            }
            Node::Chain(first, rest) => {
                if let (Node::Symbol(_), [(Relation::Member, set)]) = (&**first, rest.as_slice()) {
                    return self.region(set);
                }
                if self.inequalities { self.inequality(first, rest) } else { None }
            }
            Node::List(items) if self.inequalities => self.joined(items, SetOperation::Intersection),
            Node::Either(items) if self.inequalities => self.joined(items, SetOperation::Union),
            _ => None,
        }
    }

    fn joined(&mut self, items: &[Node], operation: SetOperation) -> Option<Region> {
        let mut all: Option<Region> = None;
        for item in items {
            let region = self.region(item)?;
            all = Some(match all {
                None => region,
                Some(all) => Region::Operation(operation, Box::new(all), Box::new(region)),
            });
        }
        all
    }

    /// `a < x ≤ b`, `x ≠ a` and their kin: one variable alone on its side.
    fn inequality(&mut self, first: &Node, rest: &[(Relation, Node)]) -> Option<Region> {
        let mut sides = vec![first];
        sides.extend(rest.iter().map(|(_, node)| node));
        let place = sides.iter().position(|side| matches!(side, Node::Symbol(_)))?;
        if sides.len() > 3 || (sides.len() == 3 && place != 1) {
            return None;
        }
        let mut all: Option<Region> = None;
        for (at, (relation, _)) in rest.iter().enumerate() {
            let (relation, other) =
                if at < place { (relation.swapped(), sides[at]) } else { (*relation, sides[at + 1]) };
            let bound = self.boundary(other)?;
            let whole = || Region::Between { low: None, low_closed: false, high: None, high_closed: false };
            let region = match (relation, bound) {
                (Relation::Less | Relation::LessEqual, Ok(at)) => Region::Between {
                    low: None,
                    low_closed: false,
                    high: Some(at),
                    high_closed: relation == Relation::LessEqual,
                },
                (Relation::Greater | Relation::GreaterEqual, Ok(at)) => Region::Between {
                    low: Some(at),
                    low_closed: relation == Relation::GreaterEqual,
                    high: None,
                    high_closed: false,
                },
                (Relation::Less | Relation::LessEqual, Err(true)) => whole(),
                (Relation::Greater | Relation::GreaterEqual, Err(false)) => whole(),
                (Relation::Equal, Ok(at)) => at_point(at),
                (Relation::NotEqual, Ok(at)) => {
                    Region::Operation(SetOperation::Without, Box::new(whole()), Box::new(at_point(at)))
                }
                _ => return None,
            };
            all = Some(match all {
                None => region,
                Some(all) => Region::Operation(SetOperation::Intersection, Box::new(all), Box::new(region)),
            });
        }
        all
    }
}

fn at_point(at: usize) -> Region {
    Region::Between { low: Some(at), low_closed: true, high: Some(at), high_closed: true }
}

fn united(a: Region, b: Region) -> Region {
    Region::Operation(SetOperation::Union, Box::new(a), Box::new(b))
}

impl Region {
    /// Whether the region holds a place: an odd one is a boundary, an even one the gap before the next.
    fn contains(&self, place: usize, ranks: &[usize]) -> bool {
        match self {
            Self::Empty => false,
            Self::Between { low, low_closed, high, high_closed } => {
                let above = low.is_none_or(|low| {
                    let low = 2 * ranks[low] + 1;
                    place > low || (place == low && *low_closed)
                });
                let below = high.is_none_or(|high| {
                    let high = 2 * ranks[high] + 1;
                    place < high || (place == high && *high_closed)
                });
                above && below
            }
            Self::Operation(operation, a, b) => {
                let (a, b) = (a.contains(place, ranks), b.contains(place, ranks));
                match operation {
                    SetOperation::Union => a || b,
                    SetOperation::Intersection => a && b,
                    SetOperation::Without => a && !b,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
