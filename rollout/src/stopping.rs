//! `StopRules`: what ends a completion before its token limit.

/// Tokens and texts that end a completion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRules {
    /// Ids of which each ends a completion; the one drawn belongs to it. Ascending, none twice.
    pub ids: Vec<u32>,
    /// Texts that end a completion: the tokens up to the one that completes the text are kept, the text is cut.
    pub strings: Vec<String>,
}
