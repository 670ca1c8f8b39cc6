use super::save::temporary;
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::{Kind, Tensor};

/// A folder of its own for a test, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("grouper-ckpt-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Names, shapes and numbers.
fn some_tensors() -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
    let draw = |name, shape: &[usize]| {
        let n: usize = shape.iter().product();
        (name, shape.to_vec(), (0..n).map(|i| (i as f32 * 0.37 - 3.1).sin()).collect())
    };
    vec![
        draw("model.embed_tokens.weight", &[16, 8]),
        draw("model.layers.0.mlp.up_proj.weight", &[12, 8]),
        draw("model.norm.weight", &[8]),
        draw("odd", &[5, 3]),
        draw("scalar", &[]),
    ]
}

fn parts<'a>(tensors: &'a [(&'static str, Vec<usize>, Vec<f32>)], format: Format) -> Vec<Part<'a>> {
    tensors.iter().map(|(name, shape, numbers)| Part { name, shape, numbers, format }).collect()
}

fn save_some(folder: &Path, format: Format, max_shard_bytes: u64) -> Result<(), SaveError> {
    save(folder, &parts(&some_tensors(), format), max_shard_bytes)
}

/// One tensor, read on three threads.
fn read(weights: &Weights, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
    let mut numbers = vec![f32::NAN; shape.iter().product()];
    weights.read(vec![Target { name, shape, numbers: &mut numbers }], 3)?;
    Ok(numbers)
}

/// libtorch's rounding to a format, back in f32.
fn rounded(numbers: &[f32], format: Format) -> Vec<f32> {
    let kind = match format {
        Format::F32 => Kind::Float,
        Format::Bf16 => Kind::BFloat16,
        Format::F16 => Kind::Half,
        Format::Fp8 => panic!("FP8 has scales"),
    };
    Vec::try_from(Tensor::from_slice(numbers).to_kind(kind).to_kind(Kind::Float)).unwrap()
}

fn open_error(folder: &Path) -> String {
    Weights::open(folder).err().expect("must not open").to_string()
}

#[test]
fn round_trip_in_every_format() {
    for format in [Format::F32, Format::Bf16, Format::F16] {
        let folder = Folder::new();
        let tensors = some_tensors();
        save_some(&folder.0, format, u64::MAX).unwrap();
        assert!(!folder.0.join(INDEX).exists());
        let weights = Weights::open(&folder.0).unwrap();
        assert_eq!(weights.names().count(), tensors.len());
        for (name, shape, numbers) in &tensors {
            assert!(weights.contains(name));
            let expected = rounded(numbers, format);
            assert_eq!(read(&weights, name, shape).unwrap(), expected, "{name} {format:?}");
            assert!(weights.equals(name, shape, &expected).unwrap());
            let differs = [expected.as_slice(), &[]].concat().iter().map(|x| x + 1.0).collect::<Vec<_>>();
            assert!(!weights.equals(name, shape, &differs).unwrap());
        }
    }
}

/// Every bf16 and f16 number is read, and every f32 rounded, as libtorch does it.
#[test]
fn formats_agree_with_libtorch() {
    for (format, kind) in [(Format::Bf16, Kind::BFloat16), (Format::F16, Kind::Half)] {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let tensor = Tensor::from_data_size(&all, &[1 << 16], kind).to_kind(Kind::Float);
        let (theirs, mut ours) = (Vec::<f32>::try_from(tensor).unwrap(), vec![0f32; 1 << 16]);
        format.decode(&all, &mut ours);
        assert!(ours.iter().zip(&theirs).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())));
        // Between any two neighbours: their middle, and the f32 numbers on either side of it.
        let halves = theirs.windows(2).filter(|pair| pair[0].is_finite() && pair[1].is_finite());
        let middles = halves.map(|pair| (pair[0] / 2.0 + pair[1] / 2.0).to_bits());
        let near: Vec<f32> =
            middles.flat_map(|bits| [bits.wrapping_sub(1), bits, bits + 1].map(f32::from_bits)).collect();
        let mut bytes = Vec::new();
        format.encode(&near, &mut bytes);
        let mut ours = vec![0f32; near.len()];
        format.decode(&bytes, &mut ours);
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(ours.iter().zip(&rounded(&near, format)).all(same), "{format:?}");
    }
}

