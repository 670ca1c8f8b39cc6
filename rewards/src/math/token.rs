//! What an answer is cut into.

use dashu::rational::RBig;

use super::tree::{Decoration, Function, Relation};

/// A token and whether white space stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) spaced: bool,
}

/// A number as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Literal {
    /// Its exact value.
    pub(crate) value: RBig,
    /// Digits after the decimal point; `None` for an integer or a repeating decimal.
    pub(crate) places: Option<u32>,
    /// The written digits, with no separators; base-n literals are read from them.
    pub(crate) digits: Box<str>,
    /// Where commas stood that may separate thousands or items: the parts between them.
    pub(crate) parts: Vec<RBig>,
}

/// The brackets that come in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bracket {
    Round,
    Square,
    /// `\{ \}`.
    Curly,
    /// LaTeX's own `{ }`, or a set in plain text.
    Brace,
    Angle,
    Floor,
    Ceiling,
    Bar,
    Norm,
}

/// The kinds of token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    Number(Literal),
    /// One letter, or a Greek one by name.
    Letter(char),
    /// Several letters in a row outside text.
    Word(Box<str>),
    /// What stood in `\text{…}` and its kin, trimmed.
    Text(Box<str>),
    Function(Function),
    Decoration(Decoration),
    Pi,
    Infinity,
    EmptySet,
    /// `\mathbb R` and its kin.
    NumberSet(char),
    Fraction,
    Root,
    Binomial,
    /// `\choose` between its two arguments.
    Choose,
    /// `\sum`, `\prod`, `\int`, `\lim`: read as one opaque thing.
    BigOperator(&'static str),
    /// A command with no meaning here.
    Unknown(Box<str>),
    /// A name of several letters: an operator such as `dim`.
    Name(Box<str>),
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Slash,
    Caret,
    Underscore,
    Bang,
    Percent,
    Degree,
    Prime,
    Currency(char),
    Comma,
    Semicolon,
    Colon,
    Ellipsis,
    /// A plain `|`.
    Pipe,
    /// `\mid`: never a bracket.
    Mid,
    And,
    Or,
    Relation(Relation),
    Member,
    Union,
    Intersection,
    Without,
    Open(Bracket),
    Close(Bracket),
    Begin(Box<str>),
    End(Box<str>),
    Cell,
    Row,
    Period,
}
