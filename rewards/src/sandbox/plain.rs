//! Plain values: what may pass between a program in the sandbox and us.
//!
//! A value of a program is never handed over as an object. It is flattened to these kinds inside the sandbox and read
//! here, so that no method of the program's (`__eq__`, `__hash__`, `__repr__`) ever takes part in a comparison.

mod marshal;

use dashu::integer::IBig;

pub use marshal::MarshalError;

/// A value of Python's built-in types, exactly: `1`, `1.0` and `True` are three different values.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size.
    Int(IBig),
    /// A float, infinities and NaN included; NaN differs from itself, as in Python.
    Float(f64),
    /// A complex number: real and imaginary part.
    Complex(f64, f64),
    /// Text; half of a surrogate pair reads as U+FFFD.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Plain>),
    /// A tuple.
    Tuple(Vec<Plain>),
    /// A set or frozenset, in the order the program's hash gave.
    Set(Vec<Plain>),
    /// A dictionary, in order of insertion; keys need not be text.
    Dict(Vec<(Plain, Plain)>),
}

impl Plain {
    /// The items of a list or tuple.
    pub fn items(&self) -> Option<&[Plain]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Int(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }
}

impl From<&serde_json::Value> for Plain {
    /// What Python's `json.loads` would give: an array is a list, a number with a point or exponent a float.
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::None,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value.into()),
                (None, Some(value)) => Self::Int(value.into()),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Str(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => {
                Self::Dict(fields.iter().map(|(key, value)| (Self::Str(key.clone()), value.into())).collect())
            }
        }
    }
}

impl From<i64> for Plain {
    fn from(value: i64) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Plain {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

#[cfg(test)]
mod tests;
