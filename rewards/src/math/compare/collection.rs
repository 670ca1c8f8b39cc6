//! Lists, sets and tuples.

use super::{Comparison, KINDS, assignment};
use crate::math::outcome::{Outcome, Reason, SAME};
use crate::math::region;
use crate::math::tree::{Edge, Node, Relation};

const LENGTHS: Outcome = Outcome::Different(Reason::LengthsDiffer);
/// Items of a list that are compared in any order.
const MAX_ITEMS: usize = 128;

impl Comparison<'_> {
    /// Items without brackets: in any order, each once.
    pub(super) fn lists(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if let (Some(a), Some(b)) = (list_items(gold), list_items(answer))
            && a.len() == b.len()
            && names_differ(a)
            && !b.iter().any(|item| matches!(item, Node::Chain(..)))
        {
            return self.in_order(a.iter(), b.iter());
        }
        if let (Some(a), Some(b)) = (one_name(gold), one_name(answer))
            && a != b
        {
            return Outcome::Different(Reason::NamesDiffer);
        }
        // Alternatives that are all the same answer: any of them will do.
        if let Node::Either(items) = gold
            && !matches!(answer, Node::List(_) | Node::Either(_))
            && items.iter().skip(1).all(|item| self.same(&items[0], item).is_same())
        {
            return self.same(&items[0], answer);
        }
        // Names go where all are one; of several, each stays with its value.
        let several = |node: &Node| list_items(node).is_some_and(names_differ);
        let items = |node| {
            if several(gold) || several(answer) {
                list_items(node).map(<[Node]>::to_vec)
            } else {
                named_once(list_items(node))
            }
        };
        let gold_items = items(gold);
        let answer_items = items(answer);
        match (gold_items, answer_items) {
            // x < 1 or x > 3 is not x < 1 and x > 3.
            (Some(a), Some(b))
                if matches!((gold, answer), (Node::List(_), Node::Either(_)) | (Node::Either(_), Node::List(_)))
                    && are_inequalities(&a)
                    && are_inequalities(&b) =>
            {
                self.as_regions(gold, answer, true)
            }
            (Some(a), Some(b)) => {
                let outcome = self.matching(&a, &b);
                if outcome.is_same() || !are_inequalities(&a) || !are_inequalities(&b) {
                    return outcome;
                }
                outcome.or(|| self.as_regions(gold, answer, true))
            }
            (Some(a), None) => self.list_and_other(&a, gold, answer, true),
            (None, Some(b)) => self.list_and_other(&b, answer, gold, false),
            (None, None) => KINDS,
        }
    }

    /// A list beside something else: a set always holds the same items; other brackets only where they do not matter.
    fn list_and_other(&mut self, items: &[Node], list: &Node, other: &Node, list_is_gold: bool) -> Outcome {
        let is_relation = matches!(other, Node::Chain(..));
        let other = assignment(other).map_or(other, |(_, value)| value);
        let pick = |a: &[Node], b: &[Node], this: &mut Self| {
            if list_is_gold { this.matching(a, b) } else { this.matching(b, a) }
        };
        match other {
            Node::Set(members) => pick(items, members, self),
            // x = 1, y = 2 and the point (1, 2): in the order of the names.
            Node::Tuple(..) | Node::Matrix(_)
                if (!self.options.brackets_matter || names_differ(items))
                    && !matches!(other, Node::Tuple(Edge::Closed, ..) | Node::Tuple(_, _, Edge::Closed)) =>
            {
                let entries: Vec<Node> = other.children().into_iter().cloned().collect();
                if items.len() != entries.len() {
                    return LENGTHS;
                }
                let mut items: Vec<&Node> = items.iter().collect();
                if names_differ(list_items(list).unwrap_or_default()) {
                    items.sort_by_key(|item| match assignment(item) {
                        Some((Node::Symbol(name), _)) => Some(name),
                        _ => None,
                    });
                }
                let values: Vec<Node> =
                    items.into_iter().map(|item| assignment(item).map_or(item, |(_, value)| value).clone()).collect();
                let (gold, answer) = if list_is_gold { (&values, &entries) } else { (&entries, &values) };
                self.in_order(gold.iter(), answer.iter())
            }
            Node::Builder(..) | Node::Sets(..) | Node::Tuple(..) | Node::Chain(..) if are_inequalities(items) => {
                let (gold, answer) = if list_is_gold { (list, other) } else { (other, list) };
                let allowed = self.options.interval_is_inequality
                    || is_relation
                    || matches!(other, Node::Builder(..) | Node::Chain(..));
                self.as_regions(gold, answer, allowed)
            }
            _ => LENGTHS,
        }
    }

    fn as_regions(&mut self, gold: &Node, answer: &Node, allowed: bool) -> Outcome {
        if !allowed {
            return KINDS;
        }
        region::same(&mut self.formulas, gold, answer, true).unwrap_or(KINDS)
    }

    /// A perfect matching of items (Kuhn's algorithm): each item of one side with one of the other.
    pub(super) fn matching(&mut self, gold: &[Node], answer: &[Node]) -> Outcome {
        if gold.len() != answer.len() {
            return LENGTHS;
        }
        if gold.len() > MAX_ITEMS {
            return Outcome::Open(Reason::OutOfSteps);
        }
        let mut pairs: Vec<Vec<usize>> = Vec::with_capacity(gold.len());
        let mut open = None;
        let mut rounded = false;
        for a in gold {
            let mut partners = Vec::new();
            for (place, b) in answer.iter().enumerate() {
                match self.same(a, b) {
                    Outcome::Same(reason) => {
                        rounded |= reason == Reason::Rounded;
                        partners.push(place);
                    }
                    Outcome::Open(reason) => open = Some(reason),
                    Outcome::Different(_) => {}
                }
            }
            if partners.is_empty() {
                return open.map_or(Outcome::Different(Reason::ValuesDiffer), Outcome::Open);
            }
            pairs.push(partners);
        }
        let mut taken: Vec<Option<usize>> = vec![None; answer.len()];
        for item in 0..pairs.len() {
            let mut seen = vec![false; answer.len()];
            if !augment(item, &pairs, &mut taken, &mut seen) {
                return open.map_or(Outcome::Different(Reason::ValuesDiffer), Outcome::Open);
            }
        }
        if rounded { Outcome::Same(Reason::Rounded) } else { SAME }
    }

    /// Sets: each member of one is a member of the other, however often it is written.
    pub(super) fn cover(&mut self, gold: &[Node], answer: &[Node]) -> Outcome {
        if gold.is_empty() != answer.is_empty() {
            return LENGTHS;
        }
        if gold.len().max(answer.len()) > MAX_ITEMS {
            return Outcome::Open(Reason::OutOfSteps);
        }
        let mut open = None;
        let mut covered = vec![false; answer.len()];
        for a in gold {
            let mut found = false;
            for (place, b) in answer.iter().enumerate() {
                match self.same(a, b) {
                    Outcome::Same(_) => {
                        found = true;
                        covered[place] = true;
                    }
                    Outcome::Open(reason) => open = Some(reason),
                    Outcome::Different(_) => {}
                }
            }
            if !found {
                return open.map_or(Outcome::Different(Reason::ValuesDiffer), Outcome::Open);
            }
        }
        if covered.into_iter().all(|covered| covered) {
            return SAME;
        }
        open.map_or(LENGTHS, Outcome::Open)
    }

    /// Points, vectors and intervals: the same items in order, in the same brackets.
    pub(super) fn tuples(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let (Node::Tuple(l, a, r), Node::Tuple(m, b, s)) = (gold, answer) else {
            return KINDS;
        };
        if a.len() != b.len() {
            return LENGTHS;
        }
        let plain = |edge: Edge| if edge == Edge::Angle { Edge::Open } else { edge };
        let edges = plain(*l) == plain(*m) && plain(*r) == plain(*s);
        // A vector may stand in square brackets; an interval's are its meaning.
        if !edges && (a.len() == 2 || self.options.brackets_matter) {
            return Outcome::Different(Reason::BracketsDiffer);
        }
        if self.options.ordered_tuples || region::is_region(gold) && (*l, *r) != (Edge::Open, Edge::Open) {
            self.in_order(a.iter(), b.iter())
        } else {
            self.matching(a, b)
        }
    }

    /// Where brackets do not matter: tuples, rows, columns and sets of the same items, and one item alone.
    pub(super) fn across_brackets(&mut self, gold: &Node, answer: &Node) -> Outcome {
        match (gold, answer) {
            (Node::Set(a), b) if a.len() == 1 && b.is_scalar() => self.same(&a[0], b),
            (a, Node::Set(b)) if b.len() == 1 && a.is_scalar() => self.same(a, &b[0]),
            (Node::Matrix(rows), Node::Tuple(_, items, _)) | (Node::Tuple(_, items, _), Node::Matrix(rows)) => {
                let line = rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
                let cells: Vec<Node> = rows.iter().flatten().cloned().collect();
                if !line || cells.len() != items.len() {
                    return KINDS;
                }
                self.in_order(cells.iter(), items.iter())
            }
            _ => KINDS,
        }
    }
}