/// Weights in FP8 come back as code × scale, whatever pieces they are read in, and are stored as the same bytes again.
#[test]
fn fp8_is_stored_with_scales() {
    let [folder, again] = [Folder::new(), Folder::new()];
    // Longer than a piece, and ragged in both directions.
    let (rows, columns) = (PIECE / 300 + 77, 300);
    let large: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.71).sin() * (i % 977) as f32).collect();
    let small = [0.0, -3.0, 0.25, 1e-9, 448.0, 2.0];
    let one = |name, shape, numbers, format| Part { name, shape, numbers, format };
    let [shape, norm] = [&[rows, columns][..], &[6][..]];
    let parts = [
        one("large", shape, &large, Format::Fp8),
        one("small", &[2, 3], &small, Format::Fp8),
        one("norm", norm, &small, Format::Bf16),
    ];
    save(&folder.0, &parts, u64::MAX).unwrap();
    let weights = Weights::open(&folder.0).unwrap();
    assert_eq!(weights.shape("large_scale_inv").unwrap(), [rows.div_ceil(128), 3]);
    assert_eq!(weights.names().collect::<Vec<_>>(), ["large", "large_scale_inv", "norm", "small", "small_scale_inv"]);
    let found = read(&weights, "large", shape).unwrap();
    let (codes, scales) = crate::fp8::encode(&large, columns);
    let mut expected = vec![0.0; large.len()];
    crate::fp8::decode(&codes, &mut expected);
    for (i, number) in expected.iter_mut().enumerate() {
        *number *= scales[i / columns / 128 * 3 + i % columns / 128];
    }
    assert!(found == expected);
    assert!(weights.equals("large", shape, &expected).unwrap());
    assert_eq!(read(&weights, "small", &[2, 3]).unwrap(), [0.0, -3.0, 0.25, 0.0, 448.0, 2.0]);
    let bytes = |folder: &Folder| fs::read(folder.0.join(SINGLE)).unwrap();
    save(&again.0, &[one("large", shape, &found, Format::Fp8), parts[1], parts[2]], u64::MAX).unwrap();
    assert!(bytes(&folder) == bytes(&again));
    // In several files the scales stand beside their weights.
    save(&again.0, &parts, 500).unwrap();
    let index: Value = serde_json::from_slice(&fs::read(again.0.join(INDEX)).unwrap()).unwrap();
    assert_eq!(index["weight_map"]["large"], index["weight_map"]["large_scale_inv"]);
    assert_eq!(index["metadata"]["total_size"], codes.len() + 4 * scales.len() + 6 + 4 + 12);
    assert!(read(&Weights::open(&again.0).unwrap(), "large", shape).unwrap() == expected);
}

