//! The list of a checkpoint's files with their lengths and hashes, written last.
//!
//! A checkpoint without a manifest is unfinished; one that differs from it is damaged.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{self, At, DiskError};

/// The manifest's file name inside a checkpoint folder.
pub const MANIFEST: &str = "manifest.json";

/// Why a checkpoint cannot be trusted.
#[derive(Debug)]
pub enum ManifestError {
    /// The disk would not answer.
    Disk(DiskError),
    /// No manifest: the write never finished.
    Unfinished(PathBuf),
    /// The manifest itself is not what was written.
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A listed file is not there.
    Missing(PathBuf),
    /// A file that is there is not listed.
    Extra(PathBuf),
    /// A file is shorter or longer than it was.
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes there are.
        found: u64,
        /// Bytes there were.
        expected: u64,
    },
    /// A file has its length and another content.
    Content(PathBuf),
    /// A name that the manifest cannot hold.
    Name(PathBuf),
    /// There are checkpoints, and every one is damaged.
    NoneSound {
        /// The run's folder.
        folder: PathBuf,
        /// Each checkpoint with what is wrong with it.
        damaged: Vec<Damaged>,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Unfinished(path) => {
                write!(f, "{} has no {MANIFEST}: it was never finished", path.display())
            }
            Self::Manifest { path, reason } => {
                write!(f, "{} is damaged: {reason}", path.display())
            }
            Self::Missing(path) => write!(f, "{} is missing", path.display()),
            Self::Extra(path) => write!(f, "{} is not in the manifest", path.display()),
            Self::Length { path, found, expected } => {
                let path = path.display();
                write!(f, "{path} has {found} bytes, the manifest says {expected}")
            }
            Self::Content(path) => {
                let path = path.display();
                write!(f, "{path} is damaged: its BLAKE3 hash differs from the manifest's")
            }
            Self::Name(path) => {
                let path = path.display();
                write!(f, "{path} cannot be listed: neither a plain file nor a folder, or its name is not UTF-8")
            }
            Self::NoneSound { folder, damaged } => {
                write!(f, "no sound checkpoint in {}:\n{}", folder.display(), listed(damaged))
            }
        }
    }
}

impl Error for ManifestError {}

impl From<DiskError> for ManifestError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

fn listed(damaged: &[Damaged]) -> String {
    let lines: Vec<_> = damaged.iter().map(|one| format!("  {one}")).collect();
    lines.join("\n")
}

/// A checkpoint that failed its check.
#[derive(Debug)]
pub struct Damaged {
    /// The checkpoint's folder.
    pub path: PathBuf,
    /// The first thing found wrong.
    pub reason: Box<ManifestError>,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// A checkpoint that passed its check.
#[derive(Debug)]
pub struct Sound {
    /// The checkpoint's folder.
    pub path: PathBuf,
    /// The step in its name.
    pub step: u64,
    /// Newer checkpoints that had to be passed over.
    pub damaged: Vec<Damaged>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    length: u64,
    blake3: String,
}

type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    files: Entries,
    /// Of `files` as written, so that a changed manifest gives itself away.
    blake3: String,
}

impl Manifest {
    fn of(files: Entries) -> Result<Self, serde_json::Error> {
        let blake3 = blake3::hash(&serde_json::to_vec(&files)?).to_string();
        Ok(Self { files, blake3 })
    }
}

/// Hashes every file of a finished checkpoint folder and writes its manifest.
pub fn write(folder: &Path) -> Result<(), ManifestError> {
    let path = folder.join(MANIFEST);
    let mut files = Entries::new();
    for (name, file) in files_in(folder)? {
        let length = fs::metadata(&file).at("read", &file)?.len();
        let blake3 = hash(&file)?;
        files.insert(name, Entry { length, blake3 });
    }
    let text = Manifest::of(files)
        .and_then(|manifest| serde_json::to_vec_pretty(&manifest))
        .map_err(|error| damaged_manifest(&path, error.to_string()))?;
    durable::write_file(&path, &text)?;
    Ok(())
}

