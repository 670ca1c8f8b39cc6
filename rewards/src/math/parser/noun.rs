//! Units and nouns behind a value.

use super::{ParseError, Parsed, Parser};
use crate::math::token::TokenKind as T;
use crate::math::tree::{Function, Node};
use crate::math::unit;

impl Parser<'_> {
    /// Whether the function's name that comes next is the unit `min` or `sec` instead.
    pub(super) fn is_unit_word(&self) -> bool {
        matches!(self.peek(), Some(T::Function(Function::Min | Function::Sec)))
            && !matches!(
                self.peek_at(1),
                Some(
                    T::Open(_) | T::Letter(_) | T::Number(_) | T::Caret | T::Pi | T::Root | T::Fraction | T::Underscore
                )
            )
    }

    /// The unit or noun behind a value.
    pub(super) fn with_unit(&mut self, value: Node) -> Parsed {
        let mut words = String::new();
        loop {
            let before = words.len();
            match self.peek() {
                Some(T::Text(text)) => {
                    unit::append(&mut words, text);
                    self.at += 1;
                }
                Some(T::Word(word)) if unit::is_word(word) || !words.is_empty() => {
                    unit::append(&mut words, word);
                    self.at += 1;
                }
                Some(T::Letter(letter)) if !words.is_empty() && unit::is_sign(*letter) => {
                    unit::append(&mut words, &letter.to_string());
                    self.at += 1;
                }
                Some(T::Function(function)) if self.is_unit_word() => {
                    unit::append(&mut words, if *function == Function::Min { "min" } else { "sec" });
                    self.at += 1;
                }
                Some(T::Slash | T::Times | T::Period | T::Minus) if !words.is_empty() => {
                    match self.peek_at(1) {
                        Some(T::Text(_) | T::Word(_) | T::Letter(_) | T::Function(Function::Min | Function::Sec)) => {}
                        _ => break,
                    }
                    let mark = match self.peek() {
                        Some(T::Slash) => '/',
                        Some(T::Times | T::Minus) => '*',
                        _ => ' ',
                    };
                    words.push(mark);
                    self.at += 1;
                }
                Some(T::Caret) if !words.is_empty() => {
                    let mark = self.at;
                    self.at += 1;
                    match self.signed_argument_in_braces() {
                        Some(power) => words.push_str(&format!("^{power}")),
                        None => {
                            self.at = mark;
                            break;
                        }
                    }
                }
                _ => break,
            }
            if words.len() == before {
                break;
            }
        }
        if words.is_empty() {
            return Ok(value);
        }
        // Words that are no unit make prose of the whole.
        let percent = matches!(words.as_str(), "percent" | "percentage" | "per cent");
        if percent || unit::Unit::read(&words).is_some() {
            Ok(Node::Quantity(Box::new(value), words.into()))
        } else {
            Err(ParseError::Unreadable)
        }
    }

    pub(super) fn signed_argument_in_braces(&mut self) -> Option<i64> {
        match self.signed_argument().ok()? {
            Node::Number(number) => i64::try_from(number.value.numerator()).ok(),
            Node::Negative(inner) => match *inner {
                Node::Number(number) => i64::try_from(number.value.numerator()).ok().map(|n| -n),
                _ => None,
            },
            _ => None,
        }
    }
}
