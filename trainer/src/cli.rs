//! The command line of `grouper`: verbs, and where to read and write. What a run does is in its config.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand};
use model::config::{DeviceChoice, Dtype};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::config::RunOptions;
use crate::data::Template;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   a fault of the program or the machine
  2   something in the command line, the config or its files is wrong
  75  stopped by a signal or --max-hours; a checkpoint is saved, --resume goes on

NO_COLOR, set to anything, turns colour off.";

/// Trains small reasoning models by reinforcement learning.
#[derive(Debug, Parser)]
#[command(name = "grouper", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Say only what is wrong.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; repeat for more still.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// −1 for `-q`, else the number of `-v`.
    pub fn verbosity(&self) -> i8 {
        if self.quiet { -1 } else { i8::try_from(self.verbose).unwrap_or(i8::MAX) }
    }
}

/// The verbs of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a policy by reinforcement learning, with GRPO.
    Grpo(RunArgs),
    /// Train a policy on texts or conversations.
    Sft(RunArgs),
    /// Measure a policy on held-out problems: pass@1, pass@k, maj@k.
    Eval(EvalArgs),
    /// Sample completions of one prompt.
    Sample(SampleArgs),
    /// Compute log-probabilities of given tokens, by the forward pass that training takes.
    Logprobs(LogprobsArgs),
    /// Judge completions by a rubric, answers as mathematics, or programs by tests.
    Score(ScoreArgs),
    /// Look for mistakes in a config without starting its run.
    Check(CheckArgs),
    /// Write a run's report.html.
    Report(ReportArgs),
    /// Print what a config may hold.
    Config(DescribeArgs),
    /// Compare what a GPU computes with the CPU, then measure it; `scripts/gpu_check` calls it.
    #[command(hide = true)]
    GpuCheck(GpuCheckArgs),
}

/// What to judge, and by what.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("by").required(true).args(["rubric", "math", "code"])))]
pub struct ScoreArgs {
    /// A TOML file with `[[rewards]]`, such as a run's config, whose other tables are not read. Lines of the input are
    /// `{"prompt", "completion" or a list of "completions", "expected", …}`; they get a `score`.
    #[arg(long, value_name = "FILE")]
    pub rubric: Option<PathBuf>,
    /// Compare answers: lines `{"gold", "answer"}` get a `verdict` (`correct`, `wrong`, `undecided`) and a `reason`.
    #[arg(long)]
    pub math: bool,
    /// Run Python programs in the sandbox: lines `{"id", "program", "tests": [{"stdin", "stdout"}, …], "time_limit_s"}`, or
    /// with `"tests": {"function", "calls": [{"args", "expected"}, …]}`, get a `verdict`, `n_passed` and one verdict a test.
    #[arg(long)]
    pub code: bool,
    /// Take for right what published leaderboards do.
    #[arg(long, requires = "math")]
    pub lenient: bool,
    /// Add how both answers were read.
    #[arg(long, requires = "math")]
    pub explain: bool,
    /// JSONL, a JSON array or Parquet, gzipped or not; `/dev/stdin` for standard input.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// JSONL: the same lines in the same order, with what was found. Standard output where it is not given.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder of a tokenizer, which counts the tokens of completions without `n_tokens`.
    #[arg(long, value_name = "DIR", requires = "rubric")]
    pub tokenizer: Option<PathBuf>,
    /// Threads; as many as there are cores where not given.
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZero<usize>>,
}

/// Which device to check, and where to write what is found.
#[derive(Clone, Debug, Args)]
pub struct GpuCheckArgs {
    /// `cuda`, or `cpu` for libtorch's CPU device.
    #[arg(long, default_value = "cuda", value_parser = word::<DeviceChoice>)]
    pub device: DeviceChoice,
    /// Measure the policy in this folder; by default one of Qwen2.5-0.5B's shape on a GPU, a tiny one on the CPU, with
    /// drawn weights.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Save the measured policy here, for others to be measured with it.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// A JSON file for all that was found.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Measure nothing.
    #[arg(long)]
    pub only_correctness: bool,
}

/// A config and what is changed in it.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The TOML file of a run.
    pub config: PathBuf,
    /// Set a key of the config: `grpo.steps=100`, `rewards.0.accuracy.weight=2`. The value is TOML; a bare word is a
    /// string. May be repeated; the last one holds.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Which run to report.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run's folder.
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
}

/// Which policy to measure, and on what.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// A run's TOML file: its `[eval]` table names sets and settings.
    #[arg(required_unless_present = "data")]
    pub config: Option<PathBuf>,
    /// Set a key of the config, as for `grpo`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    pub sets: Vec<String>,
    /// Folder or hub id of the policy; the config's own where there is one and this is absent.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub model: Option<PathBuf>,
    /// Problems in a file: JSONL, JSON or Parquet, in any layout that a config's `data.source.files` reads.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub data: Option<PathBuf>,
    /// How a problem of FILE is put: `r1_zero`, `chat` or `plain`; the checkpoint's chat template where it has one.
    #[arg(long, value_parser = word::<Template>, requires = "data")]
    pub template: Option<Template>,
    /// Longest completion, in tokens; by default 1024, or half of the policy's positions where that is less.
    #[arg(long, requires = "data")]
    pub max_tokens: Option<NonZero<usize>>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// A config and where its run would be written.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Folder that would hold the folders of runs: its disk must have room.
    #[arg(long = "run", value_name = "DIR", default_value = "runs")]
    pub root: PathBuf,
}

