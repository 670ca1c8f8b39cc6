//! Weights in the Hugging Face layout: safetensors, one file or several with an index.

mod format;
mod save;

use crate::fp8::BLOCK;
use format::{BlockScales, Piece, SCALES};
use memmap2::Mmap;
use safetensors::tensor::{Dtype as Stored, SafeTensors, TensorInfo};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

pub use format::Format;
pub use save::{Part, SaveError, save, write};

/// Numbers that a thread reads at once.
const PIECE: usize = 4 << 20;

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
        expected: Vec<usize>,
    },
    /// The tensor holds numbers of a format weights do not come in here.
    #[error("{}: `{tensor}` is stored as {found}, expected F32, BF16, F16 or F8_E4M3", file.display())]
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
            metadata.tensors().into_iter().map(|(name, info)| (of_text(&name), info.clone())).collect();
        Ok(Shard { data, tensors, map, file })
    }
}

/// A tensor's name without what says that it is of the text part of a checkpoint that also sees: `language_model.model.…`
/// in older files, `model.language_model.…` in newer ones.
fn of_text(name: &str) -> String {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => name.strip_prefix("language_model.").unwrap_or(name).to_owned(),
    }
}

/// Room for a tensor.
pub struct Target<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape, which that in the file must be.
    pub shape: &'a [usize],
    /// As many numbers as the shape says.
    pub numbers: &'a mut [f32],
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
            return Weights::open_file(&single);
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
            let tensor = &of_text(tensor);
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

    /// Maps one safetensors file.
    pub fn open_file(file: &Path) -> Result<Weights, LoadError> {
        let shard = Shard::open(file.to_owned())?;
        let places = shard.tensors.keys().map(|name| (name.clone(), 0)).collect();
        Ok(Weights { listing: file.to_owned(), shards: vec![shard], places })
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

    /// The file that holds a tensor, if there is one of this name.
    pub fn file(&self, name: &str) -> Option<&Path> {
        Some(&self.shards[*self.places.get(name)?].file)
    }

    /// Reads tensors into `targets` as f32, each straight out of its file: nothing of their size is held beside them. What
    /// of a file was read is not kept mapped. What is stored in FP8 is read times its scales.
    ///
    /// The work is shared by `threads` threads, a large tensor by several.
    pub fn read(&self, targets: Vec<Target<'_>>, threads: usize) -> Result<(), LoadError> {
        let mut pieces = Vec::new();
        for target in targets {
            let stored = self.stored(target.name, target.shape)?;
            assert_eq!(target.numbers.len(), stored.len(), "`{}` has room for its shape", target.name);
            pieces.extend(stored.pieces(PIECE).zip(target.numbers.chunks_mut(PIECE)));
        }
        let queue = Mutex::new(pieces.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some((piece, numbers)) = next() {
                piece.read(numbers);
            }
        };
        thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        Ok(())
    }

    /// Whether a tensor holds just `numbers`.
    pub fn equals(&self, name: &str, shape: &[usize], numbers: &[f32]) -> Result<bool, LoadError> {
        let stored = self.stored(name, shape)?;
        let mut read = vec![0.0; PIECE.min(stored.len())];
        Ok(stored.pieces(PIECE).zip(numbers.chunks(PIECE)).all(|(piece, numbers)| {
            let read = &mut read[..numbers.len()];
            piece.read(read);
            read == numbers
        }))
    }

    /// Where a tensor of shape `expected` lies.
    fn stored(&self, name: &str, expected: &[usize]) -> Result<Piece<'_>, LoadError> {
        let Some((shard, info)) = self.places.get(name).and_then(|at| {
            let shard = &self.shards[*at];
            Some((shard, shard.tensors.get(name)?))
        }) else {
            return Err(LoadError::Missing { file: self.listing.clone(), tensor: name.into(), hint: self.hint(name) });
        };
        let (file, tensor) = (|| shard.file.clone(), || name.to_owned());
        if info.shape != expected {
            let (found, expected) = (info.shape.clone(), expected.to_vec());
            return Err(LoadError::Shape { file: file(), tensor: tensor(), found, expected });
        }
        let format = match info.dtype {
            Stored::F32 => Format::F32,
            Stored::BF16 => Format::Bf16,
            Stored::F16 => Format::F16,
            Stored::F8_E4M3 => Format::Fp8,
            other => {
                let found = format!("{other:?}");
                return Err(LoadError::Dtype { file: file(), tensor: tensor(), found });
            }
        };
        let (from, to) = info.data_offsets;
        let n_bytes = info.shape.iter().try_fold(format.width(), |n, dim| n.checked_mul(*dim));
        let place = shard.data.checked_add(from).zip(shard.data.checked_add(to)).map(|(from, to)| from..to);
        let place = place.filter(|place| shard.map.get(place.clone()).is_some() && Some(place.len()) == n_bytes);
        let place = place.ok_or_else(|| LoadError::Parse {
            file: file(),
            reason: format!("`{name}` does not fill its place at bytes {from} to {to}"),
        })?;
        let scales = (format == Format::Fp8).then(|| self.scales(name, expected)).transpose()?;
        Ok(Piece { map: &shard.map, place, format, scales })
    }

    /// The scales of a matrix in FP8.
    fn scales(&self, name: &str, shape: &[usize]) -> Result<BlockScales, LoadError> {
        let &[rows, columns] = shape else {
            let (file, tensor) = (self.file(name).unwrap_or(&self.listing).to_owned(), name.to_owned());
            return Err(LoadError::Dtype { file, tensor, found: "F8_E4M3, and is no matrix".into() });
        };
        let stored = self.stored(&format!("{name}{SCALES}"), &[rows, columns].map(|side| side.div_ceil(BLOCK)))?;
        let mut scales = vec![0.0; stored.len()];
        stored.read(&mut scales);
        Ok(BlockScales { scales: scales.into(), columns, first: 0 })
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

#[cfg(test)]
mod tests;
