//! Points at which formulas are compared.

use super::seed::Seed;

/// Where points are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Real,
    WideReal,
    Whole,
    WideWhole,
    /// All small whole numbers in turn, for so many variables.
    Grid(usize),
}

/// The value of a variable at one of the points: positive and of either sign in turn, or a whole number, odd and even
/// in turn and the variables not in step.
pub(crate) fn coordinate(seed: Seed, name: &str, place: usize, attempt: u64, kind: Kind) -> f64 {
    const REACH: [f64; 6] = [1.0, 2.0, 4.0, 0.5, 16.0, 1.5];
    let share = seed.with(name).with_number(attempt).share();
    let size = seed.with(name).with_number(attempt).with_number(1).share();
    let parity = (attempt >> (place % 3) & 1) as f64;
    match kind {
        Kind::Whole => return 2.0 * (share * 10.0).floor() + 1.0 + parity,
        // From 1/32 to 128, each size as likely, so that quotients reach far too.
        Kind::WideReal => {
            let size = 2_f64.powi((size * 12.0) as i32 - 5) * (1.0 + share);
            return if attempt % 3 == 2 { -size } else { size };
        }
        Kind::WideWhole => {
            let whole = (2_f64.powi((size * 8.0) as i32) * (1.0 + share)).floor();
            return whole + (whole + parity) % 2.0;
        }
        Kind::Grid(variables) => {
            let side = [40, 40, 6, 3][variables.min(3)];
            let step = attempt / u64::pow(side, u32::try_from(place.min(8)).unwrap_or(8));
            return (step % side) as f64;
        }
        Kind::Real => {}
    }
    let reach = REACH[(attempt / 2 % 6) as usize];
    if attempt.is_multiple_of(2) { (share + 0.001_953_125) * reach } else { (share - 0.5) * 2.0 * reach }
}
