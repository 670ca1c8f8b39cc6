//! groups + scores → a better policy: the stages, the optimizer, the `grouper` program.

pub mod data;
