use proptest::prelude::*;

use super::*;

fn kept(text: &str) -> Vec<String> {
    words(&prose(text)).map(str::to_owned).collect()
}

#[test]
fn keeps_words_only() {
    let table = [
        ("We add two and two.", "We add two and two"),
        ("It is 4, or 4.0, or 4e3 m", "It is or or"),
        ("so $x + y = 2$ holds", "so holds"),
        ("so \\(x + y\\) and \\[z\\text{ if}\\] hold", "so and hold"),
        ("a $$\n\\alpha\n$$ b then", "then"),
        ("\\begin{align*} first &= second \\end{align*} done", "done"),
        ("run `let it = be` now", "run now"),
        ("see\n```rust\nfn main() {}\n```\nthere", "see there"),
        ("<think>so it is</think><answer>four</answer>", "so it is four"),
        ("\\textbf{bold words} \\boxed{yes}", "bold words yes"),
        ("2 < three and four > 1", "three and four"),
        ("五加五等于十", "五 加 五 等 于 十"),
        ("don't x well-known", "don't well known"),
        ("", ""),
        ("$$ $ ` < \\", ""),
    ];
    for (text, want) in table {
        assert_eq!(kept(text).join(" "), want, "{text}");
    }
}

#[test]
fn a_mark_that_is_never_closed_hides_nothing() {
    for text in
        ["``` some words", "` some words", "$ some words", "\\[ some words", "\\begin{ some words", "<b some words"]
    {
        assert!(kept(text).join(" ").ends_with("some words"), "{text}");
    }
    assert_eq!(kept("a price of $5\nand one of $6").join(" "), "price of and one of");
}

/// Marks that open and never close must not be looked for again and again: a text of a million characters takes no longer
/// than its length asks for, and this test ends.
#[test]
fn long_texts_of_marks_are_read_once() {
    let marks =
        ["<", "<a", "$", "`", "``", "```", "\\(", "\\begin{", "\\begin{\\end{", "\\begin{a}\\end{a", "$$ ", "\n$", "é"];
    for mark in marks {
        let text = mark.repeat(1_000_000 / mark.len());
        assert!(prose(&text).len() <= text.len(), "{mark}");
    }
}

proptest! {
    #[test]
    fn any_text_has_its_prose(
        text in any::<String>(), marks in r"(```|`|\$\$|\$|\\\[|\\\]|\\begin\{|\\end\{|<a|>|\n|é|我| ){0,40}",
    ) {
        for text in [&text, &marks] {
            prop_assert!(prose(text).len() <= text.len());
            prop_assert!(words(text).all(|word| word.chars().any(char::is_alphabetic)));
        }
    }
}
