use proptest::prelude::*;

use super::*;
use FormatStyle::{Boxed, Tags, ThinkAnswer};

fn tags(names: &[&str]) -> FormatStyle {
    Tags(names.iter().map(|name| (*name).to_owned()).collect())
}

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
        (tags(&["plan", "code", "answer"]), false, "<plan>a</plan>\n<code>b</code> <answer>c</answer>\n"),
        (tags(&["plan", "code"]), true, "a</plan><code>b <answer></code>"),
        (tags(&["answer"]), false, "<answer>c</answer>"),
    ];
    for (style, opened, text) in table {
        assert_eq!(score(text, &style, opened).value, Some(1.0), "{text}");
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
        (tags(&["plan", "code"]), false, "<code>b</code><plan>a</plan>"),
        (tags(&["plan", "code"]), false, "<plan>a</plan><code>b</code><code>b</code>"),
        (tags(&["plan", "code"]), false, "<plan>a<code></plan>b</code>"),
        (tags(&["plan", "code"]), false, "<plan>a</plan>so<code>b</code>"),
        (tags(&["plan", "code"]), false, "<plan>a</plan>"),
        (tags(&["answer"]), false, "<answer>c</answer>."),
        (tags(&["answer"]), false, "It is <answer>c</answer>"),
    ];
    for (style, opened, text) in table {
        assert_eq!(score(text, &style, opened).value, Some(0.0), "{text}");
    }
}

#[test]
fn tags_must_be_told_apart() {
    for style in [ThinkAnswer, Boxed, tags(&["plan"]), tags(&["step-1", "step_2"])] {
        assert!(style.is_sound(), "{style:?}");
    }
    for style in [tags(&[]), tags(&[""]), tags(&["a", "a"]), tags(&["a b"]), tags(&["<a>"]), tags(&["é"])] {
        assert!(!style.is_sound(), "{style:?}");
    }
}

proptest! {
    #[test]
    fn is_zero_or_one(
        text in r"(<think>|</think>|<answer>|</answer>|\\boxed\{|\}|é| ){0,12}",
        any_text in any::<String>(),
        opened in any::<bool>(),
    ) {
        for style in [ThinkAnswer, Boxed, tags(&["think", "a"])] {
            for text in [&text, &any_text] {
                let value = score(text, &style, opened).value;
                prop_assert!(value == Some(0.0) || value == Some(1.0));
            }
        }
    }
}
