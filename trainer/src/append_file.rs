//! `AppendFile`: a file that only grows, and that a resumed run cuts back to the length its checkpoint recorded.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::durable::{At, DiskError};

/// A file written at its end only.
#[derive(Debug)]
pub struct AppendFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl AppendFile {
    /// Opens a file, new or not, and goes on at its end.
    pub fn open(path: PathBuf) -> Result<Self, DiskError> {
        let file = OpenOptions::new().append(true).create(true).open(&path).at("open", &path)?;
        let length = file.metadata().at("read", &path)?.len();
        Ok(Self { path, file, length })
    }

    /// Opens a file and cuts off what it holds past `length` bytes. Fewer bytes than that are an error: what a
    /// checkpoint counted on is gone.
    pub fn resume(path: PathBuf, length: u64) -> Result<Self, DiskError> {
        let mut opened = Self::open(path)?;
        if opened.length < length {
            let reason = format!("it has {} bytes, the checkpoint recorded {length}", opened.length);
            Err(io::Error::new(io::ErrorKind::InvalidData, reason)).at("resume", &opened.path)?;
        }
        if opened.length > length {
            opened.file.set_len(length).at("truncate", &opened.path)?;
            opened.length = length;
        }
        Ok(opened)
    }

    /// Writes `bytes` at the end: all of them, or, where the disk refuses, none.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            // Half a line would spoil the file for its readers. The first error is the one to report.
            let _ = self.file.set_len(self.length);
        }
        written.at("write", &self.path)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Flushes the file to disk and gives its length in bytes, for a checkpoint to record.
    pub fn synced_length(&self) -> Result<u64, DiskError> {
        self.file.sync_data().at("flush", &self.path)?;
        Ok(self.length)
    }

    /// Its length in bytes, flushed or not.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
