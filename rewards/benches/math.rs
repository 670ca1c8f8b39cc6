//! How many answers a core grades in a second: integers, formulas, and all kinds; or the pairs of a file.
//!
//! `cargo bench -p rewards --bench math`, or with `-- FILE` for JSON lines of `gold` and `prediction`, whole texts as a
//! model writes them. The last line printed is JSON. Rates are per second of processor time, so that other work on the
//! machine matters less.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::time::Duration;

use rewards::math::{Gold, MathOptions, MathVerdict, grade_texts};
use rustix::time::{ClockId, clock_gettime};

const INTEGERS: [(&str, &str); 6] =
    [("42", "42"), ("42", "43"), ("1000", "1{,}000"), ("-17", "-17.0"), ("7", "x=7"), ("123456", "123465")];

/// Right and wrong by turns.
const SYMBOLIC: [(&str, &str); 16] = [
    ("x^2+5x+6", "(x+2)(x+3)"),
    ("x^2+5x+6", "(x+2)(x+4)"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"2\sqrt{3}", r"3\sqrt{2}"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\sin 2x", r"2\sin x"),
    (r"\ln 8", r"3\ln 2"),
    (r"e^{2x}", r"e^{3x}"),
    ("y=2x+1", "2x-y+1=0"),
    ("y=2x+1", "2x+y+1=0"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"\frac{1}{x}+\frac{1}{y}", r"\frac{1}{x+y}"),
    ("(1+i)^2", "2i"),
    (r"e^{i\pi/3}", r"\frac{1}{2}-\frac{\sqrt3}{2}i"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"\frac{\pi}{4}", r"\arctan 2"),
];

const KINDS: [(&str, &str); 12] = [
    (r"\{1,2,3\}", r"\{3,1,2\}"),
    (r"(-\infty,3)\cup(3,\infty)", r"\mathbb{R}\setminus\{3\}"),
    ("(1,-2)", "(1,2)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"12\text{ cm}", r"0.12\text{ m}"),
    (r"50\%", r"50"),
    (r"1\pm\sqrt2", r"1+\sqrt2, 1-\sqrt2"),
    ("x>3", "3<x"),
    (r"\text{Evelyn}", "Evelyn"),
    ("C", r"\textbf{(C)}"),
    (r"1\frac{1}{2}", "1.5"),
    (r"90^\circ", r"\frac{\pi}{2}"),
];

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Verdicts in a second of processor time: the best of several stretches of about a third of a second.
fn rate(pairs: &[(&str, &str)]) -> f64 {
    let options = MathOptions::default();
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let start = processor_time();
        let mut verdicts = 0_u32;
        while processor_time() - start < Duration::from_millis(300) {
            for (gold, answer) in pairs {
                black_box(Gold::new(black_box(gold), &options).verdict(black_box(answer)));
                verdicts += 1;
            }
        }
        best = best.max(f64::from(verdicts) / (processor_time() - start).as_secs_f64());
    }
    best
}

/// Grades the pairs of a file, texts as they are: seconds of processor time for each pair, and how many verdicts are
/// those that the file expects.
fn grade_file(path: &str) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let rows: Vec<serde_json::Value> =
        std::fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let pairs: Vec<(String, String, Option<bool>)> =
        rows.iter().map(|row| (text(row, "gold"), text(row, "prediction"), row["expected"].as_bool())).collect();
    let options = MathOptions::lenient();
    let mut best: f64 = 0.0;
    let mut seconds = vec![f64::INFINITY; pairs.len()];
    let mut as_expected = 0;
    for _ in 0..5 {
        let start = processor_time();
        as_expected = 0;
        for (place, (gold, prediction, expected)) in pairs.iter().enumerate() {
            let before = processor_time();
            let verdict = grade_texts(gold, prediction, &options).verdict;
            seconds[place] = seconds[place].min((processor_time() - before).as_secs_f64());
            as_expected += usize::from(Some(verdict == MathVerdict::Correct) == *expected);
        }
        best = best.max(pairs.len() as f64 / (processor_time() - start).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds.get((share * seconds.len() as f64) as usize).copied().unwrap_or(0.0) * 1e3;
    Ok(serde_json::json!({
        "pairs": pairs.len(),
        "verdicts_per_s": best,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "max_ms": seconds.last().copied().unwrap_or(0.0) * 1e3,
        "agreement_with_intent": f64::from(as_expected as u32) / pairs.len().max(1) as f64,
    }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if let Some(path) = file {
        println!("{}", grade_file(&path)?);
        return Ok(());
    }
    let rates = [("integers", rate(&INTEGERS)), ("symbolic", rate(&SYMBOLIC)), ("kinds", rate(&KINDS))];
    for (name, rate) in rates {
        println!("{name:<10} {rate:>12.0} verdicts a second and core");
    }
    println!("{}", serde_json::json!({ "integers": rates[0].1, "symbolic": rates[1].1, "kinds": rates[2].1 }));
    Ok(())
}
