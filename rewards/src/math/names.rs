//! What commands and words of mathematics mean.

use super::token::{Bracket, TokenKind as T};
use super::tree::{Decoration, Function, Relation as R};

/// The function a name stands for, with or without a backslash.
pub(crate) fn function(name: &str) -> Option<Function> {
    use Function::*;
    Some(match name {
        "sin" => Sin,
        "cos" => Cos,
        "tan" | "tg" => Tan,
        "cot" | "ctg" => Cot,
        "sec" => Sec,
        "csc" | "cosec" => Csc,
        "arcsin" | "asin" => Arcsin,
        "arccos" | "acos" => Arccos,
        "arctan" | "atan" | "arctg" => Arctan,
        "arccot" | "acot" | "arcctg" => Arccot,
        "arcsec" | "asec" => Arcsec,
        "arccsc" | "acsc" => Arccsc,
        "sinh" | "sh" => Sinh,
        "cosh" | "ch" => Cosh,
        "tanh" => Tanh,
        "coth" => Coth,
        "sech" => Sech,
        "csch" => Csch,
        "arcsinh" | "asinh" | "arsinh" => Arcsinh,
        "arccosh" | "acosh" | "arcosh" => Arccosh,
        "arctanh" | "atanh" | "artanh" => Arctanh,
        "exp" => Exp,
        "ln" => Ln,
        "log" => Log,
        "abs" => Abs,
        "floor" => Floor,
        "ceil" => Ceiling,
        "max" => Max,
        "min" => Min,
        "gcd" => Gcd,
        "lcm" => Lcm,
        "Gamma" => Gamma,
        "Re" => Re,
        "Im" => Im,
        "arg" | "Arg" => Arg,
        "sgn" | "sign" => Sign,
        _ => return None,
    })
}

/// The letter a name stands for.
pub(crate) fn greek(name: &str) -> Option<char> {
    Some(match name {
        "alpha" => 'α',
        "beta" => 'β',
        "gamma" => 'γ',
        "delta" => 'δ',
        "epsilon" | "varepsilon" => 'ε',
        "zeta" => 'ζ',
        "eta" => 'η',
        "theta" | "vartheta" => 'θ',
        "iota" => 'ι',
        "kappa" => 'κ',
        "lambda" => 'λ',
        "mu" => 'μ',
        "nu" => 'ν',
        "xi" => 'ξ',
        "rho" | "varrho" => 'ρ',
        "sigma" | "varsigma" => 'σ',
        "tau" => 'τ',
        "upsilon" => 'υ',
        "phi" | "varphi" => 'φ',
        "chi" => 'χ',
        "psi" => 'ψ',
        "omega" => 'ω',
        "Delta" => 'Δ',
        "Theta" => 'Θ',
        "Lambda" => 'Λ',
        "Xi" => 'Ξ',
        "Pi" => 'Π',
        "Sigma" => 'Σ',
        "Upsilon" => 'Υ',
        "Phi" => 'Φ',
        "Psi" => 'Ψ',
        "Omega" => 'Ω',
        "ell" => 'ℓ',
        "hbar" => 'ħ',
        "nabla" => '∇',
        "partial" => '∂',
        "aleph" => 'ℵ',
        "top" => '⊤',
        "bot" | "perp" => '⊥',
        "star" | "ast" => '⋆',
        "dagger" => '†',
        "angle" => '∠',
        "triangle" => '△',
        _ => return None,
    })
}

/// Commands that stand for nothing that counts: spacing, sizes, fonts.
pub(crate) fn is_noise(name: &str) -> bool {
    matches!(
        name,
        "displaystyle"
            | "textstyle"
            | "scriptstyle"
            | "limits"
            | "nolimits"
            | "left"
            | "right"
            | "middle"
            | "big"
            | "Big"
            | "bigg"
            | "Bigg"
            | "bigl"
            | "bigr"
            | "Bigl"
            | "Bigr"
            | "biggl"
            | "biggr"
            | "Biggl"
            | "Biggr"
            | "bigm"
            | "quad"
            | "qquad"
            | "enspace"
            | "thinspace"
            | "medspace"
            | "space"
            | "mathbf"
            | "mathit"
            | "mathsf"
            | "mathcal"
            | "mathscr"
            | "mathfrak"
            | "boldsymbol"
            | "bm"
            | "bf"
            | "rm"
            | "it"
            | "vec"
            | "overrightarrow"
            | "boxed"
            | "fbox"
            | "hfill"
            | "hline"
            | "mathop"
            | "mathbin"
            | "mathrel"
            | "nonumber"
            | "notag"
            | "allowbreak"
            | "phantom"
            | "hspace"
            | "ensuremath"
            | "overset"
            | "mathstrut"
            | "strut"
            | "underbrace"
            | "cal"
            | "bold"
            | "therefore"
            | "because"
            | "implies"
    )
}

