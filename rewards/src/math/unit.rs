//! Units behind numbers, and the nouns that count as units.

use dashu::base::Inverse;
use dashu::rational::RBig;

/// A unit: a factor to base units, their powers, and the nouns nothing is known of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    pub(crate) factor: RBig,
    /// Base units and their powers, by name, none with power 0.
    dimensions: Vec<(&'static str, i32)>,
    nouns: Vec<String>,
}

/// Words of a unit or noun that are read.
const MAX_WORDS: usize = 6;

impl Unit {
    /// Reads a unit. `None` where the words say more than a unit does.
    pub(crate) fn read(words: &str) -> Option<Self> {
        let mut unit = Self { factor: RBig::ONE, dimensions: Vec::new(), nouns: Vec::new() };
        let mut power = 1;
        let mut over = false;
        let mut count = 0;
        let spaced = words.replace('.', "").replace('/', " / ").replace(['*', '·', '⋅'], " ");
        for word in spaced.split_whitespace() {
            let word = word.trim_matches(|c| matches!(c, '.' | ',' | '~' | '(' | ')' | '-'));
            count += 1;
            if count > MAX_WORDS * 2 {
                return None;
            }
            match word {
                "" => continue,
                "/" | "per" | "Per" | "a" | "an" | "each" if count > 1 => {
                    over = matches!(word, "/" | "per" | "Per");
                    continue;
                }
                "square" | "Square" | "sq" => {
                    power = 2;
                    continue;
                }
                "cubic" | "Cubic" | "cu" => {
                    power = 3;
                    continue;
                }
                "squared" => {
                    unit.multiply_last(2)?;
                    continue;
                }
                "cubed" => {
                    unit.multiply_last(3)?;
                    continue;
                }
                "of" | "the" | "in" if count > 1 && word != "in" => continue,
                _ => {}
            }
            let (name, raised) = match word.split_once('^') {
                Some((name, exponent)) => (name, exponent.parse::<i32>().ok().filter(|e| (-9..=9).contains(e))?),
                None => (word, 1),
            };
            let exponent = raised * std::mem::replace(&mut power, 1) * if std::mem::take(&mut over) { -1 } else { 1 };
            unit.add(name, exponent)?;
        }
        (unit.nouns.len() <= MAX_WORDS).then_some(unit)
    }

    fn add(&mut self, name: &str, exponent: i32) -> Option<()> {
        // Speeds are written as one word.
        if let "mph" | "kph" | "kmph" = name {
            let (length, _, _) = by_sign(if name == "mph" { "mi" } else { "km" })?;
            let factor = if name == "mph" {
                RBig::from_parts(1_609_344.into(), 3_600_000u32.into())
            } else {
                RBig::from_parts(1000.into(), 3600u32.into())
            };
            if exponent != 1 {
                return None;
            }
            self.factor *= factor;
            self.raise(length, 1);
            self.raise("s", -1);
            return Some(());
        }
        if let Some((base, top, bottom)) = known(name) {
            let factor = RBig::from_parts(top.into(), bottom.into());
            let raised = factor.pow(exponent.unsigned_abs() as usize);
            self.factor *= if exponent < 0 { raised.inv() } else { raised };
            if !base.is_empty() {
                self.raise(base, exponent);
            }
            return Some(());
        }
        if name.chars().count() < 2
            || STOP_WORDS.contains(&name.to_lowercase().as_str())
            || !name.chars().all(|c| c.is_alphabetic() || c == '-')
        {
            return None;
        }
        self.nouns.push(singular(&name.to_lowercase()));
        Some(())
    }

    fn raise(&mut self, base: &'static str, exponent: i32) {
        // Compound bases are kept by name: a knot is no metre per second here, but a litre is cubed decimetres.
        match self.dimensions.iter_mut().find(|(name, _)| *name == base) {
            Some((_, power)) => *power += exponent,
            None => self.dimensions.push((base, exponent)),
        }
        self.dimensions.retain(|(_, power)| *power != 0);
        self.dimensions.sort_unstable();
    }

    fn multiply_last(&mut self, power: i32) -> Option<()> {
        if let [(base, 1)] = self.dimensions.as_slice() {
            let base = *base;
            self.factor = self.factor.clone().pow(power as usize);
            self.dimensions = vec![(base, power)];
            return Some(());
        }
        (!self.nouns.is_empty()).then_some(())
    }

