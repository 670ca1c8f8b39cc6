use super::{meaning, number, same};
use crate::math::tree::Node;

#[test]
fn numbers_in_words() {
    for (words, value) in [
        ("four", 4),
        ("Twenty-five", 25),
        ("three hundred and four", 304),
        ("two thousand six", 2006),
        ("one million", 1_000_000),
        ("ninety nine", 99),
    ] {
        assert_eq!(number(words), Some(value.into()), "{words}");
    }
    for words in ["", "hundred", "two three", "twenty twenty", "four apples", "five eleven", "and"] {
        assert_eq!(number(words), None, "{words}");
    }
}

#[test]
fn texts_are_the_same_but_for_case_articles_and_punctuation() {
    assert!(same("The Circle.", "circle", false));
    assert!(!same("The Circle.", "circle", true));
    assert!(!same("even", "not even", false));
    assert!(same("a", "A", false));
    assert_eq!(meaning("No solution."), Some(Node::Set(Vec::new())));
    assert_eq!(meaning("nothing"), None);
}
