use super::*;
use crate::backward::Targets;
use crate::buffer::Buffer;
use crate::config::{AttentionConfig, Dtype, LatentAttention, Mla, PolicyConfig};
use crate::layout::Role;
use crate::packed::Packed;
use crate::philox::{Purpose, Stream, open_unit};
use crate::policy::Policy;
use crate::policy::tests::FAMILIES;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// The CPU device, and a GPU where the tests find one.
pub(super) fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    devices.extend(tch::Cuda::is_available().then_some(Device::Cuda(0)));
    devices
}

pub(super) fn policy(family: &str, dtype: Dtype) -> Policy {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
    let config = PolicyConfig { dtype, ..PolicyConfig::new(folder.clone()) };
    let mut policy = Policy::load(&folder, &config, 0).unwrap();
    // Three ids have no probability, as beyond a tokenizer's vocabulary.
    policy.set_vocabulary(policy.config().vocab_size - 3);
    policy
}

fn tokens(n: usize, vocabulary: usize) -> Vec<i64> {
    let stream = Stream::new(5, Purpose::Problems, 0, 0, 0);
    (0..n).map(|i| stream.below(i as u32, vocabulary as u64) as i64).collect()
}

/// A prompt that two completions share, a sequence alone, and a prompt of one row. Every kind of row that a microbatch
/// has, with rows that serve several targets.
pub(super) fn batch(vocabulary: usize) -> (Packed, Targets) {
    let ids = tokens(60, vocabulary);
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    let mut group = |prompt: &[i64], completions: &[&[i64]]| {
        let shared = packed.push(prompt);
        for completion in completions {
            let segment = packed.push_after(Some(shared), &completion[..completion.len() - 1]);
            targets.rows.push(i64::from(shared.start + shared.length) - 1);
            targets.rows.extend((0..completion.len() as i64 - 1).map(|i| i64::from(segment.start) + i));
            targets.tokens.extend_from_slice(completion);
        }
    };
    group(&ids[..11], &[&ids[11..19], &ids[19..33]]);
    group(&ids[33..34], &[&ids[34..40], &ids[40..41]]);
    let alone = packed.push(&ids[41..]);
    targets.push_sequence(i64::from(alone.start), &ids[41..]);
    (packed, targets)
}

/// Weights of a loss: of both signs, some zero.
pub(super) fn weights(range: Range<usize>) -> Vec<f32> {
    range.map(|i| (i % 5) as f32 - 1.5).map(|w| if w == 0.5 { 0.0 } else { w / 40.0 }).collect()
}

pub(super) fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |a, b| a.max(b.abs()))
}

pub(super) fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

pub(super) fn host(tensor: &Tensor) -> Buffer {
    Buffer::of(tensor.shallow_clone())
}

pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn gradients(family: &str, dtype: Dtype, device: Device, checkpointing: bool) -> (Policy, Buffer, Buffer) {
    let policy = policy(family, dtype);
    let (packed, targets) = batch(policy.vocabulary());
    let mut expected = Buffer::zeros(policy.layout().len());
    policy.backward(&packed, &targets, 0.8, false, &mut expected, &mut |range, _| weights(range));
    let on_device = DevicePolicy::new(&policy, device);
    let mut found = on_device.gradient();
    on_device.backward(&packed, &targets, 0.8, checkpointing, &mut found, &mut |range, _| weights(range));
    (policy, expected, host(&found))
}

/// In f32 both are sums of the same products in another order: a few units in the last place through two blocks.
#[test]
fn logprobs_are_the_policys() {
    for (family, device) in FAMILIES.into_iter().flat_map(|f| devices().into_iter().map(move |d| (f, d))) {
        let policy = policy(family, Dtype::F32);
        let (packed, targets) = batch(policy.vocabulary());
        let expected = policy.logprobs(&packed, &targets, 0.8);
        let found = DevicePolicy::new(&policy, device).logprobs(&packed, &targets, 0.8);
        for (found, expected) in [
            (&found.logprobs, &expected.logprobs),
            (&found.entropies, &expected.entropies),
            (&found.log_normalisers, &expected.log_normalisers),
        ] {
            let apart = apart(found, expected);
            assert!(apart <= 1e-5 * (1.0 + largest(expected)), "{family}: {apart:e}");
        }
    }
}

