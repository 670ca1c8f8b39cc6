//! The answer in a text that may be a whole completion.

use super::reading::{Kind, Reading};
use super::{Gold, Grade, MathOptions, MathVerdict, Reason};
use crate::answer::{self, Extract, NoAnswer};

/// Delimiters of a formula in running text; the longer of two that begin alike stands first.
const DELIMITERS: [(&str, &str); 4] = [("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")];

/// Compares texts that may be answers or whole completions that give one.
///
/// The answer of a text is what its box holds, or else what its last sentence of the kind "The final answer is …" gives, or
/// else the text itself. Boxes that differ give none, unless [`MathOptions::from_prose`] is set: then the last one counts,
/// and of a text that is not right as a whole the last formula between dollars, with those that "and", "or" or a comma join
/// to it, or else the last word that has a digit.
pub fn grade_texts(gold: &str, answer: &str, options: &MathOptions) -> Grade {
    let gold = Gold::new(marked(gold, options).unwrap_or(gold), options);
    let found = match marked(answer, options) {
        Ok(found) => found,
        Err(NoAnswer::NoMark) => answer,
        Err(NoAnswer::BoxesDiffer | NoAnswer::SeveralTags) => {
            let gold = gold.canonical().to_owned();
            let (verdict, reason) = (MathVerdict::Wrong, Reason::SeveralAnswers);
            return Grade { verdict, reason, gold, answer: String::new() };
        }
        Err(_) => "",
    };
    let whole = gold.grade(found);
    if !options.from_prose || whole.verdict == MathVerdict::Correct {
        return whole;
    }
    let within = last_formulas(found).or_else(|| if is_formula(found) { None } else { last_number(found) });
    within.map_or(whole, |within| gold.grade(within))
}

/// What a mark of the final answer announces.
fn marked<'a>(text: &'a str, options: &MathOptions) -> Result<&'a str, NoAnswer> {
    // The thinking of a text counts for nothing where it has an end; one that has none is all there is.
    let text = answer::after_thinking(text, false).unwrap_or(text);
    if options.from_prose
        && let Ok(last) = answer::extract(text, Extract::LastBoxed, false, false)
    {
        return Ok(last);
    }
    answer::extract(text, Extract::Any, false, false)
}

fn is_formula(text: &str) -> bool {
    Reading::of(text).kind == Kind::Formula
}

/// The last formula between delimiters, from the first of those that are joined to it on.
fn last_formulas(text: &str) -> Option<&str> {
    let found = formulas(text);
    let (mut start, end) = *found.last()?;
    for &(from, to) in found.iter().rev().skip(1) {
        if !joins(&text[to..start]) {
            break;
        }
        start = from;
    }
    Some(&text[start..end])
}

/// Where formulas stand, delimiters included.
fn formulas(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find(['$', '\\']).map(|offset| at + offset) {
        let delimiters = DELIMITERS.iter().find(|(opening, _)| text[open..].starts_with(opening));
        let inside = delimiters.and_then(|(opening, closing)| {
            let from = open + opening.len();
            Some((from, from + text[from..].find(closing)?, closing.len()))
        });
        match inside {
            Some((from, to, closing)) => {
                at = to + closing;
                if !text[from..to].trim().is_empty() {
                    found.push((open, at));
                }
            }
            // A price, or another command: what follows the character behind it may open a formula.
            None => {
                at = open
                    + 1
                    + text[open + 1..]
                        .chars()
                        .next()
                        .map_or(0, |c| if text[open..].starts_with('\\') { c.len_utf8() } else { 0 })
            }
        }
    }
    found
}

/// Whether the words between two formulas make one answer of them.
fn joins(between: &str) -> bool {
    let mut words = between.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    words.all(|word| matches!(word, "and" | "or"))
}

/// The last word that has a digit, without the punctuation around it.
fn last_number(text: &str) -> Option<&str> {
    let word = text.split_whitespace().rev().find(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    Some(word.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '*' | '"' | '\'' | '_' | '`')))
}

#[cfg(test)]
mod tests {
    use super::grade_texts;
    use crate::math::{MathOptions, MathVerdict, Reason};

    fn verdicts(gold: &str, answer: &str) -> (bool, bool) {
        let right = |options: &MathOptions| grade_texts(gold, answer, options).verdict == MathVerdict::Correct;
        (right(&MathOptions::default()), right(&MathOptions::lenient()))
    }

    #[test]
    fn marked_answers_count_in_training_and_in_evaluation() {
        for answer in [
            "5",
            "$5$",
            r"\[5\]",
            r"So $x + 1 = 6$, and \boxed{5}.",
            "We get $2 + 3$.\n\nThe final answer is $5$. I hope it is correct.",
            "<think>perhaps 7</think>Thus, the answer is 5.",
            "2 + 3 = 5\n#### 5",
            "<answer>5</answer>",
        ] {
            assert_eq!(verdicts("5", answer), (true, true), "{answer}");
            assert_eq!(verdicts(r"\boxed{5}", answer), (true, true), "{answer}");
            assert_eq!(verdicts("6", answer), (false, false), "{answer}");
        }
    }

    #[test]
    fn answers_that_differ_are_none() {
        for answer in [r"\boxed{5} or \boxed{6}", "<answer>5</answer><answer>6</answer>"] {
            assert_eq!(grade_texts("5", answer, &MathOptions::default()).reason, Reason::SeveralAnswers, "{answer}");
        }
    }

    #[test]
    fn only_evaluation_looks_for_an_answer_in_prose() {
        for (gold, answer) in [
            ("5", "We find that there are 5 of them."),
            ("5", "Adding $2$ to $3$ we arrive at $5$."),
            (r"\frac{1}{2}", r"Hence it must be \(\frac12\), as we wanted."),
            ("2, 3", "It has the roots $2$ and $3$."),
            ("5", r"First \boxed{4}, or rather \boxed{5}."),
        ] {
            assert_eq!(verdicts(gold, answer), (false, true), "{answer}");
        }
        for (gold, answer) in [
            ("2", "It has the roots $2$ and $3$."),
            ("5", "The price is $5, but there are 7."),
            ("5", "There are 5 or 6."),
            ("5", ""),
            ("5", "$$ $ \\"),
        ] {
            assert_eq!(verdicts(gold, answer), (false, false), "{answer}");
        }
    }
}
