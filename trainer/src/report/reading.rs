//! Which completions the page shows: early, middle and late ones, and the same problem before and after.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::columns::lines;
use crate::durable::{At, DiskError};
use crate::samples::SampleRecord;

const A_PART: usize = 4;
const PAIRS: usize = 4;
const PROMPT_CHARS: usize = 1500;
const COMPLETION_CHARS: usize = 4000;
const NOTE_CHARS: usize = 200;
const RULES: usize = 12;

/// The completions that the page shows.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reading {
    /// One problem's completion at the first step that has it, and at the last.
    pub(super) pairs: Vec<[Sample; 2]>,
    pub(super) parts: Vec<Part>,
}

/// A stretch of the run.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    name: &'static str,
    pub(super) samples: Vec<Sample>,
}

/// A completion as the page writes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    step: u64,
    set: Option<String>,
    index: u64,
    prompt: String,
    completion: String,
    n_tokens: usize,
    cut: bool,
    advantage: Option<f64>,
    total: Option<f64>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Serialize)]
struct Rule {
    rule: String,
    value: Option<f64>,
    weight: f64,
    note: String,
}

/// What is read of every line; the texts only of those that are shown.
#[derive(Deserialize)]
struct Head {
    step: u64,
    #[serde(default)]
    set: Option<String>,
    index: u64,
}

impl Reading {
    /// Goes through `samples.jsonl` twice: once for the steps, once for the chosen lines.
    pub(super) fn read(path: &Path) -> Result<Self, DiskError> {
        let mut heads: Vec<(usize, Head)> = Vec::new();
        for (number, line) in lines(path)?.enumerate() {
            let line = line.at("read", path)?;
            heads.extend(serde_json::from_slice(&line).ok().map(|head| (number, head)));
        }
        let pairs = pairs(&heads);
        let parts = parts(&heads);
        let mut texts: BTreeMap<usize, Option<Sample>> =
            pairs.iter().flatten().chain(parts.iter().flatten()).map(|number| (*number, None)).collect();
        for (number, line) in lines(path)?.enumerate() {
            if let Some(place) = texts.get_mut(&number) {
                *place = serde_json::from_slice(&line.at("read", path)?).ok().map(Sample::new);
            }
        }
        let text = |number: &usize| texts.get(number).cloned().flatten();
        let pairs = pairs.iter().filter_map(|[before, after]| Some([text(before)?, text(after)?])).collect();
        let names = match parts.len() {
            1 => &["All"][..],
            _ => &["Early", "Middle", "Late"],
        };
        let parts =
            names.iter().zip(&parts).map(|(name, part)| Part { name, samples: part.iter().filter_map(text).collect() });
        Ok(Self { pairs, parts: parts.filter(|part| !part.samples.is_empty()).collect() })
    }
}

/// Line numbers of problems sampled at two steps or more: first and last. Held-out ones come first, then those whose
/// samples lie furthest apart.
fn pairs(heads: &[(usize, Head)]) -> Vec<[usize; 2]> {
    let mut found = BTreeMap::new();
    for head in heads {
        let ends: &mut [&(usize, Head); 2] = found.entry((&head.1.set, head.1.index)).or_insert([head, head]);
        // Of several completions of one step the first stands for it.
        if head.1.step > ends[1].1.step {
            ends[1] = head;
        }
    }
    let mut found: Vec<_> = found.into_values().filter(|[a, b]| a.1.step < b.1.step).collect();
    found.sort_by_key(|[a, b]| (a.1.set.is_none(), std::cmp::Reverse(b.1.step - a.1.step), a.1.index));
    found.into_iter().take(PAIRS).map(|[a, b]| [a.0, b.0]).collect()
}

/// Line numbers of training completions from the beginning, the middle and the end; of all in a short run.
fn parts(heads: &[(usize, Head)]) -> Vec<Vec<usize>> {
    let training: Vec<&(usize, Head)> = heads.iter().filter(|(_, head)| head.set.is_none()).collect();
    let n = training.len();
    let numbers = |from: usize, n: usize| training[from..from + n].iter().map(|(number, _)| *number).collect();
    match n {
        0 => Vec::new(),
        _ if n <= 3 * A_PART => vec![numbers(0, n)],
        _ => vec![numbers(0, A_PART), numbers((n - A_PART) / 2, A_PART), numbers(n - A_PART, A_PART)],
    }
}

impl Sample {
    fn new(record: SampleRecord) -> Self {
        let rule = |part: &rewards::Part| Rule {
            rule: shown(&part.rule, NOTE_CHARS),
            value: part.value,
            weight: part.weight,
            note: shown(&part.note, NOTE_CHARS),
        };
        Self {
            step: record.step,
            set: record.set.map(|set| shown(&set, NOTE_CHARS)),
            index: record.index,
            prompt: shown(&record.prompt, PROMPT_CHARS),
            completion: shown(&record.completion, COMPLETION_CHARS),
            n_tokens: record.n_tokens,
            cut: record.finish == rollout::completion::FinishReason::Length,
            advantage: record.advantage,
            total: record.total,
            rules: record.parts.iter().take(RULES).map(rule).collect(),
        }
    }
}

/// A text with its control characters made visible, and its middle left out where it is longer than `limit` characters.
pub(super) fn shown(text: &str, limit: usize) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f'..='\u{9f}' => '\u{fffd}',
        // Marks that turn the direction of what follows, beyond their own text.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    };
    let n = text.chars().count();
    if n <= limit {
        return text.chars().map(visible).collect();
    }
    let (head, tail) = (limit * 2 / 3, limit / 3);
    let mut short: String = text.chars().take(head).map(visible).collect();
    short += &format!("\n[… {} characters left out …]\n", n - head - tail);
    short.extend(text.chars().skip(n - tail).map(visible));
    short
}
