//! Does the completion do what it was told about its form?
//!
//! The verifiable instructions of IFEval (Zhou et al., arXiv 2311.07911): twenty-five kinds, such as "at least 300 words"
//! or "no commas", each judged by counting. A row holds them as IFEval's own file does, in the columns
//! `instruction_id_list` and `kwargs`.

mod kind;
mod measure;

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::after_thinking;
use crate::rubric::{Settings, settings};
use crate::rule::Rule;
use crate::score::Sample;
use crate::verdict::Verdict;
use kind::Instruction;

/// How exactly an instruction must be followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// The response as it is: what a policy should learn from.
    #[default]
    Strict,
    /// The response, or what is left of it without asterisks, without its first line, its last line or both: IFEval's
    /// allowance for words such as "Sure, here it is:".
    Loose,
}

/// What following some of several instructions is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// 1 where all are followed, else 0: IFEval's accuracy of prompts.
    #[default]
    All,
    /// The share that is followed.
    Share,
}

/// The value of the response, which is what stands behind the thinking, without `<answer>` around it; in 0..1. An empty
/// response follows nothing. No value where the row's instructions cannot be read.
pub(crate) fn score(sample: &Sample<'_>, strictness: Strictness, credit: Credit) -> Verdict {
    let instructions = match read(sample.columns) {
        Ok(instructions) => instructions,
        Err(reason) => return Verdict::undecided(reason),
    };
    let response = match after_thinking(sample.completion, sample.think_opened()) {
        Ok(response) => response.trim(),
        Err(reason) => return Verdict::new(0.0, reason),
    };
    let inside = response.strip_prefix("<answer>").and_then(|rest| rest.strip_suffix("</answer>"));
    let readings = readings(inside.unwrap_or(response), strictness);
    let follows = |instruction: &Instruction| {
        readings.iter().any(|reading| !reading.trim().is_empty() && instruction.holds(reading))
    };
    let broken: Vec<&str> =
        instructions.iter().filter(|(_, instruction)| !follows(instruction)).map(|(id, _)| *id).collect();
    let value = match credit {
        Credit::All => f64::from(u8::from(broken.is_empty())),
        Credit::Share => (instructions.len() - broken.len()) as f64 / instructions.len() as f64,
    };
    let note =
        if broken.is_empty() { "all followed".to_owned() } else { format!("not followed: {}", broken.join(", ")) };
    Verdict::new(value, note)
}

/// The instructions of a row, by their names.
fn read(columns: &Map<String, Value>) -> Result<Vec<(&str, Instruction)>, String> {
    let Some(Value::Array(ids)) = columns.get("instruction_id_list") else {
        return Err("no list in the column instruction_id_list".to_owned());
    };
    if ids.is_empty() {
        return Err("the column instruction_id_list is empty".to_owned());
    }
    let kwargs: Cow<'_, [Value]> = match columns.get("kwargs") {
        Some(Value::Array(kwargs)) => Cow::Borrowed(kwargs),
        // Files of columns hold the list as text.
        Some(Value::String(text)) => {
            Cow::Owned(serde_json::from_str(text).map_err(|_| "the column kwargs is no JSON list".to_owned())?)
        }
        _ => return Err("no list in the column kwargs".to_owned()),
    };
    if kwargs.len() != ids.len() {
        return Err(format!("{} instructions, and arguments for {}", ids.len(), kwargs.len()));
    }
    let one = |(id, kwargs): (_, _)| {
        let id = Value::as_str(id).ok_or("an instruction's name is no text")?;
        let instruction = Instruction::read(id, kwargs).map_err(|reason| format!("{id}: {reason}"))?;
        Ok((id, instruction))
    };
    ids.iter().zip(kwargs.iter()).map(one).collect()
}

/// The texts that an instruction may hold for.
fn readings(response: &str, strictness: Strictness) -> Vec<Cow<'_, str>> {
    if strictness == Strictness::Strict {
        return vec![Cow::Borrowed(response)];
    }
    let without_first = response.split_once('\n').map_or("", |(_, rest)| rest);
    let without_last = response.rsplit_once('\n').map_or("", |(rest, _)| rest);
    let without_both = without_first.rsplit_once('\n').map_or("", |(rest, _)| rest);
    let cut = [response, without_first.trim(), without_last.trim(), without_both.trim()];
    let plain = cut.iter().map(|text| Cow::Owned(text.replace('*', "")));
    cut.iter().map(|text| Cow::Borrowed(*text)).chain(plain).collect()
}

settings! {
    /// Whether the verifiable instructions of the row are followed, its columns `instruction_id_list` and `kwargs` (IFEval,
    /// arXiv 2311.07911): in 0..1.
    Instructions {
        /// How exactly.
        #[serde(default)]
        strictness: Strictness,
        /// What following some of them is worth.
        #[serde(default)]
        credit: Credit,
    }
}

impl Settings for Instructions {
    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Instructions {
    fn name(&self) -> &str {
        "instructions"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample, self.strictness, self.credit))
    }

    fn judges(&self) -> bool {
        true
    }

    fn unreadable(&self, sample: &Sample<'_>) -> Option<String> {
        read(sample.columns).err()
    }
}

#[cfg(test)]
mod tests;
