//! Tokens to a tree, by binding power (Pratt, "Top down operator precedence", 1973).

mod call;
mod environment;
mod group;
mod letter;
mod noun;
mod operand;

use super::budget::{MAX_DEPTH, MAX_NODES};
use super::token::{Bracket, Token, TokenKind as T};
use super::tree::{Node, Relation, SetOperation};
use super::unit;

/// Why tokens make no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// They are no answer of a kind known here.
    Unreadable,
    /// They are nested too deep, or are too many.
    TooLarge,
}

type Parsed<T = Node> = Result<T, ParseError>;

/// How strongly operators bind, from the weakest. The right side of one that groups to the left binds one stronger.
mod power {
    pub(super) const UNION: u8 = 10;
    pub(super) const INTERSECTION: u8 = 12;
    pub(super) const RATIO: u8 = 14;
    pub(super) const SUM: u8 = 20;
    pub(super) const SIGN: u8 = 25;
    pub(super) const PRODUCT: u8 = 30;
}

/// Reads a whole answer. Several items make a [`Node::List`].
pub(crate) fn parse(tokens: &[Token]) -> Parsed {
    let mut parser = Parser { tokens, at: 0, depth: 0, bars: 0, in_set: 0 };
    let (items, either) = parser.items()?;
    if parser.at < tokens.len() {
        return Err(ParseError::Unreadable);
    }
    let root = joined(items, either);
    let mut nodes = 0;
    if fits(&root, &mut nodes, 0) { Ok(root) } else { Err(ParseError::TooLarge) }
}

/// Items of alternatives that give several values each, as one list for each alternative; else the items as they are.
fn alternatives(items: Vec<Node>, starts: &[usize]) -> Vec<Node> {
    let count = starts.len();
    let each = items.len() / count;
    let even = starts.iter().enumerate().all(|(place, start)| *start == place * each) && items.len() == each * count;
    let is_value =
        |item: &Node| matches!(item, Node::Chain(_, rest) if rest.len() == 1 && rest[0].0 == Relation::Equal);
    if count < 2 || each < 2 || !even || !items.iter().all(is_value) {
        return items;
    }
    let mut rest = items.into_iter();
    (0..count).map(|_| Node::List(rest.by_ref().take(each).collect())).collect()
}

/// Items as one node.
fn joined(mut items: Vec<Node>, either: bool) -> Node {
    match (items.len(), either) {
        (1, _) => items.remove(0),
        (_, true) => Node::Either(items),
        (_, false) => Node::List(items),
    }
}

