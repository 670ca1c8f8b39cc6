//! Completions of a file, scored by a rubric.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use model::tokenizer::Tokenizer;
use rewards::{Rubric, RubricError, RuleConfig, Sample, Score};
use serde_json::Value;

use super::stopwatch::Timed;
use super::summary::Summary;
use super::{Judged, Row, kind, required, text};
use crate::config;
use crate::mistake::Mistake;
use crate::preflight::Finding;
use crate::workers;

const SHAPE: &str =
    r#"a line is `{"prompt": "1 + 1?", "completion": "2", "expected": "2"}`, or has a list `completions`"#;

/// Bytes of text taken for a token where nobody counts.
const BYTES_PER_TOKEN: usize = 4;

/// A completion of a line.
struct One {
    text: String,
    /// As the line says; counted later where it does not.
    n_tokens: Option<usize>,
    truncated: bool,
}

/// A line: a completion, or all completions of a prompt.
pub(super) struct Line {
    row: Row,
    prompt: String,
    /// Those of a prompt that is a conversation.
    messages: Vec<Value>,
    expected: String,
    /// The step of a run that a training completion was sampled in, in a line of its `samples.jsonl`.
    step: Option<u64>,
    completions: Vec<One>,
    /// Whether it holds a list of them.
    several: bool,
}

impl Line {
    fn read(place: &str, row: Row) -> Result<Line, Mistake> {
        let optional = |key: &str| row.get(key).filter(|value| !value.is_null());
        let (prompt, messages) = match (optional("prompt"), optional("messages")) {
            (Some(Value::Array(messages)), _) => (chat(messages, place)?, messages.clone()),
            (Some(value), Some(Value::Array(messages))) => (text(value, place, "prompt")?, messages.clone()),
            (Some(value), _) => (text(value, place, "prompt")?, Vec::new()),
            (None, _) => (String::new(), Vec::new()),
        };
        let expected =
            optional("expected").map(|value| (value, "expected")).or(optional("answer").map(|v| (v, "answer")));
        let expected = expected.map_or(Ok(String::new()), |(value, key)| text(value, place, key))?;
        let n_tokens =
            match optional("n_tokens") {
                None => None,
                Some(value) => Some(value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
                    Mistake::new(format!("{place}: `n_tokens` is {value}, and must be a whole number"))
                })?),
            };
        let truncated = match (optional("truncated"), optional("finish")) {
            (Some(Value::Bool(cut)), _) => *cut,
            (Some(other), _) => {
                return Err(Mistake::new(format!(
                    "{place}: `truncated` is {}, and must be true or false",
                    kind(other)
                )));
            }
            (None, finish) => finish.and_then(Value::as_str) == Some("length"),
        };
        let (several, texts) = match optional("completions") {
            Some(Value::Array(all)) => {
                let one = |(i, value)| text(value, place, &format!("completions[{i}]"));
                (true, all.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?)
            }
            Some(other) => {
                return Err(Mistake::new(format!("{place}: `completions` is {}, and must be a list", kind(other))));
            }
            None => (false, vec![text(required(&row, place, "completion", SHAPE)?, place, "completion")?]),
        };
        if several && n_tokens.is_some() {
            return Err(Mistake::new(format!(
                "{place}: `n_tokens` is of one completion, and `completions` are several"
            )));
        }
        let completions = texts.into_iter().map(|text| One { text, n_tokens, truncated }).collect();
        let trained = row.contains_key("parts") && !row.contains_key("set");
        let step = optional("step").filter(|_| trained).and_then(Value::as_u64);
        Ok(Line { row, prompt, messages, expected, step, completions, several })
    }

    /// What rules read of the data: the object `columns` of a run's samples, or else the line itself.
    fn columns(&self) -> &Row {
        self.row.get("columns").and_then(Value::as_object).unwrap_or(&self.row)
    }

    /// What tells the prompts of lines apart, so that completions of one prompt that follow each other are one group;
    /// `None` for a line that stands alone.
    fn group(&self) -> Option<(&str, [Option<&Value>; 3])> {
        let keys = ["step", "set", "index"].map(|key| self.row.get(key));
        (!self.several && !self.prompt.is_empty()).then_some((&self.prompt, keys))
    }
}

/// The text of a conversation's messages.
fn chat(messages: &[Value], place: &str) -> Result<String, Mistake> {
    let content = |message: &Value| message.get("content").and_then(Value::as_str).map(str::to_owned);
    let texts: Option<Vec<String>> = messages.iter().map(content).collect();
    let missing = || Mistake::new(format!("{place}: `prompt` is a list, and not every message in it has a `content`"));
    Ok(texts.ok_or_else(missing)?.join("\n"))
}

