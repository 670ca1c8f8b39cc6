//! LaTeX commands.

use super::{LexError, Lexer, MAX_NESTED_TEXT};
use crate::math::names;
use crate::math::token::{Bracket, Token, TokenKind as T};
use crate::math::tree::Relation;
use crate::math::unit;

impl<'a> Lexer<'a> {
    pub(super) fn command(&mut self, depth: usize) -> Result<(), LexError> {
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
    pub(super) fn sized(&mut self, left: bool) -> Result<(), LexError> {
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
    pub(super) fn one(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.chars().next().map_or(0, char::len_utf8);
        let (one, rest) = self.rest.split_at(end);
        self.rest = rest;
        one
    }

    /// What stands in the braces that come next, without them.
    pub(super) fn braced(&mut self) -> Option<&'a str> {
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

    pub(super) fn text(&mut self, command: &str, depth: usize) -> Result<(), LexError> {
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
        if command == "operatorname" && words.len() > 1 && !unit::is_known(words) {
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
