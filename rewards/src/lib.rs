//! text → score: rules and sandboxes. No tensors, no libtorch.
//!
//! A [`Rubric`] is a weighted list of rules. It scores a whole group of completions of one
//! prompt at a time, because GRPO (arXiv 2402.03300) compares completions within their group
//! and because some rules (Kimi k1.5's length reward) are defined only over a group.
//!
//! A rule of one's own is a [`Rule`]; a configuration names the others.
//!
//! No rule panics, whatever the text. A completion at fault scores low; a data row at fault
//! (no readable reference) leaves the total `None`, so that the two are never confused.
//!
//! ```
//! use rewards::{Rubric, RuleConfig, Sample};
//!
//! let rules: Vec<RuleConfig> = serde_json::from_str(
//!     r#"[{"accuracy": {"weight": 1.0, "kind": "gsm8k", "extract": "answer_tag"}},
//!         {"format": {"weight": 0.5, "style": "think_answer"}}]"#,
//! )?;
//! let sample = Sample {
//!     prompt: "What is 48 + 24?",
//!     completion: "<think>48 + 24 = 72</think><answer>72</answer>",
//!     n_tokens: 17,
//!     expected: "48 + 24 = 72\n#### 72",
//!     ..Sample::default()
//! };
//! let scores = Rubric::new(&rules)?.score_group(&[sample]);
//! assert_eq!(scores[0].total, Some(1.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accuracy;
mod answer;
mod choice;
pub mod code;
mod countdown;
mod external;
mod format;
mod instructions;
mod json;
mod language;
mod length;
pub mod math;
mod prose;
mod repetition;
mod rubric;
mod rule;
pub mod sandbox;
mod score;
mod verdict;

pub use accuracy::{Accuracy, AccuracyKind};
pub use answer::{Extract, NoAnswer, extract, to_closing_brace};
pub use choice::{ChoiceGold, MultipleChoice};
pub use countdown::Countdown;
pub use external::{Http, Program, Python, Signature};
pub use format::{Format, FormatStyle};
pub use instructions::{Credit, Instructions, Strictness};
pub use json::{Json, JsonPlace};
pub use language::{Language, LanguageConsistency, LanguageScope};
pub use length::{Budgets, CosineCorners, LengthCosine, LengthK15, SoftOverlong, TargetLength, TargetMode};
pub use repetition::Repetition;
pub use rubric::{Rubric, RubricError, RuleConfig, ScoredAlone, Terms};
pub use rule::{Gold, Member, Rule};
pub use score::{Gate, Part, Sample, Score};
pub use verdict::{Lack, Verdict};
