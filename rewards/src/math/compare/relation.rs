//! Equations, inequalities, chains of them, and names that a value is given.

use super::{Comparison, KINDS, assignment, is_name};
use crate::math::outcome::{Outcome, Reason, SAME};
use crate::math::region;
use crate::math::tree::{Node, Relation};

const RELATIONS: Outcome = Outcome::Different(Reason::RelationsDiffer);
const NAMES: Outcome = Outcome::Different(Reason::NamesDiffer);

impl Comparison<'_> {
    /// Relations, or a relation beside something else.
    pub(super) fn relations(&mut self, gold: &Node, answer: &Node) -> Outcome {
        match (gold, answer) {
            (Node::Chain(a, p), Node::Chain(b, q)) => {
                // x = x and 3 = 3 say nothing.
                if is_vacuous(b, q) && !is_vacuous(a, p) {
                    return RELATIONS;
                }
                if solves(gold) && !solves_for(answer, a) {
                    return RELATIONS;
                }
                if let (Some((name, value)), Some((other, result))) = (assignment(gold), assignment(answer)) {
                    let names = self.names(name, other);
                    let values = self.same(value, result);
                    if names.is_same() && values.is_same() {
                        return values;
                    }
                    if !names.is_same() && values.is_same() {
                        let formula = !value.any(&|n| matches!(n, Node::Symbol(_)));
                        if formula {
                            return NAMES;
                        }
                    }
                }
                if let Some(outcome) = self.alternatives(gold, answer) {
                    return outcome;
                }
                let outcome = self.chains(a, p, b, q);
                if outcome.is_same() {
                    return outcome;
                }
                outcome.or(|| region::same(&mut self.formulas, gold, answer, true).unwrap_or(RELATIONS))
            }
            (Node::Chain(..), other) => self.gold_is_relation(gold, other),
            (other, _) => self.answer_is_relation(other, answer),
        }
    }

    fn names(&mut self, gold: &Node, answer: &Node) -> Outcome {
        match (gold, answer) {
            (Node::Text(a), Node::Text(b)) => self.texts(a, b),
            (Node::Text(_), _) | (_, Node::Text(_)) => SAME,
            // y = … and f(x) = … name the same curve.
            (Node::Symbol(y), Node::Opaque(..)) | (Node::Opaque(..), Node::Symbol(y)) if &**y == "y" => SAME,
            (a, b) if a == b => SAME,
            _ => NAMES,
        }
    }

    fn gold_is_relation(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if let Some((_, value)) = assignment(gold) {
            if !self.options.name_optional {
                return KINDS;
            }
            return self.same(value, answer);
        }
        // log 8 = 3 and √2 ≈ 1.41 without a variable: the value is what was asked for.
        if let Node::Chain(first, rest) = gold
            && let [(relation, value)] = rest.as_slice()
            && is_closed(gold)
        {
            let holds = match relation {
                Relation::Equal => self.same(first, value).is_same(),
                Relation::Approximately => self.is_rounded(first, value),
                _ => false,
            };
            if holds {
                return self.same(first, answer).or(|| self.same(value, answer));
            }
        }
        if let Some(outcome) = self.alternatives(gold, answer) {
            return outcome;
        }
        self.interval_or_inequality(gold, answer)
    }

    fn answer_is_relation(&mut self, gold: &Node, answer: &Node) -> Outcome {
        if let Some((_, value)) = assignment(answer) {
            if !self.options.name_optional {
                return KINDS;
            }
            return self.same(gold, value);
        }
        let Node::Chain(first, rest) = answer else {
            return KINDS;
        };
        // m + n = 204, AB = 5: what is named is a sum or product of letters.
        if let [(Relation::Equal, value)] = rest.as_slice()
            && self.options.name_optional
            && is_label(first)
            && !gold.any(&|n| matches!(n, Node::Symbol(_)))
        {
            return self.same(gold, value);
        }
        // 1 + 2 = 3, A = πr² = 9π: every side must be right, but for a name in front.
        let equal = |(relation, _): &(Relation, Node)| matches!(relation, Relation::Equal | Relation::Approximately);
        if rest.iter().all(equal) && !matches!(gold, Node::Text(_)) {
            if is_vacuous(first, rest) {
                return RELATIONS;
            }
            let named = rest.iter().all(|(_, value)| is_name(first, value)) && self.options.name_optional;
            let mut outcome = if named { SAME } else { self.same(gold, first) };
            for (place, (relation, value)) in rest.iter().enumerate() {
                // What follows ≈ must be what stands before it, rounded.
                let exact = if place == 0 { first } else { &rest[place - 1].1 };
                let about = *relation == Relation::Approximately && !(named && place == 0);
                if about && self.is_rounded(exact, value) {
                    continue;
                }
                outcome = outcome.and(|| self.same(gold, value));
            }
            return outcome;
        }
        self.interval_or_inequality(gold, answer)
    }

    fn interval_or_inequality(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let builder = |node: &Node| matches!(node, Node::Builder(..));
        if (self.options.interval_is_inequality || builder(gold) || builder(answer))
            && let Some(outcome) = region::same(&mut self.formulas, gold, answer, true)
        {
            return outcome;
        }
        KINDS
    }

    /// An expected `P = a = b ≈ c` gives one value in several forms: any of them will do. `None` for other chains.
    fn alternatives(&mut self, gold: &Node, answer: &Node) -> Option<Outcome> {
        let Node::Chain(first, rest) = gold else {
            return None;
        };
        let equal = |(relation, _): &(Relation, Node)| matches!(relation, Relation::Equal | Relation::Approximately);
        if rest.len() < 2 || !rest.iter().all(equal) || matches!(answer, Node::Chain(_, r) if r.len() >= 2) {
            return None;
        }
        let named = rest.iter().all(|(_, value)| is_name(first, value));
        // Of P = a = b, a side is an answer; of y = f(y) = c none is.
        if !named && !is_closed(gold) {
            return None;
        }
        let (value, answer_name) = match assignment(answer) {
            Some((name, value)) => (value, Some(name)),
            None => (answer, None),
        };
        if let (true, Some(name)) = (named, answer_name)
            && !self.names(first, name).is_same()
        {
            return Some(NAMES);
        }
        let mut outcome = if named { self.same(&rest[0].1, value) } else { self.same(first, value) };
        for (_, form) in &rest[usize::from(named)..] {
            outcome = outcome.or(|| self.same(form, value));
        }
        Some(outcome)
    }

    /// Relations side by side: as many, each once, in any order.
    fn chains(&mut self, a: &Node, p: &[(Relation, Node)], b: &Node, q: &[(Relation, Node)]) -> Outcome {
        if p.len() != q.len() {
            return Outcome::Different(Reason::LengthsDiffer);
        }
        let mut left: Vec<&Node> = vec![b];
        left.extend(q.iter().map(|(_, node)| node));
        let mut used = vec![false; q.len()];
        let mut outcome = SAME;
        let mut side = a;
        for (relation, next) in p {
            let mut best = RELATIONS;
            for place in 0..q.len() {
                if used[place] {
                    continue;
                }
                let found = self.one((side, *relation, next), (left[place], q[place].0, left[place + 1]));
                best = if place == 0 && best == RELATIONS { found } else { best.or(|| found) };
                if found.is_same() {
                    used[place] = true;
                    best = found;
                    break;
                }
            }
            outcome = outcome.and(|| best);
            if let Outcome::Different(_) = outcome {
                return outcome;
            }
            side = next;
        }
        outcome
    }

    /// Whether a decimal is an exact value rounded to its places.
    fn is_rounded(&mut self, exact: &Node, decimal: &Node) -> bool {
        let gap = self.formulas.gap(exact, decimal);
        gap.is_some_and(|(gap, _)| crate::math::rounding::is_rounding(decimal, gap))
    }

    /// Sides of relations: equal, and of relations between constants alike, since all true ones are equal.
    fn sides(&mut self, closed: bool, gold: &Node, answer: &Node) -> Outcome {
        let equal = self.same(gold, answer);
        let literal = |node: &Node| matches!(node, Node::Number(_));
        if !closed || !equal.is_same() || literal(gold) || !gold.is_scalar() || !answer.is_scalar() {
            return equal;
        }
        self.formulas.alike(gold, answer)
    }

    /// One relation and another: the same after moving terms and multiplying by a constant.
    fn one(&mut self, gold: (&Node, Relation, &Node), answer: (&Node, Relation, &Node)) -> Outcome {
        let (a, p, b) = gold;
        let (c, q, d) = answer;
        let equal = |relation| if relation == Relation::Approximately { Relation::Equal } else { relation };
        let (p, q) = (equal(p), equal(q));
        let straight = p == q;
        if !straight && p != q.swapped() {
            return RELATIONS;
        }
        let symmetric = p == p.swapped() && p == q && matches!(p, Relation::Equal | Relation::NotEqual);
        let closed = is_closed(a) && is_closed(b);
        if straight {
            let pairs = self.sides(closed, a, c).and(|| self.sides(closed, b, d));
            if pairs.is_same() {
                return pairs;
            }
        }
        if symmetric || !straight || p.is_order() && p == q.swapped() {
            let pairs = self.sides(closed, a, d).and(|| self.sides(closed, b, c));
            if pairs.is_same() {
                return pairs;
            }
        }
        if closed {
            return RELATIONS;
        }
        if ![a, b, c, d].into_iter().all(Node::is_scalar) || !(symmetric || p.is_order()) {
            return RELATIONS;
        }
        let gold = difference(a, b);
        let answer = difference(c, d);
        let outcome = self.formulas.proportional(&gold, &answer);
        if !outcome.is_same() || symmetric {
            return match outcome {
                Outcome::Different(_) => RELATIONS,
                outcome => outcome,
            };
        }
        match self.formulas.factor_sign(&gold, &answer) {
            Some(positive) if positive == straight => SAME,
            Some(_) => RELATIONS,
            None => Outcome::Open(Reason::TooImprecise),
        }
    }
}

