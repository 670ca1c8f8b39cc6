//! Numbers as they are written: separators, decimals, repeating decimals, exponents, other bases.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::lexer::LexError;
use super::token::{Bracket, Literal, TokenKind as T};

/// Digits of a number that is read exactly.
const MAX_DIGITS: usize = 4000;

/// A number at the start of a text.
pub(crate) struct Found {
    /// Bytes it takes.
    pub(crate) length: usize,
    pub(crate) tokens: Vec<T>,
}

/// The token of an integer.
pub(crate) fn integer(value: i64) -> T {
    T::Number(Literal { value: RBig::from(value), places: None, digits: value.to_string().into(), parts: Vec::new() })
}

/// Reads the number a text starts with. `None` where it starts with none after all.
/// Behind `_` and `^` no space separates thousands.
pub(crate) fn read(text: &str, script: bool) -> Result<Option<Found>, LexError> {
    let bytes = text.as_bytes();
    if let Some(length) = based(bytes) {
        return Ok(Some(Found { length, tokens: vec![T::Text(text[..length].into())] }));
    }
    let (mut at, mut groups, plain_commas) = groups(text, script);
    let whole: String = groups.concat();
    let mut fraction = "";
    let mut has_point = false;
    if bytes.get(at) == Some(&b'.') {
        let digits = digits_at(bytes, at + 1);
        let next = bytes.get(at + 1 + digits);
        if digits > 0 {
            fraction = &text[at + 1..at + 1 + digits];
            at += 1 + digits;
            has_point = true;
        } else if repeated(&text[at + 1..], !whole.is_empty()).is_some()
            || (!whole.is_empty() && matches!(next, Some(b'/' | b'*' | b')' | b'+' | b'^')))
        {
            at += 1;
            has_point = true;
        }
    }
    if whole.len() + fraction.len() > MAX_DIGITS {
        return Err(LexError::TooLong);
    }
    if whole.is_empty() && fraction.is_empty() && !has_point {
        return Ok(None);
    }
    let mut period_digits = None;
    let mut value = scaled(&whole, fraction);
    let mut places = has_point.then(|| u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    if has_point {
        if let Some((period, length)) = repeated(&text[at..], fraction.is_empty()) {
            if period.len() <= 64 {
                value += tail(period, fraction.len());
                period_digits = Some(period);
                places = None;
                at += length;
            }
        } else if let Some((period, length)) = ellipsis(fraction, &text[at..]) {
            value += tail(period, fraction.len());
            period_digits = Some(period);
            places = None;
            at += length;
        }
    }
    let mut digits = whole;
    if has_point {
        digits.push('.');
        digits.push_str(fraction);
    }
    if let Some(period) = period_digits {
        digits.push('(');
        digits.push_str(period);
        digits.push(')');
    }
    let parts = if plain_commas && !has_point && groups.len() > 1 {
        groups.drain(..).map(|g| scaled(g, "")).collect()
    } else {
        Vec::new()
    };
    let mut tokens = Vec::with_capacity(1);
    let exponent = exponent(bytes, at);
    let number = |value, places| T::Number(Literal { value, places, digits: digits.clone().into(), parts });
    match exponent {
        None => tokens.push(number(value, places)),
        Some((negative, start, end)) => {
            at = end;
            // Written out, so that a huge exponent stays a formula.
            let power = scaled(&text[start..end.min(start + 40)], "");
            tokens.push(number(value, places));
            tokens.push(T::Times);
            tokens.push(integer(10));
            tokens.push(T::Caret);
            tokens.push(T::Open(Bracket::Brace));
            if negative {
                tokens.push(T::Minus);
            }
            let digits = text[start..end.min(start + 40)].into();
            tokens.push(T::Number(Literal { value: power, places: None, digits, parts: Vec::new() }));
            tokens.push(T::Close(Bracket::Brace));
        }
    }
    Ok(Some(Found { length: at, tokens }))
}

fn digits_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
}

/// Groups of digits with thousands separators between them: where they end, the groups, and whether a separator
/// was a bare comma, which may as well stand between items.
fn groups(text: &str, script: bool) -> (usize, Vec<&str>, bool) {
    const SEPARATORS: [&str; 12] =
        [",\\! ", ",\\!", "{,}", "\\,", "\\;", "\\ ", "\\!", ",", " ", "{,\\!}", "\u{202f}", "~"];
    let bytes = text.as_bytes();
    let first = digits_at(bytes, 0);
    let mut groups = vec![&text[..first]];
    let mut at = first;
    let mut plain = false;
    if !script && (1..=3).contains(&first) && (first == 1 || bytes[0] != b'0') {
        let mut used: Option<&str> = None;
        'groups: loop {
            for mark in SEPARATORS {
                if used.is_some_and(|used| used != mark) || !text[at..].starts_with(mark) {
                    continue;
                }
                let start = at + mark.len();
                if digits_at(bytes, start) == 3 && (mark != " " || follows_no_fraction(bytes, start + 3)) {
                    groups.push(&text[start..start + 3]);
                    at = start + 3;
                    plain |= mark == ",";
                    used = Some(mark);
                    continue 'groups;
                }
            }
            break;
        }
        if bytes[0] == b'0' && groups.len() > 1 {
            return (first, vec![&text[..first]], false);
        }
    }
    (at, groups, plain)
}

