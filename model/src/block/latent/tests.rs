use crate::backward::Targets;
use crate::buffer::Buffer;
use crate::config::{AttentionConfig, Mla, PolicyConfig};
use crate::kv_cache::KvCache;
use crate::layout::Role;
use crate::packed::Packed;
use crate::policy::Policy;
use crate::policy::tests::FAMILIES;
use std::path::PathBuf;
use tch::Tensor;

fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter().filter(|family| family.starts_with("deepseek"))
}

fn load(family: &str, mla: Mla) -> (Policy, Tensor) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
    let policy = Policy::load(&folder, &PolicyConfig { mla, ..PolicyConfig::new(folder.clone()) }, 0).unwrap();
    let golden = Tensor::read_safetensors(folder.join("golden.safetensors")).unwrap();
    (policy, golden.into_iter().find(|(name, _)| name == "ids").unwrap().1)
}

fn packed(ids: &Tensor) -> (Packed, Targets) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for row in 0..ids.size()[0] {
        let tokens = Vec::<i64>::try_from(ids.get(row)).unwrap();
        let segment = packed.push(&tokens);
        targets.push_sequence(i64::from(segment.start), &tokens);
    }
    (packed, targets)
}

/// Both forms are the same function: log-probabilities and gradients agree up to the order of summation, and are not the
/// same bits.
#[test]
fn forms_agree() {
    for family in families() {
        let ((absorbed, ids), (expanded, _)) = (load(family, Mla::Absorbed), load(family, Mla::Expanded));
        let (packed, targets) = packed(&ids);
        let [a, b] = [&absorbed, &expanded].map(|policy| policy.logprobs(&packed, &targets, 1.0).logprobs);
        assert_ne!(a, b, "{family}");
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + a.abs())), "{family}");
        let gradient = |policy: &Policy| {
            let mut gradient = Buffer::zeros(policy.layout().len());
            let mut objective = |range: std::ops::Range<usize>, _: &_| vec![0.1; range.len()];
            policy.backward(&packed, &targets, 1.0, false, &mut gradient, &mut objective);
            gradient
        };
        let (a, b) = (gradient(&absorbed), gradient(&expanded));
        for parameter in absorbed.layout().parameters().iter().filter(|p| p.role != Role::Correction) {
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let (a, b) = (&a[parameter.range()], &b[parameter.range()]);
            let relative = norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied());
            assert!(relative <= 1e-4, "{family}: {}: {relative:e}", parameter.name);
        }
    }
}

/// Kept or computed again, what the expanded form needs gives the same bits.
#[test]
fn checkpointing_changes_no_bit_of_the_expanded_form() {
    let (policy, ids) = load("deepseek_v3", Mla::Expanded);
    let (packed, targets) = packed(&ids);
    let gradient = |checkpointing| {
        let mut gradient = Buffer::zeros(policy.layout().len());
        let mut objective = |range: std::ops::Range<usize>, _: &_| vec![0.1; range.len()];
        policy.backward(&packed, &targets, 1.0, checkpointing, &mut gradient, &mut objective);
        gradient
    };
    assert!(gradient(false)[..] == gradient(true)[..]);
}

/// A page holds the latent and the rotated key of 32 positions in every layer, and nothing else.
#[test]
fn the_cache_holds_latents_and_rotated_keys() {
    for family in families() {
        let (policy, _) = load(family, Mla::Absorbed);
        let config = policy.config();
        let AttentionConfig::Latent(latent) = &config.attention else { panic!("{family} has latents") };
        assert_eq!(KvCache::page_bytes(config), 4 * 32 * config.n_layers * (latent.rank + latent.rope_dim), "{family}");
    }
}