    /// Whether the words were only a factor, as in `5 million`, or say nothing, as in `5 units`.
    pub(crate) fn is_plain(&self) -> bool {
        self.dimensions.iter().all(|(name, _)| *name == "unit") && self.nouns.is_empty()
    }

    /// Whether the words are those of a unit that is known.
    pub(crate) fn is_measure(&self) -> bool {
        !self.dimensions.is_empty() && self.nouns.is_empty()
    }

    /// Whether the unit is one of angles.
    pub(crate) fn is_angle(&self) -> bool {
        matches!(self.dimensions.as_slice(), [("rad" | "degree", 1)])
    }

    /// Whether the unit is the half of a day that a time is in.
    pub(crate) fn is_half_day(&self) -> bool {
        matches!(self.dimensions.as_slice(), [("am" | "pm", 1)])
    }

    /// Whether the unit is degrees or parts of them.
    pub(crate) fn is_degrees(&self) -> bool {
        matches!(self.dimensions.as_slice(), [("degree", 1)])
    }

    /// Whether values in the two units can be compared after multiplying each with its factor.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        if self.dimensions != other.dimensions {
            // A noun beside no known unit: `5 apples` and `5`.
            return false;
        }
        let within = |a: &[String], b: &[String]| a.iter().all(|noun| b.contains(noun));
        !self.dimensions.is_empty() || within(&self.nouns, &other.nouns) || within(&other.nouns, &self.nouns)
    }
}

/// Adds a word to the words of a unit.
pub(crate) fn append(words: &mut String, word: &str) {
    if !words.is_empty() && !words.ends_with(['/', '*']) {
        words.push(' ');
    }
    words.push_str(word.trim());
}

/// Whether a letter is the sign of a unit.
pub(crate) fn is_sign(letter: char) -> bool {
    by_sign(letter.encode_utf8(&mut [0; 4])).is_some()
}

/// Whether a run of letters behind a value is its unit or noun, and no product of variables.
pub(crate) fn is_word(word: &str) -> bool {
    word.chars().count() >= 4
        || matches!(word, "mph" | "kph" | "am" | "pm" | "AM" | "PM" | "per" | "sq" | "cu")
        || is_known(word)
}

/// Whether letters are the sign or name of a unit.
pub(crate) fn is_known(word: &str) -> bool {
    word.len() > 1 && known(word).is_some()
}

/// Words behind a number that make it another number, or none.
const STOP_WORDS: [&str; 55] = [
    "when",
    "where",
    "for",
    "with",
    "any",
    "then",
    "so",
    "because",
    "at",
    "on",
    "from",
    "by",
    "that",
    "which",
    "as",
    "if",
    "all",
    "every",
    "some",
    "else",
    "otherwise",
    "or",
    "and",
    "not",
    "no",
    "but",
    "if",
    "either",
    "maybe",
    "than",
    "less",
    "more",
    "about",
    "approximately",
    "wrong",
    "half",
    "third",
    "quarter",
    "quarters",
    "thirds",
    "times",
    "plus",
    "minus",
    "twice",
    "double",
    "squared",
    "cubed",
    "except",
    "without",
    "neither",
    "nor",
    "is",
    "are",
    "most",
    "least",
];

fn singular(word: &str) -> String {
    let cut = |ending: &str, with: &str| {
        word.strip_suffix(ending).filter(|stem| stem.len() > 1).map(|stem| format!("{stem}{with}"))
    };
    match word {
        "feet" | "foot" => "ft".to_owned(),
        "people" | "persons" => "person".to_owned(),
        "men" => "man".to_owned(),
        "women" => "woman".to_owned(),
        "children" => "child".to_owned(),
        _ if word.ends_with("ss") => word.to_owned(),
        _ => cut("ies", "y")
            .or_else(|| ["ches", "shes", "sses", "xes"].iter().find_map(|e| cut(e, &e[..e.len() - 2])))
            .or_else(|| cut("s", ""))
            .unwrap_or_else(|| word.to_owned()),
    }
}

/// Base unit, numerator and denominator of the factor of a unit by name or sign. The base `""` is a plain number.
fn known(name: &str) -> Option<(&'static str, u64, u64)> {
    if let Some(found) = by_sign(name) {
        return Some(found);
    }
    let lower = name.to_lowercase();
    if name.len() < 3 && !matches!(&*lower, "am" | "pm") {
        return None;
    }
    by_name(&lower).or_else(|| by_name(&singular(&lower)))
}

