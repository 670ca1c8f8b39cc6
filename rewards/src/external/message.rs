//! What is asked of a user's rule and what it answers, as JSON.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Failure;
use crate::score::Sample;
use crate::verdict::Verdict;

/// A question about some completions: one line of JSON, or the body of a POST.
#[derive(Serialize)]
struct Request<'a> {
    /// The step of the run, or null outside of training.
    step: Option<u64>,
    samples: Vec<Asked<'a>>,
}

/// One completion.
#[derive(Serialize)]
struct Asked<'a> {
    prompt: &'a str,
    messages: &'a [Value],
    completion: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<&'a [u32]>,
    n_tokens: usize,
    truncated: bool,
    expected: &'a str,
    source: Option<&'a str>,
    columns: &'a Map<String, Value>,
}

impl<'a> Asked<'a> {
    fn about(sample: &Sample<'a>, tokens: bool) -> Asked<'a> {
        Asked {
            prompt: sample.prompt,
            messages: sample.messages,
            completion: sample.completion,
            tokens: tokens.then_some(sample.tokens),
            n_tokens: sample.n_tokens,
            truncated: sample.truncated,
            expected: sample.expected,
            source: sample.source(),
            columns: sample.columns,
        }
    }
}

/// The request about `samples`, without a line break; `tokens` sends the ids along.
pub(super) fn request(samples: &[Sample<'_>], tokens: bool) -> String {
    let step = samples.first().and_then(|sample| sample.step);
    let samples = samples.iter().map(|sample| Asked::about(sample, tokens)).collect();
    serde_json::to_string(&Request { step, samples }).expect("texts, numbers and JSON values are JSON")
}

/// The verdicts in an answer to a request about `n` completions: `{"scores": […]}`, each a number, null for a rule that
/// has nothing to say, or `{"score": number, "note": text}`; or `{"error": text}`.
///
/// An answer that says something about some completions fails the others alone.
pub(super) fn verdicts(answer: &str, n: usize) -> Result<Vec<Verdict>, Failure> {
    let garbage = |why: String| Failure::new(why).saying(answer);
    let answer: Value =
        serde_json::from_str(answer).map_err(|error| garbage(format!("the answer is not JSON ({error})")))?;
    if let Some(error) = answer.get("error") {
        return Err(Failure::new(text(error)));
    }
    let Some(scores) = answer.get("scores").and_then(Value::as_array) else {
        return Err(garbage("the answer has no list `scores`".into()));
    };
    if scores.len() != n {
        return Err(Failure::new(format!("gave {} scores for {n} completions", scores.len())));
    }
    Ok(scores.iter().map(verdict).collect())
}

fn verdict(score: &Value) -> Verdict {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
    match score {
        Value::Null => Verdict::abstained("the rule has nothing to say"),
        Value::Number(_) => match number(score) {
            Some(value) => Verdict::new(value, ""),
            None => Verdict::failed(format!("gave {score}, which is no finite number")),
        },
        Value::Object(fields) => match (fields.get("score").map(number), fields.get("error")) {
            (_, Some(error)) => Verdict::failed(text(error)),
            (Some(Some(value)), None) => Verdict::new(value, fields.get("note").map(text).unwrap_or_default()),
            _ => Verdict::failed(format!("gave {score}, whose `score` is no number")),
        },
        _ => Verdict::failed(format!("gave {score}, which is neither a number nor null")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
