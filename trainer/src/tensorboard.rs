//! TensorBoard event files: a view of the metrics, written without TensorFlow.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::durable::{At, DiskError};

/// The few messages of `event.proto` and `summary.proto` that scalars and text need.
mod message {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Event {
        #[prost(double, tag = "1")]
        pub(super) wall_time: f64,
        #[prost(int64, tag = "2")]
        pub(super) step: i64,
        #[prost(oneof = "What", tags = "3, 5, 7")]
        pub(super) what: Option<What>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum What {
        #[prost(string, tag = "3")]
        FileVersion(String),
        #[prost(message, tag = "5")]
        Summary(Summary),
        #[prost(message, tag = "7")]
        SessionLog(SessionLog),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SessionLog {
        /// 1 is START: readers drop earlier events at this step and after.
        #[prost(int32, tag = "1")]
        pub(super) status: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(message, repeated, tag = "1")]
        pub(super) value: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(string, tag = "1")]
        pub(super) tag: String,
        #[prost(message, optional, tag = "9")]
        pub(super) metadata: Option<Metadata>,
        #[prost(oneof = "Content", tags = "2, 8")]
        pub(super) content: Option<Content>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Content {
        #[prost(float, tag = "2")]
        Simple(f32),
        #[prost(message, tag = "8")]
        Tensor(Tensor),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(message, optional, tag = "1")]
        pub(super) plugin: Option<Plugin>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Plugin {
        #[prost(string, tag = "1")]
        pub(super) name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Tensor {
        #[prost(int32, tag = "1")]
        pub(super) dtype: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) shape: Option<Shape>,
        #[prost(bytes = "vec", repeated, tag = "8")]
        pub(super) strings: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Shape {
        #[prost(message, repeated, tag = "2")]
        pub(super) dims: Vec<Dim>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Dim {
        #[prost(int64, tag = "1")]
        pub(super) size: i64,
    }
}

use message::{Content, Dim, Event, Metadata, Plugin, SessionLog, Shape, Summary, Tensor, Value, What};

const SESSION_START: i32 = 1;
const DT_STRING: i32 = 7;

/// Writes one event file; a resumed run starts another beside it.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Starts a new event file in `folder`, which is made if needed.
    ///
    /// Events that earlier files have at `first_step` and after no longer count.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, DiskError> {
        fs::create_dir_all(folder).at("create", folder)?;
        let (path, file) = new_file(folder)?;
        let mut writer = Self { path, file };
        writer.event(0, What::FileVersion("brain.Event:2".into()))?;
        writer.event(first_step, What::SessionLog(SessionLog { status: SESSION_START }))?;
        Ok(writer)
    }

    /// Writes numbers under their tags.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        scalars: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), DiskError> {
        let value = scalars.into_iter().map(|(tag, number)| Value {
            tag: tag.to_owned(),
            metadata: None,
            content: Some(Content::Simple(number as f32)),
        });
        self.event(step, What::Summary(Summary { value: value.collect() }))
    }

    /// Writes a text, which TensorBoard shows as Markdown.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> Result<(), DiskError> {
        let tensor = Tensor {
            dtype: DT_STRING,
            shape: Some(Shape { dims: vec![Dim { size: 1 }] }),
            strings: vec![text.as_bytes().to_vec()],
        };
        let value = Value {
            tag: tag.to_owned(),
            metadata: Some(Metadata { plugin: Some(Plugin { name: "text".into() }) }),
            content: Some(Content::Tensor(tensor)),
        };
        self.event(step, What::Summary(Summary { value: vec![value] }))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn event(&mut self, step: u64, what: What) -> Result<(), DiskError> {
        let event = Event { wall_time: now().as_secs_f64(), step: step as i64, what: Some(what) };
        // One write a record, so that a reader alongside rarely sees half of one.
        self.file.write_all(&record(&event.encode_to_vec())).at("write", &self.path)
    }
}

fn new_file(folder: &Path) -> Result<(PathBuf, File), DiskError> {
    let (seconds, pid) = (now().as_secs(), std::process::id());
    let mut number = 0;
    loop {
        // Readers go through the files by name; the number keeps two of one second in order.
        let name = format!("events.out.tfevents.{seconds:010}.grouper.{pid}.{number}");
        let path = folder.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return Ok((path.clone(), opened.at("create", &path)?)),
        }
    }
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// TFRecord framing: length, its checksum, the bytes, their checksum, all little-endian.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(bytes.len() + 16);
    framed.extend(length);
    framed.extend(masked_crc(&length).to_le_bytes());
    framed.extend(bytes);
    framed.extend(masked_crc(bytes).to_le_bytes());
    framed
}

/// CRC-32C, rotated and shifted so that a checksum of checksummed bytes stays meaningful.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
