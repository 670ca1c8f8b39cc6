//! The weighted list of rules a run is scored by.

mod config;
mod terms;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

pub use config::RuleConfig;
pub(crate) use config::Settings;
pub use terms::Terms;
pub(crate) use terms::settings;

use crate::rule::{Member, Rule};
use crate::score::{Gate, Part, Sample, Score};
use crate::verdict::Verdict;

/// Why a list of rules makes no rubric.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RubricError {
    /// The list is empty: every completion would score the same.
    #[error("a rubric needs at least one rule")]
    Empty,
    /// A key of a rule has a value that makes no sense.
    #[error("{rule}: `{key}` {problem}")]
    Setting {
        /// The rule's name.
        rule: String,
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// Two rules have one name, so that their numbers could not be told apart.
    #[error("two rules are called {0}: give one of them another `name`")]
    Twins(String),
    /// A rule needs one that is not there.
    #[error("{rule} needs {missing}, and no other rule of this rubric has that name (there are: {})", .known.join(", "))]
    Needs {
        /// The rule.
        rule: String,
        /// The name it asks for.
        missing: String,
        /// The other rules' names.
        known: Vec<String>,
    },
    /// A rule is defined on right and wrong completions, in a rubric that does not say which are right.
    #[error("{0} needs a rule in the same rubric that says what is right, such as accuracy")]
    NoJudge(String),
}

/// A checked list of rules.
#[derive(Clone)]
pub struct Rubric {
    entries: Vec<Entry>,
}

/// A rule and how it counts.
#[derive(Clone)]
struct Entry {
    name: String,
    terms: Terms,
    rule: Arc<dyn Rule>,
    /// The places of the rules it needs, with the value that they must have.
    needs: Vec<(usize, f64)>,
}

impl Rubric {
    /// Checks the rules once, so that scoring has nothing left to refuse. Opens nothing: see [`Rubric::open`].
    pub fn new(rules: &[RuleConfig]) -> Result<Self, RubricError> {
        rules.iter().try_for_each(RuleConfig::check)?;
        Self::of(rules.iter().map(|config| (config.terms(), config.rule())).collect())
    }

    /// A rubric of rules that no configuration can name, alone or among those that one does: [`RuleConfig::terms`] and
    /// [`RuleConfig::rule`] are the two halves of a configured one.
    pub fn of(rules: Vec<(Terms, Arc<dyn Rule>)>) -> Result<Self, RubricError> {
        if rules.is_empty() {
            return Err(RubricError::Empty);
        }
        let entry = |(terms, rule): (Terms, Arc<dyn Rule>)| {
            let name = terms.name.clone().unwrap_or_else(|| rule.name().to_owned());
            Entry { name, terms, rule, needs: Vec::new() }
        };
        let mut entries: Vec<Entry> = rules.into_iter().map(entry).collect();
        let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        let judged = entries.iter().any(|entry| entry.rule.judges());
        for (place, entry) in entries.iter_mut().enumerate() {
            let name = &entry.name;
            entry.terms.check(name)?;
            if names[..place].contains(name) {
                return Err(RubricError::Twins(name.clone()));
            }
            if entry.rule.needs_right() && !judged {
                return Err(RubricError::NoJudge(name.clone()));
            }
            for (other, least) in &entry.terms.needs {
                let found = names.iter().position(|known| known == other).filter(|found| *found != place);
                let missing = || RubricError::Needs {
                    rule: name.clone(),
                    missing: other.clone(),
                    known: names.iter().filter(|known| *known != name).cloned().collect(),
                };
                entry.needs.push((found.ok_or_else(missing)?, *least));
            }
        }
        Ok(Self { entries })
    }

    /// The one rule of this configuration, whatever its terms: with weight 1, at every step, for every row.
    pub fn only(rule: &RuleConfig) -> Result<Self, RubricError> {
        rule.check()?;
        Self::of(vec![(Terms { name: rule.terms().name, ..Terms::weight(1.0) }, rule.rule())])
    }

