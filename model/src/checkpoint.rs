//! Weights in the Hugging Face layout: safetensors, one file or several with an index.

use memmap2::Mmap;
use safetensors::tensor::{Dtype as Stored, SafeTensors, TensorInfo};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Why weights could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{}: {reason}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No such tensor.
    #[error("{}: no tensor `{tensor}`; {hint}", file.display())]
    Missing {
        /// The file it should be in (the folder's only file, or the index).
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// What might have been meant.
        hint: String,
    },
    /// The tensor has another shape than config.json implies.
    #[error("{}: `{tensor}` is {found:?}, config says {expected:?}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape by config.json.
        expected: Vec<i64>,
    },
    /// The tensor holds numbers of a format weights do not come in here.
    #[error("{}: `{tensor}` is stored as {found}, expected F32, BF16 or F16", file.display())]
    Dtype {
        /// The file.
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// Format in the file.
        found: String,
    },
    /// config.json was not taken.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// libtorch could not make the tensor (out of memory, in the main).
    #[error("{}: `{tensor}`: {source}", file.display())]
    Torch {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What libtorch said.
        source: tch::TchError,
    },
}

/// The number format in which a tensor is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAs {
    /// f32, whatever the file holds.
    F32,
    /// As the file holds it: f32, bf16 or f16.
    Stored,
}

/// One mapped safetensors file.
struct Shard {
    file: PathBuf,
    map: Mmap,
    /// Where tensor data begins.
    data: usize,
    tensors: HashMap<String, TensorInfo>,
}

impl Shard {
    fn open(file: PathBuf) -> Result<Shard, LoadError> {
        let io = |source| LoadError::Io { file: file.clone(), source };
        let opened = File::open(&file).map_err(io)?;
        // SAFETY: the map is only read. A file truncated by someone else while mapped would raise SIGBUS;
        // `save` never writes into an existing file (it renames a new one over it).
        let map = unsafe { Mmap::map(&opened) }.map_err(io)?;
        let parse = |reason: String| LoadError::Parse { file: file.clone(), reason };
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|e| parse(format!("not a whole safetensors file of {} bytes: {e}", map.len())))?;
        let data = header + 8;
        let tensors: HashMap<String, TensorInfo> =
            metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Ok(Shard { data, tensors, map, file })
    }
}

/// A checkpoint's weights, mapped into memory: opening reads headers only.
pub struct Weights {
    /// What a complaint about an absent tensor names.
    listing: PathBuf,
    shards: Vec<Shard>,
    /// Which shard holds a tensor.
    places: BTreeMap<String, usize>,
}