/// `1 000/3` with a space before its thousands could as well be mixed: then it is not one number.
fn follows_no_fraction(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) != Some(&b'/')
}

fn scaled(whole: &str, fraction: &str) -> RBig {
    let mut digits = String::with_capacity(whole.len() + fraction.len() + 1);
    digits.push_str(whole);
    digits.push_str(fraction);
    if digits.len() <= 18 {
        // No digits at all stand before a period: .\overline{3}.
        let small: i64 = digits.parse().unwrap_or(0);
        return RBig::from_parts(IBig::from(small), UBig::from(10u8).pow(fraction.len()));
    }
    let big = UBig::from_str_radix(&digits, 10).unwrap_or(UBig::ZERO);
    RBig::from_parts(big.into(), UBig::from(10u8).pow(fraction.len()))
}

/// The value of a period that starts after so many digits.
fn tail(period: &str, places: usize) -> RBig {
    let value = UBig::from_str_radix(period, 10).unwrap_or(UBig::ZERO);
    let nines = UBig::from(10u8).pow(period.len()) - UBig::ONE;
    RBig::from_parts(value.into(), nines * UBig::from(10u8).pow(places))
}

/// `\overline{3}` and its kin, right behind the point `(3)` too: the period, and the bytes it takes.
fn repeated(text: &str, round: bool) -> Option<(&str, usize)> {
    for mark in ["\\overline{", "\\bar{", "\\dot{"] {
        if let Some(rest) = text.strip_prefix(mark) {
            let digits = digits_at(rest.as_bytes(), 0);
            if digits > 0 && rest.as_bytes().get(digits) == Some(&b'}') {
                return Some((&rest[..digits], mark.len() + digits + 1));
            }
        }
    }
    let rest = text.strip_prefix('(').filter(|_| round)?;
    let digits = digits_at(rest.as_bytes(), 0);
    (digits > 0 && rest.as_bytes().get(digits) == Some(&b')')).then(|| (&rest[..digits], digits + 2))
}

/// `0.333…`: a period that was written at least twice in full, three times where it has one digit.
fn ellipsis<'a>(fraction: &'a str, text: &str) -> Option<(&'a str, usize)> {
    let trimmed = text.trim_start();
    let mark = ["...", "…", "\\ldots", "\\dots", "\\cdots"].into_iter().find(|mark| trimmed.starts_with(mark))?;
    let digits = fraction.as_bytes();
    for length in 1..=digits.len() / 2 {
        let times = if length == 1 { 3 } else { 2 };
        if digits.len() < length * times {
            break;
        }
        let period = &digits[digits.len() - length..];
        if (0..times).all(|k| digits[digits.len() - length * (k + 1)..digits.len() - length * k] == *period) {
            return Some((&fraction[fraction.len() - length..], text.len() - trimmed.len() + mark.len()));
        }
    }
    None
}

/// `e-10` right behind a number: whether it is negative, and where its digits stand.
fn exponent(bytes: &[u8], at: usize) -> Option<(bool, usize, usize)> {
    if !matches!(bytes.get(at), Some(b'e' | b'E')) {
        return None;
    }
    let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
    let start = at + 1 + usize::from(sign);
    let digits = digits_at(bytes, start);
    (digits > 0).then_some((sign && bytes[at + 1] == b'-', start, start + digits))
}

/// `1A3_{16}`: the length of digits and capital letters with a base below them, where there is a letter.
fn based(bytes: &[u8]) -> Option<usize> {
    let length = bytes.iter().take(64).take_while(|b| b.is_ascii_alphanumeric()).count();
    // 2x_1 is a product: small letters are digits only behind several others.
    let upper = bytes[..length].iter().any(u8::is_ascii_uppercase);
    let lower = bytes[..length].iter().any(u8::is_ascii_lowercase);
    let letters = if lower { !upper && digits_at(bytes, 0) >= 2 } else { upper };
    let rest = bytes.get(length..)?.strip_prefix(b"_")?;
    let rest = rest.strip_prefix(b"{").unwrap_or(rest);
    let digits = digits_at(rest, 0).min(2);
    let base: u32 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let valid = (11..=36).contains(&base) && bytes[..length].iter().all(|&b| char::from(b).is_digit(base));
    (letters && valid).then_some(length)
}

#[cfg(test)]
mod tests;