#[test]
fn fp8_complaints_name_the_tensor() {
    let folder = Folder::new();
    let one = |name, shape, numbers, format| Part { name, shape, numbers, format };
    let bad = one("bad", &[1, 2], &[1.0, f32::INFINITY], Format::Fp8);
    let message = save(&folder.0, &[bad], u64::MAX).unwrap_err().to_string();
    assert!(message.contains("`bad`"), "{message}");
    // Weights without scales, or with scales of another shape.
    let raw = |scales: &str| {
        let header = format!(r#"{{"w":{{"dtype":"F8_E4M3","shape":[1,4],"data_offsets":[0,4]}}{scales}}}"#);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 12]);
        file.truncate(8 + header.len() + if scales.is_empty() { 4 } else { 12 });
        fs::write(folder.0.join(SINGLE), file).unwrap();
        read(&Weights::open(&folder.0).unwrap(), "w", &[1, 4]).unwrap_err()
    };
    let error = raw("");
    assert!(matches!(&error, LoadError::Missing { tensor, .. } if tensor == "w_scale_inv"), "{error}");
    let error = raw(r#","w_scale_inv":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}"#);
    assert!(matches!(&error, LoadError::Shape { tensor, .. } if tensor == "w_scale_inv"), "{error}");
}

/// Tensors of many pieces, read by any number of threads, are what was written; and each is read once.
#[test]
fn threads_share_the_reading() {
    let folder = Folder::new();
    let numbers: Vec<f32> = (0..3 * PIECE + 77).map(|i| (i % 1_000_003) as f32).collect();
    let shapes = [vec![2 * PIECE + 70], vec![7], vec![PIECE, 1]];
    let names = ["a", "b", "c"];
    let mut rest = numbers.as_slice();
    let mut parts = Vec::new();
    for (name, shape) in names.into_iter().zip(&shapes) {
        let (numbers, behind) = rest.split_at(shape.iter().product());
        rest = behind;
        parts.push(Part { name, shape, numbers, format: Format::F32 });
    }
    save(&folder.0, &parts, u64::MAX).unwrap();
    let weights = Weights::open(&folder.0).unwrap();
    for threads in [0, 1, 2, 5] {
        let mut found = vec![0.0; numbers.len()];
        let mut rest = found.as_mut_slice();
        let mut targets = Vec::new();
        for (name, shape) in names.into_iter().zip(&shapes) {
            let (numbers, behind) = rest.split_at_mut(shape.iter().product());
            rest = behind;
            targets.push(Target { name, shape, numbers });
        }
        weights.read(targets, threads).unwrap();
        assert!(found == numbers, "{threads} threads");
    }
}

#[test]
fn shards_and_back_to_one_file() {
    let folder = Folder::new();
    let tensors = some_tensors();
    save_some(&folder.0, Format::F32, u64::MAX).unwrap();
    save_some(&folder.0, Format::F32, 500).unwrap();
    assert!(!folder.0.join(SINGLE).exists());
    assert!(folder.0.join("model-00001-of-00002.safetensors").exists());
    let index: Value = serde_json::from_slice(&fs::read(folder.0.join(INDEX)).unwrap()).unwrap();
    let total: usize = tensors.iter().map(|(_, _, numbers)| 4 * numbers.len()).sum();
    assert_eq!(index["metadata"]["total_size"], total);
    let weights = Weights::open(&folder.0).unwrap();
    for (name, shape, numbers) in &tensors {
        assert_eq!(&read(&weights, name, shape).unwrap(), numbers, "{name}");
    }
    save_some(&folder.0, Format::F32, u64::MAX).unwrap();
    let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [SINGLE]);
}

#[test]
fn complaints_name_tensor_and_file() {
    let folder = Folder::new();
    save_some(&folder.0, Format::F32, u64::MAX).unwrap();
    let weights = Weights::open(&folder.0).unwrap();
    let up = "model.layers.0.mlp.up_proj.weight";
    let message = read(&weights, up, &[24, 8]).unwrap_err().to_string();
    let expected = format!("model.safetensors: `{up}` is [12, 8], config says [24, 8]");
    assert!(message.ends_with(&expected), "{message}");
    let error = read(&weights, "embed_tokens.weight", &[16, 8]).unwrap_err();
    let LoadError::Missing { hint, .. } = &error else { panic!("{error}") };
    assert!(hint.contains("`model.embed_tokens.weight`"), "{error}");
    let error = read(&weights, "model.layers.1.mlp.up_proj.weight", &[1]).unwrap_err();
    assert!(error.to_string().contains(up), "{error}");
}

#[test]
fn other_formats_are_refused() {
    let folder = Folder::new();
    let header = br#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend([0; 4]);
    fs::write(folder.0.join(SINGLE), file).unwrap();
    let error = read(&Weights::open(&folder.0).unwrap(), "a", &[1]).unwrap_err();
    assert!(matches!(error, LoadError::Dtype { .. }), "{error}");
    assert!(error.to_string().contains("I32"), "{error}");
}

/// Every truncation and many single damaged bytes: an error or a readable file, never a panic.
#[test]
fn damaged_files_are_errors() {
    let folder = Folder::new();
    let tensors = some_tensors();
    save_some(&folder.0, Format::F32, u64::MAX).unwrap();
    let file = folder.0.join(SINGLE);
    let whole = fs::read(&file).unwrap();
    for n in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        fs::write(&file, &whole[..n]).unwrap();
        let message = open_error(&folder.0);
        assert!(message.contains(SINGLE), "{message}");
    }
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..header {
        for damage in [0x00, 0xff, b'9', b'"'] {
            let mut bytes = whole.clone();
            bytes[at] = damage;
            fs::write(&file, &bytes).unwrap();
            let Ok(weights) = Weights::open(&folder.0) else { continue };
            for (name, shape, _) in &tensors {
                let _ = read(&weights, name, shape);
            }
        }
    }
}

