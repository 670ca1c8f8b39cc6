//! prompts → groups: sampling completions from the current policy.
//!
//! A pool never knows why a completion is good: this crate does not import `rewards`.

pub mod completion;
mod engine;
pub mod group;
pub mod pool;
pub mod prompt;
pub mod sampling;
pub mod stopping;
