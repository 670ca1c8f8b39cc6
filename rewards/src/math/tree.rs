//! The typed tree an answer is read into.

use dashu::rational::RBig;

/// A number and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: RBig,
    /// Digits after the point of a decimal.
    pub(crate) places: Option<u32>,
}

/// Named constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
}

/// Functions with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Arccot,
    Arcsec,
    Arccsc,
    Sinh,
    Cosh,
    Tanh,
    Coth,
    Sech,
    Csch,
    Arcsinh,
    Arccosh,
    Arctanh,
    Exp,
    Ln,
    /// Logarithm to the base of the first argument.
    LogBase,
    /// `\log` without a base.
    Log,
    Abs,
    Floor,
    Ceiling,
    Factorial,
    DoubleFactorial,
    Binomial,
    Permutations,
    Gamma,
    Max,
    Min,
    Gcd,
    Lcm,
    Conjugate,
    Re,
    Im,
    Arg,
    Sign,
    Mod,
}

/// Marks over a letter that make another letter of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Decoration {
    Bar,
    Hat,
    Tilde,
    Dot,
    DoubleDot,
}

/// Signs between two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Approximately,
    Congruent,
    Member,
    NotMember,
    Subset,
    Other(char),
}

impl Relation {
    /// The sign with its sides swapped.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    /// Whether it orders its sides.
    pub(crate) fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }
}

/// Operations on sets of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SetOperation {
    Union,
    Intersection,
    Without,
}

/// How items in brackets end on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Edge {
    /// A round bracket.
    Open,
    /// A square one.
    Closed,
    /// An angle bracket.
    Angle,
}

/// An answer, or part of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Number(Number),
    Constant(Constant),
    /// A variable by its full name, subscripts and primes included.
    Symbol(Box<str>),
    Infinity,
    Sum(Vec<Node>),
    Negative(Box<Node>),
    Product(Vec<Node>),
    Quotient(Box<Node>, Box<Node>),
    Power(Box<Node>, Box<Node>),
    /// The real n-th root of a radicand: index, radicand.
    Root(Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    /// A function nothing is known of.
    Opaque(Box<str>, Vec<Node>),
    /// `±` (true) or `∓` before a term.
    Signs(bool, Box<Node>),
    /// An angle in degrees.
    Degrees(Box<Node>),
    Percent(Box<Node>),
    /// A value and what follows it: a unit or a noun.
    Quantity(Box<Node>, Box<str>),
    /// Digits and their base.
    Based(Box<str>, u32),
    Text(Box<str>),
    /// Items with a comma or `and` between them.
    List(Vec<Node>),
    /// Items with `or` between any of them.
    Either(Vec<Node>),
    /// Items in round, square or angle brackets: point, interval, vector.
    Tuple(Edge, Vec<Node>, Edge),
    Set(Vec<Node>),
    /// `{ element | condition }`.
    Builder(Box<Node>, Box<Node>),
    NumberSet(char),
    Sets(SetOperation, Box<Node>, Box<Node>),
    Matrix(Vec<Vec<Node>>),
    /// A first side, then signs with what follows each.
    Chain(Box<Node>, Vec<(Relation, Node)>),
    /// `a : b : c`.
    Ratio(Vec<Node>),
}

/// The parts directly below a node, in the order written, borrowed as `iter` does or, with `iter_mut, mut`, to be changed.
macro_rules! parts {
    ($node:expr, $iter:ident $(, $mut:tt)?) => {
        match $node {
            Node::Number(_)
            | Node::Constant(_)
            | Node::Symbol(_)
            | Node::Infinity
            | Node::Based(..)
            | Node::Text(_)
            | Node::NumberSet(_) => Vec::new(),
            Node::Sum(items)
            | Node::Product(items)
            | Node::Call(_, items)
            | Node::Opaque(_, items)
            | Node::List(items)
            | Node::Either(items)
            | Node::Tuple(_, items, _)
            | Node::Set(items)
            | Node::Ratio(items) => items.$iter().collect(),
            Node::Negative(a) | Node::Signs(_, a) | Node::Degrees(a) | Node::Percent(a) | Node::Quantity(a, _) => {
                vec![a]
            }
            Node::Quotient(a, b) | Node::Power(a, b) | Node::Root(a, b) | Node::Builder(a, b) | Node::Sets(_, a, b) => {
                vec![a, b]
            }
            Node::Matrix(rows) => rows.$iter().flatten().collect(),
            Node::Chain(first, rest) => std::iter::once(&$($mut)? **first).chain(rest.$iter().map(|(_, n)| n)).collect(),
        }
    };
}

impl Node {
    /// An integer.
    pub(crate) fn integer(value: i64) -> Self {
        Self::Number(Number { value: RBig::from(value), places: None })
    }

    /// The parts directly below, in the order written.
    pub(crate) fn children(&self) -> Vec<&Node> {
        parts!(self, iter)
    }

    /// How many nodes the tree has.
    pub(crate) fn size(&self) -> usize {
        1 + self.children().into_iter().map(Self::size).sum::<usize>()
    }

    /// Whether any node of the tree satisfies the test.
    pub(crate) fn any(&self, test: &impl Fn(&Node) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// Whether the tree stands for one number or formula: no lists, sets, relations, matrices or texts in it.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Self::Number(_) | Self::Constant(_) | Self::Symbol(_) | Self::Based(..) | Self::Infinity => true,
            Self::Sum(_)
            | Self::Negative(_)
            | Self::Product(_)
            | Self::Quotient(..)
            | Self::Power(..)
            | Self::Root(..)
            | Self::Call(..)
            | Self::Degrees(_)
            | Self::Percent(_) => self.children().into_iter().all(Self::is_scalar),
            Self::Opaque(..) => true,
            _ => false,
        }
    }

    /// The names of the variables in the tree, each once.
    pub(crate) fn symbols<'a>(&'a self, into: &mut Vec<&'a str>) {
        if let Self::Symbol(name) = self
            && !into.contains(&&**name)
        {
            into.push(name);
        }
        for child in self.children() {
            child.symbols(into);
        }
    }

    /// The parts directly below, to be changed.
    fn children_mut(&mut self) -> Vec<&mut Node> {
        parts!(self, iter_mut, mut)
    }

    /// Gives a variable another name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        match self {
            Self::Symbol(name) if &**name == from => *name = to.into(),
            node => node.children_mut().into_iter().for_each(|child| child.rename(from, to)),
        }
    }

    /// Puts a number in a variable's place.
    pub(crate) fn set(&mut self, name: &str, value: &Node) {
        match self {
            Self::Symbol(own) if &**own == name => *self = value.clone(),
            node => node.children_mut().into_iter().for_each(|child| child.set(name, value)),
        }
    }
}
