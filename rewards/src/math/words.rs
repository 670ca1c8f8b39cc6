//! Answers in words.

use dashu::integer::IBig;

use super::token::{Bracket, Token, TokenKind as T};
use super::tree::{Function, Node};

/// The text of tokens that are words and nothing else. `None` where they may be mathematics.
pub(crate) fn prose(tokens: &[Token]) -> Option<String> {
    let mut text = String::new();
    let mut worded = false;
    for (place, token) in tokens.iter().enumerate() {
        let word: &str = match &token.kind {
            T::Word(word) => {
                worded |= word.chars().count() >= 4 || SHORT.contains(&word.to_lowercase().as_str());
                word
            }
            T::Text(word) => {
                let next = tokens.get(place + 1).map(|t| &t.kind);
                if next == Some(&T::Underscore) {
                    return None;
                }
                worded |= word.chars().count() >= 2;
                word
            }
            T::Letter(letter) => {
                push(&mut text, &letter.to_string());
                continue;
            }
            T::And => "and",
            T::Or => "or",
            T::Function(Function::Max) => "max",
            T::Function(Function::Min) => "min",
            T::Function(Function::Sign) => "sign",
            T::Infinity if worded => "infinity",
            T::Open(Bracket::Brace) | T::Close(Bracket::Brace) => continue,
            T::Comma
            | T::Period
            | T::Minus
            | T::Prime
            | T::Semicolon
            | T::Open(Bracket::Round)
            | T::Close(Bracket::Round)
                if place > 0 || matches!(token.kind, T::Open(_)) =>
            {
                continue;
            }
            _ => return None,
        };
        push(&mut text, word);
    }
    // One short word between letters could be a product; letters with `and` alone are a list.
    worded.then_some(text)
}

fn push(text: &mut String, word: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}

/// Words of up to three letters that are no products of variables.
const SHORT: [&str; 37] = [
    "yes", "no", "not", "odd", "all", "any", "dne", "one", "two", "six", "ten", "the", "red", "is", "are", "it", "are",
    "sum", "set", "few", "sat", "sun", "mon", "tue", "wed", "thu", "fri", "may", "jun", "jan", "of", "to", "by", "us",
    "has", "can", "am",
];

/// The integer that words name: `twenty-five`, `three hundred and four`.
pub(crate) fn number(text: &str) -> Option<IBig> {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    if text.len() > 120 {
        return None;
    }
    let lower = text.to_lowercase().replace('-', " ");
    let mut total = 0_i64;
    let mut group = 0_i64;
    let mut last = 0_i64;
    let mut any = false;
    for word in lower.split_whitespace() {
        if let Some(ones) = ONES.iter().position(|w| *w == word) {
            let fits = !any || last >= 100 || ((20..100).contains(&last) && ones < 10 && ones > 0);
            if !fits {
                return None;
            }
            last = ones as i64;
            group += last;
        } else if let Some(tens) = TENS.iter().position(|w| *w == word) {
            if any && last < 100 {
                return None;
            }
            last = (tens as i64 + 2) * 10;
            group += last;
        } else if word == "hundred" {
            if !any || last == 0 || group >= 100 {
                return None;
            }
            group *= 100;
            last = 100;
        } else if word == "thousand" || word == "million" {
            if !any || group == 0 || total != 0 {
                return None;
            }
            let scale = if word == "thousand" { 1000 } else { 1_000_000 };
            total = group.checked_mul(scale)?;
            group = 0;
            last = scale;
        } else if word == "and" && any {
            continue;
        } else {
            return None;
        }
        any = true;
    }
    any.then(|| IBig::from(total + group))
}

/// What words mean that also have a sign: `no solution` is the empty set, `infinity` is ∞.
pub(crate) fn meaning(text: &str) -> Option<Node> {
    Some(match normal(text, false).as_str() {
        "no solution" | "no solutions" | "no real solution" | "no real solutions" | "none" | "empty set"
        | "null set" | "null" => Node::Set(Vec::new()),
        "infinity" | "positive infinity" | "inf" => Node::Infinity,
        "negative infinity" | "minus infinity" => Node::Negative(Box::new(Node::Infinity)),
        "all real numbers" | "real numbers" | "all reals" | "reals" => Node::NumberSet('R'),
        "all integers" | "integers" => Node::NumberSet('Z'),
        _ => return None,
    })
}

/// Whether two texts say the same: case as asked for, spacing, punctuation and articles aside.
pub(crate) fn same(a: &str, b: &str, case_matters: bool) -> bool {
    normal(a, case_matters) == normal(b, case_matters)
}

fn normal(text: &str, case_matters: bool) -> String {
    let text = if case_matters { text.to_owned() } else { text.to_lowercase() };
    let mut normal = String::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '~' | '_' | '/')) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if !word.is_empty() && !matches!(word, "the" | "a" | "an") {
            push(&mut normal, word);
        }
    }
    // An article can be the whole answer.
    if normal.is_empty() { text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned() } else { normal }
}

#[cfg(test)]
mod tests;
