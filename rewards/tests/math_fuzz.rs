//! Grading is total: no text panics, and none takes long.
//!
//! Expected answers, of our own and of the data sets where they are there, are cut, doubled, wrapped and spiced with
//! pieces of LaTeX, so that what comes out is read deep. `MATH_FUZZ_CASES` says how many pairs are tried;
//! `MATH_FUZZ_SEED` starts elsewhere. Inputs that take longest are told at the end, each by the best of several runs.

#![expect(clippy::print_stdout, reason = "says what it skips and what took longest")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rewards::math::{Gold, MathOptions, MathVerdict, canonical, grade_texts};

/// Answers of every kind that is read.
const ANSWERS: [&str; 64] = [
    "42",
    "-7.50",
    "1,234,567",
    r"\frac{1}{2}",
    r"1\frac{3}{4}",
    r"0.1\overline{6}",
    "3.2\\times10^{-5}",
    "6.02e23",
    r"50\%",
    r"\$18.90",
    r"12\text{ cm}^2",
    r"60\text{ miles per hour}",
    r"90^\circ",
    "2:30",
    "3:4:5",
    r"\sqrt{3+2\sqrt{2}}",
    r"\sqrt[3]{-8}+2^{1/3}",
    r"\pi r^2h",
    r"\ln|x^2-1|+C",
    r"\log_2 8",
    r"\sin^2 x\cos 2x",
    r"\arcsin\frac{\sqrt3}{2}",
    "100!",
    r"\binom{2n}{n}",
    r"C_{40}^{4}",
    r"\left\lfloor\frac{n}{2}\right\rfloor",
    "|x-1|+|1-x|",
    "3-4i",
    r"e^{i\pi/3}",
    r"1\pm\sqrt{2}",
    r"x=1\text{ or }x=2",
    r"\infty",
    r"\{1,2,3\}",
    r"\emptyset",
    r"\mathbb{R}\setminus\{0\}",
    r"(-\infty,3)\cup(3,\infty)",
    "[a,b)",
    r"]2,5[",
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    r"\frac12\begin{bmatrix}x\\y\end{bmatrix}",
    r"\begin{cases}x=1\\y=2\end{cases}",
    r"\begin{vmatrix}a&b\\c&d\end{vmatrix}",
    "(1,-2,3)",
    "y=2x+1",
    r"x^2+y^2\le 25",
    "1<x\\leq3",
    r"\{x\mid x>3\}",
    "f(x)=x^2+f(1)",
    "a_n=2^{n+1}-1",
    r"\frac{\pi}{4}+k\pi, k\in\mathbb{Z}",
    r"x^4-16=(x-2)(x+2)(x^2+4)",
    "1011_2",
    r"\text{A5}_{11}",
    r"\textbf{(B)}\ 12",
    r"\text{no solution}",
    "twenty-five",
    r"\sum_{k=1}^{n}k^2",
    r"\lim_{x\to0}\frac{\sin x}{x}",
    r"y=c_1e^{2x}+c_2xe^{2x}",
    r"(-1)^n\cdot n!",
    r"\max\{1,|z|\}",
    r"\frac{d}{dx}f(x)",
    r"2^{100000}+1",
    r"9^{9^{9^9}}",
];

