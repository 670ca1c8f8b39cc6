//! What each rule of a step gave, as numbers of the log.

use rewards::{Gate, Lack, Part, Score};

use crate::step_log::StepLog;

/// Logs the mean and spread of every rule's values, and how often it had none.
pub(crate) fn log_rules(scores: &[Vec<Score>], log: &mut StepLog) {
    let mut names: Vec<&str> = Vec::new();
    for score in scores.iter().flatten() {
        for part in &score.parts {
            if !names.contains(&part.rule.as_str()) {
                names.push(&part.rule);
            }
        }
    }
    for name in names {
        let said = scores.iter().flatten().filter_map(|score| {
            let part = score.parts.iter().find(|part| part.rule == name)?;
            Some((score, part))
        });
        Tally::of(said).log(name, log);
    }
}

/// What one rule gave the completions of a step.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    values: Vec<f64>,
    undecided: usize,
    failed: usize,
    /// Completions that its gate kept it from counting for.
    gated: usize,
    /// Completions left out of their group for its sake.
    excluded: usize,
}

impl Tally {
    fn of<'a>(said: impl Iterator<Item = (&'a Score, &'a Part)>) -> Tally {
        let mut tally = Tally::default();
        for (score, part) in said {
            tally.values.extend(part.value);
            tally.undecided += usize::from(part.lack == Some(Lack::Undecided));
            tally.failed += usize::from(part.lack == Some(Lack::Failed));
            tally.gated += usize::from(part.gate == Gate::Closed);
            let missed = part.weight != 0.0 && part.counted().is_none();
            tally.excluded += usize::from(score.total.is_none() && missed);
        }
        tally
    }

    fn log(&self, name: &str, log: &mut StepLog) {
        let n = self.values.len() as f64;
        if n > 0.0 {
            let mean = self.values.iter().sum::<f64>() / n;
            let variance = self.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            log.set(name, mean);
            log.set(&format!("{name}/std"), variance.sqrt());
        }
        let counts = [
            ("undecided", self.undecided),
            ("failed", self.failed),
            ("gated", self.gated),
            ("excluded", self.excluded),
        ];
        for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            log.set(&format!("{name}/{key}"), count as f64);
        }
    }
}

#[cfg(test)]
mod tests;