    /// The rules of this rubric that say what is right, each for its sources, with weight 1 and no further terms: what
    /// an evaluation goes by. They are the same rules, opened if these are. `None` where no rule judges.
    pub fn judging(&self) -> Option<Self> {
        let judging = self.entries.iter().filter(|entry| entry.rule.judges());
        let mut entries: Vec<Entry> = judging
            .map(|Entry { name, terms, rule, .. }| {
                let terms = Terms { sources: terms.sources.clone(), ..Terms::weight(1.0) };
                Entry { name: name.clone(), terms, rule: rule.clone(), needs: Vec::new() }
            })
            .collect();
        // What stands behind a rule for all sources is never asked.
        let n = entries.iter().position(|entry| entry.terms.sources.is_empty()).map_or(entries.len(), |n| n + 1);
        entries.truncate(n);
        (n > 0).then_some(Self { entries })
    }

    /// Opens every rule, side by side: imports users' files, starts workers. Returns those that cannot be used, by
    /// place in the list, with the reason.
    pub fn open(&self) -> Vec<(usize, String)> {
        let open = |(place, entry): (usize, &Entry)| Some((place, entry.rule.open().err()?));
        self.entries.par_iter().enumerate().filter_map(open).collect()
    }

    /// The rules' names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The rules that apply to the row of `sample`, with their names, in order.
    pub fn rules_for(&self, sample: &Sample<'_>) -> impl Iterator<Item = (&str, &dyn Rule)> {
        let applying = self.entries.iter().filter(|entry| entry.terms.applies(sample));
        applying.map(|entry| (entry.name.as_str(), &*entry.rule))
    }

    /// The final answer in a completion, by the first rule that says what is right of such rows.
    pub fn answer(&self, sample: &Sample<'_>) -> Option<String> {
        self.rules_for(sample).find(|(_, rule)| rule.judges())?.1.answer(sample)
    }

