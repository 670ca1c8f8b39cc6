//! Tests of the whole repository and of the `grouper` program, in one binary.

mod architecture;
mod cli;
mod config;
mod program;
