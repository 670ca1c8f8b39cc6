//! Rows of files, turned into problems.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use super::{Fields, Files, Layout, Problem, PromptText};

/// A row of a file.
pub(crate) type Row = Map<String, Value>;

/// Reads every file; also says how many rows had no answer.
pub(super) fn read(config: &Files) -> Result<(Vec<Problem>, usize)> {
    ensure!(!config.paths.is_empty(), "`files.paths` names no file");
    let limit = config.limit.unwrap_or(usize::MAX);
    let mut problems = Vec::new();
    let mut skipped = 0;
    for path in &config.paths {
        if problems.len() >= limit {
            break;
        }
        let rows = rows(path).with_context(|| format!("in {}", path.display()))?;
        let Some((_, first)) = rows.first() else {
            bail!("in {}: the file holds no row", path.display());
        };
        let reading =
            Reading::choose(config.layout, &config.fields, first).with_context(|| format!("in {}", path.display()))?;
        for (place, row) in rows {
            if problems.len() >= limit {
                break;
            }
            let read = reading
                .problem(&row)
                .map_err(|error| anyhow!("{error:#} at {place}"))
                .with_context(|| format!("in {}", path.display()))?;
            match read {
                Some((prompt, expected)) => {
                    problems.push(Problem { index: problems.len() as u64, prompt, expected, columns: row })
                }
                None => skipped += 1,
            }
        }
    }
    Ok((problems, skipped))
}

/// Rows of one file with the place to name in an error.
pub(crate) fn rows(path: &Path) -> Result<Vec<(String, Row)>> {
    let bytes = fs::read(path)?;
    if bytes.starts_with(b"PAR1") {
        return parquet_rows(path);
    }
    let text = text(bytes)?;
    if text.trim_start().starts_with('[') {
        let items: Vec<Value> = serde_json::from_str(&text).context("not a valid JSON array")?;
        return items.into_iter().enumerate().map(|(i, item)| object(item, format!("item {}", i + 1))).collect();
    }
    // Only '\n' ends a line: the other Unicode line ends occur inside JSON strings.
    json_lines(&text, "line")
}

/// The text of a file's bytes, which may be gzipped.
pub(crate) fn text(mut bytes: Vec<u8>) -> Result<String> {
    if bytes.starts_with(&[0x1F, 0x8B]) {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).context("not valid gzip")?;
        bytes = plain;
    }
    let mut text = String::from_utf8(bytes).context("not UTF-8 text")?;
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}

fn json_lines(text: &str, unit: &str) -> Result<Vec<(String, Row)>> {
    text.split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            let place = format!("{unit} {}", i + 1);
            let value = serde_json::from_str(line).map_err(|error| {
                // The reader counts lines within the one line it was given.
                let column = error.column();
                let text = error.to_string();
                let reason = text.split(" at line ").next().unwrap_or(&text);
                anyhow!("not valid JSON at {place}, column {column}: {reason}")
            })?;
            object(value, place)
        })
        .collect()
}

fn object(value: Value, place: String) -> Result<(String, Row)> {
    match value {
        Value::Object(row) => Ok((place, row)),
        _ => bail!("expected a JSON object at {place}"),
    }
}

#[cfg(feature = "parquet")]
fn parquet_rows(path: &Path) -> Result<Vec<(String, Row)>> {
    use arrow_json::WriterBuilder;
    use arrow_json::writer::LineDelimited;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let lines = || -> Result<Vec<u8>> {
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        let file = fs::File::open(path)?;
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            writer.write(&batch?)?;
        }
        writer.finish()?;
        Ok(writer.into_inner())
    };
    let lines = lines().context("not valid Parquet")?;
    json_lines(&String::from_utf8(lines)?, "row")
}

#[cfg(not(feature = "parquet"))]
fn parquet_rows(_: &Path) -> Result<Vec<(String, Row)>> {
    bail!("this program was built without Parquet; build it with `--features parquet`")
}

/// Which fields of a row are read, and how.
#[derive(Debug)]
struct Reading {
    prompt: PromptField,
    options: Option<String>,
    expected: String,
    gold: Gold,
}

#[derive(Debug)]
enum PromptField {
    Named(String),
    Messages(String),
    /// `nums` and `target` of a countdown row.
    Countdown,
}

/// How the answer lies in its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gold {
    Whole,
    AfterHashes,
    Boxed,
}

