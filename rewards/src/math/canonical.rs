//! A tree in one spelling: what a person reads when a verdict is explained, and what a majority vote counts.

use std::fmt::Write;

use super::budget::Budget;
use super::exact;
use super::tree::{Constant, Edge, Node, Relation, SetOperation};

/// Characters of a canonical form; what is longer is cut.
const MAX_LENGTH: usize = 2000;

/// The canonical form of an answer: rationals in lowest terms, sums, products and sets in one order.
pub(crate) fn form(node: &Node) -> String {
    let mut speller = Speller { budget: Budget::new() };
    let mut form = speller.spelt(node, 0);
    if form.len() > MAX_LENGTH {
        let end = (0..=MAX_LENGTH).rev().find(|&at| form.is_char_boundary(at)).unwrap_or(0);
        form.truncate(end);
        form.push('…');
    }
    form
}

/// Writes trees, within a budget of its own.
struct Speller {
    budget: Budget,
}

impl Speller {
    /// How strongly what surrounds a part binds it: 0 nothing, 1 a sum, 2 a product, 3 a power.
    fn spelt(&mut self, node: &Node, around: u8) -> String {
        if let Some(value) = exact::rational(node, &mut self.budget) {
            let text = value.to_string();
            if text.len() <= 200 {
                let wrap = around >= 2 && (value.numerator() < &0.into() || !value.is_int());
                return if wrap { format!("({text})") } else { text };
            }
        }
        let (text, own) = match node {
            Node::Number(number) => (number.value.to_string(), 9),
            Node::Constant(Constant::Pi) => ("π".to_owned(), 9),
            Node::Constant(Constant::E) => ("e".to_owned(), 9),
            Node::Constant(Constant::I) => ("i".to_owned(), 9),
            Node::Symbol(name) => (name.to_string(), 9),
            Node::Infinity => ("∞".to_owned(), 9),
            Node::Sum(terms) => {
                let mut parts = Vec::new();
                self.flatten(terms, &mut parts, false);
                parts.sort_unstable();
                (parts.join(" + "), 1)
            }
            Node::Negative(inner) => (format!("-{}", self.spelt(inner, 2)), 1),
            Node::Product(factors) => {
                let mut parts: Vec<String> = factors.iter().map(|factor| self.spelt(factor, 2)).collect();
                parts.retain(|part| part != "1");
                parts.sort_unstable();
                (parts.join("·"), 2)
            }
            Node::Quotient(a, b) => (format!("{}/{}", self.spelt(a, 2), self.spelt(b, 3)), 2),
            Node::Power(a, b) => (format!("{}^{}", self.spelt(a, 3), self.spelt(b, 3)), 3),
            Node::Root(index, radicand) => match exact::rational(index, &mut self.budget) {
                Some(two) if two == 2.into() => (format!("√({})", self.spelt(radicand, 0)), 9),
                _ => (format!("root({}, {})", self.spelt(index, 0), self.spelt(radicand, 0)), 9),
            },
            Node::Call(function, arguments) => {
                (format!("{}({})", name(&format!("{function:?}")), self.list(arguments, ", ")), 9)
            }
            Node::Opaque(name, arguments) => (format!("{name}({})", self.list(arguments, ", ")), 9),
            Node::Signs(plus, inner) => (format!("{}{}", if *plus { '±' } else { '∓' }, self.spelt(inner, 2)), 1),
            Node::Degrees(inner) => (format!("{}°", self.spelt(inner, 3)), 3),
            Node::Percent(inner) => (format!("{}%", self.spelt(inner, 3)), 3),
            Node::Quantity(inner, unit) => (format!("{} {unit}", self.spelt(inner, 2)), 2),
            Node::Based(digits, base) => (format!("{digits}_{base}"), 9),
            Node::Text(text) => (text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase(), 9),
            Node::List(items) | Node::Either(items) => (self.sorted(items).join(", "), 0),
            Node::Set(items) => (format!("{{{}}}", self.sorted(items).join(", ")), 9),
            Node::Tuple(left, items, right) => {
                let open = match left {
                    Edge::Closed => '[',
                    Edge::Open | Edge::Angle => '(',
                };
                let close = match right {
                    Edge::Closed => ']',
                    Edge::Open | Edge::Angle => ')',
                };
                (format!("{open}{}{close}", self.list(items, ", ")), 9)
            }
            Node::Builder(element, condition) => {
                (format!("{{{} | {}}}", self.spelt(element, 0), self.spelt(condition, 0)), 9)
            }
            Node::NumberSet(letter) => {
                ("ℝℤℕℚℂ".to_string().chars().find(|c| same_set(*c, *letter)).unwrap_or(*letter).to_string(), 9)
            }
            Node::Sets(operation, a, b) => {
                let mut sides = [self.spelt(a, 3), self.spelt(b, 3)];
                let sign = match operation {
                    SetOperation::Union => "∪",
                    SetOperation::Intersection => "∩",
                    SetOperation::Without => "∖",
                };
                if *operation != SetOperation::Without {
                    sides.sort_unstable();
                }
                (format!("{} {sign} {}", sides[0], sides[1]), 1)
            }
            Node::Matrix(rows) => {
                let rows: Vec<String> = rows.iter().map(|row| format!("[{}]", self.list(row, ", "))).collect();
                (format!("[{}]", rows.join(", ")), 9)
            }
            Node::Chain(first, rest) => {
                let mut text = self.spelt(first, 1);
                for (relation, side) in rest {
                    // Writing to a string does not fail.
                    let _ = write!(text, " {} {}", sign(*relation), self.spelt(side, 1));
                }
                (text, 0)
            }
            Node::Ratio(parts) => (self.list(parts, ":"), 1),
        };
        if own < around { format!("({text})") } else { text }
    }

    /// The terms of a sum and of the sums in it, each with its sign.
    fn flatten(&mut self, terms: &[Node], parts: &mut Vec<String>, negative: bool) {
        for term in terms {
            match term {
                Node::Sum(inner) => self.flatten(inner, parts, negative),
                Node::Negative(inner) => match &**inner {
                    Node::Sum(inner) => self.flatten(inner, parts, !negative),
                    _ => self.flatten(std::slice::from_ref(inner), parts, !negative),
                },
                _ if negative => parts.push(format!("-{}", self.spelt(term, 2))),
                _ => parts.push(self.spelt(term, 1)),
            }
        }
    }

    fn list(&mut self, items: &[Node], between: &str) -> String {
        items.iter().map(|item| self.spelt(item, 0)).collect::<Vec<_>>().join(between)
    }

    fn sorted(&mut self, items: &[Node]) -> Vec<String> {
        let mut items: Vec<String> = items.iter().map(|item| self.spelt(item, 0)).collect();
        items.sort_unstable();
        items.dedup();
        items
    }
}

fn same_set(c: char, letter: char) -> bool {
    matches!((c, letter), ('ℝ', 'R') | ('ℤ', 'Z') | ('ℕ', 'N') | ('ℚ', 'Q') | ('ℂ', 'C'))
}

fn name(debug: &str) -> String {
    debug.to_lowercase()
}

fn sign(relation: Relation) -> char {
    match relation {
        Relation::Equal => '=',
        Relation::NotEqual => '≠',
        Relation::Less => '<',
        Relation::LessEqual => '≤',
        Relation::Greater => '>',
        Relation::GreaterEqual => '≥',
        Relation::Approximately => '≈',
        Relation::Congruent => '≡',
        Relation::Member => '∈',
        Relation::NotMember => '∉',
        Relation::Subset => '⊆',
        Relation::Other(sign) => sign,
    }
}