/// A config and how its run is carried out.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Folder that holds the folders of runs: this one goes to `DIR/<name>/<n>`.
    #[arg(long = "run", value_name = "DIR", default_value = "runs")]
    pub root: PathBuf,
    /// Go on with a run that was stopped: the folder given, or the newest of this name.
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Resume although something that results follow from (program, machine, config, a file it reads) is another than
    /// before.
    #[arg(long)]
    pub allow_inexact: bool,
    /// Stop with a checkpoint after so many hours.
    #[arg(long, value_name = "H", value_parser = hours)]
    pub max_hours: Option<f64>,
    /// Write what each thread did when into the run's folder, as profile.json, a trace that ui.perfetto.dev opens: of the
    /// first STEPS steps and what comes before them; 4 where no number is given.
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "4")]
    pub profile: Option<NonZero<u64>>,
}

impl RunArgs {
    /// What the command line says beside the config.
    pub fn options(&self, verbosity: i8) -> RunOptions {
        RunOptions {
            root: self.root.clone(),
            resume: self.resume.clone().map(Option::unwrap_or_default),
            allow_inexact: self.allow_inexact,
            max_hours: self.max_hours,
            profile: self.profile,
            verbosity,
        }
    }
}

fn hours(text: &str) -> Result<f64, String> {
    number(text, |hours| hours.is_finite() && hours > 0.0, "a number of hours above 0")
}

/// A checkpoint and how to compute with it.
#[derive(Clone, Debug, Args)]
pub struct CheckpointArgs {
    /// Folder in the Hugging Face layout, or a hub id such as `Qwen/Qwen2.5-0.5B`.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Number format: `auto`, `f32`, `bf16` or `fp8`.
    #[arg(long, default_value = "auto", value_parser = word::<Dtype>)]
    pub dtype: Dtype,
    /// Where to compute: `auto`, `cpu`, `cuda`, or `libtorch`, which is its CPU device: the path of a GPU without one.
    #[arg(long, default_value = "auto", value_parser = word::<DeviceChoice>)]
    pub device: DeviceChoice,
}

/// What to sample and how to print it.
#[derive(Clone, Debug, Args)]
pub struct SampleArgs {
    /// The checkpoint.
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// What is to be completed.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// How the prompt is worded: `plain`, `chat` or `r1_zero`.
    #[arg(long, default_value = "plain", value_parser = word::<Template>)]
    pub template: Template,
    /// Divides the logits; 0 always takes the likeliest token.
    #[arg(long, default_value_t = 1.0, value_parser = temperature)]
    pub temperature: f64,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    #[arg(long, default_value_t = 1.0, value_parser = top_p)]
    pub top_p: f64,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    pub top_k: usize,
    /// Keep tokens at least this share of the likeliest one's probability; 0 keeps all.
    #[arg(long, default_value_t = 0.0, value_parser = min_p)]
    pub min_p: f64,
    /// Longest completion, in tokens; by default 256, or what the prompt leaves of the policy's positions.
    #[arg(long)]
    pub max_tokens: Option<NonZero<usize>>,
    /// Completions to sample.
    #[arg(long, default_value_t = NonZero::<usize>::MIN)]
    pub n: NonZero<usize>,
    /// Every draw follows from it.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print token ids with their log-probabilities.
    #[arg(long)]
    pub tokens: bool,
    /// Print one JSON object a completion: `text`, `finish`, and with `--tokens` `prompt_tokens`, `tokens`, `logprobs`.
    #[arg(long)]
    pub json: bool,
}

/// Which tokens to look at and where to write what is found.
#[derive(Clone, Debug, Args)]
pub struct LogprobsArgs {
    /// The checkpoint.
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// JSONL with lines `{"tokens": [1, 2, 3]}`.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// JSONL with lines `{"logprobs": [-0.5, -0.25]}`: natural log, of every token but the first.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Divides the logits: log-probabilities are those of softmax(logits / temperature).
    #[arg(long, default_value_t = 1.0, value_parser = divisor)]
    pub temperature: f32,
    /// A JSON object from each tensor's name to the L2 norm of its gradient, of the mean negative log-probability over
    /// all tokens of the input.
    #[arg(long, value_name = "FILE")]
    pub grad_norms: Option<PathBuf>,
}

/// A word of a configuration enum.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    T::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

fn number(text: &str, sound: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| sound(*value)).ok_or_else(|| format!("must be {wanted}"))
}

fn temperature(text: &str) -> Result<f64, String> {
    number(text, |t| t.is_finite() && t >= 0.0, "a number, 0 or above")
}

fn divisor(text: &str) -> Result<f32, String> {
    number(text, |t| t.is_finite() && t > 0.0, "a number above 0").map(|t| t as f32)
}

fn top_p(text: &str) -> Result<f64, String> {
    number(text, |p| p > 0.0 && p <= 1.0, "above 0 and at most 1")
}

fn min_p(text: &str) -> Result<f64, String> {
    number(text, |p| (0.0..1.0).contains(&p), "at least 0 and below 1")
}

/// Which description to print.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct DescribeArgs {
    /// A TOML file with every key in it, with its default and what it means.
    #[arg(long)]
    pub defaults: bool,
    /// The JSON schema.
    #[arg(long)]
    pub schema: bool,
    /// The reference page, docs/configuration.md.
    #[arg(long)]
    pub markdown: bool,
}

#[cfg(test)]
mod tests;