const PROMPT_NAMES: [&str; 4] = ["question", "problem", "prompt", "input"];
const ANSWER_NAMES: [&str; 7] =
    ["answer", "ground_truth", "final_answer", "expected", "expected_answer", "reward_model.ground_truth", "target"];

impl Reading {
    /// What the configuration says, completed from the names in the first row.
    fn choose(layout: Option<Layout>, fields: &Fields, first: &Row) -> Result<Reading> {
        let prompt = if let Some(name) = &fields.messages {
            PromptField::Messages(name.clone())
        } else if let Some(name) = &fields.prompt {
            PromptField::Named(name.clone())
        } else {
            match layout {
                Some(Layout::Gsm8k) => PromptField::Named("question".to_owned()),
                Some(Layout::Math) => PromptField::Named("problem".to_owned()),
                Some(Layout::Jsonl) | None => Self::find_prompt(first)?,
            }
        };
        let named = fields.expected.clone();
        let (expected, gold) = match layout {
            Some(Layout::Gsm8k) => (named.unwrap_or_else(|| "answer".into()), Gold::AfterHashes),
            Some(Layout::Math) => (named.unwrap_or_else(|| "solution".into()), Gold::Boxed),
            Some(Layout::Jsonl) => match named {
                Some(name) => (name, Gold::Whole),
                None => (Self::find_answer(first)?, Gold::Whole),
            },
            None => {
                let name = match named {
                    Some(name) => name,
                    None => Self::find_answer(first)?,
                };
                let text = lookup(first, &name).and_then(Value::as_str).unwrap_or_default();
                let gold = if text.contains("\n####") || text.starts_with("####") {
                    Gold::AfterHashes
                } else if name == "solution" {
                    Gold::Boxed
                } else {
                    Gold::Whole
                };
                (name, gold)
            }
        };
        Ok(Reading { prompt, options: fields.options.clone(), expected, gold })
    }

    fn find_prompt(first: &Row) -> Result<PromptField> {
        if let Some(name) = PROMPT_NAMES.iter().find(|name| lookup(first, name).is_some()) {
            return Ok(PromptField::Named((*name).to_owned()));
        }
        if first.contains_key("messages") {
            return Ok(PromptField::Messages("messages".to_owned()));
        }
        if first.contains_key("nums") && first.contains_key("target") {
            return Ok(PromptField::Countdown);
        }
        bail!(
            "no prompt in the first row: none of `question`, `problem`, `prompt`, `input`, \
             `messages` is there; name the field in `fields.prompt` (the row has {})",
            names(first)
        )
    }

    fn find_answer(first: &Row) -> Result<String> {
        if let Some(name) = ANSWER_NAMES.iter().find(|name| lookup(first, name).is_some()) {
            return Ok((*name).to_owned());
        }
        // The answer of a row of IFEval is that its instructions are followed.
        if first.contains_key("instruction_id_list") {
            return Ok("instruction_id_list".to_owned());
        }
        if first.get("solution").and_then(Value::as_str).and_then(last_boxed).is_some() {
            return Ok("solution".to_owned());
        }
        bail!(
            "no answer in the first row: none of `answer`, `ground_truth`, `final_answer`, \
             `expected`, `expected_answer`, `target`, a `solution` with \\boxed{{}} is there; name \
             the field in `fields.expected` (the row has {})",
            names(first)
        )
    }

    /// Prompt and answer of one row; none if the answer is null or empty.
    fn problem(&self, row: &Row) -> Result<Option<(PromptText, String)>> {
        let prompt = match &self.prompt {
            PromptField::Named(name) => match field(row, name)? {
                Value::String(text) => PromptText::Text(text.clone()),
                Value::Array(_) => PromptText::Messages(conversation(row, name)?),
                _ => bail!("field `{name}` is neither text nor a list of messages"),
            },
            PromptField::Messages(name) => PromptText::Messages(conversation(row, name)?),
            PromptField::Countdown => {
                let numbers: Option<Vec<i64>> =
                    field(row, "nums")?.as_array().and_then(|items| items.iter().map(Value::as_i64).collect());
                let numbers = numbers.ok_or_else(|| anyhow!("field `nums` is not a list of numbers"))?;
                let target =
                    field(row, "target")?.as_i64().ok_or_else(|| anyhow!("field `target` is not a whole number"))?;
                PromptText::Text(super::generate::countdown_prompt(&numbers, target))
            }
        };
        let prompt = match &self.options {
            Some(name) => with_options(prompt, field(row, name)?)
                .ok_or_else(|| anyhow!("field `{name}` is not a list of options for a question in plain text"))?,
            None => prompt,
        };
        let name = &self.expected;
        let whole = plain(field(row, name)?)
            .ok_or_else(|| anyhow!("field `{name}` is not text, a number or a list of them"))?;
        if whole.trim().is_empty() {
            return Ok(None);
        }
        let expected = match self.gold {
            Gold::Whole => whole.trim().to_owned(),
            Gold::AfterHashes => match whole.rsplit_once("####") {
                // Thousands are grouped with commas: `#### 1,000`.
                Some((_, gold)) => gold.trim().replace(',', ""),
                None => bail!("field `{name}` has no `####` before an answer"),
            },
            Gold::Boxed => match last_boxed(&whole) {
                Some(gold) => gold.trim().to_owned(),
                None => bail!("field `{name}` has no \\boxed{{}}"),
            },
        };
        Ok(if expected.is_empty() { None } else { Some((prompt, expected)) })
    }
}

