//! What ends a completion: a stop token, a stop string in its text, or its limit.

use crate::completion::FinishReason;
use crate::stopping::StopRules;
use model::tokenizer::{TextStream, Tokenizer};

/// A completion's text as it grows, and where a stop string cuts it.
pub(crate) struct Text<'a> {
    stream: TextStream<'a>,
    so_far: String,
    cut: Option<usize>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Text<'a> {
        Text { stream: tokenizer.stream(false), so_far: String::new(), cut: None }
    }

    pub(crate) fn push(&mut self, token: u32, stop: &[String]) {
        let longest = stop.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.so_far.len().saturating_sub(longest);
        while !self.so_far.is_char_boundary(from) {
            from -= 1;
        }
        self.so_far += &self.stream.push(token);
        self.cut = stop.iter().filter_map(|s| self.so_far[from..].find(s.as_str())).min().map(|at| from + at);
    }
}

/// Why a completion of `tokens` is finished, if it is, with its text where a stop string cut it.
pub(crate) fn finish(
    tokens: &[u32],
    limit: usize,
    text: Option<&Text<'_>>,
    stop: &StopRules,
) -> Option<(FinishReason, Option<String>)> {
    if tokens.last().is_some_and(|last| stop.ids.contains(last)) {
        return Some((FinishReason::Stop, None));
    }
    if let Some(Text { so_far, cut: Some(cut), .. }) = text {
        return Some((FinishReason::Stop, Some(so_far[..*cut].to_owned())));
    }
    (tokens.len() >= limit).then_some((FinishReason::Length, None))
}
