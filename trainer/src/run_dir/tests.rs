use super::*;

fn checkpoint(run: &Path, step: u64) {
    let fill = |inside: &Path| {
        fs::write(inside.join("w"), "w").unwrap();
        manifest::write(inside)
    };
    fs::create_dir_all(run).unwrap();
    durable::write_folder(&manifest::step_folder(run, step), fill).unwrap();
}

#[test]
fn numbers_follow_the_highest() {
    let root = tempfile::tempdir().unwrap();
    let first = RunDir::create(root.path(), "tiny").unwrap();
    assert_eq!(first.path(), root.path().join("tiny/1"));
    fs::create_dir(root.path().join("tiny/7")).unwrap();
    fs::create_dir(root.path().join("tiny/notes")).unwrap();
    let next = RunDir::create(root.path(), "tiny").unwrap();
    assert_eq!(next.path(), root.path().join("tiny/8"));
    assert_eq!(next.step(3), root.path().join("tiny/8/step_0003"));
    for bad in ["", "..", "a/b", ".a"] {
        let error = RunDir::create(root.path(), bad).unwrap_err();
        assert!(matches!(error, RunDirError::Name(_)), "{bad}");
    }
}

#[test]
fn one_writer_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let held = RunDir::create(root.path(), "tiny").unwrap();
    let path = held.path().to_owned();
    let error = RunDir::open(&path).unwrap_err().to_string();
    let pid = std::process::id();
    assert!(error.ends_with(&format!("is in use by process {pid}")), "{error}");
    drop(held);
    RunDir::open(&path).unwrap();
}

#[test]
fn resume_finds_the_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(root.path()).unwrap();
    let runs = base.join("tiny");
    fs::create_dir_all(runs.join("1")).unwrap();
    let error = find_resume(&runs).unwrap_err();
    assert!(matches!(error, RunDirError::NothingToResume(_)));
    checkpoint(&runs.join("1"), 20);
    checkpoint(&runs.join("2"), 10);
    checkpoint(&runs.join("2"), 30);
    let cases = [("", "2", 30), ("1", "1", 20), ("2", "2", 30), ("2/step_0010", "2", 10)];
    for (given, run, step) in cases {
        let found = find_resume(&runs.join(given)).unwrap();
        assert_eq!((found.run, found.checkpoint.unwrap().step), (runs.join(run), step));
    }
    fs::write(runs.join("2/step_0010/w"), "x").unwrap();
    assert!(find_resume(&runs.join("2/step_0010")).is_err());
    assert!(find_resume(&runs.join("9")).is_err());

    // A run that ended before its first checkpoint, and is the last.
    drop(RunDir::create(&base, "tiny").unwrap());
    for given in ["", "3"] {
        let found = find_resume(&runs.join(given)).unwrap();
        assert_eq!((found.run, found.checkpoint.is_none()), (runs.join("3"), true));
    }
}
