//! `Prompt`: what a group of completions is sampled for.

/// A tokenised prompt and the number that names it in every draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Index of the problem in its data set; part of the key of every draw.
    pub index: u64,
    /// Token ids, BOS included where the template wants one.
    pub tokens: Vec<u32>,
}
