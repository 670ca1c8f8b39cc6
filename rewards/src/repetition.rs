//! Does the completion say the same thing over and over?
//!
//! The n-gram repetition penalty of "Demystifying long chain-of-thought" (Yeo et al., arXiv 2502.03373) in the form that
//! Open-R1 gives it (github.com/huggingface/open-r1): one number for a completion. A length reward without it is paid
//! for text that repeats itself.

use std::collections::HashSet;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use crate::rubric::{Settings, settings};
use crate::rule::Rule;
use crate::score::Sample;
use crate::verdict::Verdict;

/// Longer words are counted character by character: a policy that repeats itself without a space must not pass for one
/// that wrote a single word.
const MAX_WORD_CHARS: usize = 24;

/// unique/total − 1 over all runs of `n` words, in −1..0: 0 where no run comes twice, near −1 where all are the same, and
/// 0 where there are fewer than `n` words.
///
/// Words are those of Unicode's rules (UAX 29) in lower case, marks such as `!` counted as words too; scripts written
/// without spaces are counted by characters.
pub(crate) fn score(completion: &str, n: usize) -> Verdict {
    let n = n.max(1);
    let text = completion.to_lowercase();
    let words = words(&text);
    if words.len() < n {
        return Verdict::new(0.0, format!("fewer than {n} words"));
    }
    let runs = words.len() + 1 - n;
    let unique = words.windows(n).collect::<HashSet<_>>().len();
    let note = format!("{} of {runs} runs of {n} words came before", runs - unique);
    Verdict::new(unique as f64 / runs as f64 - 1.0, note)
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split_word_bounds().filter(|word| !word.trim().is_empty()) {
        if word.chars().nth(MAX_WORD_CHARS).is_none() {
            words.push(word);
        } else {
            words.extend(word.char_indices().map(|(at, c)| &word[at..at + c.len_utf8()]));
        }
    }
    words
}

settings! {
    /// From 0 down to −1 by the share of runs of words that came before (Yeo et al., arXiv 2502.03373; Open-R1).
    Repetition {
        /// n, the words of a run; Open-R1 uses 3.
        ngram: u32,
    }
}

impl Settings for Repetition {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.ngram == 0 { Err(("ngram", "is 0, and must be at least 1".into())) } else { Ok(()) }
    }

    fn rule(&self) -> Arc<dyn Rule> {
        Arc::new(self.clone())
    }
}

impl Rule for Repetition {
    fn name(&self) -> &str {
        "repetition"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        Some(score(sample.completion, self.ngram as usize))
    }
}

#[cfg(test)]
mod tests;
