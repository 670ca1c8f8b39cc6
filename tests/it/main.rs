//! Tests of the whole repository and of the `grouper` program, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

mod architecture;
mod cli;
mod config;
mod learns;
mod memory;
mod program;
mod transformers;