fn augment(item: usize, pairs: &[Vec<usize>], taken: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for &place in &pairs[item] {
        if !std::mem::replace(&mut seen[place], true) {
            let free = match taken[place] {
                None => true,
                Some(other) => augment(other, pairs, taken, seen),
            };
            if free {
                taken[place] = Some(item);
                return true;
            }
        }
    }
    false
}

fn list_items(node: &Node) -> Option<&[Node]> {
    match node {
        Node::List(items) | Node::Either(items) => Some(items),
        _ => None,
    }
}

/// `x = 1, 2` and `x = 1, x = 2` are the values 1 and 2: names that are all the same go.
fn named_once(items: Option<&[Node]>) -> Option<Vec<Node>> {
    let items = items?;
    let (name, _) = match items.first().and_then(assignment) {
        Some(found) => found,
        None => return Some(items.to_vec()),
    };
    let values: Option<Vec<Node>> = items
        .iter()
        .map(|item| match (assignment(item), item) {
            (Some((other, value)), _) if other == name => Some(value.clone()),
            (None, value) if !matches!(value, Node::Chain(..)) => Some(value.clone()),
            _ => None,
        })
        .collect();
    Some(values.unwrap_or_else(|| items.to_vec()))
}

/// The variable that items are values of.
fn one_name(node: &Node) -> Option<&Node> {
    let mut names = list_items(node)?.iter().filter_map(assignment).map(|(name, _)| name);
    let first = names.next().filter(|name| matches!(name, Node::Symbol(_)))?;
    names.all(|name| name == first).then_some(first)
}

/// Whether items give values to different variables: then values alone must come in their order.
fn names_differ(items: &[Node]) -> bool {
    let mut names = items.iter().filter_map(|item| assignment(item).map(|(name, _)| name));
    names.next().is_some_and(|first| names.any(|name| name != first))
}

fn are_inequalities(items: &[Node]) -> bool {
    items.iter().all(|item| {
        matches!(item, Node::Chain(_, rest) if rest.iter().all(|(r, _)| r.is_order() || *r == Relation::NotEqual))
    })
}
