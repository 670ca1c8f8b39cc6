//! [`Batched`]: a rule that puts a group's completions to workers, some of them in each request.

use std::sync::LazyLock;

use super::message;
use super::pool::Pool;
use crate::rule::{Member, Rule};
use crate::score::Sample;
use crate::verdict::Verdict;

/// The rule, whose pool is started when it is opened or first asked.
pub(super) struct Batched {
    name: &'static str,
    /// What is to blame where the pool cannot be opened: the key, and its value where that is short.
    blamed: String,
    judges: bool,
    /// Completions in a request, at most.
    batch: usize,
    pool: LazyLock<Pool, Box<dyn FnOnce() -> Pool + Send>>,
}

impl Batched {
    pub(super) fn new(
        name: &'static str,
        blamed: String,
        judges: bool,
        batch: usize,
        start: impl FnOnce() -> Pool + Send + 'static,
    ) -> Batched {
        Batched { name, blamed, judges, batch, pool: LazyLock::new(Box::new(start)) }
    }
}

impl Rule for Batched {
    fn name(&self) -> &str {
        self.name
    }

    fn open(&self) -> Result<(), String> {
        self.pool.open().map(drop).map_err(|failure| format!("{}: {}: {failure}", self.name, self.blamed))
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        self.pool.ask(batches(group, self.batch))
    }

    fn judges(&self) -> bool {
        self.judges
    }

    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        super::answer(sample)
    }
}

/// Completions of a request where the configuration does not say.
pub(super) fn sixteen() -> usize {
    16
}

/// Checks the key that such rules have in common.
pub(super) fn check(batch: usize) -> Result<(), (&'static str, String)> {
    if batch == 0 { Err(("batch", "is 0: nothing would be asked".into())) } else { Ok(()) }
}

/// The requests about a group, of at most `most` completions each, with their number.
fn batches(group: &[Member<'_>], most: usize) -> Vec<(String, usize)> {
    let request = |members: &[Member<'_>]| {
        let samples: Vec<Sample<'_>> = members.iter().map(|one| one.sample).collect();
        (message::request(&samples, false), samples.len())
    };
    group.chunks(most.max(1)).map(request).collect()
}