#[test]
fn damaged_indices_are_errors() {
    let folder = Folder::new();
    assert!(open_error(&folder.0).contains("neither model.safetensors"));
    save_some(&folder.0, Format::F32, 500).unwrap();
    let index = folder.0.join(INDEX);
    for (text, expected) in [
        ("{", "not JSON"),
        ("{}", "weight_map"),
        (r#"{"weight_map": {"a": "../model.safetensors"}}"#, "expected a file name"),
        (r#"{"weight_map": {"a": 3}}"#, "expected a file name"),
        (r#"{"weight_map": {"a": "absent.safetensors"}}"#, "absent.safetensors"),
        (r#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#, "no tensor `a`"),
    ] {
        fs::write(&index, text).unwrap();
        let message = open_error(&folder.0);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn names_are_taken_once() {
    let folder = Folder::new();
    let one = Part { name: "a", shape: &[], numbers: &[1.0], format: Format::F32 };
    let message = save(&folder.0, &[one, one], u64::MAX).unwrap_err().to_string();
    assert!(message.contains("`a`"), "{message}");
    assert!(save(&folder.0, &[Part { name: "__metadata__", ..one }], u64::MAX).is_err());
    let coded = Part { shape: &[1, 1], format: Format::Fp8, ..one };
    assert!(save(&folder.0, &[coded, Part { name: "a_scale_inv", ..one }], u64::MAX).is_err());
}

#[test]
fn a_failed_save_leaves_the_old_files() {
    let folder = Folder::new();
    save_some(&folder.0, Format::F32, u64::MAX).unwrap();
    let before = fs::read(folder.0.join(SINGLE)).unwrap();
    // A folder where the second shard's temporary file would go.
    fs::create_dir(temporary(&folder.0, "model-00002-of-00002.safetensors")).unwrap();
    assert!(save_some(&folder.0, Format::Bf16, 300).is_err());
    assert_eq!(fs::read(folder.0.join(SINGLE)).unwrap(), before);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
}

/// What transformers wrote opens, and has every tensor config.json implies.
#[test]
fn golden_checkpoints_open() {
    for family in ["qwen2", "qwen3", "llama"] {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"));
        let folder = golden.join(family);
        let config = crate::config::ModelConfig::from_folder(&folder).unwrap();
        let weights = Weights::open(&folder).unwrap();
        let n: usize = weights.names().map(|n| weights.shape(n).unwrap().iter().product::<usize>()).sum();
        assert_eq!(n as u64, config.n_parameters(), "{family}");
        assert_eq!(weights.contains("lm_head.weight"), !config.tied_head, "{family}");
    }
}

/// Weights in FP8 that libtorch rounded, with scales that it computed: read and written again, they are the same bytes.
#[test]
fn published_fp8_weights_are_kept() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/deepseek_v3_fp8")).join(SINGLE);
    let weights = Weights::open_file(&golden).unwrap();
    let coded: Vec<&str> = weights.names().filter_map(|name| name.strip_suffix("_scale_inv")).collect();
    assert!(coded.len() > 10, "{coded:?}");
    let shape = |name: &str| weights.shape(name).unwrap();
    let numbers: Vec<Vec<f32>> = coded.iter().map(|name| read(&weights, name, shape(name)).unwrap()).collect();
    let parts = coded.iter().zip(&numbers);
    let parts = parts.map(|(name, numbers)| Part { name, shape: shape(name), numbers, format: Format::Fp8 });
    let folder = Folder::new();
    let again = folder.0.join(SINGLE);
    write(&again, &parts.collect::<Vec<_>>()).unwrap();
    let files = [golden, again].map(|file| fs::read(file).unwrap());
    let [theirs, ours] = files.each_ref().map(|file| SafeTensors::deserialize(file).unwrap());
    for name in coded {
        for name in [name.to_owned(), format!("{name}_scale_inv")] {
            assert!(ours.tensor(&name).unwrap() == theirs.tensor(&name).unwrap(), "{name}");
        }
    }
}
