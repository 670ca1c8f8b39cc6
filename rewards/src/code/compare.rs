//! Is what a function returned what the test expects?
//!
//! Both sides are [`Plain`] data, so the answer is Python's `==` without running any of the program: `1 == 1.0 == True`,
//! integers and floats exactly, sets and dictionaries without order, a list unlike a tuple. Two choices differ from `==`:
//! NaN equals NaN, since a test that expects one means it, and data that came as JSON cannot tell a tuple from a list.

use std::cmp::Ordering;

use dashu::base::Sign;
use dashu::integer::IBig;

use crate::sandbox::Plain;

/// How far a number may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Times the larger of both magnitudes, as `math.isclose` has it.
    pub rel: f64,
    /// Added to nothing: a difference of at most this is none.
    pub abs: f64,
}

impl Tolerance {
    /// Whether two numbers are close. Infinities are close to themselves alone, and so is NaN.
    pub fn holds(&self, a: f64, b: f64) -> bool {
        if a == b || (a.is_nan() && b.is_nan()) {
            return true;
        }
        let apart = (a - b).abs();
        apart.is_finite() && (apart <= self.abs || apart <= self.rel * a.abs().max(b.abs()))
    }
}

/// What makes a value the expected one.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    /// It equals this.
    Equal(Plain),
    /// It equals anything but this.
    NotEqual(Plain),
    /// It is this very object: `None`, `True` or `False`.
    Is(Plain),
    /// It equals one of these.
    OneOf(Vec<Plain>),
    /// It equals this where every number may be off by as much.
    Near(Plain, Tolerance),
}

/// What a problem leaves open about the values of all its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leeway {
    /// A tuple equals a list of the same items and a whole number the same digits as a key: what was JSON once cannot tell.
    pub json: bool,
    /// The items of a list may come in any order.
    pub any_order: bool,
}

impl Relation {
    /// Whether `got` stands in this relation.
    pub fn holds(&self, got: &Plain, leeway: Leeway) -> bool {
        let key = |value: &Plain| Key::of(value, leeway.json).sorted(leeway.any_order);
        match self {
            Self::Equal(expected) => key(expected) == key(got),
            Self::NotEqual(expected) => key(expected) != key(got),
            Self::Is(expected) => expected == got,
            Self::OneOf(expected) => {
                let got = key(got);
                expected.iter().any(|one| key(one) == got)
            }
            Self::Near(expected, tolerance) => {
                let (mut a, mut b) = (Key::of(expected, leeway.json), Key::of(got, leeway.json));
                if leeway.any_order {
                    (a, b) = (a.sorted(true), b.sorted(true));
                }
                a.near(&b, *tolerance)
            }
        }
    }

    /// The value a person reading results would call the expected one.
    pub fn value(&self) -> Option<&Plain> {
        match self {
            Self::Equal(value) | Self::NotEqual(value) | Self::Is(value) | Self::Near(value, _) => Some(value),
            Self::OneOf(values) => values.first(),
        }
    }
}

/// A value in a form in which equal values are the same and which has an order, so that sets compare by sorting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    None,
    Number(Number),
    Complex(Number, Number),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Key>),
    Tuple(Vec<Key>),
    /// Sorted.
    Set(Vec<Key>),
    /// Sorted by key.
    Dict(Vec<(Key, Key)>),
}

/// A real number: whole ones exactly, whether they were an integer, a float or a truth value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Number {
    Whole(IBig),
    /// A float that is no whole number.
    Float(Bits),
}

/// A float by its order in all floats, NaN equal to NaN.
#[derive(Debug, Clone, Copy)]
struct Bits(f64);

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bits {}

impl PartialOrd for Bits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bits {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0.is_nan(), other.0.is_nan()) {
            (true, true) => Ordering::Equal,
            _ => self.0.total_cmp(&other.0),
        }
    }
}

impl Number {
    fn of(float: f64) -> Self {
        match float.is_finite() && float.fract() == 0.0 {
            true => IBig::try_from(float).map_or(Self::Float(Bits(float)), Self::Whole),
            false => Self::Float(Bits(float)),
        }
    }

    /// The nearest float.
    fn float(&self) -> f64 {
        match self {
            Self::Whole(whole) => whole.to_f64().value(),
            Self::Float(Bits(float)) => *float,
        }
    }

    fn near(&self, other: &Self, tolerance: Tolerance) -> bool {
        self == other || tolerance.holds(self.float(), other.float())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By size, so that numbers which are close are neighbours after sorting.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.cmp(b),
            (Self::Whole(whole), Self::Float(Bits(float))) => cmp_whole(whole, *float),
            (Self::Float(Bits(float)), Self::Whole(whole)) => cmp_whole(whole, *float).reverse(),
        }
    }
}

/// A whole number beside a float that is none: never equal. NaN stands behind all.
fn cmp_whole(whole: &IBig, float: f64) -> Ordering {
    if float.is_nan() || float == f64::INFINITY {
        return Ordering::Less;
    }
    let Ok(floor) = IBig::try_from(float.floor()) else { return Ordering::Greater };
    if *whole <= floor { Ordering::Less } else { Ordering::Greater }
}

