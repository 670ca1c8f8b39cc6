use super::*;
use crate::preflight::Finding;
use anyhow::{Context, anyhow};
use std::path::PathBuf;

#[test]
fn operation_causes_hint() {
    let error = Error::new(Mistake::new("line 3, column 1: no").hint("try yes")).context("read config `x`");
    assert_eq!(text(&error, false), "error: read config `x`\n  caused by: line 3, column 1: no\nhint: try yes\n");
    assert_eq!(exit_code(&error), 2);
}

#[test]
fn a_refusal_lists_its_findings() {
    let findings = vec![
        Finding::error("grpo.group_size", "is 1").hint("take 2"),
        Finding::warning("grpo.eval_every", "has no effect"),
    ];
    let error = Error::new(Refused(findings)).context("check config `x`");
    assert_eq!(
        text(&error, false),
        "error: check config `x`\n  caused by: 1 finding against this run\n  error: `grpo.group_size`: is 1\n    \
         hint: take 2\n  warning: `grpo.eval_every`: has no effect\n"
    );
    assert_eq!(exit_code(&error), 2);
}

#[test]
fn a_cause_is_said_once() {
    let disk = std::fs::read("/no/such/file").unwrap_err();
    let disk = crate::durable::DiskError { action: "read", path: PathBuf::from("/no/such/file"), reason: disk };
    let told = text(&Err::<(), _>(disk).context("open the data").unwrap_err(), false);
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
}

#[test]
fn what_nobody_gave_wrongly_is_ours() {
    assert_eq!(exit_code(&anyhow!("step 41: gradient norm is NaN").context("train")), 1);
    let busy = RunDirError::InUse { folder: PathBuf::from("runs/a/1"), pid: "7".to_owned() };
    assert_eq!(exit_code(&Error::new(busy).context("train")), 2);
}

#[test]
fn colour_is_only_added() {
    let error = Error::new(Mistake::new("no").hint("yes"));
    assert!(text(&error, true).starts_with("\x1b[1;31merror:\x1b[0m no\n"));
    assert!(!text(&error, false).contains('\x1b'));
}