/// Commands whose argument is text.
pub(crate) fn is_text(name: &str) -> bool {
    matches!(
        name,
        "text"
            | "mathrm"
            | "mbox"
            | "hbox"
            | "textbf"
            | "textit"
            | "textrm"
            | "textsf"
            | "texttt"
            | "operatorname"
            | "emph"
            | "textnormal"
            | "mathtt"
            | "textsc"
            | "underline"
    )
}

/// The token of any other command.
pub(crate) fn command(name: &str) -> Option<T> {
    use Bracket::*;
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" => T::Fraction,
        "sqrt" | "root" => T::Root,
        "binom" | "dbinom" | "tbinom" => T::Binomial,
        "choose" => T::Choose,
        "pi" => T::Pi,
        "infty" | "infinity" => T::Infinity,
        "emptyset" | "varnothing" | "O" => T::EmptySet,
        "times" | "cdot" | "cdotp" | "bullet" | "ast" => T::Times,
        "div" | "over" | "slash" => T::Slash,
        "pm" => T::PlusMinus,
        "mp" => T::MinusPlus,
        "cup" | "bigcup" => T::Union,
        "cap" | "bigcap" => T::Intersection,
        "setminus" | "backslash" | "smallsetminus" => T::Without,
        "in" => T::Member,
        "notin" => T::Relation(R::NotMember),
        "subset" | "subseteq" => T::Relation(R::Subset),
        "lt" => T::Relation(R::Less),
        "gt" => T::Relation(R::Greater),
        "le" | "leq" | "leqslant" | "leqq" => T::Relation(R::LessEqual),
        "ge" | "geq" | "geqslant" | "geqq" => T::Relation(R::GreaterEqual),
        "ne" | "neq" => T::Relation(R::NotEqual),
        "approx" | "approxeq" | "doteq" => T::Relation(R::Approximately),
        "equiv" | "cong" => T::Relation(R::Congruent),
        "sim" => T::Relation(R::Other('∼')),
        "propto" => T::Relation(R::Other('∝')),
        "to" | "rightarrow" | "longrightarrow" | "mapsto" => T::Relation(R::Other('→')),
        "Rightarrow" | "Longrightarrow" => T::Relation(R::Other('⇒')),
        "iff" | "Leftrightarrow" | "leftrightarrow" => T::Relation(R::Other('⇔')),
        "parallel" => T::Relation(R::Other('∥')),
        "land" | "wedge" => T::And,
        "lor" | "vee" => T::Or,
        "mid" | "vert" => T::Mid,
        "lvert" => T::Open(Bar),
        "rvert" => T::Close(Bar),
        "lVert" => T::Open(Norm),
        "rVert" => T::Close(Norm),
        "lfloor" => T::Open(Floor),
        "rfloor" => T::Close(Floor),
        "lceil" => T::Open(Ceiling),
        "rceil" => T::Close(Ceiling),
        "langle" => T::Open(Angle),
        "rangle" => T::Close(Angle),
        "lbrace" => T::Open(Curly),
        "rbrace" => T::Close(Curly),
        "lbrack" => T::Open(Square),
        "rbrack" => T::Close(Square),
        "lparen" => T::Open(Round),
        "rparen" => T::Close(Round),
        "circ" | "degree" => T::Degree,
        "prime" => T::Prime,
        "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" | "vdots" | "ddots" => T::Ellipsis,
        "bar" | "overline" => T::Decoration(Decoration::Bar),
        "hat" | "widehat" => T::Decoration(Decoration::Hat),
        "tilde" | "widetilde" => T::Decoration(Decoration::Tilde),
        "dot" => T::Decoration(Decoration::Dot),
        "ddot" => T::Decoration(Decoration::DoubleDot),
        "sum" => T::BigOperator("sum"),
        "prod" => T::BigOperator("prod"),
        "int" | "oint" => T::BigOperator("int"),
        "iint" => T::BigOperator("iint"),
        "lim" => T::BigOperator("lim"),
        "colon" => T::Colon,
        "bmod" | "pmod" | "mod" => T::Function(Function::Mod),
        "lg" => T::Function(Function::Log),
        "newline" => T::Row,
        "dim" | "ker" | "det" | "deg" | "rank" | "tr" | "span" | "hom" | "sup" | "inf" | "Pr" | "mathbbm" => {
            T::Name(name.into())
        }
        _ => {
            return function(name).map(T::Function).or_else(|| greek(name).map(T::Letter));
        }
    })
}

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
