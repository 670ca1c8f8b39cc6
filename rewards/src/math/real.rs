//! Real numbers known up to an error.

use std::cmp::Ordering;

use dashu::rational::RBig;

/// A real number that lies within a known distance of a known one. No operation panics; where the result could be
/// anything, or the operation costs more than a verdict may, there is none.
pub(crate) trait Real: Clone {
    /// Steps an addition or multiplication takes.
    const CHEAP: u32;
    /// Bits carried.
    type Precision: Copy;

    fn ratio(value: &RBig, precision: Self::Precision) -> Option<Self>;
    /// A number with few bits, exactly.
    fn point(value: f64, precision: Self::Precision) -> Self;
    fn pi(precision: Self::Precision) -> Self;
    fn negated(&self) -> Self;
    fn plus(&self, other: &Self) -> Option<Self>;
    fn times(&self, other: &Self) -> Option<Self>;
    fn over(&self, other: &Self) -> Option<Self>;
    /// Of a number that is not certainly negative.
    fn sqrt(&self) -> Option<Self>;
    fn exp(&self) -> Option<Self>;
    /// Of a number that is certainly positive.
    fn ln(&self) -> Option<Self>;
    fn sin_cos(&self) -> Option<(Self, Self)>;
    fn arctan(&self) -> Option<Self>;
    /// Below, at or above zero; `None` where the error leaves it open.
    fn sign(&self) -> Option<Ordering>;
    /// A number that may be either of two.
    fn either(&self, other: &Self) -> Option<Self>;
    /// The integer below, where the error leaves only one.
    fn floor(&self) -> Option<Self>;
    /// The nearest machine number.
    fn approximate(&self) -> f64;
    /// Steps a root, logarithm or the like takes.
    fn dear(precision: Self::Precision) -> u32;
}
