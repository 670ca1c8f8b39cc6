use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

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

fn some_tensors() -> Vec<(String, Tensor)> {
    let draw = |shape: &[i64]| {
        let n: i64 = shape.iter().product();
        (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37 - 3.1).sin().reshape(shape)
    };
    vec![
        ("model.embed_tokens.weight".into(), draw(&[16, 8])),
        ("model.layers.0.mlp.up_proj.weight".into(), draw(&[12, 8])),
        ("model.norm.weight".into(), draw(&[8])),
        ("transposed".into(), draw(&[3, 5]).tr()),
        ("scalar".into(), Tensor::from(1.5f32)),
    ]
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.kind() == b.kind() && a.size() == b.size() && a.equal(b)
}

fn open_error(folder: &Path) -> String {
    Weights::open(folder).err().expect("must not open").to_string()
}

#[test]
fn round_trip_in_every_format() {
    for kind in [Kind::Float, Kind::BFloat16, Kind::Half] {
        let folder = Folder::new();
        let tensors = some_tensors();
        save(&folder.0, &tensors, kind, u64::MAX).unwrap();
        assert!(!folder.0.join(INDEX).exists());
        let weights = Weights::open(&folder.0).unwrap();
        assert_eq!(weights.names().count(), tensors.len());
        for (name, tensor) in &tensors {
            assert!(weights.contains(name));
            let expected = tensor.to_kind(kind);
            let read = weights.tensor(name, &tensor.size(), ReadAs::Stored).unwrap();
            assert!(same(&read, &expected), "{name} {kind:?}");
            let read = weights.tensor(name, &tensor.size(), ReadAs::F32).unwrap();
            assert!(same(&read, &expected.to_kind(Kind::Float)), "{name} {kind:?}");
        }
    }
}

#[test]
fn shards_and_back_to_one_file() {
    let folder = Folder::new();
    let tensors = some_tensors();
    save(&folder.0, &tensors, Kind::Float, u64::MAX).unwrap();
    save(&folder.0, &tensors, Kind::Float, 500).unwrap();
    assert!(!folder.0.join(SINGLE).exists());
    assert!(folder.0.join("model-00001-of-00002.safetensors").exists());
    let index: Value = serde_json::from_slice(&fs::read(folder.0.join(INDEX)).unwrap()).unwrap();
    let total: usize = tensors.iter().map(|(_, t)| 4 * t.numel()).sum();
    assert_eq!(index["metadata"]["total_size"], total);
    let weights = Weights::open(&folder.0).unwrap();
    for (name, tensor) in &tensors {
        let read = weights.tensor(name, &tensor.size(), ReadAs::F32).unwrap();
        assert!(same(&read, tensor), "{name}");
    }
    save(&folder.0, &tensors, Kind::Float, u64::MAX).unwrap();
    let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [SINGLE]);
}

#[test]
fn complaints_name_tensor_and_file() {
    let folder = Folder::new();
    save(&folder.0, &some_tensors(), Kind::Float, u64::MAX).unwrap();
    let weights = Weights::open(&folder.0).unwrap();
    let up = "model.layers.0.mlp.up_proj.weight";
    let message = weights.tensor(up, &[24, 8], ReadAs::F32).unwrap_err().to_string();
    let expected = format!("model.safetensors: `{up}` is [12, 8], config says [24, 8]");
    assert!(message.ends_with(&expected), "{message}");
    let error = weights.tensor("embed_tokens.weight", &[16, 8], ReadAs::F32).unwrap_err();
    let LoadError::Missing { hint, .. } = &error else { panic!("{error}") };
    assert!(hint.contains("`model.embed_tokens.weight`"), "{error}");
    let error = weights.tensor("model.layers.1.mlp.up_proj.weight", &[1], ReadAs::F32).unwrap_err();
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
    let error = Weights::open(&folder.0).unwrap().tensor("a", &[1], ReadAs::F32).unwrap_err();
    assert!(matches!(error, LoadError::Dtype { .. }), "{error}");
    assert!(error.to_string().contains("I32"), "{error}");
}

/// Every truncation and many single damaged bytes: an error or a readable file, never a panic.
#[test]
fn damaged_files_are_errors() {
    let folder = Folder::new();
    let tensors = some_tensors();
    save(&folder.0, &tensors, Kind::Float, u64::MAX).unwrap();
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
            for (name, tensor) in &tensors {
                let _ = weights.tensor(name, &tensor.size(), ReadAs::F32);
            }
        }
    }
}

#[test]
fn damaged_indices_are_errors() {
    let folder = Folder::new();
    assert!(open_error(&folder.0).contains("neither model.safetensors"));
    save(&folder.0, &some_tensors(), Kind::Float, 500).unwrap();
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
    let twice = vec![("a".to_owned(), Tensor::from(1f32)), ("a".to_owned(), Tensor::from(2f32))];
    let message = save(&folder.0, &twice, Kind::Float, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("`a`"), "{message}");
    assert!(save(&folder.0, &twice[..1], Kind::Int64, u64::MAX).is_err());
}

#[test]
fn a_failed_save_leaves_the_old_files() {
    let folder = Folder::new();
    save(&folder.0, &some_tensors(), Kind::Float, u64::MAX).unwrap();
    let before = fs::read(folder.0.join(SINGLE)).unwrap();
    // A folder where the second shard's temporary file would go.
    fs::create_dir(temporary(&folder.0, "model-00002-of-00002.safetensors")).unwrap();
    assert!(save(&folder.0, &some_tensors(), Kind::BFloat16, 300).is_err());
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
