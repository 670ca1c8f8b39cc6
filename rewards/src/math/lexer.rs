//! Text, LaTeX or plain, to tokens.

mod command;

use std::borrow::Cow;

use super::budget::{MAX_BYTES, MAX_TOKENS};
use super::characters;
use super::literal;
use super::names;
use super::token::{Bracket, Token, TokenKind as T};
use super::tree::Relation;

/// Why a text could not be cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LexError {
    /// More bytes, tokens or digits than are read.
    TooLong,
}

/// Cuts a text into tokens. Spacing, sizes, fonts and math delimiters leave none.
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, LexError> {
    if text.len() > MAX_BYTES {
        return Err(LexError::TooLong);
    }
    let plain: Cow<'_, str> = if text.is_ascii() { text.into() } else { text.chars().map(characters::plain).collect() };
    let mut lexer = Lexer { rest: unwrapped(&plain), tokens: Vec::with_capacity(16), spaced: false };
    lexer.run(0)?;
    let tokens = &mut lexer.tokens;
    while matches!(tokens.last(), Some(Token { kind: T::Period | T::Comma | T::Semicolon, .. })) {
        tokens.pop();
    }
    Ok(lexer.tokens)
}

/// Without Markdown's marks around it.
fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    for mark in ["**", "__", "`", "*"] {
        if let Some(inner) = text.strip_prefix(mark).and_then(|t| t.strip_suffix(mark)) {
            text = inner.trim();
        }
    }
    text
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    spaced: bool,
}

/// Text commands within one another that are still read as mathematics.
const MAX_NESTED_TEXT: usize = 4;

impl<'a> Lexer<'a> {
    fn push(&mut self, kind: T) -> Result<(), LexError> {
        if self.tokens.len() >= MAX_TOKENS {
            return Err(LexError::TooLong);
        }
        self.tokens.push(Token { kind, spaced: std::mem::take(&mut self.spaced) });
        Ok(())
    }

    fn run(&mut self, depth: usize) -> Result<(), LexError> {
        while let Some(raw) = self.rest.chars().next() {
            let c = characters::plain(raw);
            if c.is_ascii_digit() && self.wants_one_digit() {
                self.skip(raw);
                self.push(literal::integer(i64::from(c.to_digit(10).unwrap_or(0))))?;
                continue;
            }
            let point = c == '.' && second(self.rest).is_some_and(|d| d.is_ascii_digit() || d == '\\');
            let script = matches!(self.tokens.last(), Some(Token { kind: T::Caret | T::Underscore, .. }));
            if (c.is_ascii_digit() || point)
                && let Some(found) = literal::read(self.rest, script)?
            {
                self.rest = &self.rest[found.length..];
                for kind in found.tokens {
                    self.push(kind)?;
                }
                continue;
            }
            match c {
                '\\' => self.command(depth)?,
                '$' | '"' | '`' | '“' | '”' | '\u{200b}' | '\u{2061}' | '\u{feff}' => self.skip(raw),
                '~' => {
                    self.skip(raw);
                    self.spaced = true;
                }
                _ if c.is_whitespace() => {
                    self.skip(raw);
                    self.spaced = true;
                }
                _ if c.is_alphabetic() && characters::character(c).is_none() && characters::script(c).is_none() => {
                    self.letters()?;
                }
                _ => self.symbol(raw, c)?,
            }
        }
        Ok(())
    }

    /// `\frac12` takes a digit each.
    fn wants_one_digit(&self) -> bool {
        let digit =
            |kind: &T| matches!(kind, T::Number(literal) if literal.digits.len() == 1 && literal.places.is_none());
        match self.tokens.as_slice() {
            [.., Token { kind: T::Fraction | T::Binomial, .. }] => true,
            [.., Token { kind: T::Fraction | T::Binomial, .. }, Token { kind, .. }] => digit(kind),
            _ => false,
        }
    }

