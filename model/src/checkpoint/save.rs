//! Writing weights in the Hugging Face layout.

use super::format::{Format, SCALES};
use super::{INDEX, SINGLE};
use crate::fp8::{self, BLOCK};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Numbers that are converted and written at once.
const WRITTEN: usize = 1 << 18;

/// Why weights could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A file could not be written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Two tensors of one name, or one that the format keeps for itself.
    #[error("`{0}`: the name is taken")]
    Name(String),
    /// FP8 has no form for it.
    #[error("`{0}` holds a number that is infinite or NaN, which has no form in FP8")]
    NotFinite(String),
}

/// A tensor to be written.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [usize],
    /// As many numbers as the shape says.
    pub numbers: &'a [f32],
    /// What they are stored as; in FP8 a second tensor holds the scales.
    pub format: Format,
}

impl Part<'_> {
    /// Bytes of its numbers.
    fn len(&self) -> usize {
        self.numbers.len() * self.format.width()
    }

    /// Shape of its scales.
    fn scales(&self) -> Option<Vec<usize>> {
        (self.format == Format::Fp8).then(|| self.shape.iter().map(|side| side.div_ceil(BLOCK)).collect())
    }

    /// Names, formats, shapes and lengths in bytes of the tensors it becomes, in order.
    fn tensors(&self) -> impl Iterator<Item = (String, Format, Vec<usize>, usize)> {
        let numbers = (self.name.to_owned(), self.format, self.shape.to_vec(), self.len());
        let scales = self.scales().map(|shape| {
            let len = 4 * shape.iter().product::<usize>();
            (format!("{}{SCALES}", self.name), Format::F32, shape, len)
        });
        std::iter::once(numbers).chain(scales)
    }

    /// Gives its bytes to `out`, some at a time.
    fn encode(&self, mut out: impl FnMut(&[u8]) -> Result<(), SaveError>) -> Result<(), SaveError> {
        let mut bytes = Vec::new();
        if self.format != Format::Fp8 {
            return self.numbers.chunks(WRITTEN).try_for_each(|numbers| {
                bytes.clear();
                self.format.encode(numbers, &mut bytes);
                out(&bytes)
            });
        }
        let &[_, columns] = self.shape else { panic!("`{}` is stored in FP8, and is no matrix", self.name) };
        for rows in self.numbers.chunks(BLOCK * columns.max(1)) {
            let (codes, scales) = fp8::encode(rows, columns);
            if scales.iter().any(|scale| scale.is_nan()) {
                return Err(SaveError::NotFinite(self.name.to_owned()));
            }
            out(&codes)?;
            Format::F32.encode(&scales, &mut bytes);
        }
        out(&bytes)
    }
}

/// Writes tensors in the Hugging Face layout: `model.safetensors`, or where they exceed `max_shard_bytes`
/// several files and an index.
///
/// Every file is written under a temporary name, synced and renamed once all are whole; the index comes last,
/// and files of an earlier save that would be read instead are removed after it. A tensor larger than
/// `max_shard_bytes` gets a shard of its own.
pub fn save(folder: &Path, parts: &[Part<'_>], max_shard_bytes: u64) -> Result<(), SaveError> {
    let n_bytes = |part: &Part<'_>| part.tensors().map(|(_, _, _, len)| len as u64).sum::<u64>();
    let mut shards: Vec<Vec<Part<'_>>> = vec![Vec::new()];
    let mut filled = 0;
    for part in parts {
        let size = n_bytes(part);
        let last = shards.len() - 1;
        if filled + size > max_shard_bytes && !shards[last].is_empty() {
            shards.push(vec![*part]);
            filled = size;
        } else {
            shards[last].push(*part);
            filled += size;
        }
    }
    taken_once(parts)?;

    let io = |file: &Path| {
        let file = file.to_owned();
        move |source| SaveError::Io { file, source }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let n_shards = shards.len();
    let mut written: Vec<String> = Vec::new();
    let mut weight_map = Map::new();
    let mut leftovers = Leftovers(Vec::new());
    for (i, shard) in shards.iter().enumerate() {
        let name = match n_shards {
            1 => SINGLE.to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let file = temporary(folder, &name);
        leftovers.0.push(file.clone());
        write(&file, shard)?;
        let tensors = shard.iter().flat_map(Part::tensors);
        weight_map.extend(tensors.map(|(tensor, ..)| (tensor, json!(name))));
        written.push(name);
    }
    if n_shards > 1 {
        let total: u64 = parts.iter().map(n_bytes).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        let file = temporary(folder, INDEX);
        leftovers.0.push(file.clone());
        let mut out = File::create(&file).map_err(io(&file))?;
        out.write_all(format!("{index:#}\n").as_bytes()).map_err(io(&file))?;
        out.sync_all().map_err(io(&file))?;
        written.push(INDEX.into());
    }
    for name in &written {
        let file = folder.join(name);
        fs::rename(temporary(folder, name), &file).map_err(io(&file))?;
    }
    sync_folder(folder).map_err(io(folder))?;
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_weights(&name) && !written.contains(&name) {
            fs::remove_file(entry.path()).map_err(io(&entry.path()))?;
        }
    }
    sync_folder(folder).map_err(io(folder))
}

/// Temporary files, removed where a save ends early (after a whole one they have been renamed).
struct Leftovers(Vec<PathBuf>);

impl Drop for Leftovers {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = fs::remove_file(file);
        }
    }
}

/// Whether `save` could have written a file of this name.
fn is_weights(name: &str) -> bool {
    let shard = name
        .strip_prefix("model-")
        .and_then(|rest| rest.strip_suffix(".safetensors"))
        .and_then(|rest| rest.split_once("-of-"))
        .is_some_and(|(a, b)| [a, b].iter().all(|s| s.bytes().all(|c| c.is_ascii_digit())));
    name == SINGLE || name == INDEX || shard
}

pub(super) fn temporary(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.tmp"))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes tensors into one file, and flushes it to disk.
pub fn write(file: &Path, parts: &[Part<'_>]) -> Result<(), SaveError> {
    taken_once(parts)?;
    let io = |source| SaveError::Io { file: file.to_owned(), source };
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for part in parts {
        assert_eq!(part.shape.iter().product::<usize>(), part.numbers.len(), "`{}` has its shape", part.name);
        for (name, format, shape, len) in part.tensors() {
            let info = json!({"dtype": format.name(), "shape": shape, "data_offsets": [at, at + len]});
            header.insert(name, info);
            at += len;
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = File::create(file).map_err(io)?;
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(&header).map_err(io)?;
    for part in parts {
        part.encode(|bytes| out.write_all(bytes).map_err(io))?;
    }
    out.sync_all().map_err(io)
}

fn taken_once(parts: &[Part<'_>]) -> Result<(), SaveError> {
    let mut seen = HashSet::from(["__metadata__".to_owned()]);
    for (name, ..) in parts.iter().flat_map(Part::tensors) {
        if !seen.insert(name.clone()) {
            return Err(SaveError::Name(name));
        }
    }
    Ok(())
}
