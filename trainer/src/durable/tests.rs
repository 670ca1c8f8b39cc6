use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

const POINTS: [Failpoint; 4] = [Failpoint::Write, Failpoint::Sync, Failpoint::Rename, Failpoint::SyncFolder];

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    write_file(&path, b"old").unwrap();
    write_file(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn a_full_disk_keeps_the_old_file_and_is_named() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_file(&path, b"old").unwrap();
        let guard = set_failpoint(move |at, _| match at == point {
            true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        });
        let error = write_file(&path, b"new").unwrap_err().to_string();
        drop(guard);
        assert!(error.contains("No space left on device"), "{error}");
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        let visible = point == Failpoint::SyncFolder;
        let expected: &[u8] = if visible { b"new" } else { b"old" };
        assert_eq!(fs::read(&path).unwrap(), expected, "{point:?}");
        assert_eq!(names(folder.path()), ["a"], "{point:?}");
    }
}

#[test]
fn a_crash_leaves_old_or_new() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step_0001");
        let guard = set_failpoint(move |at, _| {
            assert!(at != point, "crash");
            Ok(())
        });
        let crash = catch_unwind(AssertUnwindSafe(|| {
            write_folder(&path, |inside| fs::write(inside.join("weights"), b"w").at("write", inside))
        }));
        drop(guard);
        assert!(crash.is_err());
        assert_eq!(path.exists(), point == Failpoint::SyncFolder, "{point:?}");
        remove_leftovers(folder.path()).unwrap();
        assert!(names(folder.path()).iter().all(|name| name == "step_0001"));
    }
}

#[test]
fn a_folder_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step_0001");
    let fill = |inside: &Path| fs::write(inside.join("w"), b"w").at("write", inside);
    write_folder(&path, fill).unwrap();
    let error = write_folder(&path, fill).unwrap_err();
    assert_eq!(error.reason.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(names(folder.path()), ["step_0001"]);
}

#[test]
fn a_crash_while_replacing_leaves_the_old_folder_or_the_new() {
    for point in [POINTS.as_slice(), &[Failpoint::Delete]].concat() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("final");
        let fill =
            |content: &'static str| move |inside: &Path| fs::write(inside.join("w"), content).at("write", inside);
        replace_folder(&path, fill("old")).unwrap();
        let guard = set_failpoint(move |at, _| {
            assert!(at != point, "crash");
            Ok(())
        });
        let crash = catch_unwind(AssertUnwindSafe(|| replace_folder(&path, fill("new"))));
        drop(guard);
        assert!(crash.is_err(), "{point:?}");
        let visible = [Failpoint::SyncFolder, Failpoint::Delete].contains(&point);
        let expected = if visible { "new" } else { "old" };
        assert_eq!(fs::read_to_string(path.join("w")).unwrap(), expected, "{point:?}");
        remove_leftovers(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["final"], "{point:?}");
    }
}

#[test]
fn a_removed_folder_is_gone_at_once() {
    for point in [Failpoint::Remove, Failpoint::SyncFolder, Failpoint::Delete] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step_0001");
        write_folder(&path, |inside| fs::write(inside.join("w"), b"w").at("write", inside)).unwrap();
        let guard = set_failpoint(move |at, _| {
            assert!(at != point, "crash");
            Ok(())
        });
        assert!(catch_unwind(AssertUnwindSafe(|| remove_folder(&path))).is_err());
        drop(guard);
        assert_eq!(path.exists(), point == Failpoint::Remove, "{point:?}");
        assert_eq!(path.join("w").exists(), point == Failpoint::Remove, "{point:?}");
        remove_leftovers(folder.path()).unwrap();
        if path.exists() {
            remove_folder(&path).unwrap();
        }
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
