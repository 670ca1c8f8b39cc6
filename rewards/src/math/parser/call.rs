//! Functions and their arguments, which need no brackets.

use super::{ParseError, Parsed, Parser, power, product};
use crate::math::token::{Bracket, TokenKind as T};
use crate::math::tree::{Constant, Function, Node};

impl Parser<'_> {
    /// A function and its argument, which needs no brackets.
    pub(super) fn call(&mut self, function: Function) -> Parsed {
        let mut exponent = None;
        let mut base = None;
        loop {
            if exponent.is_none() && self.peek() == Some(&T::Caret) {
                self.at += 1;
                exponent = Some(self.signed_argument()?);
            } else if base.is_none() && self.peek() == Some(&T::Underscore) && function == Function::Log {
                self.at += 1;
                base = Some(self.argument()?);
            } else {
                break;
            }
        }
        let mut arguments = self.call_arguments()?;
        let mut called = function;
        if let (Function::Log, Some(base)) = (function, base) {
            called = Function::LogBase;
            arguments.insert(0, base);
        }
        let minus_one =
            matches!(&exponent, Some(Node::Negative(inner)) if matches!(&**inner, Node::Number(n) if n.value.is_one()));
        if minus_one && let Some(inverse) = inverse(called) {
            return Ok(Node::Call(inverse, arguments));
        }
        let node = Node::Call(called, arguments);
        Ok(match exponent {
            Some(exponent) => Node::Power(Box::new(node), Box::new(exponent)),
            None => node,
        })
    }

    pub(super) fn signed_argument(&mut self) -> Parsed {
        if self.eat(&T::Minus) { Ok(Node::Negative(Box::new(self.argument()?))) } else { self.argument() }
    }

    pub(super) fn call_arguments(&mut self) -> Parsed<Vec<Node>> {
        if let Some(T::Open(bracket @ (Bracket::Round | Bracket::Square | Bracket::Brace | Bracket::Curly))) =
            self.peek()
        {
            self.at += 1;
            let items = self.deeper(Self::list)?;
            return if self.eat(&T::Close(*bracket)) { Ok(items) } else { Err(ParseError::Unreadable) };
        }
        if matches!(self.peek(), Some(T::Minus)) {
            self.at += 1;
            let node = self.deeper(Self::operand)?;
            return Ok(vec![Node::Negative(Box::new(node))]);
        }
        let mut node = self.deeper(Self::operand)?;
        loop {
            match self.peek() {
                Some(T::Function(_) | T::Open(_) | T::Pipe | T::Text(_) | T::Begin(_) | T::BigOperator(_)) => break,
                _ if !self.joins(&node) => break,
                _ => node = product(node, self.deeper(Self::operand)?),
            }
        }
        // \sin x/2 is half a sine, but \sin 2\pi/3 and \cos\pi/4 are of the quotient.
        if let (Some(T::Slash), Some(T::Number(_))) = (self.peek(), self.peek_at(1))
            && node.any(&|n| matches!(n, Node::Constant(Constant::Pi)))
            && !node.any(&|n| matches!(n, Node::Symbol(_)))
        {
            self.at += 1;
            let bottom = self.deeper(Self::operand)?;
            node = Node::Quotient(Box::new(node), Box::new(bottom));
        }
        Ok(vec![node])
    }

    /// A sum, product, integral or limit, with its scripts, as something only compared with its like.
    pub(super) fn big_operator(&mut self, name: &str) -> Parsed {
        let mut spelt = name.to_owned();
        let mut parts = Vec::new();
        while let Some(mark @ (T::Underscore | T::Caret)) = self.peek() {
            self.at += 1;
            spelt.push(if *mark == T::Caret { '^' } else { '_' });
            if self.eat(&T::Open(Bracket::Brace)) {
                let items = self.deeper(Self::list)?;
                if !self.eat(&T::Close(Bracket::Brace)) {
                    return Err(ParseError::Unreadable);
                }
                for item in items {
                    match item {
                        Node::Chain(first, rest) => {
                            parts.push(*first);
                            parts.extend(rest.into_iter().map(|(_, node)| node));
                        }
                        other => parts.push(other),
                    }
                }
            } else {
                parts.push(self.argument()?);
            }
        }
        parts.push(self.expression(power::PRODUCT)?);
        Ok(Node::Opaque(spelt.into(), parts))
    }

    pub(super) fn root(&mut self) -> Parsed {
        let index = if self.peek() == Some(&T::Open(Bracket::Square)) {
            self.at += 1;
            let index = self.expression(0)?;
            if !self.eat(&T::Close(Bracket::Square)) {
                return Err(ParseError::Unreadable);
            }
            index
        } else {
            Node::integer(2)
        };
        let radicand = self.argument()?;
        Ok(Node::Root(Box::new(index), Box::new(radicand)))
    }

    /// Two arguments in braces each, or in one pair of round brackets.
    pub(super) fn two_arguments(&mut self) -> Parsed<(Node, Node)> {
        let first = self.argument()?;
        if let Node::Tuple(_, mut items, _) = first {
            return match (items.len(), items.pop(), items.pop()) {
                (2, Some(k), Some(n)) => Ok((n, k)),
                _ => Err(ParseError::Unreadable),
            };
        }
        Ok((first, self.argument()?))
    }
}

/// `\sin^{-1}` is the inverse function, not one over the sine.
fn inverse(function: Function) -> Option<Function> {
    use Function::*;
    Some(match function {
        Sin => Arcsin,
        Cos => Arccos,
        Tan => Arctan,
        Cot => Arccot,
        Sec => Arcsec,
        Csc => Arccsc,
        Sinh => Arcsinh,
        Cosh => Arccosh,
        Tanh => Arctanh,
        _ => return None,
    })
}