/// Pieces that are put in anywhere.
const PIECES: [&str; 72] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "|",
    "||",
    "\\{",
    "\\}",
    "\\left(",
    "\\right)",
    "\\left|",
    "\\right|",
    "\\lfloor ",
    "\\rceil ",
    "\\frac",
    "\\frac{",
    "}{",
    "\\sqrt",
    "\\sqrt[",
    "^",
    "_",
    "^{",
    "_{",
    "!",
    "!!",
    "%",
    "\\%",
    "^\\circ",
    "'",
    ",",
    ";",
    ":",
    "=",
    "<",
    "\\le ",
    "\\ne ",
    "\\in ",
    "\\cup ",
    "\\cap ",
    "\\setminus ",
    "\\pm ",
    "\\mp ",
    "+",
    "-",
    "\\cdot ",
    "/",
    " or ",
    " and ",
    "\\infty",
    "\\pi",
    "i",
    "e",
    "x",
    "n",
    "\\sin ",
    "\\ln ",
    "\\log_",
    "\\arccos ",
    "\\binom",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "\\text{ cm}",
    "\\mathbb{Z}",
    "9999999999",
    "0.000001",
    "\u{2212}",
    "½",
    "𝟙",
];

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Insert { at: usize, piece: usize },
    Delete { at: usize, length: usize },
    Double { at: usize, length: usize },
    Digit { at: usize, digit: u8 },
    Wrap { kind: usize },
    Join { other: usize, piece: usize },
    Repeat { piece: usize, times: usize },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert { at, piece }),
        2 => (any::<usize>(), 1..6_usize).prop_map(|(at, length)| Change::Delete { at, length }),
        1 => (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Change::Double { at, length }),
        2 => (any::<usize>(), b'0'..=b'9').prop_map(|(at, digit)| Change::Digit { at, digit }),
        1 => (0..8_usize).prop_map(|kind| Change::Wrap { kind }),
        1 => (any::<usize>(), 0..PIECES.len()).prop_map(|(other, piece)| Change::Join { other, piece }),
        1 => (0..PIECES.len(), 1..80_usize).prop_map(|(piece, times)| Change::Repeat { piece, times }),
    ]
}

fn place(text: &str, at: usize) -> usize {
    let mut place = at % (text.len() + 1);
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}

fn changed(text: &str, changes: &[Change], answers: &[String]) -> String {
    let mut text = text.to_owned();
    for change in changes {
        match *change {
            Change::Insert { at, piece } => {
                let at = place(&text, at);
                text.insert_str(at, PIECES[piece]);
            }
            Change::Delete { at, length } => {
                let from = place(&text, at);
                let to = place(&text, from + length).max(from);
                text.replace_range(from..to, "");
            }
            Change::Double { at, length } => {
                let from = place(&text, at);
                let to = place(&text, from + length).max(from);
                let part = text[from..to].to_owned();
                text.insert_str(from, &part);
            }
            Change::Digit { at, digit } => {
                let at = place(&text, at);
                if let Some(found) = text[at..].find(|c: char| c.is_ascii_digit()) {
                    text.replace_range(at + found..=at + found, &char::from(digit).to_string());
                }
            }
            Change::Wrap { kind } => {
                text = match kind {
                    0 => format!(r"\frac{{{text}}}{{{text}}}"),
                    1 => format!(r"\sqrt{{{text}}}"),
                    2 => format!(r"\left({text}\right)^{{{text}}}"),
                    3 => format!(r"\{{{text},{text}\}}"),
                    4 => format!(r"\text{{{text}}}"),
                    5 => format!(r"\sin\left({text}\right)!"),
                    6 => format!(r"{text}={text}"),
                    _ => format!("-({text})"),
                };
            }
            Change::Join { other, piece } => {
                text.push_str(PIECES[piece]);
                text.push_str(&answers[other % answers.len()]);
            }
            Change::Repeat { piece, times } => text.push_str(&PIECES[piece].repeat(times)),
        }
        if text.len() > 4000 {
            let end = place(&text, 4000);
            text.truncate(end);
        }
    }
    text
}

