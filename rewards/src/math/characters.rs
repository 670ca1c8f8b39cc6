//! What characters that are neither letters nor digits mean, and which plain ones others stand for.

use super::token::{Bracket, TokenKind as T};
use super::tree::Relation as R;

/// The token of a character that is no letter, digit or backslash.
pub(crate) fn character(c: char) -> Option<T> {
    use Bracket::*;
    Some(match c {
        '+' => T::Plus,
        '-' | '−' | '–' | '—' | '‐' | '‑' | '﹣' => T::Minus,
        '*' | '×' | '·' | '∙' | '⋅' | '•' | '∗' | '\u{2062}' => T::Times,
        '/' | '÷' | '⁄' | '∕' => T::Slash,
        '±' => T::PlusMinus,
        '∓' => T::MinusPlus,
        '^' => T::Caret,
        '_' => T::Underscore,
        '!' => T::Bang,
        '%' | '٪' => T::Percent,
        '°' | 'º' | '˚' => T::Degree,
        '\'' | '′' | '’' => T::Prime,
        '€' | '£' | '¥' | '₹' | '¢' => T::Currency(c),
        ',' | '、' => T::Comma,
        ';' => T::Semicolon,
        ':' | '∶' => T::Colon,
        '…' | '⋯' => T::Ellipsis,
        '|' => T::Pipe,
        '∣' => T::Mid,
        '=' => T::Relation(R::Equal),
        '<' => T::Relation(R::Less),
        '>' => T::Relation(R::Greater),
        '≤' | '⩽' | '≦' => T::Relation(R::LessEqual),
        '≥' | '⩾' | '≧' => T::Relation(R::GreaterEqual),
        '≠' => T::Relation(R::NotEqual),
        '≈' | '≃' => T::Relation(R::Approximately),
        '≡' | '≅' => T::Relation(R::Congruent),
        '∼' => T::Relation(R::Other('∼')),
        '∝' => T::Relation(R::Other('∝')),
        '→' => T::Relation(R::Other('→')),
        '⇒' => T::Relation(R::Other('⇒')),
        '⇔' => T::Relation(R::Other('⇔')),
        '⊂' | '⊆' => T::Relation(R::Subset),
        '∈' => T::Member,
        '∉' => T::Relation(R::NotMember),
        '∪' | '⋃' => T::Union,
        '∩' | '⋂' => T::Intersection,
        '∖' => T::Without,
        '∞' => T::Infinity,
        '∅' | '⌀' | 'Ø' => T::EmptySet,
        '√' => T::Root,
        'π' | 'ϖ' => T::Pi,
        'ℝ' => T::NumberSet('R'),
        'ℤ' => T::NumberSet('Z'),
        'ℕ' => T::NumberSet('N'),
        'ℚ' => T::NumberSet('Q'),
        'ℂ' => T::NumberSet('C'),
        '(' => T::Open(Round),
        ')' => T::Close(Round),
        '[' => T::Open(Square),
        ']' => T::Close(Square),
        '{' => T::Open(Brace),
        '}' => T::Close(Brace),
        '⟨' | '〈' => T::Open(Angle),
        '⟩' | '〉' => T::Close(Angle),
        '⌊' => T::Open(Floor),
        '⌋' => T::Close(Floor),
        '⌈' => T::Open(Ceiling),
        '⌉' => T::Close(Ceiling),
        '‖' | '∥' => T::Pipe,
        '∧' => T::And,
        '∨' => T::Or,
        '&' => T::Cell,
        '.' | '。' => T::Period,
        '⊤' => T::Letter('⊤'),
        '∂' => T::Letter('∂'),
        '∠' => T::Letter('∠'),
        '△' => T::Letter('△'),
        _ => return None,
    })
}

/// The exponent a raised character stands for, or the index a lowered one does.
pub(crate) fn script(c: char) -> Option<(bool, char)> {
    const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ";
    const LOWERED: &str = "₀₁₂₃₄₅₆₇₈₉₊₋ₙᵢ";
    const PLAIN: &str = "0123456789+-ni";
    let plain = |place| PLAIN.chars().nth(place);
    if c < '\u{80}' {
        return None;
    }
    if let Some(place) = RAISED.chars().position(|r| r == c) {
        return plain(place).map(|p| (true, p));
    }
    LOWERED.chars().position(|l| l == c).and_then(plain).map(|p| (false, p))
}

/// Numerator and denominator of a fraction that is one character.
pub(crate) fn vulgar(c: char) -> Option<(i64, i64)> {
    Some(match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅐' => (1, 7),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        '⅑' => (1, 9),
        '⅒' => (1, 10),
        _ => return None,
    })
}

/// A character of another alphabet of mathematics as the plain one it stands for: full-width forms, and the
/// italic, bold and script letters and digits of Unicode.
pub(crate) fn plain(c: char) -> char {
    let code = c as u32;
    let from = |base: u32, offset: u32| char::from_u32(base + offset).unwrap_or(c);
    match code {
        0xFF01..=0xFF5E => from(0x21, code - 0xFF01),
        0x1D400..=0x1D6A3 => match (code - 0x1D400) % 52 {
            upper @ 0..26 => from('A' as u32, upper),
            lower => from('a' as u32, lower - 26),
        },
        0x1D7CE..=0x1D7FF => from('0' as u32, (code - 0x1D7CE) % 10),
        0x210E => 'h',
        0x2212 => '-',
        _ => c,
    }
}
