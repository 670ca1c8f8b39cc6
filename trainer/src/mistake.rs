//! `Mistake`: an error that the user can mend, and what to try.

/// What is wrong with something the user gave. A command that ends with one in its chain of causes exits with 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// What is wrong, with names in backticks. No capital, no full stop.
    pub message: String,
    /// The one thing to try, where there is one; printed last.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake without a hint.
    pub fn new(message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), hint: None }
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Mistake {
        self.hint = Some(hint.into());
        self
    }
}
