use std::fs;

use super::*;

#[test]
fn resume_cuts_back_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let mut file = AppendFile::open(path.clone()).unwrap();
    file.append(b"one\n").unwrap();
    let recorded = file.synced_length().unwrap();
    file.append(b"two\nthr").unwrap();
    drop(file);

    let mut file = AppendFile::resume(path.clone(), recorded).unwrap();
    file.append(b"2\n").unwrap();
    assert_eq!(file.synced_length().unwrap(), 6);
    assert_eq!(fs::read(&path).unwrap(), b"one\n2\n");
    drop(file);

    let mut file = AppendFile::open(path.clone()).unwrap();
    file.append(b"3\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\n2\n3\n");

    let error = AppendFile::resume(path, 99).unwrap_err().to_string();
    assert!(error.contains("lines: it has 8 bytes, the checkpoint recorded 99"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let error = AppendFile::resume(path, 0).unwrap().append(b"{}\n").unwrap_err();
    assert_eq!(error.reason.kind(), io::ErrorKind::StorageFull);
    let error = error.to_string();
    assert!(error.starts_with("cannot write ") && error.contains("samples.jsonl: No space left"), "{error}");
}
