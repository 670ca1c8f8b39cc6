//! text → score: rules and sandboxes. No tensors, no libtorch.
//!
//! A [`Rubric`] is a weighted list of rules. It scores a whole group of completions of one
//! prompt at a time, because GRPO (arXiv 2402.03300) compares completions within their group
//! and because some rules (Kimi k1.5's length reward) are defined only over a group.

mod accuracy;
mod answer;
mod countdown;
mod format;
mod length;
mod rubric;
mod score;

pub use accuracy::AccuracyKind;
pub use answer::Extract;
pub use format::FormatStyle;
pub use rubric::{Rubric, RubricError, RuleConfig};
pub use score::{Part, Sample, Score};
