use proptest::prelude::*;

use super::*;
use Extract::{AnswerTag, Any, Boxed, FinalAnswer, FirstBoxed, Hash, LastBoxed};

const HOWS: [Extract; 7] = [AnswerTag, Boxed, FirstBoxed, LastBoxed, Hash, FinalAnswer, Any];

#[test]
fn finds_the_answer() {
    let table = [
        (AnswerTag, "<think>x</think><answer> 5 </answer>", "5"),
        (AnswerTag, "<think>so <answer>4</answer></think><answer>5</answer>", "5"),
        (AnswerTag, "<answer>a < b</answer> done", "a < b"),
        (AnswerTag, r"<answer>$\boxed{5}$</answer>", "5"),
        (AnswerTag, r"<answer>The answer is \boxed{\frac12}.</answer>", r"\frac12"),
        (AnswerTag, r"\boxed{4}<answer>5</answer>\boxed{6}", "5"),
        (Boxed, r"is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (Boxed, r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (Boxed, r"<think>\boxed{3}</think>\boxed{4}", "4"),
        (Boxed, r"\boxed{ 4 } and again \boxed{4}", "4"),
        (Boxed, r"\boxed{(1,2)}, that is \boxed{(1, 2)}", "(1, 2)"),
        (Boxed, r"\fbox{7}", "7"),
        (Boxed, r"\boxed {7}", "7"),
        (Boxed, r"so $\boxed 7$.", "7"),
        (Boxed, r"so $\boxed7$", "7"),
        (Boxed, r"so \(x = \boxed\frac12\)", r"\frac12"),
        (Boxed, r"\boxed{\boxed{7}}", "7"),
        (Boxed, r"\boxed{x = \boxed{7}}", "7"),
        (Boxed, r"\boxed{\text{a}\}b}", r"\text{a}\}b"),
        (Boxed, r"\boxed{1, then \boxed{2}", "2"),
        (Boxed, r"x=1\\\boxed{2}", "2"),
        (Boxed, r"\\boxed{2}", "2"),
        (Boxed, r"\boxedness \boxed{2}", "2"),
        (Boxed, "\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        (FirstBoxed, r"\boxed{1} or \boxed{2}", "1"),
        (FirstBoxed, r"\boxed{1} or \boxed{2", "1"),
        (LastBoxed, r"\boxed{1} or \boxed{2}", "2"),
        (LastBoxed, r"\boxed 1 or \boxed 2", "2"),
        (Hash, "so\n#### 72\nbye", "72"),
        (Hash, "#### 1\n#### 2", "2"),
        (Hash, "#### \\boxed{2}", "2"),
        (FinalAnswer, "The final answer is $5$.", "5"),
        (FinalAnswer, "The final answer is $5$. I hope it is correct.", "5"),
        (FinalAnswer, "Final Answer: The final answer is $\\frac12$. I hope it is correct.", r"\frac12"),
        (FinalAnswer, "**Final Answer:** $5$", "5"),
        (FinalAnswer, "**Final Answer**: 5", "5"),
        (FinalAnswer, "**Final Answer**\n\n$5$", "5"),
        (FinalAnswer, "### Final Answer\n5\n", "5"),
        (FinalAnswer, "**Final answer: 5**", "5"),
        (FinalAnswer, "**Answer:** 5", "5"),
        (FinalAnswer, "**Answer**: 5 apples.", "5 apples"),
        (FinalAnswer, "Answer: 3.14", "3.14"),
        (FinalAnswer, "Answer: $5", "$5"),
        (FinalAnswer, "Answer: $5.50.", "$5.50"),
        (FinalAnswer, "The answer is $5 and $6.", "$5 and $6"),
        (FinalAnswer, "The answer is 5. That was easy.", "5"),
        (FinalAnswer, "So the answer is: **5**.", "5"),
        (FinalAnswer, "We add. Therefore, the answer is 5", "5"),
        (FinalAnswer, "Hence the final answer is\n\\[\n\\frac{1}{2}.\n\\]\n", "\\frac{1}{2}."),
        (FinalAnswer, "The final answer is:\n$$x=5$$", "x=5"),
        (FinalAnswer, r"The final answer is \(5\).", "5"),
        (FinalAnswer, r"The final answer is $\boxed{5}$.", "5"),
        (FinalAnswer, "The answer is $2$ or $3$.", "$2$ or $3$"),
        (FinalAnswer, "The answer is $5$ cm.", "$5$ cm"),
        (FinalAnswer, "Answer: 4\nNo. Answer: 5", "5"),
        (FinalAnswer, "we see that the final answer is 5", "5"),
        (FinalAnswer, "The correct answer is (B).", "(B)"),
        (FinalAnswer, "<think>The answer is 4.</think>The answer is 5.", "5"),
        (Any, r"<answer>1</answer>\boxed{2}", "1"),
        (Any, r"\boxed{2} #### 3", "2"),
        (Any, "#### 3", "3"),
        (Any, "The answer is 4.", "4"),
    ];
    for (how, text, want) in table {
        assert_eq!(extract(text, how, false, false), Ok(want), "{how:?} {text}");
    }
}

#[test]
fn says_why_there_is_none() {
    let table = [
        (AnswerTag, "5", NoAnswer::NoTag),
        (AnswerTag, "<answer>5", NoAnswer::TagUnclosed),
        (AnswerTag, "<answer> </answer>", NoAnswer::Empty),
        (AnswerTag, "<think><answer>5</answer>", NoAnswer::ThinkingUnclosed),
        (AnswerTag, "<answer>4</answer><answer>5</answer>", NoAnswer::SeveralTags),
        (AnswerTag, "<answer>4<answer>5</answer></answer>", NoAnswer::SeveralTags),
        (AnswerTag, "</answer><answer>5</answer>", NoAnswer::TagsOutOfOrder),
        (AnswerTag, r"<answer>\boxed{4} or \boxed{5}</answer>", NoAnswer::BoxesDiffer),
        (AnswerTag, r"<answer>\boxed{}</answer>", NoAnswer::Empty),
        (AnswerTag, r"\boxed{5}", NoAnswer::NoTag),
        (Boxed, r"\boxed{5", NoAnswer::BoxUnclosed),
        (Boxed, r"\boxed{{5}", NoAnswer::BoxUnclosed),
        (Boxed, r"\boxed{4}, no, \boxed{5", NoAnswer::BoxUnclosed),
        (Boxed, r"<think>\boxed{5}</think>so 5", NoAnswer::NoBox),
        (Boxed, r"\boxed{4} or \boxed{5}", NoAnswer::BoxesDiffer),
        (Boxed, r"\boxed{5}, \boxed{4}, \boxed{5}", NoAnswer::BoxesDiffer),
        (Boxed, r"\boxed{\boxed{4} \boxed{5}}", NoAnswer::BoxesDiffer),
        (Boxed, r"\boxed4 \fbox{5}", NoAnswer::BoxesDiffer),
        (Boxed, r"\boxed{ }", NoAnswer::Empty),
        (Boxed, r"\boxedx{5}", NoAnswer::NoBox),
        (Boxed, "boxed{5}", NoAnswer::NoBox),
        (Boxed, "the last number is 5", NoAnswer::NoBox),
        (FirstBoxed, r"\boxed{5", NoAnswer::BoxUnclosed),
        (LastBoxed, r"\boxed{4} \boxed{5", NoAnswer::BoxUnclosed),
        (Hash, "### 5", NoAnswer::NoHash),
        (Hash, "####\n5", NoAnswer::Empty),
        (FinalAnswer, "5", NoAnswer::NoSentence),
        (FinalAnswer, "We check whether the answer is 5", NoAnswer::NoSentence),
        (FinalAnswer, "an answer like 5", NoAnswer::NoSentence),
        (FinalAnswer, "the answers: 5", NoAnswer::NoSentence),
        (FinalAnswer, "if the answer is 5, then we are done", NoAnswer::NoSentence),
        (FinalAnswer, "not the answer: 5", NoAnswer::NoSentence),
        (FinalAnswer, "Final answer\n5", NoAnswer::NoSentence),
        (FinalAnswer, "x = 5", NoAnswer::NoSentence),
        (FinalAnswer, "Answer:", NoAnswer::Empty),
        (FinalAnswer, "The final answer is **.", NoAnswer::Empty),
        (FinalAnswer, "<think>The answer is 5.", NoAnswer::ThinkingUnclosed),
        (Any, "it is 5", NoAnswer::NoMark),
        (Any, "", NoAnswer::NoMark),
        (Any, "<answer>5", NoAnswer::TagUnclosed),
    ];
    for (how, text, why) in table {
        assert_eq!(extract(text, how, false, false), Err(why), "{how:?} {text}");
        assert!(!why.to_string().is_empty() && why.to_string() == why.reason());
    }
}

#[test]
fn an_answer_that_was_cut_is_none() {
    for (how, cut, whole) in [
        (Hash, "#### 1", "#### 1\n"),
        (Boxed, r"$\boxed 1", r"$\boxed 1$"),
        (FinalAnswer, "The answer is 1", "The answer is 1. It"),
        (FinalAnswer, "The answer is $1", "The answer is $1$"),
        (Any, "Answer: 1", "Answer: 1\n"),
    ] {
        assert_eq!(extract(cut, how, true, false), Err(NoAnswer::Cut), "{cut}");
        assert!(extract(cut, how, false, false).is_ok(), "{cut}");
        assert_eq!(extract(whole, how, true, false), Ok("1"), "{whole}");
    }
    assert_eq!(extract(r"\boxed{1}", Boxed, true, false), Ok("1"), "what is closed is complete");
}

#[test]
fn a_long_text_takes_one_pass() {
    // Nothing here is measured: a second pass for each mark would take minutes.
    for piece in [r"\boxed{", r"\boxed ", r"\boxed{{}", "answer is ", "Answer: ", "$", "####", "<answer>"] {
        let text = piece.repeat(100_000);
        for how in HOWS {
            let _ = extract(&text, how, false, false);
        }
    }
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), truncated in any::<bool>()) {
        for how in HOWS {
            let _ = extract(&text, how, truncated, false);
        }
    }

    #[test]
    fn never_panics_near_the_grammar(
        text in r"(<think>|</think>|<answer>|</answer>|\\boxed|\\fbox\{|\}|\{|\\|####|\n|1|,|/|\.|é|\$|\$\$|\\\(|\\\]|(The )?[Ff]inal |[Aa]nswer| is|:|: |\*\*|\. |So ){0,20}",
        truncated in any::<bool>(),
    ) {
        for how in HOWS {
            if let Ok(answer) = extract(&text, how, truncated, false) {
                prop_assert!(!answer.is_empty() && text.contains(answer) && answer.trim() == answer);
            }
        }
    }

    #[test]
    fn a_boxed_text_is_found_again(inside in r"([a-z0-9 ,]|\\frac\{1\}\{2\}|\\\{|\\\}|\{x\}){1,12}", before in "[a-z .]{0,20}") {
        prop_assume!(!inside.trim().is_empty());
        let text = format!("{before}$\\boxed{{{inside}}}$.");
        for how in [Boxed, FirstBoxed, LastBoxed, Any] {
            prop_assert_eq!(extract(&text, how, true, false), Ok(inside.trim()));
        }
    }

    #[test]
    fn a_later_box_never_mends_an_answer(first in "[0-9]{1,3}", second in "[0-9]{1,3}") {
        let text = format!("\\boxed{{{first}}} \\boxed{{{second}}}");
        let found = extract(&text, Boxed, false, false);
        prop_assert_eq!(found.is_ok(), first == second);
    }

    #[test]
    fn an_announced_formula_is_found_again(
        formula in r"([a-z0-9 ,.+=]|\\frac\{1\}\{2\}|\\\{){1,12}", lead in 0..6_usize,
    ) {
        prop_assume!(!formula.trim().is_empty());
        let lead = ["The final answer is", "**Final Answer:**", "Answer:", "Thus, the answer is", "So the answer is:", "**Answer**:"][lead];
        let text = format!("We think. {lead} ${formula}$.");
        prop_assert_eq!(extract(&text, FinalAnswer, true, false), Ok(formula.trim()));
    }
}

#[test]
fn a_prompt_that_opened_the_thinking_wants_it_closed() {
    let thinking = "is it \\boxed{3}? or \\boxed{4}";
    assert_eq!(extract(thinking, LastBoxed, false, false), Ok("4"));
    assert!(extract(thinking, LastBoxed, false, true).is_err(), "still thinking");
    let closed = "<answer>3</answer> no\n</think>\n<answer>4</answer>";
    assert_eq!(extract(closed, AnswerTag, false, true), Ok("4"));
}
