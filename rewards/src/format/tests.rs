use proptest::prelude::*;

use super::*;
use FormatStyle::{Boxed, ThinkAnswer};

#[test]
fn keeps_the_layout() {
    let table = [
        (ThinkAnswer, false, "<think>a</think><answer>b</answer>"),
        (ThinkAnswer, false, " \n<think>\na\n</think>\n\n<answer>b</answer>\n"),
        (ThinkAnswer, true, "a</think><answer>b</answer>"),
        (ThinkAnswer, true, "\na\n</think>\n<answer>b</answer> "),
        (Boxed, false, r"so \boxed{1}."),
        (Boxed, false, r"<think>\boxed{2}</think>\boxed{\frac{1}{2}}"),
        (Boxed, true, r"a</think>\boxed{1}"),
    ];
    for (style, opened, text) in table {
        assert_eq!(score(text, style, opened).value, Some(1.0), "{text}");
    }
}

#[test]
fn breaks_the_layout() {
    let table = [
        (ThinkAnswer, false, ""),
        (ThinkAnswer, false, "a</think><answer>b</answer>"),
        (ThinkAnswer, true, "<think>a</think><answer>b</answer>"),
        (ThinkAnswer, false, "x<think>a</think><answer>b</answer>"),
        (ThinkAnswer, false, "<think>a</think>x<answer>b</answer>"),
        (ThinkAnswer, false, "<think>a</think><answer>b</answer>x"),
        (ThinkAnswer, false, "<think> </think><answer>b</answer>"),
        (ThinkAnswer, false, "<think>a</think><answer> </answer>"),
        (ThinkAnswer, false, "<answer>b</answer><think>a</think>"),
        (ThinkAnswer, false, "<think>a<answer></think>b</answer>"),
        (ThinkAnswer, false, "<think>a</think><answer>b</answer><answer>b</answer>"),
        (Boxed, false, "1"),
        (Boxed, false, r"\boxed{1"),
        (Boxed, false, r"\boxed{}"),
        (Boxed, false, r"\boxed{1}\boxed{1}"),
        (Boxed, false, r"<think>\boxed{1}"),
        (Boxed, false, r"a</think>\boxed{1}"),
        (Boxed, true, r"\boxed{1}"),
    ];
    for (style, opened, text) in table {
        assert_eq!(score(text, style, opened).value, Some(0.0), "{text}");
    }
}

proptest! {
    #[test]
    fn is_zero_or_one(
        text in r"(<think>|</think>|<answer>|</answer>|\\boxed\{|\}|é| ){0,12}",
        any_text in any::<String>(),
        opened in any::<bool>(),
    ) {
        for style in [ThinkAnswer, Boxed] {
            for text in [&text, &any_text] {
                let value = score(text, style, opened).value;
                prop_assert!(value == Some(0.0) || value == Some(1.0));
            }
        }
    }
}
