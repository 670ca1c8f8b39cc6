//! Text, LaTeX or plain, to tokens.

use std::borrow::Cow;

use super::budget::{MAX_BYTES, MAX_TOKENS};
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
    let plain: Cow<'_, str> = if text.is_ascii() { text.into() } else { text.chars().map(names::plain).collect() };
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
            let c = names::plain(raw);
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
                _ if c.is_alphabetic() && names::character(c).is_none() && names::script(c).is_none() => {
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
        if let Some((raised, _)) = names::script(c) {
            return self.scripts(raised);
        }
        self.skip(raw);
        if let Some((top, bottom)) = names::vulgar(c) {
            self.push(T::Fraction)?;
            for number in [top, bottom] {
                self.push(T::Open(Bracket::Brace))?;
                self.push(literal::integer(number))?;
                self.push(T::Close(Bracket::Brace))?;
            }
            return Ok(());
        }
        let kind = names::character(c).unwrap_or_else(|| T::Unknown(c.to_string().into()));
        self.push(kind)
    }

    /// A run of raised or lowered characters becomes one exponent or index.
    fn scripts(&mut self, raised: bool) -> Result<(), LexError> {
        self.push(if raised { T::Caret } else { T::Underscore })?;
        self.push(T::Open(Bracket::Brace))?;
        let mut plain = String::new();
        while let Some(c) = self.rest.chars().next() {
            match names::script(c) {
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
                let c = names::plain(raw);
                !c.is_alphabetic() || names::character(c).is_some() || names::script(c).is_some()
            })
            .map_or(self.rest.len(), |(place, _)| place);
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        let run: String = run.chars().map(names::plain).collect();
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

    fn command(&mut self, depth: usize) -> Result<(), LexError> {
        let after = &self.rest[1..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            let Some(c) = after.chars().next() else {
                self.rest = "";
                return Ok(());
            };
            self.rest = &after[c.len_utf8()..];
            return match c {
                '\\' => {
                    // A row may say how much space follows it.
                    if let Some(end) = self.rest.strip_prefix('[').and_then(|r| r.find("pt]"))
                        && end <= 4
                    {
                        self.rest = &self.rest[end + 4..];
                    }
                    self.push(T::Row)
                }
                '{' => self.push(T::Open(Bracket::Curly)),
                '}' => self.push(T::Close(Bracket::Curly)),
                '|' => self.push(T::Pipe),
                '%' => self.push(T::Percent),
                '$' => self.push(T::Currency('$')),
                '&' | '#' | '_' => self.push(T::Unknown(c.to_string().into())),
                '(' | ')' | '[' | ']' | '!' | '/' | '-' | '\'' | '*' => Ok(()),
                ',' | ';' | ':' | '>' | '@' | '"' | '=' => {
                    self.spaced = true;
                    Ok(())
                }
                _ if c.is_whitespace() => {
                    self.spaced = true;
                    Ok(())
                }
                _ => self.push(T::Unknown(c.to_string().into())),
            };
        }
        let (name, rest) = after.split_at(letters);
        self.rest = rest;
        match name {
            _ if names::is_text(name) => self.text(name, depth),
            "left" | "right" => self.sized(name == "left"),
            "begin" | "end" => {
                let inner = self.braced().unwrap_or_default();
                let environment: Box<str> = inner.trim_end_matches('*').into();
                if name == "begin"
                    && matches!(&*environment, "array" | "tabular")
                    && self.rest.trim_start().starts_with('{')
                {
                    self.rest = self.rest.trim_start();
                    self.braced();
                }
                self.push(if name == "begin" { T::Begin(environment) } else { T::End(environment) })
            }
            "mathbb" | "Bbb" => {
                let inner = self.braced().unwrap_or_else(|| self.one());
                let mut letters = inner.trim().chars();
                match (letters.next(), letters.next()) {
                    (Some(letter @ ('R' | 'Z' | 'N' | 'Q' | 'C')), None) => self.push(T::NumberSet(letter)),
                    (Some(letter), None) => self.push(T::Letter(letter)),
                    (None, _) => Ok(()),
                    (Some(_), Some(_)) => self.push(T::Name(inner.trim().into())),
                }
            }
            "not" => {
                let trimmed = self.rest.trim_start();
                for (mark, relation) in [("=", Relation::NotEqual), ("\\in", Relation::NotMember)] {
                    if let Some(rest) = trimmed.strip_prefix(mark) {
                        self.rest = rest;
                        return self.push(T::Relation(relation));
                    }
                }
                self.push(T::Unknown("not".into()))
            }
            "R" | "Z" | "N" | "Q" => self.push(T::NumberSet(name.chars().next().unwrap_or('R'))),
            "hspace" | "vspace" | "phantom" | "label" | "tag" | "color" | "textcolor" => {
                self.braced();
                Ok(())
            }
            "pounds" => self.push(T::Currency('£')),
            "euro" => self.push(T::Currency('€')),
            "mathbf" | "mathsf" | "mathcal" | "mathscr" | "mathfrak" | "boldsymbol" | "bm" | "mathit" => {
                // Several letters in one font are a name; one is a letter.
                let before = self.rest;
                match self.braced() {
                    Some(inner) if inner.len() > 1 && inner.chars().all(char::is_alphabetic) => {
                        self.push(T::Name(inner.into()))
                    }
                    _ => {
                        self.rest = before;
                        Ok(())
                    }
                }
            }
            _ if names::is_noise(name) => {
                if matches!(name, "quad" | "qquad" | "space") {
                    self.spaced = true;
                }
                Ok(())
            }
            _ => {
                let kind = names::command(name).unwrap_or_else(|| T::Unknown(name.into()));
                self.push(kind)
            }
        }
    }

    /// `\left` and `\right` say which way a bar faces; their full stop is no bracket.
    fn sized(&mut self, left: bool) -> Result<(), LexError> {
        let trimmed = self.rest.trim_start();
        if let Some(rest) = trimmed.strip_prefix('.') {
            self.rest = rest;
            return Ok(());
        }
        for (mark, bracket) in [("|", Bracket::Bar), ("\\|", Bracket::Norm), ("\\vert", Bracket::Bar)] {
            if let Some(rest) = trimmed.strip_prefix(mark) {
                self.rest = rest;
                return self.push(if left { T::Open(bracket) } else { T::Close(bracket) });
            }
        }
        for (mark, opens) in [("<", true), (">", false)] {
            if let Some(rest) = trimmed.strip_prefix(mark) {
                self.rest = rest;
                return self.push(if opens { T::Open(Bracket::Angle) } else { T::Close(Bracket::Angle) });
            }
        }
        Ok(())
    }

    /// The next character where a command's argument has no braces.
    fn one(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.chars().next().map_or(0, char::len_utf8);
        let (one, rest) = self.rest.split_at(end);
        self.rest = rest;
        one
    }

    /// What stands in the braces that come next, without them.
    fn braced(&mut self) -> Option<&'a str> {
        let trimmed = self.rest.trim_start();
        if !trimmed.starts_with('{') {
            return None;
        }
        let mut depth = 0_usize;
        let mut escaped = false;
        for (place, byte) in trimmed.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        self.rest = &trimmed[place + 1..];
                        return Some(&trimmed[1..place]);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn text(&mut self, command: &str, depth: usize) -> Result<(), LexError> {
        let Some(inner) = self.braced() else {
            return Ok(());
        };
        let blank = |c: char| c.is_whitespace() || c == '~';
        let spaced = inner.starts_with(blank) || inner.starts_with('\\');
        let trimmed = inner.trim_matches(blank);
        let trimmed = trimmed.strip_prefix("\\ ").or_else(|| trimmed.strip_prefix("\\,")).unwrap_or(trimmed).trim();
        let words = trimmed.trim_matches(|c: char| c == ',' || c.is_whitespace());
        self.spaced |= spaced;
        match words {
            "" => {
                if trimmed.contains(',') {
                    return self.push(T::Comma);
                }
                self.spaced = true;
                return Ok(());
            }
            "and" | "And" => return self.push(T::And),
            "or" | "Or" => return self.push(T::Or),
            "to" if matches!(self.tokens.last(), Some(Token { kind: T::Number(_), .. })) => {
                return self.push(T::Colon);
            }
            _ => {}
        }
        if let Some(letters) = listed_letters(words) {
            for (place, letter) in letters.into_iter().enumerate() {
                if place > 0 {
                    self.push(T::Comma)?;
                }
                self.push(T::Letter(letter))?;
            }
            return Ok(());
        }
        if let Some(function) = names::function(words) {
            return self.push(T::Function(function));
        }
        let mathematics = trimmed.contains(['$', '\\', '=', '^', '<', '>', '+'])
            || trimmed.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '/' | ' ' | ':'));
        if mathematics && depth < MAX_NESTED_TEXT {
            let outer = std::mem::replace(&mut self.rest, trimmed);
            self.run(depth + 1)?;
            self.rest = outer;
            return Ok(());
        }
        if command == "operatorname" && words.len() > 1 && !super::unit::is_known(words) {
            return self.push(T::Name(words.into()));
        }
        self.push(T::Text(trimmed.into()))
    }
}

/// `A, C and E`: the letters, where there are several and nothing else.
fn listed_letters(words: &str) -> Option<Vec<char>> {
    let spaced = words.replace(',', " , ").replace(" and ", " , ");
    let mut letters = Vec::new();
    for part in spaced.split(',') {
        let mut inner = part.trim().chars();
        match (inner.next(), inner.next()) {
            (Some(letter), None) if letter.is_ascii_uppercase() => letters.push(letter),
            (None, None) if !letters.is_empty() => {}
            _ => return None,
        }
    }
    (letters.len() > 1).then_some(letters)
}

fn second(text: &str) -> Option<char> {
    text.chars().nth(1)
}
