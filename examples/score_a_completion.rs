//! Scores two completions of one problem by the rules of a GSM8K run, and says why.
//!
//! `cargo run --release -p trainer --example score_a_completion`

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use rewards::{Rubric, RuleConfig, Sample};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    // The same words as in a run's TOML file.
    let rules: Vec<RuleConfig> = serde_json::from_value(json!([
        {"accuracy": {"weight": 1.0, "kind": "gsm8k", "extract": "answer_tag"}},
        {"format": {"weight": 0.1, "style": "think_answer"}},
    ]))?;
    let rubric = Rubric::new(&rules)?;

    let completions = [
        "<think>Half of 48 is 24, and 48 + 24 = 72.</think> <answer>72</answer>",
        "Half of 48 is 24, so the answer is <answer>24</answer>",
    ];
    let samples = completions.map(|completion| Sample {
        prompt: "Natalia sold clips to 48 friends in April and to half as many in May. How many in all?",
        completion,
        n_tokens: 24,
        expected: "48 / 2 = 24 in May, 48 + 24 = 72 in all.\n#### 72",
        ..Sample::default()
    });

    for (score, completion) in rubric.score_group(&samples).iter().zip(completions) {
        // `None` would say that the problem, not the completion, is at fault.
        let total = score.total.map_or("undecided".to_owned(), |total| total.to_string());
        println!("{total}  {completion}");
        for part in &score.parts {
            println!("    {} × {}: {:?} ({})", part.weight, part.rule, part.value, part.note);
        }
    }
    Ok(())
}