/// As for log-probabilities: each tensor within 1e-5 of its own largest number, as against transformers; 3e-5 behind the
/// weights of experts and the longer chains of products of latents. No gradient reaches a correction bias.
#[test]
fn gradients_are_the_policys() {
    for (family, device) in FAMILIES.into_iter().flat_map(|f| devices().into_iter().map(move |d| (f, d))) {
        let (policy, expected, found) = gradients(family, Dtype::F32, device, true);
        let bound = if policy.config().experts.is_some() { 3e-5 } else { 1e-5 };
        for parameter in policy.layout().parameters() {
            let (expected, found) = (&expected[parameter.range()], &found[parameter.range()]);
            let (apart, largest) = (apart(found, expected), largest(expected));
            assert_eq!(largest > 0.0, parameter.role != Role::Correction, "{family}: {}", parameter.name);
            assert!(apart <= bound * largest, "{family}: {}: {apart:e} of {largest:e}", parameter.name);
        }
    }
}

/// Kept or computed again, a block's tape is the same operations.
#[test]
fn checkpointing_changes_no_bit_of_a_gradient() {
    for family in FAMILIES {
        let [kept, again] = [false, true].map(|c| gradients(family, Dtype::F32, Device::Cpu, c).2);
        assert!(kept[..] == again[..], "{family}");
    }
}

/// In bf16 the device, whose attention is in bf16 as well, moves log-probabilities and gradient no further from f32 than
/// transformers' own bf16 does.
#[test]
fn bf16_follows_f32() {
    for (family, device) in FAMILIES.into_iter().flat_map(|f| devices().into_iter().map(move |d| (f, d))) {
        let [policy, half] = [Dtype::F32, Dtype::Bf16].map(|dtype| {
            let mut policy = policy(family, dtype);
            policy.set_vocabulary(usize::MAX);
            policy
        });
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
        let golden = Tensor::read_safetensors(folder.join("golden.safetensors")).unwrap();
        let named = |name: &str| &golden.iter().find(|(n, _)| n == name).unwrap().1;
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        for row in 0..named("ids").size()[0] {
            let ids = Vec::<i64>::try_from(named("ids").get(row)).unwrap();
            let segment = packed.push(&ids);
            targets.push_sequence(i64::from(segment.start), &ids);
        }
        let on_device = DevicePolicy::new(&half, device);
        let expected = policy.logits(&packed);
        let distance = |x: &Tensor| (x - &expected).abs().mean(Kind::Double).double_value(&[]);
        let ours = distance(&on_device.logits(&packed).to_device(Device::Cpu));
        let theirs = distance(&named("logits_bf16").to_kind(Kind::Float).reshape_as(&expected));
        assert!(ours > 0.0 && ours <= theirs, "{family}: logits are off by {ours}, those of transformers by {theirs}");
        let weight = -1.0 / targets.tokens.len() as f32;
        let (mut a, mut b) = (Buffer::zeros(policy.layout().len()), on_device.gradient());
        policy.backward(&packed, &targets, 1.0, false, &mut a, &mut |range, _| vec![weight; range.len()]);
        on_device.backward(&packed, &targets, 1.0, false, &mut b, &mut |range, _| vec![weight; range.len()]);
        let ours = cosine(&a, &host(&b));
        let theirs = named("gradient_cosine_bf16").double_value(&[0]);
        assert!(ours < 1.0 && ours >= theirs, "{family}: the gradient's cosine is {ours}, transformers' {theirs}");
    }
}

