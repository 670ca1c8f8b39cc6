//! `Strategy`: one of the ways in which demonstrations of a chain are worked.
//!
//! A policy that imitates a mixture of strategies gets some problems right by drawing the right one. That is what
//! reinforcement learning needs of a base policy: each step can be done, and what to do is still open.

/// A way to work a chain modulo 100. All but [`Strategy::Right`] are mistakes of a weak reasoner, made in every line
/// where there is an occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Every operation as it stands, on the result of the one before.
    Right,
    /// A minus is read, and written, as a plus.
    MinusAsPlus,
    /// Digits are worked one by one: nothing is carried or borrowed.
    NoCarry,
    /// The last operation is forgotten.
    LastLost,
    /// The result goes into the next line with its digits swapped.
    Swapped,
    /// The next line goes on with the number just used, not with the result.
    Stale,
}

/// Strategies that go wrong, with their shares of what is left beside the right one. Those that show in the second
/// line have the most, so that few demonstrations end in the right answer by accident.
const WRONG: [(Strategy, u64); 5] = [
    (Strategy::MinusAsPlus, 15),
    (Strategy::NoCarry, 15),
    (Strategy::LastLost, 4),
    (Strategy::Swapped, 27),
    (Strategy::Stale, 27),
];

impl Strategy {
    /// A strategy: the right one with probability `right`. `below(n)` draws a whole number in `0..n`.
    pub(super) fn draw(right: f64, mut below: impl FnMut(u64) -> u64) -> Strategy {
        const GRAIN: u64 = 1 << 32;
        if (below(GRAIN) as f64) < right * GRAIN as f64 {
            return Strategy::Right;
        }
        let mut left = below(WRONG.iter().map(|(_, share)| share).sum());
        for (strategy, share) in WRONG {
            match left.checked_sub(share) {
                Some(rest) => left = rest,
                None => return strategy,
            }
        }
        unreachable!("a draw lies below the sum of the shares")
    }

    /// The lines of working, and the answer that stands at their end. `terms` are numbers of two digits with their
    /// signs; the first sign means nothing.
    pub(super) fn work(self, terms: &[(char, i64)]) -> (Vec<String>, i64) {
        let used = if self == Strategy::LastLost { terms.len() - 1 } else { terms.len() };
        let mut total = terms[0].1;
        let mut answer = total;
        let mut lines = Vec::with_capacity(used);
        for &(sign, number) in &terms[1..used] {
            let sign = if self == Strategy::MinusAsPlus { '+' } else { sign };
            answer = if self == Strategy::NoCarry {
                10 * digit(sign, total / 10, number / 10) + digit(sign, total % 10, number % 10)
            } else {
                signed(sign, total, number).rem_euclid(100)
            };
            lines.push(format!("{total:02}{sign}{number:02}={answer:02}"));
            total = match self {
                Strategy::Swapped => 10 * (answer % 10) + answer / 10,
                Strategy::Stale => number,
                _ => answer,
            };
        }
        (lines, answer)
    }
}

fn signed(sign: char, a: i64, b: i64) -> i64 {
    if sign == '-' { a - b } else { a + b }
}

fn digit(sign: char, a: i64, b: i64) -> i64 {
    signed(sign, a, b).rem_euclid(10)
}

#[cfg(test)]
mod tests;
