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
