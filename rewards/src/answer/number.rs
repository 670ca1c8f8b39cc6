//! Reading an answer as an exact number.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

/// Longest text read as a number, in bytes: no reference answer comes near it.
const MAX_NUMBER_BYTES: usize = 128;

/// Reads an integer, a decimal, or a fraction as an exact rational.
///
/// Thousands separators must stand in groups of three. A leading `$`, a trailing `%` and a
/// trailing full stop are noise in GSM8K's answers, and are dropped. No floating point: 0.1 +
/// 0.2 must equal 0.3.
pub(crate) fn parse_rational(text: &str) -> Option<RBig> {
    let text = text.trim();
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let text = text.strip_suffix('.').unwrap_or(text).trim_end();
    let text = text.strip_suffix('%').map_or(text, |t| t.strip_suffix('\\').unwrap_or(t));
    let (negative, text) = strip_sign(strip_dollar(text.trim()));
    let text = strip_dollar(text);
    let (top, bottom) = if let Some(braces) = text.strip_prefix("\\frac{") {
        braces.strip_suffix('}')?.split_once("}{")?
    } else {
        text.split_once('/').unwrap_or((text, "1"))
    };
    let (top, bottom) = (parse_unsigned(top.trim())?, parse_unsigned(bottom.trim())?);
    if bottom == RBig::ZERO {
        return None;
    }
    let value = top / bottom;
    Some(if negative { -value } else { value })
}

fn strip_dollar(text: &str) -> &str {
    text.strip_prefix("\\$").or_else(|| text.strip_prefix('$')).map_or(text, str::trim_start)
}

fn strip_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// An integer with or without thousands separators, with or without decimals.
fn parse_unsigned(text: &str) -> Option<RBig> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if text.contains('.') && decimals.is_empty() {
        return None;
    }
    let mut digits = String::with_capacity(text.len());
    for (i, group) in whole.split(',').enumerate() {
        let width_fits = match (i, whole.contains(',')) {
            (_, false) => !group.is_empty() || !decimals.is_empty(),
            (0, true) => (1..=3).contains(&group.len()),
            (_, true) => group.len() == 3,
        };
        if !width_fits {
            return None;
        }
        digits.push_str(group);
    }
    digits.push_str(decimals);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let numerator = UBig::from_str_radix(&digits, 10).ok()?;
    let denominator = UBig::from(10_u8).pow(decimals.len());
    Some(RBig::from_parts(IBig::from(numerator), denominator))
}

#[cfg(test)]
mod tests;
