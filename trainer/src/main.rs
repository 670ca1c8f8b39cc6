//! The `grouper` program.

fn main() {}
