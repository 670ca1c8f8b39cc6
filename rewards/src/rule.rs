//! [`Rule`]: what a rubric is made of.

use crate::answer::Extract;
use crate::score::Sample;
use crate::verdict::Verdict;

/// Gives completions values.
///
/// A rule implements [`Rule::judge`] where one completion is enough to say what it is worth, which is scored while
/// others are still being sampled, or else [`Rule::judge_group`], which waits for all completions of a prompt. It never
/// panics, whatever the text, and says the same of the same completion each time.
pub trait Rule: Send + Sync {
    /// What the rule is called in metrics and samples, unless its terms name it.
    fn name(&self) -> &str;

    /// Starts what the rule needs, such as a worker process; called before the first completion, and maybe again.
    ///
    /// # Errors
    /// Why the rule cannot be used, in words for whoever wrote the configuration. One that was not opened, or not
    /// successfully, judges all the same: its verdicts are failed ones.
    fn open(&self) -> Result<(), String> {
        Ok(())
    }

    /// The verdict on one completion; `None` where it takes the whole group.
    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        let _ = sample;
        None
    }

    /// The verdicts on all completions of a prompt, in order. Asked where [`Rule::judge`] has none.
    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        group.iter().map(|_| Verdict::failed("the rule judges neither alone nor in a group")).collect()
    }

    /// Whether the value says what is right: 1 or more for a right completion, less for any other.
    fn judges(&self) -> bool {
        false
    }

    /// Whether [`Rule::judge_group`] reads [`Member::right`], so that another rule must say it.
    fn needs_right(&self) -> bool {
        false
    }

    /// The final answer in a completion, worded so that answers the rule takes for the same are the same text; what
    /// majorities are counted over. `None` where there is no answer, or for a rule that reads none.
    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        let _ = sample;
        None
    }

    /// What a policy should have answered, where the row says so and the rule judges: must then be right.
    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        let _ = sample;
        None
    }

    /// Why a row that has no [`Rule::gold`] cannot be judged, whatever the completion, where that is so.
    fn unreadable(&self, sample: &Sample<'_>) -> Option<String> {
        let _ = sample;
        None
    }

    /// A completion that ends in `gold`, brought into the layout this rule asks for; `None` where it asks for none.
    /// The rule must then give it its full value, 1.
    fn dress(&self, completion: &str, gold: &Gold) -> Option<String> {
        let _ = (completion, gold);
        None
    }
}

/// A completion of a group, and whether it is right.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The completion with its row.
    pub sample: Sample<'a>,
    /// Whether its answer is right, by the first rule of the rubric that says so; `None` where it is not known.
    pub right: Option<bool>,
}

/// A right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gold {
    /// The answer alone: `72`.
    pub answer: String,
    /// The answer where the rule looks for it: `<answer>72</answer>`.
    pub written: String,
}

impl Gold {
    /// An answer written where `extract` looks for it.
    pub fn placed(answer: &str, extract: Extract) -> Gold {
        let written = match extract {
            Extract::AnswerTag | Extract::Any => format!("<answer>{answer}</answer>"),
            Extract::Boxed | Extract::FirstBoxed | Extract::LastBoxed => format!("\\boxed{{{answer}}}"),
            Extract::Hash => format!("\n#### {answer}\n"),
            Extract::FinalAnswer => format!("\nThe final answer is {answer}\n"),
        };
        Gold { answer: answer.to_owned(), written }
    }
}
