//! Is the completion the JSON text that was asked for?
//!
//! Structured output as a verifiable task: exact equality of the documents, as in JSONSchemaBench's and function-calling
//! benchmarks' exact match (BFCL, gorilla.cs.berkeley.edu), without their leniency. Numbers are compared as they are
//! written, not as floating point makes them: 0.1 and 1e-1 are one, 9007199254740993 and 9007199254740992 are two.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::answer::after_thinking;
use crate::rubric::{Settings, settings};
use crate::rule::{Gold, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// Why a row cannot be judged.
const NO_JSON: &str = "the row holds no JSON text";

/// Where the JSON text stands in a completion, after the thinking where there is any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonPlace {
    /// All of the completion.
    Whole,
    /// In the only `<answer>…</answer>` or the only fence of three backticks, or all of the completion where there is
    /// neither.
    #[default]
    Marked,
}

/// 1 where the document is the expected one: the keys of an object in any order, everything else exactly so. Else 0. No
/// value where the row holds no JSON. `column` names the column with the document, as text or as a value; without it, it
/// is the expected answer.
pub(crate) fn score(sample: &Sample<'_>, place: JsonPlace, column: Option<&str>) -> Verdict {
    let Some(wanted) = wanted(sample.columns, sample.expected, column) else {
        return Verdict::undecided(NO_JSON);
    };
    let Some(wanted) = serde_json::from_str::<&RawValue>(&wanted).ok().map(RawValue::get) else {
        return Verdict::undecided(NO_JSON);
    };
    if let Err(reason) = same(wanted, wanted, 0) {
        return Verdict::undecided(format!("in the row: {reason}"));
    }
    let found = match document(sample, place) {
        Ok(found) => found,
        Err(reason) => return Verdict::new(0.0, reason),
    };
    let Ok(read) = serde_json::from_str::<&RawValue>(found) else {
        return Verdict::new(0.0, "not JSON");
    };
    match same(read.get(), wanted, 0) {
        Ok(true) => Verdict::new(1.0, "right"),
        Ok(false) => Verdict::new(0.0, "another document"),
        Err(reason) => Verdict::new(0.0, reason),
    }
}

/// The JSON text in the completion.
pub(crate) fn document<'a>(sample: &Sample<'a>, place: JsonPlace) -> Result<&'a str, &'static str> {
    let text = after_thinking(sample.completion, sample.think_opened())?.trim();
    if place == JsonPlace::Whole {
        return Ok(text);
    }
    let text = match text.split_once("<answer>") {
        None => text,
        Some((_, rest)) => match rest.split_once("</answer>") {
            Some((inside, after)) if !inside.contains("<answer>") && !after.contains("<answer>") => inside.trim(),
            Some(_) => return Err("more than one <answer>"),
            None => return Err("<answer> is never closed"),
        },
    };
    let mut parts = text.split("```");
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (_, None, ..) => Ok(text),
        (_, Some(fenced), Some(_), None) => {
            // The word behind the opening backticks names a language.
            let name = fenced.find('\n').filter(|end| fenced[..*end].trim().chars().all(char::is_alphanumeric));
            Ok(name.map_or(fenced, |end| &fenced[end..]).trim())
        }
        (_, _, None, _) => Err("a fence is never closed"),
        _ => Err("more than one fence"),
    }
}

fn wanted(columns: &Map<String, Value>, expected: &str, column: Option<&str>) -> Option<String> {
    match column {
        None => Some(expected.to_owned()),
        Some(column) => match columns.get(column)? {
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        },
    }
}

/// Deepest document that is compared, in levels; serde_json reads no deeper either.
const MAX_DEPTH: usize = 128;

/// Whether two valid JSON texts are the same document.
fn same(found: &str, wanted: &str, depth: usize) -> Result<bool, &'static str> {
    if depth > MAX_DEPTH {
        return Err("the document is nested too deep");
    }
    let (found, wanted) = (found.trim(), wanted.trim());
    let kind = |text: &str| match text.bytes().next() {
        Some(b'-' | b'0'..=b'9') => b'0',
        first => first.unwrap_or_default(),
    };
    if kind(found) != kind(wanted) {
        return Ok(false);
    }
    let deeper = |found: &RawValue, wanted: &RawValue| same(found.get(), wanted.get(), depth + 1);
    match kind(found) {
        b'{' => {
            let (Members(found), Members(wanted)) = (read(found)?, read(wanted)?);
            for (key, value) in &found {
                match wanted.get(key) {
                    Some(other) if deeper(value, other)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(found.len() == wanted.len())
        }
        b'[' => {
            let (found, wanted): (Vec<&RawValue>, Vec<&RawValue>) = (read(found)?, read(wanted)?);
            for (value, other) in found.iter().zip(&wanted) {
                if !deeper(value, other)? {
                    return Ok(false);
                }
            }
            Ok(found.len() == wanted.len())
        }
        b'"' => Ok(read::<String>(found)? == read::<String>(wanted)?),
        b'0' => Ok(decimal(found) == decimal(wanted)),
        _ => Ok(found == wanted),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, &'static str> {
    serde_json::from_str(text).map_err(|_| "an object names a key twice, or a text is not Unicode")
}

/// The members of an object, as text. A key that comes twice is an error: readers differ in which of the two they keep.
struct Members<'a>(HashMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = HashMap::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(key, value).is_some() {
                        return Err(A::Error::custom("a key comes twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A number as its sign, its digits without zeros at either end, and the power of ten behind them: numbers that are equal
/// have one such form, and no exponent is ever multiplied out. A number whose exponent has more than 18 digits stays text.
fn decimal(text: &str) -> (bool, String, i64) {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let Some(exponent) = exponent.parse::<i64>().ok().filter(|e| e.abs() < 10_i64.pow(18)) else {
        return (negative, rest.to_ascii_lowercase(), 0);
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let shift = (digits.len() - significant.len()) as i64 - fraction.len() as i64;
    match significant.trim_start_matches('0') {
        "" => (false, String::new(), 0),
        digits => (negative, digits.to_owned(), exponent + shift),
    }
}

settings! {
    /// 1 where the completion is the JSON document of the row, else 0: keys in any order, numbers as exact decimals.
    Json {
        /// Where the document stands in the completion.
        #[serde(default)]
        place: JsonPlace,
        /// The column with the document, as text or as a value; the expected answer where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    }
}

impl Settings for Json {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Json {
    fn name(&self) -> &str {
        "json"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.place, self.column.as_deref()))
    }

    fn judges(&self) -> bool {
        true
    }

    /// The document without white space, as it is written otherwise.
    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let value: Value = serde_json::from_str(document(sample, self.place).ok()?).ok()?;
        Some(value.to_string())
    }

    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let answer = wanted(sample.columns, sample.expected, self.column.as_deref())?;
        let written = match self.place {
            JsonPlace::Whole => answer.clone(),
            JsonPlace::Marked => format!("<answer>{answer}</answer>"),
        };
        Some(Gold { answer, written })
    }

    fn unreadable(&self, _: &Sample<'_>) -> Option<String> {
        Some(NO_JSON.to_owned())
    }
}

#[cfg(test)]
mod tests;