/// The completions of a file's rows.
pub(super) fn read(rows: Vec<(String, Row)>) -> Result<Vec<Line>> {
    rows.into_iter().map(|(place, row)| Ok(Line::read(&place, row)?)).collect()
}

/// A rubric that is open, and who counts tokens.
pub(super) struct Judge {
    rubric: Rubric,
    timed: Vec<(String, Arc<Timed>)>,
    tokenizer: Option<Tokenizer>,
}

impl Judge {
    /// Reads the `[[rewards]]` of a file and starts what they need.
    pub(super) fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Judge> {
        let using = || format!("use the rubric `{}`", path.display());
        let (rules, places) = config::rewards(path)?;
        let refused = |key: String, why: String| Finding::error(key, why).placed(&places).to_string();
        let one = |(place, rule): (usize, &RuleConfig)| {
            Some(refused(format!("rewards.{place}"), rule.check().err()?.to_string()))
        };
        sound(rules.iter().enumerate().filter_map(one).collect()).with_context(using)?;
        let timed: Vec<_> = rules.iter().map(|rule| (rule.name(), Timed::new(rule.rule()))).collect();
        let entries = rules.iter().zip(&timed).map(|(rule, (_, timed))| (rule.terms(), Arc::clone(timed) as _));
        let all = |error: RubricError| Mistake::new(refused("rewards".to_owned(), error.to_string()));
        let rubric = Rubric::of(entries.collect()).map_err(all).with_context(using)?;
        let closed = rubric.open().into_iter();
        sound(closed.map(|(place, why)| refused(format!("rewards.{place}"), why)).collect()).with_context(using)?;
        let tokenizer = tokenizer.map(Tokenizer::from_folder).transpose()?;
        Ok(Judge { rubric, timed, tokenizer })
    }

    /// Every line with its `score`, or its list of `scores`.
    pub(super) fn judge(&self, lines: Vec<Line>, workers: usize, bar: &dyn Fn(usize) -> ProgressBar) -> Judged {
        let start = Instant::now();
        let groups: Vec<&[Line]> = lines.chunk_by(|a, b| a.group().is_some() && a.group() == b.group()).collect();
        let bar = bar(lines.iter().map(|line| line.completions.len()).sum());
        let scores = workers::map(&groups, workers, |group| {
            let scores = self.rubric.score_group(&self.samples(group));
            bar.inc(scores.len() as u64);
            scores
        });
        bar.finish_and_clear();
        let estimated = self.tokenizer.is_none()
            && lines.iter().any(|line| line.completions.iter().any(|one| one.n_tokens.is_none()));
        let summary = Summary {
            groups: groups.len(),
            seconds: start.elapsed().as_secs_f64(),
            workers,
            estimated,
            spent: self.timed.iter().map(|(name, rule)| (name.as_str(), rule.spent())).collect(),
        };
        let scores: Vec<Score> = scores.into_iter().flatten().collect();
        let summary = summary.of(&scores);
        let mut scores = scores.into_iter();
        let line = |line: Line| {
            let mut row = line.row;
            let own: Vec<Value> = scores.by_ref().take(line.completions.len()).map(as_value).collect();
            let (key, value) = match line.several {
                true => ("scores", Value::Array(own)),
                false => ("score", own.into_iter().next().unwrap_or_default()),
            };
            row.insert(key.to_owned(), value);
            row
        };
        Judged { lines: lines.into_iter().map(line).collect(), summary }
    }

    fn samples<'a>(&self, lines: &'a [Line]) -> Vec<Sample<'a>> {
        let sample = |(line, one): (&'a Line, &'a One)| Sample {
            prompt: &line.prompt,
            messages: &line.messages,
            completion: &one.text,
            n_tokens: one.n_tokens.unwrap_or_else(|| self.count(&one.text)),
            truncated: one.truncated,
            expected: &line.expected,
            columns: line.columns(),
            step: line.step,
            ..Sample::default()
        };
        lines.iter().flat_map(|line| line.completions.iter().map(move |one| (line, one))).map(sample).collect()
    }

    /// Tokens of a text: as the tokenizer has them, or else one for every four bytes.
    fn count(&self, text: &str) -> usize {
        let estimate = || text.len().div_ceil(BYTES_PER_TOKEN);
        self.tokenizer.as_ref().map_or_else(estimate, |tokenizer| tokenizer.encode(text, false).len())
    }
}

/// Nothing where nothing is wrong.
fn sound(wrong: Vec<String>) -> Result<(), Mistake> {
    if wrong.is_empty() { Ok(()) } else { Err(Mistake::new(wrong.join("; "))) }
}

fn as_value(score: Score) -> Value {
    serde_json::to_value(score).expect("a score is plain data")
}