    fn skip(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn symbol(&mut self, raw: char, c: char) -> Result<(), LexError> {
        const PAIRS: [(&str, T); 7] = [
            ("<=", T::Relation(Relation::LessEqual)),
            (">=", T::Relation(Relation::GreaterEqual)),
            ("=<", T::Relation(Relation::LessEqual)),
            ("==", T::Relation(Relation::Equal)),
            ("<>", T::Relation(Relation::NotEqual)),
            ("**", T::Caret),
            ("->", T::Relation(Relation::Other('→'))),
        ];
        if let Some((mark, kind)) = PAIRS.into_iter().find(|(mark, _)| self.rest.starts_with(mark)) {
            self.rest = &self.rest[mark.len()..];
            return self.push(kind);
        }
        if self.rest.starts_with("!=") && !matches!(self.tokens.last(), Some(Token { kind: T::Number(_), .. })) {
            self.rest = &self.rest[2..];
            return self.push(T::Relation(Relation::NotEqual));
        }
        if self.rest.starts_with("...") {
            self.rest = &self.rest[3..];
            return self.push(T::Ellipsis);
        }
        if let Some((raised, _)) = characters::script(c) {
            return self.scripts(raised);
        }
        self.skip(raw);
        if let Some((top, bottom)) = characters::vulgar(c) {
            self.push(T::Fraction)?;
            for number in [top, bottom] {
                self.push(T::Open(Bracket::Brace))?;
                self.push(literal::integer(number))?;
                self.push(T::Close(Bracket::Brace))?;
            }
            return Ok(());
        }
        let kind = characters::character(c).unwrap_or_else(|| T::Unknown(c.to_string().into()));
        self.push(kind)
    }

    /// A run of raised or lowered characters becomes one exponent or index.
    fn scripts(&mut self, raised: bool) -> Result<(), LexError> {
        self.push(if raised { T::Caret } else { T::Underscore })?;
        self.push(T::Open(Bracket::Brace))?;
        let mut plain = String::new();
        while let Some(c) = self.rest.chars().next() {
            match characters::script(c) {
                Some((same, p)) if same == raised => plain.push(p),
                _ => break,
            }
            self.skip(c);
        }
        let inner = lex(&plain)?;
        for token in inner {
            self.push(token.kind)?;
        }
        self.push(T::Close(Bracket::Brace))
    }

    /// A run of letters: one letter, a name, or several letters.
    fn letters(&mut self) -> Result<(), LexError> {
        let end = self
            .rest
            .char_indices()
            .find(|&(_, raw)| {
                let c = characters::plain(raw);
                !c.is_alphabetic() || characters::character(c).is_some() || characters::script(c).is_some()
            })
            .map_or(self.rest.len(), |(place, _)| place);
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        let run: String = run.chars().map(characters::plain).collect();
        self.run_of_letters(&run)
    }

    fn run_of_letters(&mut self, run: &str) -> Result<(), LexError> {
        let mut letters = run.chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            return self.push(T::Letter(letter));
        }
        let kind = match run {
            "and" | "And" => T::And,
            "or" | "Or" => T::Or,
            "to" if matches!(self.tokens.last(), Some(Token { kind: T::Number(_), .. })) => T::Colon,
            "USD" | "dollars" if self.tokens.is_empty() => T::Currency('$'),
            "EUR" if self.tokens.is_empty() => T::Currency('€'),
            "GBP" if self.tokens.is_empty() => T::Currency('£'),
            "pi" | "Pi" => T::Pi,
            "inf" | "infinity" | "Infinity" | "oo" | "infty" => T::Infinity,
            "sqrt" => T::Root,
            "cup" => T::Union,
            "cap" => T::Intersection,
            "pm" if self.tokens.is_empty() => T::PlusMinus,
            "binom" => T::Binomial,
            "frac" => T::Fraction,
            _ => {
                if let Some(function) = names::function(run).filter(|_| !matches!(run, "sh" | "ch" | "sign" | "tg")) {
                    T::Function(function)
                } else if let Some(letter) = names::greek(run).filter(|_| run.len() > 2) {
                    T::Letter(letter)
                } else {
                    return self.mixed_run(run);
                }
            }
        };
        self.push(kind)
    }

    /// `xsin`, `cosx`, `npi`: a name of mathematics with one letter before or behind it.
    fn mixed_run(&mut self, run: &str) -> Result<(), LexError> {
        const NAMES: [&str; 9] = ["pi", "sin", "cos", "tan", "ln", "log", "sqrt", "exp", "cot"];
        if run.is_ascii() && (3..=6).contains(&run.len()) {
            for name in NAMES {
                if let Some(before) = run.strip_suffix(name).filter(|b| b.len() == 1) {
                    self.run_of_letters(before)?;
                    return self.run_of_letters(name);
                }
                if let Some(behind) = run.strip_prefix(name).filter(|b| b.len() == 1 && (name != "pi" || *b != "e"))
                    && matches!(behind, "x" | "y" | "t" | "z" | "n" | "k" | "r" | "a" | "b")
                    && run != "pint"
                {
                    self.run_of_letters(name)?;
                    return self.run_of_letters(behind);
                }
            }
        }
        // Short words of a sentence are no products.
        if matches!(run, "for" | "if" | "is" | "of" | "the" | "by" | "then" | "not" | "are" | "but" | "iff") {
            return self.push(T::Text(run.into()));
        }
        self.push(T::Word(run.into()))
    }
}

fn second(text: &str) -> Option<char> {
    text.chars().nth(1)
}
