//! Tests of the whole repository and of the `grouper` program, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]

mod architecture;
mod cli;
mod code;
mod config;
mod configs;
mod damage;
mod disk;
mod gpu_check;
mod gsm8k;
mod inputs;
mod learns;
mod memory;
mod parity;
mod profile;
mod program;
mod resume;
mod samples;
mod toy_run;
mod transformers;
