//! A text read as an answer.

use super::choice::{self, Choice};
use super::lexer::{self, LexError};
use super::parser::{self, ParseError};
use super::token::{Bracket, Token, TokenKind as T};
use super::tree::{Node, Number, Relation};
use super::words;

/// How a text was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    /// Mathematics.
    Formula,
    /// Words.
    Words,
    /// Neither: kept as it is spelt.
    Unreadable,
    TooLarge,
}

/// A text read as an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) kind: Kind,
    pub(crate) node: Node,
    /// The tokens in one spelling, to tell texts that are the same letter for letter.
    pub(crate) spelling: String,
    tokens: Vec<Token>,
}

impl Reading {
    /// Reads a text. Never fails: what is not understood is kept as text.
    pub(crate) fn of(text: &str) -> Self {
        let tokens = match lexer::lex(text) {
            Ok(tokens) => tokens,
            Err(LexError::TooLong) => {
                let node = Node::Text("".into());
                let spelling = format!("{} bytes", text.len());
                return Self { kind: Kind::TooLarge, node, spelling, tokens: Vec::new() };
            }
        };
        Self::of_tokens(tokens)
    }

    /// Whether two texts are the same letter for letter.
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        self.kind != Kind::TooLarge && self.spelling == other.spelling
    }

    /// The same tokens with every comma read as one between items: for an expected answer that is a list.
    pub(crate) fn as_items(&self) -> Option<Node> {
        let commas = self.tokens.iter().any(|t| matches!(&t.kind, T::Number(n) if !n.parts.is_empty()));
        if !commas {
            return None;
        }
        match understand(&self.tokens, true) {
            (Kind::Formula, node) => Some(node),
            _ => None,
        }
    }

    /// The letter of a multiple choice that the answer names, with what stands behind it.
    pub(crate) fn choice(&self) -> Option<Choice> {
        choice::read(&self.tokens)
    }

    /// What tokens say that were cut from a text.
    pub(crate) fn of_tokens(tokens: Vec<Token>) -> Self {
        let spelling = spelling(&tokens);
        let (kind, node) = understand(&tokens, false);
        Self { kind, node, spelling, tokens }
    }
}

fn understand(tokens: &[Token], split: bool) -> (Kind, Node) {
    if tokens.iter().all(|token| matches!(token.kind, T::Open(Bracket::Brace) | T::Close(Bracket::Brace))) {
        return (Kind::Empty, Node::Text("".into()));
    }
    if let Some(text) = words::prose(tokens) {
        if let Some(value) = words::number(&text) {
            return (Kind::Formula, Node::Number(Number { value: value.into(), places: None }));
        }
        return (Kind::Words, Node::Text(text.into()));
    }
    let separate = separated(tokens, split);
    match parser::parse(separate.as_deref().unwrap_or(tokens)) {
        Ok(node) => (Kind::Formula, tidy(node)),
        Err(ParseError::TooLarge) => (Kind::TooLarge, Node::Text(spelling(tokens).into())),
        Err(ParseError::Unreadable) => {
            // A label in front: "Solution: x = 4".
            (Kind::Unreadable, Node::Text(spelling(tokens).into()))
        }
    }
}

/// The tokens with the commas of numbers in brackets, or of all numbers, between items. `None` where there are none.
fn separated(tokens: &[Token], all: bool) -> Option<Vec<Token>> {
    let mut depth = 0_usize;
    let mut found = false;
    let mut separate = Vec::new();
    for token in tokens {
        match &token.kind {
            T::Open(Bracket::Round | Bracket::Square | Bracket::Curly | Bracket::Angle) => depth += 1,
            T::Close(Bracket::Round | Bracket::Square | Bracket::Curly | Bracket::Angle) => {
                depth = depth.saturating_sub(1);
            }
            T::Number(number) if !number.parts.is_empty() && (all || depth > 0) => {
                found = true;
                for (place, part) in number.parts.iter().enumerate() {
                    if place > 0 {
                        separate.push(Token { kind: T::Comma, spaced: false });
                    }
                    let literal = super::token::Literal {
                        value: part.clone(),
                        places: None,
                        digits: part.to_string().into(),
                        parts: Vec::new(),
                    };
                    separate.push(Token { kind: T::Number(literal), spaced: token.spaced && place == 0 });
                }
                continue;
            }
            _ => {}
        }
        separate.push(token.clone());
    }
    found.then_some(separate)
}

/// Drops conditions such as `k ∈ Z` beside the items they speak of, and writes `±` out as two items.
fn tidy(node: Node) -> Node {
    match node {
        Node::List(items) => items_of(items, false),
        Node::Either(items) => items_of(items, true),
        // (x, y) = (1, 2) gives values to two names.
        Node::Chain(first, rest) if is_pairwise(&first, &rest) => pairwise(*first, rest),
        node => {
            let mut both = signed(node);
            if both.len() == 1 { both.remove(0) } else { Node::List(both) }
        }
    }
}

fn is_pairwise(first: &Node, rest: &[(Relation, Node)]) -> bool {
    match (first, rest) {
        (Node::Tuple(_, names, _), [(Relation::Equal, Node::Tuple(_, values, _))]) => {
            names.len() == values.len() && names.iter().all(|name| matches!(name, Node::Symbol(_)))
        }
        _ => false,
    }
}

