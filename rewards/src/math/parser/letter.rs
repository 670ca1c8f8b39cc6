//! Letters, and the variables, constants, functions and words that are made of them.

use super::operand::is_positive_integer;
use super::{Parsed, Parser, product};
use crate::math::token::{Bracket, TokenKind as T};
use crate::math::tree::{Constant, Function, Node, Number};

impl Parser<'_> {
    /// A letter with its index and primes: a constant, a variable, or a function nothing is known of.
    pub(super) fn letter(&mut self, letter: &str) -> Node {
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
        let indexed = name.len() > letter.len() && name.ends_with(char::is_alphabetic);
        if self.is_value_of(if indexed { "Y" } else { letter }) && (indexed || name == letter) {
            let argument = match self.peek_at(1) {
                Some(T::Number(literal)) => Node::Number(Number { value: literal.value.clone(), places: None }),
                _ => Node::integer(0),
            };
            self.at += 3;
            return Node::Opaque(name.into(), vec![argument]);
        }
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

    /// Whether `(3)` follows a capital letter, or one that mostly names a function: its value there.
    pub(super) fn is_value_of(&self, letter: &str) -> bool {
        let named = letter.chars().all(char::is_uppercase) || matches!(letter, "y" | "u" | "v" | "w");
        let brackets = self.peek() == Some(&T::Open(Bracket::Round))
            && matches!(self.peek_at(1), Some(T::Number(_)))
            && self.peek_at(2) == Some(&T::Close(Bracket::Round));
        named && brackets && !self.spaced()
    }

    /// `C_n^k`, `C(n, k)` and their kin with P or A: ways to choose, with or without order.
    pub(super) fn counted(&mut self, letter: &str) -> Option<Node> {
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

    pub(super) fn index_and_exponent(&mut self) -> Option<(Node, Node)> {
        if !self.eat(&T::Underscore) {
            return None;
        }
        let n = self.argument().ok()?;
        if !self.eat(&T::Caret) {
            return None;
        }
        Some((n, self.argument().ok()?))
    }

    pub(super) fn pair_in_brackets(&mut self) -> Option<(Node, Node)> {
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

    pub(super) fn inverse_mark(&mut self) -> bool {
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
    pub(super) fn index(&mut self) -> Option<String> {
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
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
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
    pub(super) fn word(&mut self, word: &str) -> Node {
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

    pub(super) fn text(&mut self, text: &str) -> Parsed {
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

    pub(super) fn number_set(&mut self, letter: char) -> Node {
        let mut mark = String::new();
        while matches!(self.peek(), Some(T::Caret | T::Underscore)) {
            let mark_at = self.at;
            self.at += 1;
            mark.push(if self.tokens[mark_at].kind == T::Caret { '^' } else { '_' });
            let braced = self.eat(&T::Open(Bracket::Brace));
            match self.next() {
                Some(T::Plus) => mark.push('+'),
                Some(T::Minus) => mark.push('-'),
                Some(T::Times) => mark.push('*'),
                Some(T::Letter('⋆')) => mark.push('*'),
                Some(T::Number(literal)) => mark.push_str(&literal.digits),
                Some(T::Letter(letter)) => mark.push(*letter),
                _ => {
                    mark.pop();
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
