//! The built program and the binary these tests run in need no environment variable to find libtorch.

use std::process::Command;

#[test]
fn libtorch_answers() {
    assert!(tch::get_num_threads() > 0);
}

#[test]
fn program_starts_without_an_environment() {
    let output = Command::new(env!("CARGO_BIN_EXE_grouper")).env_clear().output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("shared libraries"), "{stderr}");
    assert_ne!(output.status.code(), Some(127), "{stderr}");
}