/// Compares a checkpoint folder with its manifest, naming the first file that differs.
pub fn verify(folder: &Path) -> Result<(), ManifestError> {
    let mut listed = read(folder)?;
    // Presence and lengths first: a truncated checkpoint is refused without reading gigabytes.
    let mut to_hash = Vec::new();
    for (name, path) in files_in(folder)? {
        let Some(entry) = listed.remove(&name) else {
            return Err(ManifestError::Extra(path));
        };
        let found = fs::metadata(&path).at("read", &path)?.len();
        if found != entry.length {
            let expected = entry.length;
            return Err(ManifestError::Length { path, found, expected });
        }
        to_hash.push((path, entry));
    }
    if let Some(name) = listed.keys().next() {
        return Err(ManifestError::Missing(folder.join(name)));
    }
    for (path, entry) in to_hash {
        if hash(&path)? != entry.blake3 {
            return Err(ManifestError::Content(path));
        }
    }
    Ok(())
}

/// Reads one file of a checkpoint and compares it with the manifest, the others left unread.
pub fn read_verified(folder: &Path, name: &str) -> Result<Vec<u8>, ManifestError> {
    let path = folder.join(name);
    let Some(entry) = read(folder)?.remove(name) else {
        return Err(ManifestError::Extra(path));
    };
    let content = fs::read(&path).at("read", &path)?;
    if blake3::hash(&content).to_string() != entry.blake3 {
        return Err(ManifestError::Content(path));
    }
    Ok(content)
}

/// The newest sound `step_NNNN` folder of a run, or `None` where there is no such folder yet.
///
/// Damaged ones newer than it come back beside it; all damaged is an error, never a fresh start.
pub fn newest_sound(run: &Path) -> Result<Option<Sound>, ManifestError> {
    let mut damaged = Vec::new();
    for (step, path) in checkpoints(run)? {
        match verify(&path) {
            Ok(()) => return Ok(Some(Sound { path, step, damaged })),
            Err(reason) => {
                let reason = Box::new(reason);
                damaged.push(Damaged { path, reason });
            }
        }
    }
    if damaged.is_empty() {
        return Ok(None);
    }
    let folder = run.to_owned();
    Err(ManifestError::NoneSound { folder, damaged })
}

/// The step in a checkpoint folder's name, `step_0020` → 20.
pub fn step_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix("step_")?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The folder of a step's checkpoint within a run.
pub fn step_folder(run: &Path, step: u64) -> PathBuf {
    run.join(format!("step_{step:04}"))
}

/// The `step_NNNN` folders of a run with their steps, sound or not, newest first.
pub fn checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>, DiskError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run).at("read", run)? {
        let path = entry.at("read", run)?.path();
        if let Some(step) = step_of(&path).filter(|_| path.is_dir()) {
            found.push((step, path));
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

fn read(folder: &Path) -> Result<Entries, ManifestError> {
    let path = folder.join(MANIFEST);
    if folder.is_dir() && !path.exists() {
        return Err(ManifestError::Unfinished(folder.to_owned()));
    }
    let text = fs::read(&path).at("read", &path)?;
    let damaged = |error: serde_json::Error| damaged_manifest(&path, error.to_string());
    let found: Manifest = serde_json::from_slice(&text).map_err(damaged)?;
    let whole = Manifest::of(found.files).map_err(damaged)?;
    // Byte for byte, so that even a changed blank is noticed.
    if serde_json::to_vec_pretty(&whole).map_err(damaged)? != text {
        return Err(damaged_manifest(&path, "it differs from its own hash".into()));
    }
    Ok(whole.files)
}

fn damaged_manifest(path: &Path, reason: String) -> ManifestError {
    let path = path.to_owned();
    ManifestError::Manifest { path, reason }
}

/// Name with `/` within the folder → path, the manifest left out.
fn files_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>, ManifestError> {
    let mut found = BTreeMap::new();
    collect(folder, "", &mut found)?;
    found.remove(MANIFEST);
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, PathBuf>) -> Result<(), ManifestError> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let path = entry.path();
        let kind = entry.file_type().at("read", &path)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().map(|name| format!("{prefix}{name}")) else {
            return Err(ManifestError::Name(path));
        };
        if kind.is_dir() {
            collect(&path, &format!("{name}/"), found)?;
        } else if kind.is_file() {
            found.insert(name, path);
        } else {
            return Err(ManifestError::Name(path));
        }
    }
    Ok(())
}

/// A file's BLAKE3 hash in hexadecimal digits.
pub(crate) fn hash(path: &Path) -> Result<String, DiskError> {
    let mut hasher = blake3::Hasher::new();
    File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ())).at("read", path)?;
    Ok(hasher.finalize().to_string())
}

#[cfg(test)]
mod tests;
