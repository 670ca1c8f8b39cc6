//! Who may import whom. ARCHITECTURE.md draws these arrows; here they hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Each crate, the crates of ours it may depend on, and whether it may see libtorch.
const ARROWS: &[(&str, &[&str], bool)] = &[
    ("model", &[], true),
    ("rewards", &[], false),
    ("rollout", &["model"], true),
    ("trainer", &["model", "rewards", "rollout"], true),
];

const LIBTORCH: &[&str] = &["tch", "torch-sys", "cxx", "cxx-build"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every package named in any dependency table of a manifest, `[target.….dependencies]` included.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|t| t.values()).filter_map(Value::as_table);
    for table in tables.chain([manifest]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(listed) = table.get(kind).and_then(Value::as_table) else { continue };
            for (name, value) in listed {
                let package = value.get("package").and_then(Value::as_str);
                found.insert(package.unwrap_or(name).to_owned());
                // A path dependency under another name is still that folder's crate.
                let path = value.get("path").and_then(Value::as_str);
                let folder = path.and_then(|p| Path::new(p).file_name());
                found.extend(folder.map(|f| f.to_string_lossy().into_owned()));
            }
        }
    }
    found
}

#[test]
fn every_member_has_its_arrows() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<_> = members.iter().map(|m| m.as_str().unwrap()).collect();
    let listed: BTreeSet<_> = ARROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(members, listed, "a new crate gets its line in ARROWS and in ARCHITECTURE.md");
}

#[test]
fn crates_import_only_what_the_arrows_allow() {
    for (name, allowed, sees_libtorch) in ARROWS {
        let dependencies = dependencies(&manifest(&root().join(name).join("Cargo.toml")));
        for (other, ..) in ARROWS {
            let imports = dependencies.contains(*other);
            assert!(!imports || allowed.contains(other), "{name} must not depend on {other}");
        }
        for library in LIBTORCH {
            let imports = dependencies.contains(*library);
            assert!(!imports || *sees_libtorch, "{name} must not depend on {library}");
        }
    }
}
