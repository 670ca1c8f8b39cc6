use super::*;
use std::path::PathBuf;

fn golden(family: &str) -> (Policy, Vec<(String, Tensor)>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
    let config = ModelConfig::from_folder(&folder).unwrap();
    let policy = Policy::load(&folder, config).unwrap();
    (policy, Tensor::read_safetensors(folder.join("golden.safetensors")).unwrap())
}

fn named<'a>(tensors: &'a [(String, Tensor)], name: &str) -> &'a Tensor {
    &tensors.iter().find(|(n, _)| n == name).unwrap().1
}

/// Logits of transformers in f32 eager (scripts/golden/dense.py), relative to the largest: 1e-5.
#[test]
fn logits_match_transformers() {
    for family in ["qwen2", "qwen3", "llama"] {
        let (policy, tensors) = golden(family);
        let ids = named(&tensors, "ids");
        let (b, t) = ids.size2().unwrap();
        let mut packed = Packed::default();
        for row in 0..b {
            packed.push(&Vec::<i64>::try_from(ids.get(row)).unwrap());
        }
        let expected = named(&tensors, "logits").reshape([b * t, -1]);
        let found = policy.logits(&packed);
        let difference = (&found - &expected).abs().max().double_value(&[]);
        let largest = expected.abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * largest, "{family}: {difference:e} of {largest}");
    }
}

/// A completion packed behind a shared prompt has the logits of the same sequence alone, bit for bit.
#[test]
fn shared_prompts_are_exact() {
    for family in ["qwen2", "qwen3", "llama"] {
        let (policy, tensors) = golden(family);
        let ids = Vec::<i64>::try_from(named(&tensors, "ids").reshape([-1])).unwrap();
        let (prompt, first, second) = (&ids[..35], &ids[35..46], &ids[46..75]);
        let mut packed = Packed::default();
        let shared = packed.push(prompt);
        packed.push_after(Some(shared), first);
        packed.push_after(Some(shared), second);
        let mut alone = Packed::default();
        alone.push(&[prompt, second].concat());
        let (together, alone) = (policy.logits(&packed), policy.logits(&alone));
        assert!(together.narrow(0, 46, 29).equal(&alone.narrow(0, 35, 29)), "{family}: the completion's rows");
        assert!(together.narrow(0, 0, 35).equal(&alone.narrow(0, 0, 35)), "{family}: the prompt's rows");
    }
}
