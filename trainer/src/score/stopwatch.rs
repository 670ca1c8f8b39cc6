//! [`Timed`]: a rule that knows how long it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rewards::{Gold, Member, Rule, Sample, Verdict};

/// The same rule; all threads together spent [`Timed::spent`] in it.
pub(super) struct Timed {
    rule: Arc<dyn Rule>,
    nanoseconds: AtomicU64,
}

impl Timed {
    pub(super) fn new(rule: Arc<dyn Rule>) -> Arc<Timed> {
        Arc::new(Timed { rule, nanoseconds: AtomicU64::new(0) })
    }

    /// Time spent judging.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn time<R>(&self, judge: impl FnOnce(&dyn Rule) -> R) -> R {
        let start = Instant::now();
        let result = judge(&*self.rule);
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        result
    }
}

impl Rule for Timed {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn open(&self) -> Result<(), String> {
        self.rule.open()
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        self.time(|rule| rule.judge(sample))
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        self.time(|rule| rule.judge_group(group))
    }

    fn judges(&self) -> bool {
        self.rule.judges()
    }

    fn needs_right(&self) -> bool {
        self.rule.needs_right()
    }

    fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        self.rule.answer(sample)
    }

    fn gold(&self, sample: &Sample<'_>) -> Option<Gold> {
        self.rule.gold(sample)
    }

    fn unreadable(&self, sample: &Sample<'_>) -> Option<String> {
        self.rule.unreadable(sample)
    }

    fn dress(&self, completion: &str, gold: &Gold) -> Option<String> {
        self.rule.dress(completion, gold)
    }
}
