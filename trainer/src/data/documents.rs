//! Documents: what supervised fine-tuning reads, before it is tokenised.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::files::{self, Row};
use super::{Fields, Files, ProblemSet, PromptText, Source, generate};

/// One text to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Where it stands, to be named in an error: `a.jsonl, line 3`.
    pub place: String,
    /// What it says.
    pub body: DocumentBody,
}

/// What a document says, and who says it.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentBody {
    /// A text of nobody's; all of it is learned.
    Text(String),
    /// A prompt, put to the policy by the run's template, and what should come after it.
    Completion {
        /// As the data gives it.
        prompt: PromptText,
        /// Without an end-of-sequence token.
        completion: String,
    },
    /// A conversation for the chat template.
    Conversation {
        /// Objects with `role` and `content`.
        messages: Vec<Value>,
        /// Tool descriptions, where the row has some.
        tools: Option<Value>,
    },
}

/// All documents of one source, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents {
    /// The documents.
    pub all: Vec<Document>,
    /// Rows left out because there is nothing to learn in them.
    pub n_empty: usize,
}

impl Documents {
    /// Reads or makes every document of `source`.
    ///
    /// A row of a file holds `messages`, or a `text`, or a prompt and a completion; `files.fields` names other fields.
    /// A generated problem is completed by its solution, `<think>…</think><answer>…</answer>`.
    pub fn open(source: &Source, seed: u64) -> Result<Documents> {
        let documents = match source {
            Source::Files(config) => read(config)?,
            _ => generated(&ProblemSet::open(source, seed)?)?,
        };
        ensure!(!documents.all.is_empty(), "the source holds no document");
        Ok(documents)
    }
}

fn generated(problems: &ProblemSet) -> Result<Documents> {
    let document = |problem: &super::Problem| {
        let column = |name: &str| problem.columns.get(name).and_then(Value::as_str);
        let completion = match (column("completion"), column("solution"), column("answer")) {
            (Some(completion), _, _) => completion.to_owned(),
            (None, Some(solution), Some(answer)) => generate::worked(solution, answer),
            _ => bail!("problem {} has no worked solution", problem.index),
        };
        let body = DocumentBody::Completion { prompt: problem.prompt.clone(), completion };
        Ok(Document { place: format!("problem {}", problem.index), body })
    };
    Ok(Documents { all: problems.iter().map(document).collect::<Result<_>>()?, n_empty: 0 })
}

fn read(config: &Files) -> Result<Documents> {
    ensure!(!config.paths.is_empty(), "`files.paths` names no file");
    let limit = config.limit.unwrap_or(usize::MAX);
    let mut documents = Documents { all: Vec::new(), n_empty: 0 };
    for path in &config.paths {
        if documents.all.len() >= limit {
            break;
        }
        let in_file = || format!("in {}", path.display());
        let rows = files::rows(path).with_context(in_file)?;
        let Some((_, first)) = rows.first() else {
            bail!("{}: the file holds no row", in_file());
        };
        let reading = Reading::choose(&config.fields, first).with_context(in_file)?;
        for (place, row) in rows {
            if documents.all.len() >= limit {
                break;
            }
            let body = reading.body(&row).map_err(|error| anyhow!("{error:#} at {place}")).with_context(in_file)?;
            match body {
                Some(body) => documents.all.push(Document { place: format!("{}, {place}", path.display()), body }),
                None => documents.n_empty += 1,
            }
        }
    }
    Ok(documents)
}

/// Which fields of a row are read.
#[derive(Debug, PartialEq)]
enum Reading {
    Text(String),
    Completion(String, String),
    Conversation(String),
}

const PROMPT_NAMES: [&str; 6] = ["prompt", "question", "problem", "instruction", "input", "query"];
const COMPLETION_NAMES: [&str; 6] = ["completion", "response", "output", "chosen", "solution", "answer"];

impl Reading {
    /// What the configuration names, completed from the first row.
    fn choose(fields: &Fields, first: &Row) -> Result<Reading> {
        let has = |name: &str| files::lookup(first, name).is_some();
        if let Some(name) = &fields.messages {
            return Ok(Reading::Conversation(name.clone()));
        }
        if let Some(name) = &fields.text {
            return Ok(Reading::Text(name.clone()));
        }
        if fields.prompt.is_none() && fields.completion.is_none() {
            if has("messages") {
                return Ok(Reading::Conversation("messages".to_owned()));
            }
            if has("text") {
                return Ok(Reading::Text("text".to_owned()));
            }
        }
        let find = |named: &Option<String>, names: &[&str]| {
            named.clone().or_else(|| names.iter().find(|name| has(name)).map(|name| (*name).to_owned()))
        };
        match (find(&fields.prompt, &PROMPT_NAMES), find(&fields.completion, &COMPLETION_NAMES)) {
            (Some(prompt), Some(completion)) => Ok(Reading::Completion(prompt, completion)),
            _ => bail!(
                "nothing to learn in the first row: neither `messages` nor `text` nor a prompt with a completion is \
                 there; name the fields in `fields` (the row has {})",
                files::names(first)
            ),
        }
    }

    /// What a row says; none where it is null or empty.
    fn body(&self, row: &Row) -> Result<Option<DocumentBody>> {
        let tools = || row.get("tools").filter(|tools| tools.is_array()).cloned();
        match self {
            Reading::Text(name) => {
                Ok(text(row, name)?.filter(|text| !text.is_empty()).map(|text| DocumentBody::Text(text.to_owned())))
            }
            Reading::Conversation(name) => {
                if files::field(row, name)?.is_null() {
                    return Ok(None);
                }
                let messages = files::conversation(row, name)?;
                Ok(Some(DocumentBody::Conversation { messages, tools: tools() }))
            }
            Reading::Completion(name, completion) => {
                let prompt = match files::field(row, name)? {
                    Value::String(text) => PromptText::Text(text.clone()),
                    Value::Array(_) => PromptText::Messages(files::conversation(row, name)?),
                    _ => bail!("field `{name}` is neither text nor a list of messages"),
                };
                // Both parts of a row may be messages; the two are one conversation then.
                if let (PromptText::Messages(before), Value::Array(_)) = (&prompt, files::field(row, completion)?) {
                    let messages = [before.as_slice(), &files::conversation(row, completion)?].concat();
                    return Ok(Some(DocumentBody::Conversation { messages, tools: tools() }));
                }
                let completion = text(row, completion)?.filter(|text| !text.is_empty()).map(str::to_owned);
                Ok(completion.map(|completion| DocumentBody::Completion { prompt, completion }))
            }
        }
    }
}

/// A field's text; none where it is null.
fn text<'a>(row: &'a Row, name: &str) -> Result<Option<&'a str>> {
    match files::field(row, name)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => bail!("field `{name}` is not text"),
    }
}

#[cfg(test)]
mod tests;
