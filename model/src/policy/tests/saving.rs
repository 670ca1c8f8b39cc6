//! What policies write, and read again.

use super::*;
use crate::checkpoint::Format;
use safetensors::{Dtype as Stored, SafeTensors};

/// Saved into the folder it came from, a policy keeps the files that lie beside its weights.
#[test]
fn saved_in_place_keeps_what_is_beside() {
    let folder = tempfile::tempdir().unwrap();
    golden("qwen2").0.save(folder.path(), Format::F32).unwrap();
    let beside = folder.path().join("generation_config.json");
    std::fs::write(&beside, "{}").unwrap();
    let again = Policy::load(folder.path(), &config(folder.path()), 0).unwrap();
    again.save(folder.path(), Format::F32).unwrap();
    assert_eq!(std::fs::read(&beside).unwrap(), b"{}");
}

/// Saved in FP8, loaded and saved again, files are the same bytes; saved as f32 from there, config.json says so.
#[test]
fn fp8_files_repeat() {
    for family in FAMILIES {
        let (policy, _) = golden(family);
        let [first, second, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let read = |folder: &tempfile::TempDir, name: &str| std::fs::read(folder.path().join(name)).unwrap();
        policy.save(first.path(), Format::Fp8).unwrap();
        let again = Policy::load(first.path(), &config(first.path()), 0).unwrap();
        again.save(second.path(), Format::Fp8).unwrap();
        for name in ["model.safetensors", "config.json"] {
            assert!(read(&first, name) == read(&second, name), "{family}: {name}");
        }
        // Matrices of the blocks are off by a rounding to four bits, the others by one to eight.
        for parameter in policy.layout().parameters() {
            let [before, after] = [&policy, &again].map(|p| &p.parameters()[parameter.range()]);
            let largest = before.iter().fold(0f32, |a, b| a.max(b.abs()));
            let (relative, least) = match parameter.role {
                Role::Linear => (1.0 / 16.0, largest / 448.0 / 1024.0),
                _ => (1.0 / 256.0, 0.0),
            };
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= (a.abs() * relative).max(least) * 1.001;
            assert!(before.iter().zip(after).all(near), "{family}: {}", parameter.name);
        }
        again.save(third.path(), Format::F32).unwrap();
        let config = String::from_utf8(read(&third, "config.json")).unwrap();
        assert!(!config.contains("quantization_config"), "{config}");
        assert_eq!(
            Policy::load(third.path(), &self::config(third.path()), 0).unwrap().parameters(),
            again.parameters()
        );
    }
}

/// A published checkpoint's codes and scales are read and written again as the same bytes.
#[test]
fn published_fp8_is_saved_as_it_was() {
    let (policy, _) = golden(PUBLISHED);
    let saved = tempfile::tempdir().unwrap();
    policy.save(saved.path(), Format::Fp8).unwrap();
    let [before, after] = [folder(PUBLISHED).as_path(), saved.path()]
        .map(|folder| std::fs::read(folder.join("model.safetensors")).unwrap());
    let [before, after] = [&before, &after].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    assert_eq!(before.len(), after.len());
    let mut n_codes = 0;
    for (name, tensor) in before.tensors() {
        let again = after.tensor(&name).unwrap();
        assert_eq!(tensor.shape(), again.shape(), "{name}");
        let coded = tensor.dtype() == Stored::F8_E4M3;
        if coded || name.ends_with("_scale_inv") {
            assert_eq!((tensor.dtype(), tensor.data()), (again.dtype(), again.data()), "{name}");
        }
        n_codes += if coded { tensor.data().len() } else { 0 };
    }
    let linear = policy.layout().parameters().iter().filter(|p| p.role == Role::Linear);
    assert_eq!(n_codes, linear.map(|p| p.range().len()).sum::<usize>());
    let read = |folder: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
    };
    let [before, after] = [folder(PUBLISHED).as_path(), saved.path()].map(read);
    assert_eq!(before["quantization_config"], after["quantization_config"]);
}

/// What is saved is loaded again, bit for bit; bf16 files hold the rounded numbers.
#[test]
fn saved_policies_load_again() {
    for family in FAMILIES {
        let (policy, _) = golden(family);
        let folder = tempfile::tempdir().unwrap();
        policy.save(folder.path(), Format::F32).unwrap();
        let again = Policy::load(folder.path(), &config(folder.path()), 0).unwrap();
        assert!(policy.parameters() == again.parameters(), "{family}");
        policy.save(folder.path(), Format::Bf16).unwrap();
        let rounded = Policy::load(folder.path(), &config(folder.path()), 0).unwrap();
        let all = policy.parameters().iter().zip(rounded.parameters());
        assert!(all.clone().all(|(a, b)| (a - b).abs() <= a.abs() / 256.0) && all.clone().any(|(a, b)| a != b));
    }
}

/// A Gemma 3 that also sees is read for its text part, under the names of older and of newer files, and saved as that
/// part alone.
#[test]
fn the_text_part_of_a_checkpoint_that_sees() {
    let (policy, _) = golden("gemma3");
    let text: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder("gemma3").join("config.json")).unwrap()).unwrap();
    let tensors = Tensor::read_safetensors(folder("gemma3").join("model.safetensors")).unwrap();
    for prefix in ["language_model.model.", "model.language_model."] {
        let seeing = tempfile::tempdir().unwrap();
        let tower = ("vision_tower.patch.weight".to_owned(), Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu)));
        let renamed = tensors.iter().map(|(name, x)| (name.replacen("model.", prefix, 1), x.shallow_clone()));
        let all: Vec<_> = renamed.chain([tower]).collect();
        Tensor::write_safetensors(&all, seeing.path().join("model.safetensors")).unwrap();
        let whole = serde_json::json!({
            "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text,
            "eos_token_id": [1, 106], "torch_dtype": "float32",
        });
        std::fs::write(seeing.path().join("config.json"), whole.to_string()).unwrap();
        let read = Policy::load(seeing.path(), &config(seeing.path()), 0).unwrap();
        assert_eq!(read.parameters(), policy.parameters(), "{prefix}");

        let saved = tempfile::tempdir().unwrap();
        read.save(saved.path(), Format::F32).unwrap();
        let again = Policy::load(saved.path(), &config(saved.path()), 0).unwrap();
        assert_eq!((again.parameters(), again.config()), (policy.parameters(), read.config()));
    }
}
