//! The letter of a multiple choice, and what may stand behind it: `(B)`, `B.`, `(B) 12`.

use super::token::{Bracket, Token, TokenKind as T};

/// A letter and the tokens behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// The letter, as a capital.
    pub(crate) letter: char,
    pub(crate) rest: Vec<Token>,
}

/// Reads tokens as a choice. `None` where they are none, or name several.
pub(crate) fn read(tokens: &[Token]) -> Option<Choice> {
    let tokens = match tokens {
        [Token { kind: T::Open(Bracket::Brace), .. }, inner @ .., Token { kind: T::Close(Bracket::Brace), .. }] => {
            inner
        }
        tokens => tokens,
    };
    let kind = |place: usize| tokens.get(place).map(|token| &token.kind);
    let (letter, mut used, dressed) = match kind(0)? {
        T::Open(Bracket::Round) => {
            let (letter, _) = lone(kind(1)?)?;
            (kind(2)? == &T::Close(Bracket::Round)).then_some((letter, 3, true))?
        }
        first => {
            let (letter, dressed) = lone(first)?;
            (letter, 1, dressed)
        }
    };
    let marked = matches!(kind(used), Some(T::Period | T::Colon | T::Close(Bracket::Round)));
    used += usize::from(marked);
    let rest = &tokens[used..];
    if !(rest.is_empty() || dressed || marked) {
        return None;
    }
    // What follows as one more item, or in the same dress, is a second answer.
    let second = |at: usize| match &rest[at].kind {
        T::Or | T::And => true,
        T::Comma | T::Semicolon => at == 0,
        T::Open(Bracket::Round) => rest.get(at + 1).is_some_and(|next| lone(&next.kind).is_some()),
        T::Text(text) => text.contains('(') || lone(&rest[at].kind).is_some(),
        T::Relation(_) | T::Plus | T::Minus | T::Times | T::Slash | T::Caret | T::Underscore | T::Bang => at == 0,
        _ => false,
    };
    if (0..rest.len()).any(second) || !letter.is_ascii_alphabetic() {
        return None;
    }
    Some(Choice { letter: letter.to_ascii_uppercase(), rest: rest.to_vec() })
}

/// The letter a token is, and whether it wears brackets or a full stop of its own.
fn lone(kind: &T) -> Option<(char, bool)> {
    match kind {
        T::Letter(letter) => Some((*letter, false)),
        T::Text(text) => {
            let mut letters = text.trim_matches(|c: char| !c.is_alphanumeric()).chars();
            let letter = letters.next().filter(|_| letters.next().is_none())?;
            Some((letter, text.contains(['(', ')', '.', ':'])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