fn by_sign(name: &str) -> Option<(&'static str, u64, u64)> {
    Some(match name {
        "m" => ("m", 1, 1),
        "km" => ("m", 1000, 1),
        "dm" => ("m", 1, 10),
        "cm" => ("m", 1, 100),
        "mm" => ("m", 1, 1000),
        "um" | "μm" | "µm" => ("m", 1, 1_000_000),
        "nm" => ("m", 1, 1_000_000_000),
        "in" => ("m", 254, 10_000),
        "ft" => ("m", 3048, 10_000),
        "yd" => ("m", 9144, 10_000),
        "mi" => ("m", 1_609_344, 1000),
        "g" => ("g", 1, 1),
        "kg" => ("g", 1000, 1),
        "mg" => ("g", 1, 1000),
        "lb" | "lbs" => ("pound", 1, 1),
        "oz" => ("ounce", 1, 1),
        "s" | "sec" => ("s", 1, 1),
        "ms" => ("s", 1, 1000),
        "min" | "mins" => ("s", 60, 1),
        "h" | "hr" | "hrs" => ("s", 3600, 1),
        "L" | "l" => ("liter", 1, 1),
        "mL" | "ml" => ("liter", 1, 1000),
        "rad" => ("rad", 1, 1),
        "deg" => ("degree", 1, 1),
        "N" => ("N", 1, 1),
        "kN" => ("N", 1000, 1),
        "J" => ("J", 1, 1),
        "kJ" => ("J", 1000, 1),
        "W" => ("W", 1, 1),
        "kW" => ("W", 1000, 1),
        "V" => ("V", 1, 1),
        "Pa" => ("Pa", 1, 1),
        "kPa" => ("Pa", 1000, 1),
        "Hz" => ("Hz", 1, 1),
        "kHz" => ("Hz", 1000, 1),
        "MHz" => ("Hz", 1_000_000, 1),
        "eV" => ("eV", 1, 1),
        "mol" => ("mol", 1, 1),
        "USD" => ("dollar", 1, 1),
        "K" => ("K", 1, 1),
        "°C" => ("°C", 1, 1),
        "°F" => ("°F", 1, 1),
        _ => return None,
    })
}

fn by_name(name: &str) -> Option<(&'static str, u64, u64)> {
    Some(match name {
        "unit" => ("unit", 1, 1),
        "am" => ("am", 1, 1),
        "pm" => ("pm", 1, 1),
        "number" => ("", 1, 1),
        "hundred" => ("", 100, 1),
        "thousand" => ("", 1000, 1),
        "million" => ("", 1_000_000, 1),
        "billion" => ("", 1_000_000_000, 1),
        "trillion" => ("", 1_000_000_000_000, 1),
        "dozen" => ("", 12, 1),
        "meter" | "metre" => ("m", 1, 1),
        "kilometer" | "kilometre" => ("m", 1000, 1),
        "centimeter" | "centimetre" => ("m", 1, 100),
        "millimeter" | "millimetre" => ("m", 1, 1000),
        "inch" | "inche" => ("m", 254, 10_000),
        "foot" | "feet" | "ft" => ("m", 3048, 10_000),
        "yard" => ("m", 9144, 10_000),
        "mile" => ("m", 1_609_344, 1000),
        "gram" => ("g", 1, 1),
        "kilogram" => ("g", 1000, 1),
        "milligram" => ("g", 1, 1000),
        "pound" => ("pound", 1, 1),
        "ounce" => ("ounce", 1, 1),
        "second" => ("s", 1, 1),
        "minute" => ("s", 60, 1),
        "hour" => ("s", 3600, 1),
        "day" => ("s", 86_400, 1),
        "week" => ("s", 604_800, 1),
        "month" => ("month", 1, 1),
        "year" | "yr" => ("month", 12, 1),
        "liter" | "litre" => ("liter", 1, 1),
        "milliliter" | "millilitre" => ("liter", 1, 1000),
        "gallon" => ("gallon", 1, 1),
        "radian" => ("rad", 1, 1),
        "degree" => ("degree", 1, 1),
        "arcminute" => ("degree", 1, 60),
        "dollar" | "buck" => ("dollar", 1, 1),
        "cent" => ("dollar", 1, 100),
        "euro" => ("euro", 1, 1),
        "yen" => ("yen", 1, 1),
        "rupee" => ("rupee", 1, 1),
        "newton" => ("N", 1, 1),
        "joule" => ("J", 1, 1),
        "watt" => ("W", 1, 1),
        "volt" => ("V", 1, 1),
        "hertz" => ("Hz", 1, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
