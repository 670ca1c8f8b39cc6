//! `Finding`: one thing that speaks against a run, and what a run is refused with.

use std::fmt;

use crate::config::Places;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The run would fail or train something else than what was asked for: it is refused.
    Error,
    /// The run goes on; a person should know.
    Warning,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the run is refused for it.
    pub level: Level,
    /// Path of the config key to look at, as `--set` takes it: `grpo.group_size`.
    pub key: String,
    /// Where the key stands, for a config out of a file: `run.toml, line 14`.
    pub place: Option<String>,
    /// What is wrong, with the values that make it so. No capital, no full stop.
    pub message: String,
    /// The one thing to try, where there is one.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding that refuses the run.
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { level: Level::Error, key: key.into(), place: None, message: message.into(), hint: None }
    }

    /// A finding that the run survives.
    pub fn warning(key: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, ..Finding::error(key, message) }
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }

    /// Adds where its key stands.
    #[must_use]
    pub fn placed(mut self, places: &Places) -> Finding {
        self.place = places.of_key(&self.key).map(str::to_owned);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

/// A run that is not begun, and every finding about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} against this run", self.errors())]
pub struct Refused(pub Vec<Finding>);

impl Refused {
    fn errors(&self) -> String {
        match self.0.iter().filter(|finding| finding.level == Level::Error).count() {
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        }
    }
}