    /// Scores all completions of one prompt, in order. Never panics, whatever the text; a part
    /// that cannot be computed leaves its completion's total `None`.
    pub fn score_group(&self, group: &[Sample<'_>]) -> Vec<Score> {
        self.complete(group, group.iter().map(|sample| self.score_alone(sample)).collect())
    }

    /// What can be said of a completion before the others of its group are there: nearly all of the work.
    /// [`Rubric::complete`] does the rest.
    pub fn score_alone(&self, sample: &Sample<'_>) -> ScoredAlone {
        let verdict = |entry: &Entry| entry.runs(sample).then(|| entry.rule.judge(sample)).flatten();
        ScoredAlone { verdicts: self.entries.iter().map(verdict).collect() }
    }

    /// The scores of the completions of one prompt, in order, from what was said of each alone:
    /// [`Rubric::score_group`] of the same completions.
    pub fn complete(&self, group: &[Sample<'_>], mut alone: Vec<ScoredAlone>) -> Vec<Score> {
        let judge = |sample: &Sample<'_>| {
            self.entries.iter().position(|entry| entry.rule.judges() && entry.terms.applies(sample))
        };
        let judges: Vec<Option<usize>> = group.iter().map(judge).collect();
        let unknown = vec![None; group.len()];
        self.ask_groups(group, &mut alone, &unknown, |rule| !rule.needs_right());
        let value = |one: &ScoredAlone, place: usize| one.verdicts[place].as_ref()?.value;
        let right = |(one, place): (&ScoredAlone, &Option<usize>)| Some(value(one, (*place)?)? >= 1.0);
        let right: Vec<Option<bool>> = alone.iter().zip(&judges).map(right).collect();
        self.ask_groups(group, &mut alone, &right, |rule| rule.needs_right());
        let scored = group.iter().zip(alone).zip(right);
        scored.map(|((sample, one), right)| self.score(sample, one, right)).collect()
    }

    /// Has the rules that look at whole groups, of those that `which` holds for, say what is still open.
    fn ask_groups(
        &self,
        group: &[Sample<'_>],
        alone: &mut [ScoredAlone],
        right: &[Option<bool>],
        which: impl Fn(&dyn Rule) -> bool,
    ) {
        for (place, entry) in self.entries.iter().enumerate().filter(|(_, entry)| which(&*entry.rule)) {
            let open = |&i: &usize| alone[i].verdicts[place].is_none() && entry.runs(&group[i]);
            let open: Vec<usize> = (0..group.len()).filter(open).collect();
            if open.is_empty() {
                continue;
            }
            let members: Vec<Member<'_>> = open.iter().map(|&i| Member { sample: group[i], right: right[i] }).collect();
            let verdicts = entry.rule.judge_group(&members);
            let n = verdicts.len();
            let mut verdicts = verdicts.into_iter();
            for i in open {
                let short = || Verdict::failed(format!("the rule gave {n} verdicts on {} completions", members.len()));
                let verdict = if n == members.len() { verdicts.next() } else { None };
                alone[i].verdicts[place] = Some(verdict.unwrap_or_else(short));
            }
        }
    }

    /// The score of a completion of which every rule that runs has said what it has to say.
    fn score(&self, sample: &Sample<'_>, one: ScoredAlone, right: Option<bool>) -> Score {
        let verdicts: Vec<Option<Verdict>> =
            self.entries.iter().zip(one.verdicts).map(|(entry, verdict)| Some(entry.clip(verdict?))).collect();
        let parts = self.entries.iter().zip(&verdicts).filter_map(|(entry, verdict)| {
            let verdict = verdict.as_ref()?;
            let share = entry.terms.share(sample.step).unwrap_or(0.0);
            let (gate, why) = self.gate(entry, sample, &verdicts);
            let note = if why.is_empty() { verdict.note.clone() } else { format!("{}; {why}", verdict.note) };
            Some(Part {
                rule: entry.name.clone(),
                value: verdict.value,
                lack: verdict.lack(),
                weight: entry.terms.weight * share,
                gate,
                note,
            })
        });
        let applies = self.entries.iter().any(|entry| entry.terms.applies(sample));
        Score::from_parts(parts.collect(), right, applies)
    }

    /// Whether the rules that `entry` needs let it count, and why not. One that does not count itself at this step or
    /// for this row holds nothing back, nor does one that abstains.
    fn gate(&self, entry: &Entry, sample: &Sample<'_>, verdicts: &[Option<Verdict>]) -> (Gate, String) {
        let mut found = (Gate::Open, String::new());
        for &(place, least) in &entry.needs {
            let other = &self.entries[place];
            let counts = other.terms.share(sample.step).is_some();
            let Some(verdict) = verdicts[place].as_ref().filter(|_| counts) else { continue };
            match verdict.value {
                Some(value) if value >= least => {}
                Some(value) => {
                    let why = format!("does not count: {} is {value}, and {least} is needed", other.name);
                    return (Gate::Closed, why);
                }
                None if verdict.lack() == Some(crate::verdict::Lack::Abstained) => {}
                None => found = (Gate::Unknown, format!("may not count: {} has no value", other.name)),
            }
        }
        found
    }
}

impl fmt::Debug for Rubric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rubric").field(&self.names().collect::<Vec<_>>()).finish()
    }
}

impl Entry {
    /// Whether the rule is asked about a completion: one that says what is right is asked outside its window of steps
    /// too, since others build on it.
    fn runs(&self, sample: &Sample<'_>) -> bool {
        self.terms.applies(sample) && (self.rule.judges() || self.terms.share(sample.step).is_some())
    }

    fn clip(&self, mut verdict: Verdict) -> Verdict {
        if let (Some(value), Some([low, high])) = (verdict.value, self.terms.clip)
            && !(low..=high).contains(&value)
        {
            verdict.value = Some(value.clamp(low, high));
            verdict.note = format!("{}; clipped from {value}", verdict.note);
        }
        verdict
    }
}

/// A completion of which all is known but what depends on the others of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredAlone {
    /// One for each rule; `None` where it is not asked, or waits for the group.
    verdicts: Vec<Option<Verdict>>,
}

#[cfg(test)]
mod composition_tests;
#[cfg(test)]
mod tests;
