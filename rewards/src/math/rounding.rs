//! Decimals that stand for numbers they are not equal to.

use dashu::rational::RBig;

use super::exact;
use super::tree::Node;

/// Whether a decimal stands for a value after rounding: see [`super::Decimals::Rounded`]. One side must be written as
/// a decimal, and an integer is rounded to nothing. The gap between them comes from many digits.
pub(crate) fn rounds_to(gold: &Node, answer: &Node, gap: f64, size: f64) -> bool {
    let (gold_decimal, answer_decimal) = (decimal(gold), decimal(answer));
    let whole = |node: &Node| matches!(node, Node::Number(number) if number.places.is_none() && number.value.is_int());
    if (gold_decimal.is_none() && answer_decimal.is_none()) || whole(gold) || whole(answer) {
        return false;
    }
    if gap <= 5.1e-7 && gap <= 1e-5 * size {
        return true;
    }
    let Some((places, digits)) = gold_decimal else {
        return false;
    };
    digits >= 3 && gap <= half_a_unit(places)
}

/// Whether a number written as a decimal is another rounded to its places.
pub(crate) fn is_rounding(of: &Node, gap: f64) -> bool {
    match of {
        Node::Number(number) if number.value.is_int() && number.places.is_none() => gap <= half_a_unit(0),
        of => decimal(of).is_some_and(|(places, _)| gap <= half_a_unit(places)),
    }
}

fn half_a_unit(places: i32) -> f64 {
    0.5 * 10_f64.powi(-places) * (1.0 + 1e-9)
}

/// Places behind the point and significant digits of a decimal, scientific notation included.
fn decimal(node: &Node) -> Option<(i32, usize)> {
    match node {
        Node::Number(number) => {
            let places = number.places.filter(|&p| p > 0)?;
            let scaled = &number.value * RBig::from(dashu::integer::UBig::from(10u8).pow(places as usize));
            let digits = scaled.numerator().to_string().trim_start_matches('-').len();
            Some((i32::try_from(places).ok()?, digits))
        }
        Node::Negative(inner) => decimal(inner),
        Node::Product(factors) => match factors.as_slice() {
            [mantissa, Node::Power(base, exponent)] => {
                let (places, digits) = decimal(mantissa)?;
                let ten = integer(base)? == 10;
                let exponent = match &**exponent {
                    Node::Negative(inner) => -integer(inner)?,
                    exponent => integer(exponent)?,
                };
                if ten { Some((places.checked_sub(exponent)?, digits)) } else { None }
            }
            _ => None,
        },
        _ => None,
    }
}

fn integer(node: &Node) -> Option<i32> {
    match node {
        Node::Number(number) => i32::try_from(exact::integer(&number.value)?).ok(),
        _ => None,
    }
}
