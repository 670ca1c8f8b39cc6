//! Numbers, letters, functions, fractions and roots, and what stands raised, lowered or behind them.

use dashu::base::Signed;

use super::{ParseError, Parsed, Parser, power, product};
use crate::math::token::{Bracket, Literal, TokenKind as T};
use crate::math::tree::{Constant, Decoration, Function, Node, Number};
use crate::math::unit;

impl Parser<'_> {
    /// One operand with all that is attached to it.
    pub(super) fn operand(&mut self) -> Parsed {
        let base = self.base()?;
        self.attached(base)
    }

    fn base(&mut self) -> Parsed {
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
                let amount = self.operand()?;
                let unit = match sign {
                    '$' => "dollar",
                    '€' => "euro",
                    '£' => "pound sterling",
                    '¥' => "yen",
                    '¢' => "cent",
                    _ => "rupee",
                };
                Ok(Node::Quantity(Box::new(amount), unit.into()))
            }
            T::Open(bracket) => self.deeper(|parser| parser.group(*bracket, spaced)),
            T::Close(Bracket::Square) => self.deeper(Self::reversed),
            T::Pipe => self.deeper(Self::bars),
            T::Begin(environment) => self.deeper(|parser| parser.environment(environment)),
            _ => Err(ParseError::Unreadable),
        }
    }

    fn number(&mut self, literal: &Literal) -> Parsed {
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
                && self.peek() != Some(&T::Caret)
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

    /// Digits with their base below them.
    fn based(&mut self, digits: &str) -> Parsed {
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

    /// A letter with its index and primes: a constant, a variable, or a function nothing is known of.
    fn letter(&mut self, letter: &str) -> Node {
        if let Some(count) = self.counted(letter) {
            return count;
        }
        let mut name = letter.to_owned();
        while let Some(mark) = self.index() {
            name.push_str(&mark);
        }
        if name == letter {
            match letter {
                "e" => return Node::Constant(Constant::E),
                "i" => return Node::Constant(Constant::I),
                "C" | "P" | "A" => {}
                _ => {}
            }
        }
        const FUNCTIONS: [&str; 10] = ["f", "g", "h", "F", "G", "H", "φ", "ψ", "Φ", "Ψ"];
        if FUNCTIONS.contains(&letter) {
            let mark = self.at;
            if self.inverse_mark() {
                name.push_str("^-1");
            }
            if let (Some(T::Open(Bracket::Round)), false) = (self.peek(), self.spaced() && name == letter) {
                self.at += 1;
                if let Ok(arguments) = self.deeper(Self::list)
                    && self.eat(&T::Close(Bracket::Round))
                {
                    return Node::Opaque(name.into(), arguments);
                }
            }
            self.at = mark;
            name = name.trim_end_matches("^-1").to_owned();
        }
        Node::Symbol(name.into())
    }

    /// `C_n^k`, `C(n, k)` and their kin with P or A: ways to choose, with or without order.
    fn counted(&mut self, letter: &str) -> Option<Node> {
        let function = match letter {
            "C" => Function::Binomial,
            "P" | "A" => Function::Permutations,
            _ => return None,
        };
        let mark = self.at;
        let pair = self.index_and_exponent().or_else(|| {
            self.at = mark;
            self.pair_in_brackets()
        });
        match pair {
            Some((n, k)) if is_positive_integer(&n) && is_positive_integer(&k) => {
                Some(Node::Call(function, vec![n, k]))
            }
            _ => {
                self.at = mark;
                None
            }
        }
    }

    fn index_and_exponent(&mut self) -> Option<(Node, Node)> {
        if !self.eat(&T::Underscore) {
            return None;
        }
        let n = self.argument().ok()?;
        if !self.eat(&T::Caret) {
            return None;
        }
        Some((n, self.argument().ok()?))
    }

    fn pair_in_brackets(&mut self) -> Option<(Node, Node)> {
        if !self.eat(&T::Open(Bracket::Round)) {
            return None;
        }
        let mut items = self.deeper(Self::list).ok()?;
        let pair = (items.len() == 2).then(|| (items.remove(0), items.remove(0)))?;
        self.eat(&T::Close(Bracket::Round)).then_some(pair)
    }

    /// `{}_n C_k`, whose empty braces were just read.
    pub(super) fn chosen(&mut self) -> Option<Node> {
        let mark = self.at;
        let read = |parser: &mut Self| {
            let script = |parser: &mut Self| {
                if parser.eat(&T::Underscore) || parser.eat(&T::Caret) { parser.argument().ok() } else { None }
            };
            let n = script(parser)?;
            let function = match parser.next()? {
                T::Letter('C') => Function::Binomial,
                T::Letter('P') => Function::Permutations,
                _ => return None,
            };
            Some(Node::Call(function, vec![n, script(parser)?]))
        };
        let found = read(self);
        if found.is_none() {
            self.at = mark;
        }
        found
    }

    fn inverse_mark(&mut self) -> bool {
        let marks = [&T::Caret, &T::Open(Bracket::Brace), &T::Minus];
        if !marks.iter().enumerate().all(|(ahead, mark)| self.peek_at(ahead) == Some(mark)) {
            return false;
        }
        let one = matches!(self.peek_at(3), Some(T::Number(literal)) if literal.value.is_one());
        if one && self.peek_at(4) == Some(&T::Close(Bracket::Brace)) {
            self.at += 5;
            return true;
        }
        false
    }

    /// An index or prime behind a letter, as it is spelt in the variable's name.
    fn index(&mut self) -> Option<String> {
        match self.peek()? {
            T::Prime => {
                self.at += 1;
                Some("'".to_owned())
            }
            T::Caret if self.peek_at(1) == Some(&T::Times) => {
                self.at += 2;
                Some("*".to_owned())
            }
            T::Caret
                if self.peek_at(1) == Some(&T::Open(Bracket::Brace))
                    && matches!(self.peek_at(2), Some(T::Times | T::Plus | T::Minus))
                    && self.peek_at(3) == Some(&T::Close(Bracket::Brace)) =>
            {
                let mark = self.peek_at(2).map_or('*', |kind| match kind {
                    T::Plus => '+',
                    T::Minus => '-',
                    _ => '*',
                });
                self.at += 4;
                Some(mark.to_string())
            }
            T::Caret if self.peek_at(1) == Some(&T::Prime) => {
                self.at += 2;
                Some("'".to_owned())
            }
            T::Caret if self.peek_at(1) == Some(&T::Open(Bracket::Brace)) && self.peek_at(2) == Some(&T::Prime) => {
                let mut primes = 0;
                while self.peek_at(2 + primes) == Some(&T::Prime) {
                    primes += 1;
                }
                if self.peek_at(2 + primes) != Some(&T::Close(Bracket::Brace)) {
                    return None;
                }
                self.at += primes + 3;
                Some("'".repeat(primes))
            }
            T::Underscore => {
                let end = match self.peek_at(1)? {
                    T::Open(Bracket::Brace) => self.closing(self.at + 1)?,
                    _ => self.at + 1,
                };
                let inner = &self.tokens[self.at + 1..=end];
                let mut name = String::from("_");
                for token in inner {
                    spell(&token.kind, &mut name)?;
                }
                self.at = end + 1;
                Some(name)
            }
            _ => None,
        }
    }

    /// Where the brace that opens here is closed.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(open).take(64) {
            match token.kind {
                T::Open(Bracket::Brace) => depth += 1,
                T::Close(Bracket::Brace) => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Several letters: a short run is their product, a long one is a name.
    fn word(&mut self, word: &str) -> Node {
        if word.chars().count() > 3 {
            return self.letter(word);
        }
        let mut letters = word.chars().map(|c| c.to_string());
        let last = letters.next_back();
        let mut node: Option<Node> = None;
        let mut push = |next: Node| {
            node = Some(match node.take() {
                None => next,
                Some(left) => product(left, next),
            });
        };
        for letter in letters {
            push(match letter.as_str() {
                "e" => Node::Constant(Constant::E),
                "i" => Node::Constant(Constant::I),
                _ => Node::Symbol(letter.into()),
            });
        }
        if let Some(last) = last {
            let mut last = self.letter(&last);
            // What is raised behind a run belongs to its last letter.
            if let Ok(raised) = self.attached(last.clone()) {
                last = raised;
            }
            push(last);
        }
        node.unwrap_or_else(|| Node::Symbol(word.into()))
    }

    fn text(&mut self, text: &str) -> Parsed {
        if self.peek() == Some(&T::Underscore) {
            let mark = self.at;
            if let Ok(node) = self.based(text) {
                return Ok(node);
            }
            self.at = mark;
        }
        let mut letters = text.chars();
        if let (Some(letter), None) = (letters.next(), letters.next())
            && letter.is_alphabetic()
        {
            return Ok(self.letter(text));
        }
        let mut name = text.to_owned();
        while let Some(mark) = self.index() {
            name.push_str(&mark);
        }
        Ok(Node::Text(name.into()))
    }

    fn number_set(&mut self, letter: char) -> Node {
        let mut mark = String::new();
        while matches!(self.peek(), Some(T::Caret | T::Underscore)) {
            let mark_at = self.at;
            self.at += 1;
            let braced = self.eat(&T::Open(Bracket::Brace));
            match self.next() {
                Some(T::Plus) => mark.push('+'),
                Some(T::Minus) => mark.push('-'),
                Some(T::Times) => mark.push('*'),
                Some(T::Letter('⋆')) => mark.push('*'),
                Some(T::Number(literal)) => mark.push_str(&literal.digits),
                Some(T::Letter(letter)) => mark.push(*letter),
                _ => {
                    self.at = mark_at;
                    break;
                }
            }
            if braced && !self.eat(&T::Close(Bracket::Brace)) {
                self.at = mark_at;
                break;
            }
        }
        if mark.is_empty() { Node::NumberSet(letter) } else { Node::Symbol(format!("𝔹{letter}{mark}").into()) }
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

    /// Two arguments in braces each, or in one pair of round brackets.
    fn two_arguments(&mut self) -> Parsed<(Node, Node)> {
        let first = self.argument()?;
        if let Node::Tuple(_, mut items, _) = first {
            return match (items.len(), items.pop(), items.pop()) {
                (2, Some(k), Some(n)) => Ok((n, k)),
                _ => Err(ParseError::Unreadable),
            };
        }
        Ok((first, self.argument()?))
    }

    fn root(&mut self) -> Parsed {
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

    /// Exponents, factorials, per cents and degrees behind an operand.
    fn attached(&mut self, mut node: Node) -> Parsed {
        loop {
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
    }

    fn degrees(&mut self, node: Node) -> Node {
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

    fn raised(&mut self, base: Node) -> Parsed {
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
    fn exponent(&mut self) -> Parsed {
        let base = match self.peek() {
            Some(T::Function(function)) => {
                self.at += 1;
                self.deeper(|parser| parser.call(*function))?
            }
            _ => self.argument()?,
        };
        if self.eat(&T::Caret) { self.deeper(|parser| parser.raised(base)) } else { Ok(base) }
    }

    /// A function and its argument, which needs no brackets.
    fn call(&mut self, function: Function) -> Parsed {
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

    fn signed_argument(&mut self) -> Parsed {
        if self.eat(&T::Minus) { Ok(Node::Negative(Box::new(self.argument()?))) } else { self.argument() }
    }

    fn call_arguments(&mut self) -> Parsed<Vec<Node>> {
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
    fn big_operator(&mut self, name: &str) -> Parsed {
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
                Some(T::Letter(letter)) if !words.is_empty() => {
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
        if words.is_empty() { Ok(value) } else { Ok(Node::Quantity(Box::new(value), words.into())) }
    }

    fn signed_argument_in_braces(&mut self) -> Option<i64> {
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

fn decorated(decoration: Decoration, inner: Node) -> Node {
    match decoration {
        Decoration::Bar => Node::Call(Function::Conjugate, vec![inner]),
        Decoration::Hat => Node::Opaque("hat".into(), vec![inner]),
        Decoration::Tilde => Node::Opaque("tilde".into(), vec![inner]),
        Decoration::Dot => Node::Opaque("dot".into(), vec![inner]),
        Decoration::DoubleDot => Node::Opaque("ddot".into(), vec![inner]),
    }
}

fn is_positive_integer(node: &Node) -> bool {
    matches!(node, Node::Number(n) if n.places.is_none() && n.value.is_int() && n.value.is_positive())
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

/// How a token is spelt in the index of a variable. `None` where no index holds it.
fn spell(kind: &T, name: &mut String) -> Option<()> {
    match kind {
        T::Number(literal) => name.push_str(&literal.digits),
        T::Letter(letter) => name.push(*letter),
        T::Word(word) | T::Text(word) => name.push_str(word),
        T::Plus => name.push('+'),
        T::Minus => name.push('-'),
        T::Times => name.push('*'),
        T::Comma => name.push(','),
        T::Pi => name.push('π'),
        T::Infinity => name.push('∞'),
        T::Caret => name.push('^'),
        T::Underscore => name.push('_'),
        T::Prime => name.push('\''),
        T::Slash => name.push('/'),
        T::Open(Bracket::Brace) | T::Close(Bracket::Brace) => {}
        T::Open(Bracket::Round) => name.push('('),
        T::Close(Bracket::Round) => name.push(')'),
        T::Function(function) => name.push_str(&format!("{function:?}")),
        T::Relation(relation) => name.push_str(&format!("{relation:?}")),
        _ => return None,
    }
    Some(())
}
