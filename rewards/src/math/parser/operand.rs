//! Numbers, letters, functions, fractions and roots, and what stands raised, lowered or behind them.

use dashu::base::Signed;

use super::{ParseError, Parsed, Parser};
use crate::math::token::{Bracket, Literal, TokenKind as T};
use crate::math::tree::{Constant, Decoration, Function, Node, Number};

/// Exponents, factorials and other marks behind one operand.
const MAX_MARKS: usize = 8;

impl Parser<'_> {
    /// One operand with all that is attached to it.
    pub(super) fn operand(&mut self) -> Parsed {
        let base = self.base()?;
        self.attached(base)
    }

    pub(super) fn base(&mut self) -> Parsed {
        let spaced = self.spaced();
        let Some(kind) = self.next() else {
            return Err(ParseError::Unreadable);
        };
        match kind {
            T::Number(literal) => self.number(literal),
            T::Letter(letter) => Ok(self.letter(&letter.to_string())),
            T::Word(word) => Ok(self.word(word)),
            T::Name(name) => Ok(self.letter(name)),
            T::Ellipsis => Ok(Node::Symbol("…".into())),
            T::Text(text) => self.text(text),
            T::Pi => {
                Ok(if self.peek() == Some(&T::Underscore) { self.letter("π") } else { Node::Constant(Constant::Pi) })
            }
            T::Infinity => Ok(Node::Infinity),
            T::EmptySet => Ok(Node::Set(Vec::new())),
            T::NumberSet(letter) => Ok(self.number_set(*letter)),
            T::Fraction => {
                let top = self.argument()?;
                let bottom = self.argument()?;
                Ok(Node::Quotient(Box::new(top), Box::new(bottom)))
            }
            T::Root => self.root(),
            T::Binomial => {
                let (n, k) = self.two_arguments()?;
                Ok(Node::Call(Function::Binomial, vec![n, k]))
            }
            T::Function(function) => self.deeper(|parser| parser.call(*function)),
            T::Decoration(decoration) => {
                let inner = self.argument()?;
                Ok(decorated(*decoration, inner))
            }
            T::BigOperator(name) => self.deeper(|parser| parser.big_operator(name)),
            T::Currency(sign) => {
                let negative = self.eat(&T::Minus);
                let amount = self.deeper(Self::operand)?;
                let amount = if negative { Node::Negative(Box::new(amount)) } else { amount };
                Ok(Node::Quantity(Box::new(amount), currency(*sign).into()))
            }
            T::Open(bracket) => self.deeper(|parser| parser.group(*bracket, spaced)),
            T::Close(Bracket::Square) => self.deeper(Self::reversed),
            T::Pipe | T::Mid => self.deeper(Self::bars),
            T::Begin(environment) => self.deeper(|parser| parser.environment(environment)),
            _ => Err(ParseError::Unreadable),
        }
    }

    pub(super) fn number(&mut self, literal: &Literal) -> Parsed {
        if self.peek() == Some(&T::Underscore) {
            return self.based(&literal.digits);
        }
        let number = Node::Number(Number { value: literal.value.clone(), places: literal.places });
        if literal.places.is_some() || !literal.value.is_int() {
            return Ok(number);
        }
        // Mixed numbers: 1\frac{1}{2} and 1 1/2.
        let mark = self.at;
        if self.peek() == Some(&T::Fraction) {
            self.at += 1;
            if let (Ok(top), Ok(bottom)) = (self.argument(), self.argument())
                && is_positive_integer(&top)
                && is_positive_integer(&bottom)
                && !self.raises()
            {
                return Ok(Node::Sum(vec![number, Node::Quotient(Box::new(top), Box::new(bottom))]));
            }
        } else if let (true, Some(T::Number(top)), Some(T::Slash), Some(T::Number(bottom))) =
            (self.spaced(), self.peek(), self.peek_at(1), self.peek_at(2))
            && top.places.is_none()
            && bottom.places.is_none()
            && top.value < bottom.value
        {
            self.at += 3;
            let part =
                |literal: &Literal| Box::new(Node::Number(Number { value: literal.value.clone(), places: None }));
            return Ok(Node::Sum(vec![number, Node::Quotient(part(top), part(bottom))]));
        }
        self.at = mark;
        Ok(number)
    }

    /// Whether an exponent follows that is no degree sign.
    pub(super) fn raises(&self) -> bool {
        let degree = match self.peek_at(1) {
            Some(T::Open(Bracket::Brace)) => self.peek_at(2) == Some(&T::Degree),
            next => next == Some(&T::Degree),
        };
        self.peek() == Some(&T::Caret) && !degree
    }

    /// Digits with their base below them.
    pub(super) fn based(&mut self, digits: &str) -> Parsed {
        self.at += 1;
        let base = self.argument()?;
        let base = match base {
            Node::Number(number) if number.places.is_none() => u32::try_from(number.value.numerator()).ok(),
            Node::Text(text) => match text.to_lowercase().as_str() {
                "two" => Some(2),
                "three" => Some(3),
                "four" => Some(4),
                "five" => Some(5),
                "six" => Some(6),
                "seven" => Some(7),
                "eight" => Some(8),
                "nine" => Some(9),
                "ten" => Some(10),
                _ => None,
            },
            _ => None,
        };
        let base = base.filter(|base| (2..=36).contains(base)).ok_or(ParseError::Unreadable)?;
        if digits.chars().all(|c| c == '.' || c.is_digit(base)) {
            Ok(Node::Based(digits.to_ascii_uppercase().into(), base))
        } else {
            Err(ParseError::Unreadable)
        }
    }

    /// What a command takes: braces, or one operand without anything attached.
    pub(super) fn argument(&mut self) -> Parsed {
        match self.peek() {
            Some(T::Minus) => {
                self.at += 1;
                Ok(Node::Negative(Box::new(self.deeper(Self::argument)?)))
            }
            Some(T::Word(_)) => Err(ParseError::Unreadable),
            _ => self.deeper(Self::base),
        }
    }

    /// Exponents, factorials, per cents and degrees behind an operand.
    pub(super) fn attached(&mut self, mut node: Node) -> Parsed {
        for _ in 0..MAX_MARKS {
            match self.peek() {
                Some(T::Caret) => {
                    self.at += 1;
                    node = self.deeper(|parser| parser.raised(node))?;
                }
                Some(T::Bang) => {
                    self.at += 1;
                    let double = self.peek() == Some(&T::Bang) && !self.spaced();
                    self.at += usize::from(double);
                    let function = if double { Function::DoubleFactorial } else { Function::Factorial };
                    node = Node::Call(function, vec![node]);
                }
                Some(T::Currency(sign)) if self.at > 0 => {
                    self.at += 1;
                    return Ok(Node::Quantity(Box::new(node), currency(*sign).into()));
                }
                Some(T::Percent | T::Degree) if matches!(node, Node::Percent(_) | Node::Degrees(_)) => {
                    return Err(ParseError::Unreadable);
                }
                Some(T::Percent) => {
                    self.at += 1;
                    node = Node::Percent(Box::new(node));
                }
                Some(T::Degree) => {
                    self.at += 1;
                    node = self.degrees(node);
                }
                Some(T::Underscore) => match &node {
                    Node::Number(number)
                        if number.value.is_int() && number.places.is_none() && !number.value.is_negative() =>
                    {
                        let digits = number.value.numerator().to_string();
                        node = self.based(&digits)?;
                    }
                    Node::Product(factors) => {
                        let digits = spelt_digits(factors).ok_or(ParseError::Unreadable)?;
                        node = self.based(&digits)?;
                    }
                    // An index of something that is no letter: \hat{\theta}_2.
                    Node::Opaque(..) | Node::Call(Function::Conjugate, _) | Node::Symbol(_) => {
                        let index = self.index().ok_or(ParseError::Unreadable)?;
                        node = Node::Opaque(index.into(), vec![node]);
                    }
                    _ => return Err(ParseError::Unreadable),
                },
                _ => return Ok(node),
            }
        }
        Err(ParseError::Unreadable)
    }

    pub(super) fn degrees(&mut self, node: Node) -> Node {
        let scale = match self.peek() {
            Some(T::Text(text)) if matches!(&**text, "C" | "F") => Some(text.to_string()),
            Some(T::Letter(letter @ ('C' | 'F'))) if !matches!(self.peek_at(1), Some(T::Caret | T::Underscore)) => {
                Some(letter.to_string())
            }
            _ => None,
        };
        match scale {
            Some(scale) => {
                self.at += 1;
                Node::Quantity(Box::new(node), format!("°{scale}").into())
            }
            None => Node::Degrees(Box::new(node)),
        }
    }

    pub(super) fn raised(&mut self, base: Node) -> Parsed {
        let braced = self.peek() == Some(&T::Open(Bracket::Brace));
        let inner = usize::from(braced);
        let closes = |parser: &Self, ahead: usize| !braced || parser.peek_at(ahead) == Some(&T::Close(Bracket::Brace));
        match self.peek_at(inner) {
            Some(T::Degree) if closes(self, inner + 1) => {
                self.at += 1 + 2 * inner;
                return Ok(self.degrees(base));
            }
            Some(T::Prime) if closes(self, inner + 1) => {
                self.at += 1 + 2 * inner;
                return Ok(Node::Quantity(Box::new(base), "arcminute".into()));
            }
            _ => {}
        }
        let exponent = match self.peek() {
            Some(T::Minus) => {
                self.at += 1;
                Node::Negative(Box::new(self.exponent()?))
            }
            Some(T::Plus) => {
                self.at += 1;
                self.exponent()?
            }
            _ => self.exponent()?,
        };
        Ok(Node::Power(Box::new(base), Box::new(exponent)))
    }

    /// One operand; towers group to the right.
    pub(super) fn exponent(&mut self) -> Parsed {
        let braced = self.peek() == Some(&T::Open(Bracket::Brace));
        let base = match self.peek() {
            Some(T::Function(function)) => {
                self.at += 1;
                self.deeper(|parser| parser.call(*function))?
            }
            _ => self.argument()?,
        };
        // A factorial binds a bare exponent before the power does: 2^n! is 2^(n!).
        let base = match self.peek() {
            Some(T::Bang) if !braced => {
                self.at += 1;
                Node::Call(Function::Factorial, vec![base])
            }
            _ => base,
        };
        if self.eat(&T::Caret) { self.deeper(|parser| parser.raised(base)) } else { Ok(base) }
    }
}