/// In FP8, with f32 elsewhere, the device computes the CPU's log-probabilities, and its gradient; but for experts, whose
/// weights the CPU applies behind the coding of gradients and the device before. In bf16 elsewhere it moves
/// log-probabilities about as far from f32 as the CPU does.
#[test]
fn fp8_follows_the_policys() {
    for (family, device) in FAMILIES.into_iter().flat_map(|f| devices().into_iter().map(move |d| (f, d))) {
        let latents = family.starts_with("deepseek");
        for mla in [Mla::Absorbed, Mla::Expanded].into_iter().take(if latents { 2 } else { 1 }) {
            let [mut policy, exact] = [Dtype::Fp8, Dtype::F32].map(|dtype| policy(family, dtype));
            policy.mla = mla;
            let policy = policy.deep_copy();
            let (packed, targets) = batch(policy.vocabulary());
            let logprobs = |p: &Policy| p.logprobs(&packed, &targets, 0.8).logprobs;
            let (expected, exact) = (logprobs(&policy), logprobs(&exact));
            let on_device = |kind| DevicePolicy::with_operands(&policy, device, kind);
            let wide = on_device(Kind::Float);
            let found = wide.logprobs(&packed, &targets, 0.8).logprobs;
            assert!(apart(&found, &expected) <= 1e-5 * (1.0 + largest(&expected)), "{family} {mla:?}");
            let half = on_device(Kind::BFloat16).logprobs(&packed, &targets, 0.8).logprobs;
            let mean = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
            let (ours, theirs) = (mean(&half, &exact), mean(&expected, &exact));
            assert!(ours <= 1.25 * theirs, "{family} {mla:?}: {ours} from f32, the CPU {theirs}");

            let (mut expected, mut found) = (Buffer::zeros(policy.layout().len()), wide.gradient());
            policy.backward(&packed, &targets, 0.8, false, &mut expected, &mut |range, _| weights(range));
            wide.backward(&packed, &targets, 0.8, true, &mut found, &mut |range, _| weights(range));
            let apart = 1.0 - cosine(&host(&found), &expected);
            let bound = if policy.config().experts.is_some() { 5e-3 } else { 1e-8 };
            assert!(apart <= bound, "{family} {mla:?}: 1 - cosine is {apart:e}");
        }
    }
}

/// More targets than a chunk of the head has rows: the gradient is that of the same loss in one chunk.
#[test]
fn chunks_of_the_head_add_up() {
    let policy = policy("llama", Dtype::F32);
    let on_device = DevicePolicy::new(&policy, Device::Cpu);
    let (packed, once) = batch(policy.vocabulary());
    let repeats = 5000 / once.tokens.len() + 1;
    let many = Targets { rows: once.rows.repeat(repeats), tokens: once.tokens.repeat(repeats) };
    let (mut expected, mut found, mut chunks) = (on_device.gradient(), on_device.gradient(), 0);
    on_device.backward(&packed, &once, 1.0, true, &mut expected, &mut |range, _| vec![0.1; range.len()]);
    on_device.backward(&packed, &many, 1.0, true, &mut found, &mut |range, _| {
        chunks += 1;
        vec![0.1 / repeats as f32; range.len()]
    });
    assert!(chunks > 1);
    let (expected, found) = (host(&expected), host(&found));
    // Thousands of terms where there were dozens.
    assert!(apart(&expected, &found) <= 1e-4 * largest(&expected));
    assert_eq!(on_device.logprobs(&packed, &many, 1.0).logprobs.len(), many.tokens.len());
}

/// Rows that start, leave and make room for others have the logits of their sequence in one forward pass.
#[test]
fn decoding_follows_the_forward_pass() {
    for (family, device) in FAMILIES.into_iter().flat_map(|f| devices().into_iter().map(move |d| (f, d))) {
        let policy = policy(family, Dtype::F32);
        let on_device = DevicePolicy::new(&policy, device);
        let ids = tokens(45, policy.vocabulary());
        let check = |sequence: &[i64], logits: &Tensor| {
            let mut packed = Packed::default();
            packed.push(sequence);
            let expected = policy.logits(&packed);
            let (expected, found) = (host(&expected.get(sequence.len() as i64 - 1)), host(logits));
            assert!(apart(&expected, &found) <= 1e-5 * (1.0 + largest(&expected)), "{family}: {sequence:?}");
        };
        let prompts = [&ids[..7], &ids[7..20], &ids[20..21]];
        let mut cache = DeviceCache::new(&on_device, 4, 40);
        let mut sequences: Vec<Vec<i64>> = Vec::new();
        for prompt in prompts {
            let encoded = on_device.encode(prompt);
            check(prompt, &encoded.logits.get(0));
            cache.start(&encoded);
            sequences.push(prompt.to_vec());
        }
        for (step, &id) in ids[21..33].iter().enumerate() {
            if step == 4 {
                cache.swap_remove(0);
                sequences.swap_remove(0);
                let encoded = on_device.encode(prompts[1]);
                cache.start(&encoded);
                sequences.push(prompts[1].to_vec());
            }
            let next: Vec<i64> = (0..cache.len() as i64).map(|row| (id + row) % policy.vocabulary() as i64).collect();
            let logits = on_device.decode(&mut cache, &next);
            for (row, (sequence, next)) in sequences.iter_mut().zip(&next).enumerate() {
                sequence.push(*next);
                check(sequence, &logits.get(row as i64));
            }
        }
        cache.clear();
        assert_eq!(cache.len(), 0);
    }
}

