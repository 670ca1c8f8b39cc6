//! Where reasonable people differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a decimal stands for a number it is not equal to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decimals {
    /// Never: `0.33` is not `1/3`.
    #[default]
    Exact,
    /// Where the expected answer is a decimal of at least three significant digits and the answer rounds to it, or
    /// where both agree when rounded to six places, as Math-Verify's default does.
    Rounded,
}

/// What is asked of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// May be left out on either side; where both have one they must agree, after conversion.
    #[default]
    Optional,
    /// An answer must have a unit where the expected answer has one.
    Required,
    /// Not looked at where the numbers agree, as the graders of most leaderboards do.
    Ignored,
}

/// How answers are compared where the answer key alone does not say. The default is meant for training: nothing is
/// accepted that a careful teacher would strike out. [`MathOptions::lenient`] is meant for evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MathOptions {
    /// When a decimal stands for a number it is not equal to.
    pub decimals: Decimals,
    /// What is asked of units.
    pub units: Units,
    /// Whether 50 % is 0.5. It is always 50 % and, unless units are required, 50.
    pub percent_is_fraction: bool,
    /// Whether `x < 3` is `(-∞, 3)`. Off, an answer cannot pass by repeating the question's inequality.
    pub interval_is_inequality: bool,
    /// Whether the order in a tuple matters. Lists without brackets and sets have none.
    pub ordered_tuples: bool,
    /// Whether the brackets around items say what they are. Off, a tuple, a row, a column and a list with the same
    /// items are one, `{2}` is 2, and a numeral of another base needs no base.
    pub brackets_matter: bool,
    /// Whether `y = 2x` and `2x` are the same, and `x = 5` and `5`.
    pub name_optional: bool,
    /// Whether text is compared with its capitals.
    pub case_matters: bool,
    /// Whether an answer is looked for in a text that does not mark one; rules never look, `grouper score --math` does.
    pub from_prose: bool,
}

impl Default for MathOptions {
    fn default() -> Self {
        Self {
            decimals: Decimals::Exact,
            units: Units::Optional,
            percent_is_fraction: false,
            interval_is_inequality: false,
            ordered_tuples: true,
            brackets_matter: true,
            name_optional: true,
            case_matters: false,
            from_prose: false,
        }
    }
}

impl MathOptions {
    /// For evaluation: agrees with what published leaderboards count as right.
    pub fn lenient() -> Self {
        Self {
            decimals: Decimals::Rounded,
            units: Units::Ignored,
            percent_is_fraction: true,
            interval_is_inequality: true,
            ordered_tuples: true,
            brackets_matter: false,
            name_optional: true,
            case_matters: false,
            from_prose: true,
        }
    }
}