/// Whether a tree is small enough to be followed: 1/2/3/… is deep without a bracket.
fn fits(node: &Node, nodes: &mut usize, depth: usize) -> bool {
    *nodes += 1;
    *nodes <= MAX_NODES
        && depth <= 2 * MAX_DEPTH
        && node.children().into_iter().all(|child| fits(child, nodes, depth + 1))
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    /// Bars that are open: the next one closes.
    bars: usize,
    /// Sets that are open, in whose first part a bar or colon starts the condition.
    in_set: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t T> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'t T> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    fn next(&mut self) -> Option<&'t T> {
        let kind = self.peek();
        self.at += usize::from(kind.is_some());
        kind
    }

    fn eat(&mut self, kind: &T) -> bool {
        let found = self.peek() == Some(kind);
        self.at += usize::from(found);
        found
    }

    /// Runs a part one level deeper.
    fn deeper<R>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<R>) -> Parsed<R> {
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::TooLarge);
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// Items with separators between them, as far as they go.
    fn list(&mut self) -> Parsed<Vec<Node>> {
        self.items().map(|(items, _)| items)
    }

    /// Items with separators between them, and whether a separator was `or`.
    fn items(&mut self) -> Parsed<(Vec<Node>, bool)> {
        let mut items = vec![self.chain()?];
        let mut either = false;
        // Where alternatives start: x = 2, y = 1 or x = −2, y = −1 are two of two values each.
        let mut starts = vec![0];
        loop {
            let before = self.at;
            while matches!(self.peek(), Some(T::Comma | T::Semicolon | T::And | T::Or)) {
                if self.peek() == Some(&T::Or) {
                    either = true;
                    starts.push(items.len());
                }
                self.at += 1;
            }
            let ends = self.peek().is_none_or(|kind| matches!(kind, T::Close(_) | T::Row | T::End(_)));
            if self.at == before || ends {
                return Ok((alternatives(items, &starts), either));
            }
            items.push(self.chain()?);
        }
    }

    /// Sides with relations between them, or one side alone.
    fn chain(&mut self) -> Parsed {
        let first = self.side()?;
        let mut rest = Vec::new();
        loop {
            if self.peek() == Some(&T::Cell) && matches!(self.peek_at(1), Some(T::Relation(_))) {
                self.at += 1;
            }
            let relation = match self.peek() {
                Some(T::Relation(relation)) => *relation,
                Some(T::Member) => Relation::Member,
                _ => break,
            };
            // Words before a relation are prose, unless they are the unit of what stands there.
            let before = rest.last().map_or(&first, |(_, side)| side);
            if let Node::Quantity(_, words) = before
                && !unit::Unit::read(words).is_some_and(|unit| unit.is_measure())
            {
                return Err(ParseError::Unreadable);
            }
            self.at += 1;
            rest.push((relation, self.side()?));
        }
        Ok(if rest.is_empty() { first } else { Node::Chain(Box::new(first), rest) })
    }

    /// One side: an expression and the unit that may follow it.
    fn side(&mut self) -> Parsed {
        self.label();
        if let Some(node) = self.applied_name() {
            return Ok(node);
        }
        let value = self.expression(0)?;
        self.with_unit(value)
    }

    /// Passes over words with a colon behind them, as in `radius: 5`, and over a relation with nothing before it.
    fn label(&mut self) {
        let mut ahead = 0;
        while matches!(self.peek_at(ahead), Some(T::Word(_) | T::Text(_))) {
            ahead += 1;
        }
        if ahead > 0 && self.peek_at(ahead) == Some(&T::Colon) && self.in_set == 0 {
            self.at += ahead + 1;
        }
        if matches!(self.peek(), Some(T::Relation(Relation::Approximately | Relation::Equal))) {
            self.at += 1;
        }
    }

    /// An expression whose operators bind at least so strongly.
    fn expression(&mut self, weakest: u8) -> Parsed {
        self.deeper(|parser| {
            let mut left = parser.prefix()?;
            while let Some((operator, power)) = parser.infix(&left) {
                if power < weakest {
                    break;
                }
                left = parser.combine(left, operator, power)?;
            }
            Ok(left)
        })
    }

    fn prefix(&mut self) -> Parsed {
        match self.peek() {
            Some(T::Minus) => {
                self.at += 1;
                let node = self.expression(power::SIGN)?;
                Ok(Node::Negative(Box::new(node)))
            }
            Some(T::Plus) => {
                self.at += 1;
                self.expression(power::SIGN)
            }
            Some(&ref sign @ (T::PlusMinus | T::MinusPlus)) => {
                self.at += 1;
                let node = self.expression(power::SIGN)?;
                Ok(Node::Signs(*sign == T::PlusMinus, Box::new(node)))
            }
            _ => self.operand(),
        }
    }

    /// The operator that comes next, a product without a sign among them.
    fn infix(&self, left: &Node) -> Option<(Infix, u8)> {
        Some(match self.peek()? {
            T::Union => (Infix::Set(SetOperation::Union), power::UNION),
            T::Without => (Infix::Set(SetOperation::Without), power::UNION),
            T::Intersection => (Infix::Set(SetOperation::Intersection), power::INTERSECTION),
            T::Colon if self.in_set == 0 => (Infix::Ratio, power::RATIO),
            T::Plus => (Infix::Plus, power::SUM),
            T::Minus => (Infix::Minus, power::SUM),
            T::PlusMinus => (Infix::Signs(true), power::SUM),
            T::MinusPlus => (Infix::Signs(false), power::SUM),
            T::Times => (Infix::Times, power::PRODUCT),
            T::Slash => (Infix::Over, power::PRODUCT),
            _ if self.joins(left) => (Infix::Joined, power::PRODUCT),
            _ => return None,
        })
    }

    fn combine(&mut self, left: Node, operator: Infix, power: u8) -> Parsed {
        if operator != Infix::Joined {
            self.at += 1;
        }
        let right = self.expression(power + 1)?;
        Ok(match operator {
            Infix::Set(operation) => Node::Sets(operation, Box::new(left), Box::new(right)),
            Infix::Ratio => match left {
                Node::Ratio(mut parts) => {
                    parts.push(right);
                    Node::Ratio(parts)
                }
                left => Node::Ratio(vec![left, right]),
            },
            Infix::Plus => sum(left, right),
            // ℝ − {1} takes members away.
            Infix::Minus if matches!((&left, &right), (Node::NumberSet(_), Node::Set(_))) => {
                Node::Sets(SetOperation::Without, Box::new(left), Box::new(right))
            }
            Infix::Minus => sum(left, Node::Negative(Box::new(right))),
            Infix::Signs(plus) => sum(left, Node::Signs(plus, Box::new(right))),
            Infix::Times | Infix::Joined => product(left, right),
            Infix::Over => Node::Quotient(Box::new(as_symbol(left)), Box::new(as_symbol(right))),
        })
    }

    /// Whether what comes next is multiplied with what stands before it.
    fn joins(&self, left: &Node) -> bool {
        let Some(kind) = self.peek() else {
            return false;
        };
        match kind {
            T::NumberSet(_) => matches!(left, Node::Quotient(..)),
            T::Letter(_)
            | T::Name(_)
            | T::Fraction
            | T::Root
            | T::Binomial
            | T::Pi
            | T::Infinity
            | T::BigOperator(_)
            | T::Decoration(_)
            | T::Begin(_) => true,
            T::Function(_) => !self.is_unit_word(),
            // 2 3 is no product.
            T::Number(_) => {
                let digits = matches!(self.tokens.get(self.at.wrapping_sub(1)), Some(Token { kind: T::Number(_), .. }));
                !digits && !matches!(left, Node::Number(_) | Node::Based(..))
            }
            T::Word(word) => !unit::is_word(word),
            T::Text(text) => matches!(&**text, "i" | "e") || (&**text == "d" && !self.spaced()),
            T::Open(bracket) => match bracket {
                Bracket::Round | Bracket::Brace | Bracket::Floor | Bracket::Ceiling | Bracket::Bar | Bracket::Norm => {
                    true
                }
                // A bracket with nothing behind it closes: ]2, 5[.
                Bracket::Square => {
                    let behind =
                        self.peek_at(1).is_some_and(|next| !matches!(next, T::Union | T::Intersection | T::Comma));
                    behind && !matches!(left, Node::Set(_) | Node::Tuple(..) | Node::Infinity)
                }
                Bracket::Curly | Bracket::Angle => false,
            },
            T::Pipe => self.bars == 0 && self.in_set == 0,
            T::Currency(_) => false,
            _ => false,
        }
    }
}

/// An operator between two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Infix {
    Set(SetOperation),
    Ratio,
    Plus,
    Minus,
    Signs(bool),
    Times,
    Over,
    /// A product without a sign.
    Joined,
}

/// A set of numbers inside a formula is a thing of its own: Z/2Z.
fn as_symbol(node: Node) -> Node {
    match node {
        Node::NumberSet(letter) => Node::Symbol(format!("𝔹{letter}").into()),
        node => node,
    }
}

fn sum(left: Node, right: Node) -> Node {
    match left {
        Node::Sum(mut terms) => {
            terms.push(right);
            Node::Sum(terms)
        }
        left => Node::Sum(vec![left, right]),
    }
}

fn product(left: Node, right: Node) -> Node {
    let (left, right) = (as_symbol(left), as_symbol(right));
    match left {
        Node::Product(mut factors) => {
            factors.push(right);
            Node::Product(factors)
        }
        left => Node::Product(vec![left, right]),
    }
}