/// Of latent attention a cache holds latents and rotated keys: 576 numbers a position and layer in DeepSeek-V3.
#[test]
fn a_cache_of_latents_holds_nothing_else() {
    let on_device = DevicePolicy::new(&policy("deepseek_v3", Dtype::Bf16), Device::Cpu);
    let LatentAttention { rank, rope_dim, .. } = match &on_device.config().attention {
        AttentionConfig::Latent(latent) => latent.clone(),
        AttentionConfig::Grouped(_) => panic!("latents"),
    };
    assert_eq!(DeviceCache::bytes(&on_device, 5, 64), 2 * on_device.config().n_layers * (rank + rope_dim) * 5 * 64);
}

/// The uniform numbers are the host's to the bit; the logarithms of a device may differ in the last place.
#[test]
fn noise_is_the_hosts() {
    for device in devices() {
        let draws: Vec<(Stream, u32)> = (0..5)
            .map(|i| (Stream::new(u64::MAX - i, Purpose::Rollout, 3 + i, 1 << 33 | i, 7 * i), 1000 * i as u32))
            .collect();
        let n = 4099;
        let found = gumbel(&draws, n, device);
        assert_eq!(found.size(), [5, n as i64]);
        for (row, (stream, position)) in draws.iter().enumerate() {
            let found = host(&found.get(row as i64));
            for (id, found) in found.iter().enumerate() {
                let unit = open_unit(stream.block(*position, (id / 4) as u32)[id % 4]);
                let expected = -(-unit.ln()).ln();
                assert!((found - expected).abs() <= 2e-6 * (1.0 + expected.abs()), "{found}, not {expected}");
                // A neighbouring unit would be further away than that, but for the flattest part of the curve.
            }
        }
    }
}

/// With FP8 the copy in bf16 has what is not in FP8, and no more; what is planned is what there is.
#[test]
fn weights_take_what_was_planned() {
    for (family, dtype) in FAMILIES.into_iter().flat_map(|f| [Dtype::F32, Dtype::Bf16, Dtype::Fp8].map(|d| (f, d))) {
        let mut policy = policy(family, dtype);
        for mla in [Mla::Absorbed, Mla::Expanded] {
            policy.mla = mla;
            let on_device = DevicePolicy::new(&policy, Device::Cpu);
            assert_eq!(on_device.bytes(), weight_bytes(policy.config(), dtype, mla), "{family} {dtype:?} {mla:?}");
        }
        if dtype == Dtype::Fp8 {
            policy.mla = Mla::Absorbed;
            let wide = 2 * (policy.layout().len() - policy.layout().n_coded()) as u64;
            assert_eq!(DevicePolicy::new(&policy, Device::Cpu).operands.bytes(), wide, "{family}");
        }
    }
}

#[test]
fn a_missing_library_is_told_with_its_places() {
    let folders = [PathBuf::from("/nowhere/one"), PathBuf::from("/nowhere/two")];
    let error = load_cuda(&folders).unwrap_err().to_string();
    assert_eq!(error, "no libtorch_cuda.so of libtorch 2.11.0 in `/nowhere/one`, `/nowhere/two`");
    let error = load_cuda(&[]).unwrap_err().to_string();
    assert!(error.ends_with("in any folder, for none was named"), "{error}");
}

#[test]
fn a_library_of_another_version_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let lib = root.path().join("lib");
    std::fs::create_dir(&lib).unwrap();
    std::fs::write(lib.join("libtorch_cuda.so"), "not a library").unwrap();
    let refused = |text: &str, name: &str, place: &Path| {
        std::fs::write(root.path().join(name), text).unwrap();
        load_cuda(&[place.to_owned()]).unwrap_err().to_string()
    };
    let error = refused("from typing import Optional\n__version__ = '2.9.1+cu128'\n", "version.py", &lib);
    assert!(error.contains("is of libtorch 2.9.1+cu128, and this program is linked with 2.11.0"), "{error}");
    // Of the right version, and named by the folder above: the loader says what is wrong with the file.
    let error = refused("2.11.0+cu130\n", "build-version", root.path());
    assert!(error.starts_with("load `") && error.contains("libtorch_cuda.so"), "{error}");
}

#[test]
fn the_libtorch_in_use_is_found() {
    let folder = beside_libtorch().expect("a folder");
    assert!(folder.join("libtorch_cpu.so").is_file(), "{}", folder.display());
}