impl Weights {
    /// Maps `model.safetensors` in `folder` or, without one, the files `model.safetensors.index.json` names.
    pub fn open(folder: &Path) -> Result<Weights, LoadError> {
        let single = folder.join(SINGLE);
        if single.exists() {
            let shard = Shard::open(single.clone())?;
            let places = shard.tensors.keys().map(|name| (name.clone(), 0)).collect();
            return Ok(Weights { listing: single, shards: vec![shard], places });
        }
        let index = folder.join(INDEX);
        let text = match fs::read(&index) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let other = if folder.join("pytorch_model.bin").exists()
                    || folder.join("pytorch_model.bin.index.json").exists()
                {
                    " (pytorch_model.bin is not read: convert it to safetensors)"
                } else {
                    ""
                };
                let reason = format!("neither {SINGLE} nor {INDEX} is in this folder{other}");
                return Err(LoadError::Parse { file: folder.into(), reason });
            }
            Err(source) => return Err(LoadError::Io { file: index, source }),
        };
        let parse = |reason: String| LoadError::Parse { file: index.clone(), reason };
        let value: Value = serde_json::from_slice(&text).map_err(|e| parse(format!("not JSON: {e}")))?;
        let map = value
            .get("weight_map")
            .and_then(Value::as_object)
            .ok_or_else(|| parse("`weight_map` is not an object of tensor names".into()))?;
        let mut shards: Vec<Shard> = Vec::new();
        let mut opened: HashMap<&str, usize> = HashMap::new();
        let mut places = BTreeMap::new();
        for (tensor, file) in map {
            let file = file
                .as_str()
                .filter(|f| Path::new(f).file_name().is_some_and(|name| name == *f))
                .ok_or_else(|| parse(format!("`{tensor}` is in {file}, expected a file name")))?;
            let at = match opened.get(file) {
                Some(at) => *at,
                None => {
                    shards.push(Shard::open(folder.join(file))?);
                    opened.insert(file, shards.len() - 1);
                    shards.len() - 1
                }
            };
            if !shards[at].tensors.contains_key(tensor) {
                let hint = format!("{INDEX} says it is there");
                let file = shards[at].file.clone();
                return Err(LoadError::Missing { file, tensor: tensor.clone(), hint });
            }
            places.insert(tensor.clone(), at);
        }
        Ok(Weights { listing: index, shards, places })
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let at = *self.places.get(name)?;
        Some(&self.shards[at].tensors.get(name)?.shape)
    }

    /// A copy of a tensor on the CPU. Its shape must be `expected`.
    pub fn tensor(&self, name: &str, expected: &[i64], as_: ReadAs) -> Result<Tensor, LoadError> {
        let Some((shard, info)) = self.places.get(name).and_then(|at| {
            let shard = &self.shards[*at];
            Some((shard, shard.tensors.get(name)?))
        }) else {
            return Err(LoadError::Missing { file: self.listing.clone(), tensor: name.into(), hint: self.hint(name) });
        };
        let (file, tensor) = (|| shard.file.clone(), || name.to_owned());
        let same = info.shape.len() == expected.len()
            && info.shape.iter().zip(expected).all(|(a, b)| i64::try_from(*a) == Ok(*b));
        if !same {
            return Err(LoadError::Shape {
                file: file(),
                tensor: tensor(),
                found: info.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        let kind = match info.dtype {
            Stored::F32 => Kind::Float,
            Stored::BF16 => Kind::BFloat16,
            Stored::F16 => Kind::Half,
            other => {
                let found = format!("{other:?}");
                return Err(LoadError::Dtype { file: file(), tensor: tensor(), found });
            }
        };
        let (from, to) = info.data_offsets;
        let n_bytes = info.shape.iter().try_fold(kind.elt_size_in_bytes(), |n, dim| n.checked_mul(*dim));
        let bytes = self.slice(shard, from, to).filter(|bytes| Some(bytes.len()) == n_bytes).ok_or_else(|| {
            LoadError::Parse {
                file: file(),
                reason: format!("`{name}` does not fill its place at bytes {from} to {to}"),
            }
        })?;
        let torch = |source| LoadError::Torch { file: file(), tensor: tensor(), source };
        let copied = Tensor::f_from_data_size(bytes, expected, kind).map_err(torch)?;
        match as_ {
            ReadAs::Stored => Ok(copied),
            ReadAs::F32 => copied.f_to_kind(Kind::Float).map_err(torch),
        }
    }

    fn slice<'a>(&self, shard: &'a Shard, from: usize, to: usize) -> Option<&'a [u8]> {
        shard.map.get(shard.data.checked_add(from)?..shard.data.checked_add(to)?)
    }

    /// The name nearest to `name`: under another prefix, or sharing most at its two ends.
    fn hint(&self, name: &str) -> String {
        let other = match name.strip_prefix("model.") {
            Some(bare) => bare.to_owned(),
            None => format!("model.{name}"),
        };
        if self.contains(&other) {
            return format!("there is `{other}`");
        }
        let shared = |candidate: &str| {
            let same = |(a, b): &(u8, u8)| a == b;
            let front = name.bytes().zip(candidate.bytes()).take_while(same).count();
            let back = name.bytes().rev().zip(candidate.bytes().rev()).take_while(same).count();
            front + back
        };
        match self.names().max_by_key(|candidate| shared(candidate)) {
            Some(nearest) => format!("the nearest of its {} is `{nearest}`", self.places.len()),
            None => "it holds none at all".into(),
        }
    }
}

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
    /// A tensor cannot be written under this name or in this format.
    #[error("`{tensor}`: {reason}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// Why not.
        reason: String,
    },
}

