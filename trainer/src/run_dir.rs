//! `runs/<name>/<n>/`: where one run keeps its checkpoints and logs, with one writer at a time.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::durable::{self, At, DiskError};
use crate::manifest::{self, ManifestError, Sound};

const LOCK: &str = "lock";

/// Why a run folder cannot be used.
#[derive(Debug)]
pub enum RunDirError {
    /// The disk would not answer.
    Disk(DiskError),
    /// A checkpoint failed its check.
    Checkpoint(ManifestError),
    /// Another process writes there.
    InUse {
        /// The run's folder.
        folder: PathBuf,
        /// The process that holds the lock, as it wrote it.
        pid: String,
    },
    /// A run's name must be one plain folder name.
    Name(String),
    /// Nothing there to resume.
    NothingToResume(PathBuf),
}

impl fmt::Display for RunDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::InUse { folder, pid } => {
                write!(f, "{} is in use by process {pid}", folder.display())
            }
            Self::Name(name) => {
                write!(f, "`{name}` cannot name a run: use letters, digits, `_`, `-` and `.`, and start without a dot")
            }
            Self::NothingToResume(path) => {
                let path = path.display();
                write!(f, "nothing to resume in {path}: neither it nor the last folder in it is a run")
            }
        }
    }
}

impl Error for RunDirError {}

impl From<DiskError> for RunDirError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<ManifestError> for RunDirError {
    fn from(error: ManifestError) -> Self {
        Self::Checkpoint(error)
    }
}

/// One run's folder, locked for this process until dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes and locks `root/<name>/<n>`, n one more than the highest there.
    pub fn create(root: &Path, name: &str) -> Result<Self, RunDirError> {
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(RunDirError::Name(name.to_owned()));
        }
        let runs = root.join(name);
        fs::create_dir_all(&runs).at("create", &runs)?;
        let mut number = numbered(&runs)?.map_or(1, |(last, _)| last + 1);
        loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                // Another process took the number between the look and the making.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => {
                    made.at("create", &path)?;
                    let dir = Self::open(&path)?;
                    durable::sync_folder(&runs)?;
                    return Ok(dir);
                }
            }
        }
    }

    /// Locks an existing run's folder and clears what a crash left unfinished.
    pub fn open(path: &Path) -> Result<Self, RunDirError> {
        let lock = lock(path)?;
        durable::remove_leftovers(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a step's checkpoint.
    pub fn step(&self, step: u64) -> PathBuf {
        manifest::step_folder(&self.path, step)
    }
}

fn lock(folder: &Path) -> Result<File, RunDirError> {
    let path = folder.join(LOCK);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).at("lock", &path)?;
    match take(&file) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).at("read", &path)?;
            let pid = match pid.trim() {
                "" => "(not yet named)".to_owned(),
                pid => pid.to_owned(),
            };
            let folder = folder.to_owned();
            return Err(RunDirError::InUse { folder, pid });
        }
        Err(error) => Err(error.into()).at("lock", &path)?,
    }
    file.set_len(0).at("write", &path)?;
    file.rewind().at("write", &path)?;
    writeln!(file, "{}", std::process::id()).at("write", &path)?;
    Ok(file)
}

/// Tries for half a second: a process that has just been started holds its parent's locks until it becomes the other
/// program.
fn take(file: &File) -> rustix::io::Result<()> {
    for _ in 0..50 {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(10)),
            taken => return taken,
        }
    }
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Where a resumed run goes on.
#[derive(Debug)]
pub struct Resume {
    /// The run's folder.
    pub run: PathBuf,
    /// The checkpoint to load, with the damaged ones passed over. `None` where the run has no checkpoint, sound or not:
    /// it ended before it wrote its first.
    pub checkpoint: Option<Sound>,
}

/// The run that `--resume PATH` means, nothing in it read: whoever is to write there locks it first, since a run at work
/// removes the checkpoints that one would be looking at.
pub fn find_run(path: &Path) -> Result<PathBuf, RunDirError> {
    // Resolved, so that `.` and a trailing `..` have a name and a parent too.
    let path = fs::canonicalize(path).at("resume", path)?;
    if let (Some(_), Some(run)) = (manifest::step_of(&path), path.parent()) {
        return Ok(run.to_owned());
    }
    let last = numbered(&path)?.map(|(_, run)| run);
    for run in [Some(path.clone()), last].into_iter().flatten() {
        if run.join(LOCK).is_file() || !manifest::checkpoints(&run)?.is_empty() {
            return Ok(run);
        }
    }
    Err(RunDirError::NothingToResume(path))
}

/// Resolves `--resume PATH`: a checkpoint `…/step_0020` means that one, a run `runs/<name>/<n>`
/// its newest sound checkpoint, and `runs/<name>` its last run's. A folder is a run where it was once locked as one.
pub fn find_resume(path: &Path) -> Result<Resume, RunDirError> {
    let run = find_run(path)?;
    let path = fs::canonicalize(path).at("resume", path)?;
    let checkpoint = match manifest::step_of(&path) {
        Some(step) => {
            manifest::verify(&path)?;
            Some(Sound { path, step, damaged: Vec::new() })
        }
        None => manifest::newest_sound(&run)?,
    };
    Ok(Resume { run, checkpoint })
}

/// The highest-numbered folder.
fn numbered(runs: &Path) -> Result<Option<(u64, PathBuf)>, DiskError> {
    let mut last = None;
    for entry in fs::read_dir(runs).at("read", runs)? {
        let path = entry.at("read", runs)?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        last = last.max(number.map(|number: u64| (number, path)));
    }
    Ok(last)
}

#[cfg(test)]
mod tests;
