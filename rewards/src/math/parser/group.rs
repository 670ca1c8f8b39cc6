//! What stands in brackets.

use super::{ParseError, Parsed, Parser};
use crate::math::token::{Bracket, TokenKind as T};
use crate::math::tree::{Edge, Function, Node};

impl Parser<'_> {
    /// What follows a bracket that was just opened, up to the one that closes it.
    pub(super) fn group(&mut self, bracket: Bracket, _spaced: bool) -> Parsed {
        match bracket {
            Bracket::Round | Bracket::Square | Bracket::Angle => self.bracketed(bracket),
            Bracket::Curly => self.set(),
            Bracket::Brace => self.braces(),
            Bracket::Floor => self.enclosed(Bracket::Floor).map(|inner| Node::Call(Function::Floor, vec![inner])),
            Bracket::Ceiling => self.enclosed(Bracket::Ceiling).map(|inner| Node::Call(Function::Ceiling, vec![inner])),
            Bracket::Bar => self.enclosed(Bracket::Bar).map(absolute),
            Bracket::Norm => self.enclosed(Bracket::Norm).map(|inner| Node::Opaque("norm".into(), vec![inner])),
        }
    }

    fn enclosed(&mut self, bracket: Bracket) -> Parsed {
        let outside = self.outside();
        let inner = self.expression(0);
        self.inside(outside);
        let inner = inner?;
        if self.eat(&T::Close(bracket)) { Ok(inner) } else { Err(ParseError::Unreadable) }
    }

    /// Bars and sets that are open do not reach into brackets.
    fn outside(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.bars), std::mem::take(&mut self.in_set))
    }

    fn inside(&mut self, (bars, in_set): (usize, usize)) {
        self.bars = bars;
        self.in_set = in_set;
    }

    fn bracketed(&mut self, bracket: Bracket) -> Parsed {
        let outside = self.outside();
        let items = self.list();
        self.inside(outside);
        let mut items = items?;
        let left = edge(bracket).ok_or(ParseError::Unreadable)?;
        let right = match self.next() {
            Some(T::Close(close)) => edge(*close).ok_or(ParseError::Unreadable)?,
            // ]a, b[ and [a, b[ as written in some countries.
            Some(T::Open(Bracket::Square)) if items.len() == 2 => Edge::Open,
            _ => return Err(ParseError::Unreadable),
        };
        match (items.len(), left, right) {
            (1, Edge::Open, Edge::Open) | (1, Edge::Closed, Edge::Closed) => Ok(items.remove(0)),
            (1, _, _) if left != right => Err(ParseError::Unreadable),
            _ => Ok(Node::Tuple(left, items, right)),
        }
    }

    /// `]a, b[`, whose first bracket was just read.
    pub(super) fn reversed(&mut self) -> Parsed {
        let outside = self.outside();
        let items = self.list();
        self.inside(outside);
        let items = items?;
        let right = match self.next() {
            Some(T::Open(Bracket::Square)) => Edge::Open,
            Some(T::Close(Bracket::Square)) => Edge::Closed,
            _ => return Err(ParseError::Unreadable),
        };
        if items.len() == 2 { Ok(Node::Tuple(Edge::Open, items, right)) } else { Err(ParseError::Unreadable) }
    }

    fn set(&mut self) -> Parsed {
        if self.eat(&T::Close(Bracket::Curly)) {
            return Ok(Node::Set(Vec::new()));
        }
        let bars = std::mem::take(&mut self.bars);
        self.in_set += 1;
        let items = self.list();
        self.in_set -= 1;
        self.bars = bars;
        let mut items = items?;
        if matches!(self.peek(), Some(T::Pipe | T::Mid | T::Colon)) {
            self.at += 1;
            let outside = self.outside();
            let conditions = self.items();
            self.inside(outside);
            let (conditions, either) = conditions?;
            if !self.eat(&T::Close(Bracket::Curly)) || items.len() != 1 {
                return Err(ParseError::Unreadable);
            }
            let condition = super::joined(conditions, either);
            return Ok(Node::Builder(Box::new(items.remove(0)), Box::new(condition)));
        }
        if self.eat(&T::Close(Bracket::Curly)) { Ok(Node::Set(items)) } else { Err(ParseError::Unreadable) }
    }

    /// LaTeX's own braces group; in plain text they make a set of several items.
    fn braces(&mut self) -> Parsed {
        if self.eat(&T::Close(Bracket::Brace)) {
            if let Some(count) = self.chosen() {
                return Ok(count);
            }
            return if self.tokens.len() == 2 { Ok(Node::Set(Vec::new())) } else { self.deeper(Self::operand) };
        }
        let outside = self.outside();
        let items = self.list();
        self.inside(outside);
        let mut items = items?;
        if self.peek() == Some(&T::Choose) && items.len() == 1 {
            self.at += 1;
            let k = self.expression(0)?;
            items = vec![Node::Call(Function::Binomial, vec![items.remove(0), k])];
        }
        if !self.eat(&T::Close(Bracket::Brace)) {
            return Err(ParseError::Unreadable);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Node::Set(items) })
    }

    /// What stands between two plain bars, the first of which was just read.
    pub(super) fn bars(&mut self) -> Parsed {
        let in_set = std::mem::take(&mut self.in_set);
        let double = self.eat(&T::Pipe);
        self.bars += 1;
        let inner = self.expression(0);
        self.bars -= 1;
        self.in_set = in_set;
        let inner = inner?;
        if !self.eat(&T::Pipe) && !self.eat(&T::Mid) {
            return Err(ParseError::Unreadable);
        }
        match (double, self.eat(&T::Pipe)) {
            (false, false) => Ok(absolute(inner)),
            (true, true) => Ok(Node::Opaque("norm".into(), vec![inner])),
            (false, true) => {
                // It closed what is open outside.
                self.at -= 1;
                Ok(absolute(inner))
            }
            (true, false) => Err(ParseError::Unreadable),
        }
    }

    /// `C(h) =`: a name applied to letters at the start of a side that a relation follows.
    pub(super) fn applied_name(&mut self) -> Option<Node> {
        let name = match self.peek()? {
            T::Letter(letter) => letter.to_string(),
            T::Word(word) | T::Text(word) => word.to_string(),
            _ => return None,
        };
        if self.peek_at(1) != Some(&T::Open(Bracket::Round)) {
            return None;
        }
        let mut ahead = 2;
        let mut arguments = Vec::new();
        loop {
            match self.peek_at(ahead)? {
                T::Letter(letter) => arguments.push(Node::Symbol(letter.to_string().into())),
                T::Number(literal) => arguments.push(Node::Symbol((&*literal.digits).into())),
                _ => return None,
            }
            ahead += 1;
            match self.peek_at(ahead)? {
                T::Comma => ahead += 1,
                T::Close(Bracket::Round) => break,
                _ => return None,
            }
        }
        if !matches!(self.peek_at(ahead + 1), Some(T::Relation(_))) {
            return None;
        }
        self.at += ahead + 1;
        Some(Node::Opaque(name.into(), arguments))
    }
}

fn edge(bracket: Bracket) -> Option<Edge> {
    match bracket {
        Bracket::Round => Some(Edge::Open),
        Bracket::Square => Some(Edge::Closed),
        Bracket::Angle => Some(Edge::Angle),
        _ => None,
    }
}

/// Bars around a matrix are its determinant.
fn absolute(inner: Node) -> Node {
    match inner {
        Node::Matrix(rows) => super::environment::determinant(rows),
        inner => Node::Call(Function::Abs, vec![inner]),
    }
}