/// Writes `tensors` as f32, bf16 or f16 in the Hugging Face layout: `model.safetensors`, or where they exceed
/// `max_shard_bytes` several files and an index.
///
/// Every file is written under a temporary name, synced and renamed once all are whole; the index comes last,
/// and files of an earlier save that would be read instead are removed after it. Tensors of a shard are
/// copied to the CPU one at a time. A tensor larger than `max_shard_bytes` gets a shard of its own.
pub fn save(folder: &Path, tensors: &[(String, Tensor)], dtype: Kind, max_shard_bytes: u64) -> Result<(), SaveError> {
    let stored = match dtype {
        Kind::Float => "F32",
        Kind::BFloat16 => "BF16",
        Kind::Half => "F16",
        other => {
            let tensor = tensors.first().map(|(name, _)| name.clone()).unwrap_or_default();
            let reason = format!("cannot be written as {other:?}, only as f32, bf16 or f16");
            return Err(SaveError::Tensor { tensor, reason });
        }
    };
    let mut seen = std::collections::HashSet::new();
    for (name, _) in tensors {
        if name == "__metadata__" || !seen.insert(name.as_str()) {
            let reason = "the name is taken".to_owned();
            return Err(SaveError::Tensor { tensor: name.clone(), reason });
        }
    }
    let n_bytes = |tensor: &Tensor| (tensor.numel() * dtype.elt_size_in_bytes()) as u64;
    let mut shards: Vec<Vec<&(String, Tensor)>> = vec![Vec::new()];
    let mut filled = 0;
    for entry in tensors {
        let size = n_bytes(&entry.1);
        let last = shards.len() - 1;
        if filled + size > max_shard_bytes && !shards[last].is_empty() {
            shards.push(vec![entry]);
            filled = size;
        } else {
            shards[last].push(entry);
            filled += size;
        }
    }

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
        write_shard(&file, shard, dtype, stored)?;
        weight_map.extend(shard.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
        written.push(name);
    }
    if n_shards > 1 {
        let total: u64 = tensors.iter().map(|(_, t)| n_bytes(t)).sum();
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

fn temporary(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.tmp"))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_shard(file: &Path, tensors: &[&(String, Tensor)], dtype: Kind, stored: &str) -> Result<(), SaveError> {
    let io = |source| SaveError::Io { file: file.to_owned(), source };
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for (name, tensor) in tensors {
        let end = at + tensor.numel() * dtype.elt_size_in_bytes();
        let info = json!({"dtype": stored, "shape": tensor.size(), "data_offsets": [at, end]});
        header.insert(name.clone(), info);
        at = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::new(File::create(file).map_err(io)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(&header).map_err(io)?;
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let torch = |e: tch::TchError| SaveError::Tensor { tensor: name.clone(), reason: e.to_string() };
        let numel = tensor.numel();
        bytes.resize(numel * dtype.elt_size_in_bytes(), 0);
        tensor
            .f_detach()
            .and_then(|t| t.f_to_device(Device::Cpu))
            .and_then(|t| t.f_to_kind(dtype))
            .and_then(|t| t.f_contiguous())
            .and_then(|t| t.f_copy_data_u8(&mut bytes, numel))
            .map_err(torch)?;
        out.write_all(&bytes).map_err(io)?;
    }
    let out = out.into_inner().map_err(|e| io(e.into_error()))?;
    out.sync_all().map_err(io)
}

#[cfg(test)]
mod tests;
