//! A reward rule of one's own, beside one that a configuration names.
//!
//! `cargo run --release -p trainer --example custom_reward`

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::sync::Arc;

use rewards::{Member, Rubric, Rule, RuleConfig, Sample, Terms, Verdict};
use serde_json::json;

/// The share of a completion's lines that begin with a number: a taste for steps that are counted.
struct CountedSteps;

impl Rule for CountedSteps {
    fn name(&self) -> &str {
        "counted_steps"
    }

    /// Asked of each completion as soon as it is sampled.
    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        let lines: Vec<&str> = sample.completion.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return Some(Verdict::new(0.0, "no lines"));
        }
        let counted = lines.iter().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).count();
        let note = format!("{counted} of {} lines", lines.len());
        Some(Verdict::new(counted as f64 / lines.len() as f64, note))
    }
}

/// 1 for an answer that no other completion of the group gives, else 0: it must see them all.
struct Original;

impl Rule for Original {
    fn name(&self) -> &str {
        "original"
    }

    /// Asked once all completions of a prompt are there.
    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        let answer = |one: &Member<'_>| one.sample.completion.lines().last().unwrap_or_default().trim().to_owned();
        let answers: Vec<String> = group.iter().map(answer).collect();
        let times = |answer: &String| answers.iter().filter(|other| *other == answer).count();
        answers.iter().map(|one| Verdict::new(f64::from(u8::from(times(one) == 1)), one.as_str())).collect()
    }
}

fn rubric() -> anyhow::Result<Rubric> {
    let accuracy: RuleConfig =
        serde_json::from_value(json!({"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "answer_tag"}}))?;
    // Steps count only where the answer is right, and no more than a quarter of it.
    let steps = Terms { needs: [("accuracy".to_owned(), 1.0)].into(), clip: Some([0.0, 0.5]), ..Terms::weight(0.5) };
    Ok(Rubric::of(vec![
        (accuracy.terms(), accuracy.rule()),
        (steps, Arc::new(CountedSteps)),
        (Terms::weight(0.1), Arc::new(Original)),
    ])?)
}

const COMPLETIONS: [&str; 3] = [
    "1. Half of 48 is 24.\n2. 48 + 24 = 72.\n<answer>72</answer>",
    "Half of 48 is 24, so:\n<answer>72</answer>",
    "1. Half of 48.\n2. 24.\n3. Done.\n<answer>24</answer>",
];

fn main() -> anyhow::Result<()> {
    let samples = COMPLETIONS.map(|completion| Sample { completion, expected: "72", ..Sample::default() });
    for (score, completion) in rubric()?.score_group(&samples).iter().zip(COMPLETIONS) {
        println!("{:?}  {}", score.total, completion.replace('\n', " / "));
        for part in &score.parts {
            println!("    {} × {}: {:?} ({})", part.weight, part.rule, part.value, part.note);
        }
    }
    Ok(())
}

#[test]
fn steps_count_where_the_answer_is_right() -> anyhow::Result<()> {
    main()?;
    let samples = COMPLETIONS.map(|completion| Sample { completion, expected: "72", ..Sample::default() });
    let totals: Vec<_> = rubric()?.score_group(&samples).into_iter().map(|score| score.total).collect();
    assert_eq!(totals, [Some(1.25), Some(1.0), Some(0.1)]);
    Ok(())
}