/// Whether a relation says nothing: a side is related to itself.
fn is_vacuous(first: &Node, rest: &[(Relation, Node)]) -> bool {
    let mut before = first;
    rest.iter().any(|(_, side)| std::mem::replace(&mut before, side) == side)
}

/// Whether there is no variable in a tree.
fn is_closed(node: &Node) -> bool {
    !node.any(&|n| matches!(n, Node::Symbol(_) | Node::Opaque(..) | Node::Text(_)))
}

/// Whether a side is made of letters alone, each once: what `m + n = 204` names.
fn is_label(node: &Node) -> bool {
    match node {
        Node::Symbol(_) => true,
        Node::Sum(parts) | Node::Product(parts) => parts.iter().all(is_label),
        Node::Call(crate::math::tree::Function::Abs, parts) => parts.iter().all(is_label),
        Node::Opaque(_, parts) => parts.iter().all(|part| matches!(part, Node::Symbol(_) | Node::Number(_))),
        _ => false,
    }
}

/// Whether an expected equation is a formula solved for one of several letters: `L = S − 2B`. Its question is the same
/// equation, solved for another. Curves `y = …` are not meant.
fn solves(gold: &Node) -> bool {
    match assignment(gold) {
        Some((Node::Symbol(name), value)) if &**name != "y" && &**name != "z" => {
            let mut others = Vec::new();
            value.symbols(&mut others);
            others.len() >= 2
        }
        _ => false,
    }
}

fn solves_for(answer: &Node, name: &Node) -> bool {
    match answer {
        Node::Chain(first, rest) => match rest.as_slice() {
            [(Relation::Equal, other)] => {
                (**first == *name && is_name(name, other)) || (other == name && is_name(name, first))
            }
            _ => **first == *name && rest.iter().all(|(_, side)| is_name(name, side)),
        },
        _ => false,
    }
}

fn difference(a: &Node, b: &Node) -> Node {
    Node::Sum(vec![a.clone(), Node::Negative(Box::new(b.clone()))])
}
