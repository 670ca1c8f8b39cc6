//! Files and folders that are there whole or not at all, whenever the machine stops.
//!
//! Write under a temporary name beside the target, flush to disk, rename, flush the folder
//! that holds the name: after a crash a reader sees the old content or the new, no mixture.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Ends the name of what is being written.
const UNFINISHED: &str = ".unfinished";
/// Ends the name of what is being removed.
const REMOVED: &str = ".removed";

/// A disk operation that failed: what was tried, where, and the system's reason.
#[derive(Debug)]
pub struct DiskError {
    /// What was tried: `write`, `rename`, …
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system said (disk full, permission denied, …).
    pub reason: io::Error,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.path.display(), self.reason)
    }
}

impl Error for DiskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.reason)
    }
}

/// Names the operation and the path of an [`io::Error`].
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|reason| DiskError { action, path: path.to_owned(), reason })
    }
}

/// The places where a test may make a durable write fail or stop, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Before the content is written under the temporary name.
    Write,
    /// Before the content is flushed to disk.
    Sync,
    /// Before the temporary name becomes the final one.
    Rename,
    /// Before the folder holding the name is flushed; the new content is already visible.
    SyncFolder,
    /// Before a folder that is to go loses its name.
    Remove,
    /// Before the content of a folder that lost its name is deleted.
    Delete,
}

type Hook = Box<dyn Fn(Failpoint, &Path) -> io::Result<()>>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// A hook in force on this thread until dropped.
#[derive(Debug)]
#[must_use = "the hook ends when this is dropped"]
pub struct FailpointGuard(());

/// Calls `hook` at every [`Failpoint`] this thread passes: an error it returns is taken for the
/// disk's, a panic for a crash (temporary files stay). For tests.
pub fn set_failpoint(hook: impl Fn(Failpoint, &Path) -> io::Result<()> + 'static) -> FailpointGuard {
    HOOK.set(Some(Box::new(hook)));
    FailpointGuard(())
}

impl Drop for FailpointGuard {
    fn drop(&mut self) {
        HOOK.set(None);
    }
}

fn pass(point: Failpoint, path: &Path) -> io::Result<()> {
    HOOK.with_borrow(|hook| hook.as_ref().map_or(Ok(()), |hook| hook(point, path)))
}

/// Puts `content` at `path`, replacing what was there.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let temporary = temporary_name(path)?;
    let written = write_and_rename(&temporary, path, content);
    if written.is_err() {
        // The first error is the one to report; the leftover is only untidy.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(parent(path))
}

fn write_and_rename(temporary: &Path, path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let mut file = pass(Failpoint::Write, path).and_then(|()| File::create(temporary)).at("write", path)?;
    file.write_all(content).at("write", path)?;
    pass(Failpoint::Sync, path).and_then(|()| file.sync_all()).at("flush", path)?;
    pass(Failpoint::Rename, path).and_then(|()| fs::rename(temporary, path)).at("rename", path)
}

/// Puts a whole folder at `path`, which must not exist: `fill` writes into a temporary folder
/// beside it, everything in there is flushed, and one rename makes it visible.
pub fn write_folder<E: From<DiskError>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    if path.exists() {
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(exists).at("write", path)?;
    }
    replace_folder(path, fill)
}

/// [`write_folder`], where a folder may be at `path`: once the new one is whole and flushed, the two change names.
/// After a crash a reader sees the old folder or the new one (on a file system that cannot exchange names, maybe
/// neither), no mixture.
pub fn replace_folder<E: From<DiskError>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let temporary = temporary_name(path)?;
    let written = fill_and_rename(&temporary, path, fill);
    if written.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    written?;
    Ok(sync_folder(parent(path))?)
}

fn fill_and_rename<E: From<DiskError>>(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if temporary.exists() {
        fs::remove_dir_all(temporary).at("remove", temporary)?;
    }
    pass(Failpoint::Write, path).and_then(|()| fs::create_dir_all(temporary)).at("write", path)?;
    fill(temporary)?;
    pass(Failpoint::Sync, path).at("flush", path)?;
    sync_tree(temporary)?;
    if path.exists() {
        return Ok(swap(temporary, path)?);
    }
    pass(Failpoint::Rename, path).and_then(|()| fs::rename(temporary, path)).at("rename", path)?;
    Ok(())
}

/// Puts the new folder in the place of the old one in one step, and removes the old one.
fn swap(new: &Path, path: &Path) -> Result<(), DiskError> {
    pass(Failpoint::Rename, path).at("rename", path)?;
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => {
            sync_folder(parent(path))?;
            pass(Failpoint::Delete, path).and_then(|()| fs::remove_dir_all(new)).at("remove", path)
        }
        // A file system that cannot exchange names.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            remove_folder(path)?;
            fs::rename(new, path).at("rename", path)
        }
        Err(error) => Err(error.into()).at("rename", path),
    }
}

/// Removes a folder: it loses its name at once, then its content goes. A crash in between leaves a temporary name
/// for [`remove_leftovers`], never half a folder under the old name.
pub fn remove_folder(path: &Path) -> Result<(), DiskError> {
    let mut name = temporary_name(path)?.into_os_string();
    name.push(REMOVED);
    let removed = PathBuf::from(name);
    if removed.exists() {
        fs::remove_dir_all(&removed).at("remove", &removed)?;
    }
    pass(Failpoint::Remove, path).and_then(|()| fs::rename(path, &removed)).at("remove", path)?;
    sync_folder(parent(path))?;
    pass(Failpoint::Delete, path).and_then(|()| fs::remove_dir_all(&removed)).at("remove", path)
}

/// Gives a folder another name beside its own; `to` must not exist.
pub fn rename_folder(path: &Path, to: &Path) -> Result<(), DiskError> {
    pass(Failpoint::Rename, to).and_then(|()| fs::rename(path, to)).at("rename", path)?;
    sync_folder(parent(path))
}

fn sync_tree(folder: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path).and_then(|file| file.sync_all()).at("flush", &path)?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).at("flush", folder)
}

/// Flushes the names in a folder to disk.
pub fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    pass(Failpoint::SyncFolder, folder)
        .and_then(|()| File::open(folder))
        .and_then(|folder| folder.sync_all())
        .at("flush", folder)
}

/// Removes what crashed writes left in a folder. Only for the folder's one writer.
pub fn remove_leftovers(folder: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        if !is_temporary(&path) {
            continue;
        }
        if path.is_dir() {
            fs::remove_dir_all(&path).at("remove", &path)?;
        } else {
            fs::remove_file(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

/// Whether a name is one that an unfinished write or removal has.
pub fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with('.') && (name.ends_with(UNFINISHED) || name.ends_with(REMOVED)))
}

fn temporary_name(path: &Path) -> Result<PathBuf, DiskError> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no file name"))
        .at("write", path)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}{UNFINISHED}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