/// The unit that a currency sign stands for.
fn currency(sign: char) -> &'static str {
    match sign {
        '$' => "dollar",
        '€' => "euro",
        '£' => "pound sterling",
        '¥' => "yen",
        '¢' => "cent",
        _ => "rupee",
    }
}

/// The digits of `152A` in brackets, which were read as a product.
fn spelt_digits(factors: &[Node]) -> Option<String> {
    let mut digits = String::new();
    for factor in factors {
        match factor {
            Node::Number(number) if number.places.is_none() => digits.push_str(&number.value.to_string()),
            Node::Symbol(letter) if letter.chars().count() == 1 => digits.push_str(letter),
            _ => return None,
        }
    }
    Some(digits)
}

fn decorated(decoration: Decoration, inner: Node) -> Node {
    match decoration {
        // A letter's bar may mean anything: a mean, a conjugate, a segment.
        Decoration::Bar if inner.any(&|n| matches!(n, Node::Symbol(_) | Node::Opaque(..))) => {
            Node::Opaque("bar".into(), vec![inner])
        }
        Decoration::Bar => Node::Call(Function::Conjugate, vec![inner]),
        Decoration::Hat => Node::Opaque("hat".into(), vec![inner]),
        Decoration::Tilde => Node::Opaque("tilde".into(), vec![inner]),
        Decoration::Dot => Node::Opaque("dot".into(), vec![inner]),
        Decoration::DoubleDot => Node::Opaque("ddot".into(), vec![inner]),
    }
}

pub(super) fn is_positive_integer(node: &Node) -> bool {
    matches!(node, Node::Number(n) if n.places.is_none() && n.value.is_int() && n.value.is_positive())
}
