//! Families of numbers, one for each integer: `π/4 + kπ`.

use super::Comparison;
use crate::math::outcome::{Outcome, SAME};
use crate::math::reading::integer_name;
use crate::math::tree::Node;

impl Comparison<'_> {
    /// Whether two families a + bk and c + dk have the same members: d = ±b, and a − c a multiple of b.
    pub(super) fn families(&mut self, gold: &Node, answer: &Node) -> Outcome {
        let name = integer_name(0);
        let (Some((a, b)), Some((c, d))) = (self.line(gold, &name), self.line(answer, &name)) else {
            return super::KINDS;
        };
        let minus = |node: &Node| Node::Negative(Box::new(node.clone()));
        let steps = self.formulas.same(&b, &d).or(|| self.formulas.same(&b, &minus(&d)));
        let (Some(b_near), Some(a_near), Some(c_near)) =
            (self.formulas.approximate(&b), self.formulas.approximate(&a), self.formulas.approximate(&c))
        else {
            return super::KINDS;
        };
        let times = ((a_near.middle - c_near.middle) / b_near.middle).round();
        if !times.is_finite() || times.abs() > 1e9 {
            return super::KINDS;
        }
        let shift = Node::Sum(vec![c, Node::Product(vec![Node::integer(times as i64), b])]);
        steps.and(|| self.formulas.same(&a, &shift)).and(|| SAME)
    }

    /// Start and step of a family whose members are evenly spaced constants.
    fn line(&mut self, node: &Node, name: &str) -> Option<(Node, Node)> {
        let mut names = Vec::new();
        node.symbols(&mut names);
        if names != [name] {
            return None;
        }
        let mut members = (0..3).map(|k| {
            let mut member = node.clone();
            member.set(name, &Node::integer(k));
            member
        });
        let (first, second, third) = (members.next()?, members.next()?, members.next()?);
        let gap = |from: &Node, to: &Node| Node::Sum(vec![to.clone(), Node::Negative(Box::new(from.clone()))]);
        let (step, next) = (gap(&first, &second), gap(&second, &third));
        if !self.formulas.same(&step, &next).is_same() || self.formulas.same(&step, &Node::integer(0)).is_same() {
            return None;
        }
        Some((first, step))
    }
}