/// Our own answers, and those of the data sets where they are there.
fn answers() -> Vec<String> {
    let mut answers: Vec<String> = ANSWERS.iter().map(|answer| (*answer).to_owned()).collect();
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/math");
    for file in ["college_math.jsonl", "math500.jsonl", "gaokao2023en.jsonl"] {
        match std::fs::read_to_string(folder.join(file)) {
            Ok(lines) => {
                let rows = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
                answers.extend(rows.filter_map(|row| row["answer"].as_str().map(str::to_owned)));
            }
            Err(_) => println!("skipped: {file} is not there"),
        }
    }
    answers.retain(|answer| answer.len() < 400);
    answers
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_text_panics_and_none_takes_long() {
    let answers = answers();
    let cases = number_of("MATH_FUZZ_CASES", 20_000);
    let seed = number_of("MATH_FUZZ_SEED", 0);
    let config = Config {
        cases: u32::try_from(cases).expect("a number of cases"),
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let text = || (any::<usize>(), prop::collection::vec(change(), 0..6));
    let options = [MathOptions::default(), MathOptions::lenient()];
    // The slowest inputs so far, by the best of several runs: a thread may be stopped in the middle of one.
    let slowest: RefCell<Vec<(Duration, String, String)>> = RefCell::new(Vec::new());
    let counts = RefCell::new([0_u64; 3]);
    let outcome = runner.run(&(text(), text(), any::<bool>(), any::<bool>()), |(gold, answer, lenient, related)| {
        let base = &answers[gold.0 % answers.len()];
        let other = if related { base } else { &answers[answer.0 % answers.len()] };
        let gold = changed(base, &gold.1[..gold.1.len() / 2], &answers);
        let answer = changed(other, &answer.1, &answers);
        let options = &options[usize::from(lenient)];
        let timed = || {
            let start = Instant::now();
            let verdict = Gold::new(&gold, options).verdict(&answer);
            (start.elapsed(), verdict)
        };
        let (mut took, verdict) = timed();
        counts.borrow_mut()[match verdict {
            MathVerdict::Correct => 0,
            MathVerdict::Wrong => 1,
            MathVerdict::Undecided => 2,
        }] += 1;
        if took > Duration::from_millis(1) {
            for _ in 0..4 {
                let (again, same) = timed();
                prop_assert_eq!(same, verdict, "the same pair, another verdict");
                took = took.min(again);
            }
            let mut slowest = slowest.borrow_mut();
            slowest.push((took, gold.clone(), answer.clone()));
            slowest.sort_unstable_by(|a, b| b.cmp(a));
            slowest.truncate(5);
        }
        if took.as_nanos() % 16 == 0 {
            canonical(&answer);
            grade_texts(&gold, &answer, options);
        }
        Ok(())
    });
    outcome.unwrap();
    let [correct, wrong, undecided] = *counts.borrow();
    println!("{cases} pairs: {correct} correct, {wrong} wrong, {undecided} undecided");
    for (took, gold, answer) in slowest.borrow().iter() {
        println!("{:.2} ms: {gold:?} and {answer:?}", took.as_secs_f64() * 1e3);
    }
}

#[test]
fn what_is_deep_or_long_or_huge_is_refused_and_not_followed() {
    let options = MathOptions::default();
    let repeated = |piece: &str, times: usize| piece.repeat(times);
    let texts = [
        repeated("(", 100_000),
        repeated("{", 5_000),
        repeated("\\frac{", 3_000),
        repeated("\\sqrt", 4_000),
        repeated("-", 4_000),
        repeated("2^", 3_000) + "2",
        repeated("x!", 1_500),
        repeated("|", 4_000),
        repeated("\\text{", 2_000),
        repeated("\\sin", 3_000),
        repeated("1/", 1_500) + "1",
        "5".to_owned() + &repeated("^\\circ", 60),
        "5".to_owned() + &repeated("\\%", 60),
        repeated("[0,1]\\cup", 300) + "[0,1]",
        repeated("A\\cup", 300) + "B",
        repeated("1,", 2_000) + "1",
        repeated("\\pm1,", 900) + "1",
        repeated("9", 30_000),
        repeated("9!", 900),
        repeated("2500!+", 600) + "1",
        repeated("e^{\\pi}+", 300) + "1",
        format!("{}x{}", repeated("(", 60), repeated("+1)^{99}", 60)),
        format!("\\begin{{pmatrix}}{}1\\end{{pmatrix}}", repeated("1&", 900)),
        repeated("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", 60),
        repeated("word ", 6_000),
        repeated("½", 3_000),
        repeated("\u{0301}", 9_000),
        "10^{".to_owned() + &repeated("9", 900) + "}",
        "NaN inf nan Infinity -0 1e400 0x10 __import__('os')".to_owned(),
        "\0\u{7}\u{202e}\u{feff}".to_owned(),
    ];
    for gold in texts.iter().chain([&"2".to_owned(), &"x".to_owned(), &r"\{1,2\}".to_owned()]) {
        let gold = Gold::new(gold, &options);
        for answer in &texts {
            let once = gold.grade(answer);
            assert_eq!(once, gold.grade(answer));
        }
    }
}