/// The chat messages of a field: a list, or the JSON text of one.
pub(super) fn conversation(row: &Row, name: &str) -> Result<Vec<Value>> {
    let items: Vec<Value> = match field(row, name)? {
        Value::Array(items) => items.clone(),
        Value::String(text) => {
            serde_json::from_str(text).map_err(|_| anyhow!("field `{name}` holds no JSON list of messages"))?
        }
        _ => bail!("field `{name}` is not a list of messages"),
    };
    let fits = |item: &Value| item.get("role").is_some_and(Value::is_string);
    ensure!(
        !items.is_empty() && items.iter().all(fits),
        "field `{name}` is not a list of messages with `role` and `content`"
    );
    Ok(items)
}

pub(super) fn field<'a>(row: &'a Row, name: &str) -> Result<&'a Value> {
    lookup(row, name).ok_or_else(|| anyhow!("missing field `{name}`"))
}

/// A field by its name, or by a path with dots where no field has that very name.
pub(super) fn lookup<'a>(row: &'a Row, name: &str) -> Option<&'a Value> {
    row.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        lookup(row.get(first)?.as_object()?, rest)
    })
}

pub(super) fn names(row: &Row) -> String {
    row.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// An answer as text: whole floats lose their `.0`, list items lose their dollars and are joined by
/// commas, null is empty.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        }),
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| match item {
                    Value::Array(_) | Value::Object(_) => None,
                    _ => plain(item).map(|text| undollared(&text).to_owned()),
                })
                .collect();
            texts.map(|texts| texts.join(", "))
        }
        Value::Object(_) => Some(value.to_string()),
    }
}

/// A question with its options below it; those that bring their letters keep them.
fn with_options(prompt: PromptText, options: &Value) -> Option<PromptText> {
    let PromptText::Text(question) = prompt else { return None };
    let texts: Vec<String> = options.as_array()?.iter().map(plain).collect::<Option<_>>()?;
    let lettered = |(text, letter): (&String, char)| {
        let text = text.trim_start().trim_start_matches('(');
        text.strip_prefix(letter).is_some_and(|rest| rest.starts_with([')', '.', ':']))
    };
    let keep = texts.iter().zip('A'..='Z').all(lettered);
    let lines = texts.iter().zip('A'..='Z').map(|(text, letter)| match keep {
        true => format!("\n{text}"),
        false => format!("\n{letter}) {text}"),
    });
    (!texts.is_empty() && texts.len() <= 26).then(|| PromptText::Text(question + &lines.collect::<String>()))
}

/// `$x$` without its dollars; text with more than one pair stays as it is.
fn undollared(text: &str) -> &str {
    text.trim()
        .strip_prefix('$')
        .and_then(|rest| rest.strip_suffix('$'))
        .filter(|inner| !inner.contains('$'))
        .unwrap_or(text)
}

/// What stands in the last `\boxed{}` (or `\fbox{}`, or `\boxed x`) of a solution.
fn last_boxed(text: &str) -> Option<&str> {
    let start = ["\\boxed", "\\fbox"].iter().filter_map(|mark| text.rfind(mark)).max()?;
    let rest = text[start..].trim_start_matches("\\boxed").trim_start_matches("\\fbox");
    let Some(inner) = rest.trim_start().strip_prefix('{') else {
        // `\boxed 2` takes the text up to the end of its formula.
        return rest.split(['$', '\n']).next().map(str::trim).filter(|gold| !gold.is_empty());
    };
    rewards::to_closing_brace(inner)
}

#[cfg(test)]
mod tests;
