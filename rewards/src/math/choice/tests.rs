use super::read;
use crate::math::lexer::lex;

fn letter(text: &str) -> Option<(char, bool)> {
    read(&lex(text).expect("short")).map(|choice| (choice.letter, choice.rest.is_empty()))
}

#[test]
fn a_choice_is_one_letter_and_what_it_says() {
    for text in ["B", "(B)", "B.", "B)", "b", r"\text{B}", r"\text{(B)}", r"\textbf{(B)}", "**(B)**", r"\boxed{B}"] {
        assert_eq!(letter(text), Some(('B', true)), "{text}");
    }
    for text in ["(B) 12", "B. 12", "B: yes", r"\textbf{(B)}\ 12"] {
        assert_eq!(letter(text), Some(('B', false)), "{text}");
    }
    for text in ["A or B", "(A) (B)", "A, B", "AB", "B^2", "B = 3", r"\text{(F)}, 0", "(B)(C)", "5", ""] {
        assert_eq!(letter(text), None, "{text}");
    }
}
