use proptest::prelude::*;

use super::*;

const HOWS: [Extract; 4] = [Extract::AnswerTag, Extract::Boxed, Extract::Hash, Extract::Any];

#[test]
fn finds_the_answer() {
    let table = [
        (Extract::AnswerTag, "<think>x</think><answer> 5 </answer>", "5"),
        (Extract::AnswerTag, "<think>so <answer>4</answer></think><answer>5</answer>", "5"),
        (Extract::AnswerTag, "<answer>a < b</answer> done", "a < b"),
        (Extract::Boxed, r"is \boxed{1} or \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (Extract::Boxed, r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (Extract::Boxed, r"<think>\boxed{3}</think>\boxed{4}", "4"),
        (Extract::Hash, "so\n#### 72\nbye", "72"),
        (Extract::Hash, "#### 1\n#### 2", "2"),
        (Extract::Any, r"<answer>1</answer>\boxed{2}", "1"),
        (Extract::Any, r"\boxed{2} #### 3", "2"),
        (Extract::Any, "#### 3", "3"),
    ];
    for (how, text, want) in table {
        assert_eq!(extract(text, how, false, false), Ok(want), "{how:?} {text}");
    }
}

#[test]
fn says_why_there_is_none() {
    let table = [
        (Extract::AnswerTag, "5"),
        (Extract::AnswerTag, "<answer>5"),
        (Extract::AnswerTag, "<answer> </answer>"),
        (Extract::AnswerTag, "<think><answer>5</answer>"),
        (Extract::AnswerTag, "<answer>4</answer><answer>5</answer>"),
        (Extract::AnswerTag, "</answer><answer>5</answer>"),
        (Extract::Boxed, r"\boxed{5"),
        (Extract::Boxed, r"\boxed{{5}"),
        (Extract::Boxed, r"<think>\boxed{5}</think>so 5"),
        (Extract::Hash, "### 5"),
        (Extract::Hash, "####\n5"),
        (Extract::Any, "the answer is 5"),
    ];
    for (how, text) in table {
        let reason = extract(text, how, false, false).expect_err(text);
        assert!(!reason.is_empty());
    }
    assert!(extract("#### 1", Extract::Hash, true, false).is_err(), "digits may be missing");
    assert_eq!(extract("#### 1\n", Extract::Hash, true, false), Ok("1"));
}

#[test]
fn reads_equal_numbers() {
    let table = [
        ("18", "18.0"),
        ("$1,234.50", "1234.5"),
        ("1,000,000", "1000000"),
        ("-3", "-3.00"),
        ("-$3", "$-3"),
        ("50%", "50"),
        (r"50\%", "50"),
        ("7.", "7"),
        ("1/3", "2/6"),
        (r"\frac{1}{2}", "0.5"),
        (r"\$5", "5"),
        ("+4", "4"),
        (".5", "0.5"),
        ("-0", "0"),
    ];
    for (a, b) in table {
        let (x, y) = (parse_rational(a), parse_rational(b));
        assert!(x.is_some(), "{a}");
        assert_eq!(x, y, "{a} {b}");
    }
}

#[test]
fn refuses_what_is_no_number() {
    let long = "1".repeat(MAX_NUMBER_BYTES + 1);
    let table = [
        "", ".", "-", "$", "%", "1,23", "1234,567", ",123", "1 2", "1/0", "1/2/3", "1e3", "0x1", "1.2.3", "--1",
        "1/-2", "five", "5 apples", "NaN", "inf", "1_000", "٣", &long,
    ];
    for text in table {
        assert_eq!(parse_rational(text), None, "{text}");
    }
    assert_ne!(parse_rational("0.1"), parse_rational("0.10000000000000000001"));
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), truncated in any::<bool>()) {
        for how in HOWS {
            let _ = extract(&text, how, truncated, false);
        }
        let _ = parse_rational(&text);
    }

    #[test]
    fn never_panics_near_the_grammar(
        text in r"(<think>|</think>|<answer>|</answer>|\\boxed\{|\}|\{|\\|####|\n|1|,|/|\.|é){0,16}",
    ) {
        for how in HOWS {
            if let Ok(answer) = extract(&text, how, false, false) {
                prop_assert!(!answer.is_empty() && text.contains(answer));
            }
        }
    }

    #[test]
    fn numbers_equal_themselves_written_otherwise(n in any::<i32>(), d in 1_u16..) {
        let plain = parse_rational(&n.to_string());
        prop_assert_eq!(&plain, &parse_rational(&format!("{n}.00")));
        prop_assert_eq!(&plain, &parse_rational(&format!("{}/{d}", i64::from(n) * i64::from(d))));
        prop_assert_ne!(&plain, &parse_rational(&(i64::from(n) + 1).to_string()));
    }
}

#[test]
fn a_prompt_that_opened_the_thinking_wants_it_closed() {
    let thinking = "is it \\boxed{3}? or \\boxed{4}";
    assert_eq!(extract(thinking, Extract::Boxed, false, false), Ok("4"));
    assert!(extract(thinking, Extract::Boxed, false, true).is_err(), "still thinking");
    let closed = "<answer>3</answer> no\n</think>\n<answer>4</answer>";
    assert_eq!(extract(closed, Extract::AnswerTag, false, true), Ok("4"));
}