impl Key {
    fn of(value: &Plain, json: bool) -> Self {
        let all = |items: &[Plain]| items.iter().map(|item| Self::of(item, json)).collect::<Vec<_>>();
        match value {
            Plain::None => Self::None,
            Plain::Bool(truth) => Self::Number(Number::Whole(i64::from(*truth).into())),
            Plain::Int(whole) => Self::Number(Number::Whole(whole.clone())),
            Plain::Float(float) => Self::Number(Number::of(*float)),
            Plain::Complex(real, imaginary) if *imaginary == 0.0 => Self::Number(Number::of(*real)),
            Plain::Complex(real, imaginary) => Self::Complex(Number::of(*real), Number::of(*imaginary)),
            Plain::Str(text) => Self::Str(text.clone()),
            Plain::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Plain::List(items) => Self::List(all(items)),
            Plain::Tuple(items) if json => Self::List(all(items)),
            Plain::Tuple(items) => Self::Tuple(all(items)),
            Plain::Set(items) => {
                let mut keys = all(items);
                keys.sort_unstable();
                Self::Set(keys)
            }
            Plain::Dict(entries) => {
                let key = |key: &Plain| match key {
                    Plain::Int(whole) if json => Self::Str(whole.to_string()),
                    key => Self::of(key, json),
                };
                let mut keys: Vec<_> = entries.iter().map(|(k, value)| (key(k), Self::of(value, json))).collect();
                keys.sort_unstable();
                Self::Dict(keys)
            }
        }
    }

    /// With the items of a list sorted, where any order will do.
    fn sorted(self, any_order: bool) -> Self {
        match self {
            Self::List(mut items) if any_order => {
                items.sort_unstable();
                Self::List(items)
            }
            Self::Tuple(mut items) if any_order => {
                items.sort_unstable();
                Self::Tuple(items)
            }
            other => other,
        }
    }

    /// Equal but for what numbers may be off.
    fn near(&self, other: &Self, tolerance: Tolerance) -> bool {
        let all = |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.near(b, tolerance));
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.near(b, tolerance),
            (Self::Complex(..) | Self::Number(_), Self::Complex(..) | Self::Number(_)) => {
                let (a, b) = (self.parts(), other.parts());
                let apart = (a.0 - b.0).hypot(a.1 - b.1);
                apart.is_finite() && apart <= tolerance.abs.max(tolerance.rel * a.0.hypot(a.1).max(b.0.hypot(b.1)))
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) | (Self::Set(a), Self::Set(b)) => {
                all(a, b)
            }
            (Self::Dict(a), Self::Dict(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| a.0.near(&b.0, tolerance) && a.1.near(&b.1, tolerance))
            }
            (a, b) => a == b,
        }
    }

    /// Real and imaginary part of a number.
    fn parts(&self) -> (f64, f64) {
        match self {
            Self::Number(real) => (real.float(), 0.0),
            Self::Complex(real, imaginary) => (real.float(), imaginary.float()),
            _ => (f64::NAN, f64::NAN),
        }
    }
}

/// A value as Python writes it, at most about `most` characters of it.
pub(crate) fn written(value: &Plain, most: usize) -> String {
    let mut text = String::new();
    write(value, most, &mut text);
    if text.chars().count() > most { text.chars().take(most).chain(['…']).collect() } else { text }
}

fn write(value: &Plain, most: usize, text: &mut String) {
    if text.len() > most {
        return;
    }
    let mut between = |open: &str, items: &[Plain], close: &str| {
        text.push_str(open);
        for (i, item) in items.iter().enumerate().take(most) {
            text.push_str(if i == 0 { "" } else { ", " });
            write(item, most, text);
        }
        text.push_str(close);
    };
    match value {
        Plain::List(items) => between("[", items, "]"),
        Plain::Tuple(items) => between("(", items, if items.len() == 1 { ",)" } else { ")" }),
        Plain::Set(items) if items.is_empty() => text.push_str("set()"),
        Plain::Set(items) => between("{", items, "}"),
        Plain::Dict(entries) => {
            text.push('{');
            for (i, (key, value)) in entries.iter().enumerate().take(most) {
                text.push_str(if i == 0 { "" } else { ", " });
                write(key, most, text);
                text.push_str(": ");
                write(value, most, text);
            }
            text.push('}');
        }
        Plain::None => text.push_str("None"),
        Plain::Bool(truth) => text.push_str(if *truth { "True" } else { "False" }),
        // The digits of a huge number take long to find, and nobody reads them.
        Plain::Int(whole) if whole.as_sign_words().1.len() > 16 => {
            let sign = if whole.sign() == Sign::Negative { "-" } else { "" };
            text.push_str(&format!("{sign}<integer of {} bits>", 64 * whole.as_sign_words().1.len()));
        }
        Plain::Int(whole) => text.push_str(&whole.to_string()),
        Plain::Float(float) => text.push_str(&format!("{float:?}")),
        Plain::Complex(real, imaginary) => text.push_str(&format!("({real:?}{imaginary:+?}j)")),
        Plain::Str(string) => text.push_str(&format!("{:?}", string.chars().take(most).collect::<String>())),
        Plain::Bytes(bytes) => {
            text.push_str(&format!("b{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(most)])))
        }
    }
}

#[cfg(test)]
mod tests;
