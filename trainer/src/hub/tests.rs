use super::*;

/// A cache with one snapshot of `owner/tiny` that holds `files`.
fn cache(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("models--owner--tiny");
    let snapshot = repository.join("snapshots/0123abc");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0123abc\n").unwrap();
    for (name, text) in files {
        fs::write(snapshot.join(name), text).unwrap();
    }
    (root, snapshot)
}

fn message(checkpoint: &str, root: &Path) -> String {
    resolve_in(Path::new(checkpoint), root).unwrap_err().to_string()
}

#[test]
fn a_folder_is_itself_whatever_the_cache_holds() {
    let (root, snapshot) = cache(&[]);
    assert_eq!(resolve_in(&snapshot, root.path()).unwrap(), snapshot);
}

#[test]
fn a_hub_id_is_the_snapshot_that_main_names() {
    let (root, snapshot) = cache(&[("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "")]);
    fs::create_dir_all(root.path().join("models--owner--tiny/snapshots/older")).unwrap();
    assert_eq!(resolve_in(Path::new("owner/tiny"), root.path()).unwrap(), snapshot);
    let index = r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
    let files = [("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors.index.json", index)];
    let (root, snapshot) = cache(&files);
    fs::write(snapshot.join("one.safetensors"), "").unwrap();
    assert!(!is_whole(&snapshot), "a shard is missing");
    fs::write(snapshot.join("two.safetensors"), "").unwrap();
    assert_eq!(resolve_in(Path::new("owner/tiny"), root.path()).unwrap(), snapshot);
}

#[cfg(not(feature = "hf-hub"))]
#[test]
fn a_checkpoint_that_is_nowhere_says_what_to_put_where() {
    let (root, snapshot) = cache(&[("config.json", "{}")]);
    let error = message("owner/tiny", root.path());
    assert!(error.contains(&format!("{} lacks config.json", snapshot.display())), "{error}");
    let error = message("Qwen/Qwen2.5-0.5B", root.path());
    let place = root.path().join("models--Qwen--Qwen2.5-0.5B");
    for part in [&format!("{} is not there", place.display()), "`hf download Qwen/Qwen2.5-0.5B`", "`model.checkpoint`"]
    {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn what_is_no_id_is_not_looked_up() {
    let root = tempfile::tempdir().unwrap();
    for path in ["./checkpoints/tiny", "checkpoints", "a/b/c", "/no/such", "../x", "a/.."] {
        assert!(message(path, root.path()).contains("no hub id"), "{path}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(message(file.path().to_str().unwrap(), root.path()).contains("it is a file"));
}