fn pairwise(first: Node, rest: Vec<(Relation, Node)>) -> Node {
    let value = rest.into_iter().next().map(|(_, value)| value);
    match (first, value) {
        (Node::Tuple(_, names, _), Some(Node::Tuple(_, values, _))) => {
            let pair = |(name, value)| Node::Chain(Box::new(name), vec![(Relation::Equal, value)]);
            Node::List(names.into_iter().zip(values).map(pair).collect())
        }
        (first, _) => first,
    }
}

fn items_of(items: Vec<Node>, either: bool) -> Node {
    let several = items.len() > 1;
    let mut all: Vec<Node> = Vec::with_capacity(items.len());
    let bound: Vec<Box<str>> =
        items.iter().skip(1).filter(|item| is_integer_condition(item)).filter_map(name_of).collect();
    for mut item in items {
        for (place, name) in bound.iter().enumerate() {
            if !is_integer_condition(&item) {
                item.rename(name, &integer_name(place));
            }
        }
        if several && is_integer_condition(&item) && !all.is_empty() {
            continue;
        }
        all.extend(signed(item));
    }
    match (all.len(), either) {
        (1, _) => all.remove(0),
        (_, true) => Node::Either(all),
        (_, false) => Node::List(all),
    }
}

/// The name that a variable over the integers goes by, whatever its letter.
pub(crate) fn integer_name(place: usize) -> Box<str> {
    format!("ℤ{}", place + 1).into()
}

fn name_of(condition: &Node) -> Option<Box<str>> {
    match condition {
        Node::Chain(first, _) => match &**first {
            Node::Symbol(name) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn is_integer_condition(node: &Node) -> bool {
    match node {
        Node::Chain(first, rest) => match (&**first, rest.as_slice()) {
            (Node::Symbol(_), [(Relation::Member, Node::NumberSet('Z' | 'N'))]) => true,
            (Node::Symbol(_), [(Relation::Member, Node::Symbol(set))]) => set.starts_with('𝔹'),
            _ => false,
        },
        _ => false,
    }
}

/// A term with `±` in it, once with each sign; the lower sign of `∓` goes with the upper of `±`.
fn signed(node: Node) -> Vec<Node> {
    let sets = |n: &Node| matches!(n, Node::Signs(..));
    if !node.any(&sets) {
        return vec![node];
    }
    // Brackets keep their own: {±1} has two members.
    if let Node::Set(items) = node {
        return vec![Node::Set(items.into_iter().flat_map(signed).collect())];
    }
    vec![resolved(&node, true), resolved(&node, false)]
}

fn resolved(node: &Node, upper: bool) -> Node {
    let one = |n: &Node| Box::new(resolved(n, upper));
    let all = |items: &[Node]| items.iter().map(|n| resolved(n, upper)).collect::<Vec<_>>();
    match node {
        Node::Signs(plus, inner) => {
            let inner = resolved(inner, upper);
            if *plus == upper { inner } else { Node::Negative(Box::new(inner)) }
        }
        Node::Sum(items) => Node::Sum(all(items)),
        Node::Product(items) => Node::Product(all(items)),
        Node::Negative(a) => Node::Negative(one(a)),
        Node::Degrees(a) => Node::Degrees(one(a)),
        Node::Percent(a) => Node::Percent(one(a)),
        Node::Quantity(a, unit) => Node::Quantity(one(a), unit.clone()),
        Node::Quotient(a, b) => Node::Quotient(one(a), one(b)),
        Node::Power(a, b) => Node::Power(one(a), one(b)),
        Node::Root(a, b) => Node::Root(one(a), one(b)),
        Node::Call(function, items) => Node::Call(*function, all(items)),
        Node::Opaque(name, items) => Node::Opaque(name.clone(), all(items)),
        Node::List(items) => Node::List(all(items)),
        Node::Either(items) => Node::Either(all(items)),
        Node::Tuple(l, items, r) => Node::Tuple(*l, all(items), *r),
        Node::Set(items) => Node::Set(all(items)),
        Node::Ratio(items) => Node::Ratio(all(items)),
        Node::Builder(a, b) => Node::Builder(one(a), one(b)),
        Node::Sets(operation, a, b) => Node::Sets(*operation, one(a), one(b)),
        Node::Matrix(rows) => Node::Matrix(rows.iter().map(|row| all(row)).collect()),
        Node::Chain(first, rest) => {
            Node::Chain(one(first), rest.iter().map(|(relation, n)| (*relation, resolved(n, upper))).collect())
        }
        leaf => leaf.clone(),
    }
}

/// Tokens in one spelling.
fn spelling(tokens: &[Token]) -> String {
    use std::fmt::Write;
    let mut spelt = String::new();
    for token in tokens {
        // Writing to a string does not fail.
        let _ = match &token.kind {
            T::Number(literal) => write!(spelt, "{} ", literal.digits),
            T::Letter(letter) => write!(spelt, "{letter} "),
            T::Word(word) => write!(spelt, "{word} "),
            T::Text(text) => write!(spelt, "{text} "),
            T::Unknown(name) => write!(spelt, "\\{name} "),
            T::Open(Bracket::Brace) => write!(spelt, "{{"),
            T::Close(Bracket::Brace) => write!(spelt, "}}"),
            other => write!(spelt, "{other:?} "),
        };
    }
    spelt.truncate(spelt.trim_end().len());
    spelt
}
