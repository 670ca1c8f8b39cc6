//! What is wrong with a run before it starts: findings, reported all at once.

use std::fmt;

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
    /// What is wrong, with the values that make it so. No capital, no full stop.
    pub message: String,
    /// The one thing to try, where there is one.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding that refuses the run.
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { level: Level::Error, key: key.into(), message: message.into(), hint: None }
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
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}
