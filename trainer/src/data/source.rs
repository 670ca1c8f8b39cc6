//! What a configuration says about problems.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where problems come from; exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Rows of JSONL, JSON or Parquet files.
    Files(Files),
    /// Generated sums and differences.
    Arithmetic(Arithmetic),
    /// Generated countdown puzzles: reach a target with the given numbers.
    Countdown(Countdown),
    /// Generated chains of additions and subtractions modulo 100.
    Chain(Chain),
    /// The same chains with worked completions, most of them wrong, for a base policy to imitate.
    ChainDemonstrations(ChainDemonstrations),
}

/// Files with one problem per row: JSONL, a JSON array, either of them gzipped, or Parquet. The
/// format is told from the content, not from the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Files to read, in this order.
    pub paths: Vec<PathBuf>,
    /// How a row gives its prompt and answer; told from the first row of each file when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Names of the fields to read, where the layout's own names do not fit.
    #[serde(default)]
    pub fields: Fields,
    /// Keep only this many problems, the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// How a row gives its prompt and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A prompt field and an answer field, taken whole.
    Jsonl,
    /// `question`, and the gold answer after `####` in `answer`.
    Gsm8k,
    /// `problem`, and the gold answer in the last `\boxed{}` of `solution`.
    Math,
}

/// Names of the fields to read. A dot reaches into an object: `reward_model.ground_truth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Field with the prompt, a string or a list of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Field with the gold answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Field with the options of a multiple-choice question, a list; they are written below the prompt, one a line, with
    /// letters before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// Field with chat messages (a list, or the JSON text of one), read in place of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// Field with the completion to imitate, for supervised fine-tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// Field with a whole text to learn, for supervised fine-tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Side of a generator's problems. A hash of the problem itself decides: one in eight is held out,
/// whatever the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Problems to train on; a small problem space may repeat some.
    #[default]
    Train,
    /// Problems to evaluate on; no two are the same.
    Heldout,
}

/// Sums and differences of whole numbers, such as `12+7-30=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arithmetic {
    /// How many problems to make.
    pub n_problems: u64,
    /// Training or held-out side.
    #[serde(default)]
    pub split: Split,
    /// Numbers in one problem, at least 2.
    #[serde(default = "two")]
    pub terms: usize,
    /// Largest number in a problem; the smallest is 0.
    #[serde(default = "ninety_nine")]
    pub max_number: u64,
}

/// Countdown: write an equation that uses every number once and equals the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Countdown {
    /// How many problems to make.
    pub n_problems: u64,
    /// Training or held-out side.
    #[serde(default)]
    pub split: Split,
    /// Numbers in one problem, 2 to 8.
    #[serde(default = "four")]
    pub n_numbers: usize,
    /// Largest number and largest target; the smallest of each is 1.
    #[serde(default = "ninety_nine")]
    pub max_number: u64,
}

/// Chains of additions and subtractions modulo 100, such as `37+48-15+62=`. Numbers run from `00`
/// to `99`, so each of the 100 answers is equally likely and a guess is right once in a hundred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// How many problems to make.
    pub n_problems: u64,
    /// Training or held-out side.
    #[serde(default)]
    pub split: Split,
    /// Operations in one problem, at least 3; each works on the result of the one before.
    #[serde(default = "three")]
    pub operations: usize,
}

/// Chains as in [`Chain`], each with a completion `<think>…</think><answer>…</answer>` that writes one line per
/// operation. It follows one of six strategies, drawn for each problem: the right one, or a mistake made all the way
/// (minus read as plus; no carry; last operation forgotten; digits of a result swapped; going on with the wrong number).
/// Nothing in the text names the strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainDemonstrations {
    /// How many problems to make.
    pub n_problems: u64,
    /// Training or held-out side.
    #[serde(default)]
    pub split: Split,
    /// Operations in one problem, at least 3; each works on the result of the one before.
    #[serde(default = "three")]
    pub operations: usize,
    /// Share of the problems that are worked in the right way, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub right: f64,
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn four() -> usize {
    4
}

fn ninety_nine() -> u64 {
    99
}
