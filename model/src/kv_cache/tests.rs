use super::*;
use crate::backward::Targets;
use crate::config::{DeviceChoice, Dtype, PolicyConfig};
use crate::kernels;
use crate::philox::{Purpose, Stream};
use proptest::prelude::*;
use std::path::PathBuf;

/// A golden policy with room for 512 positions.
fn policy(family: &str, dtype: Dtype) -> Policy {
    tch::set_num_threads(1);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden.join("config.json")).unwrap()).unwrap();
    json["max_position_embeddings"] = 512.into();
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let checkpoint = folder.path().to_owned();
    let config = PolicyConfig { checkpoint, dtype, device: DeviceChoice::Cpu, random_init: false };
    Policy::load(folder.path(), &config, 0).unwrap()
}

fn tokens(seed: u64, n: usize, vocabulary: usize) -> Vec<i64> {
    let stream = Stream::new(seed, Purpose::Sample, 0, 0, 0);
    (0..n).map(|i| stream.below(i as u32, vocabulary as u64) as i64).collect()
}

/// Decodes given completions of one prompt in a batch, all of them a token at a time, those that end leaving it.
/// Returns each token's log-probability as bits.
fn decoded(policy: &Policy, prompt: &[i64], completions: &[Vec<i64>]) -> Vec<Vec<u32>> {
    let v = policy.config.vocab_size;
    let mut cache = KvCache::new(&policy.config, 256);
    let (shared, logits) = policy.prefill(&mut cache, prompt);
    let mut active: Vec<(usize, Sequence)> = (0..completions.len()).map(|i| (i, cache.fork(&shared))).collect();
    cache.release(shared);
    let mut found = vec![Vec::new(); completions.len()];
    for (i, completion) in completions.iter().enumerate() {
        let first = kernels::token_logprobs(&logits, &completion[..1], 0.9, policy.vocabulary());
        found[i].push(first.logprobs[0].to_bits());
    }
    for at in 1.. {
        let (going, done): (Vec<_>, Vec<_>) = active.into_iter().partition(|(i, _)| at < completions[*i].len());
        done.into_iter().for_each(|(_, sequence)| cache.release(sequence));
        active = going;
        if active.is_empty() {
            break;
        }
        let input: Vec<i64> = active.iter().map(|(i, _)| completions[*i][at - 1]).collect();
        let mut sequences: Vec<&mut Sequence> = active.iter_mut().map(|(_, s)| s).collect();
        let logits = policy.decode(&mut cache, &mut sequences, &input);
        for (row, (i, _)) in active.iter().enumerate() {
            let target = &completions[*i][at..=at];
            let row = kernels::token_logprobs(&logits[row * v..][..v], target, 0.9, policy.vocabulary());
            found[*i].push(row.logprobs[0].to_bits());
        }
    }
    assert_eq!(cache.n_free(), 256, "every page came back");
    found
}

/// The training forward's log-probabilities of the same tokens, prompt packed once.
fn trained(policy: &Policy, prompt: &[i64], completions: &[Vec<i64>]) -> Vec<Vec<u32>> {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    let shared = packed.push(prompt);
    for completion in completions {
        let own = packed.push_after(Some(shared), &completion[..completion.len() - 1]);
        targets.rows.push(i64::from(shared.length) - 1);
        targets.rows.extend((0..i64::from(own.length)).map(|i| i64::from(own.start) + i));
        targets.tokens.extend_from_slice(completion);
    }
    let mut found = policy.logprobs(&packed, &targets, 0.9).logprobs.into_iter();
    completions.iter().map(|c| found.by_ref().take(c.len()).map(f32::to_bits).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Decoding in a shrinking batch gives the training forward's log-probabilities, bit for bit, in f32 and bf16, for
    /// every family.
    #[test]
    fn sampler_and_trainer_agree_on_every_bit(
        prompt in 1usize..200,
        lengths in prop::collection::vec(1usize..300, 1..10),
        seed: u64,
    ) {
        for family in ["qwen2", "qwen3", "llama"] {
            for dtype in [Dtype::F32, Dtype::Bf16] {
                let policy = policy(family, dtype);
                let v = policy.config.vocab_size;
                let prompt = tokens(seed, prompt, v);
                let completions: Vec<Vec<i64>> =
                    lengths.iter().enumerate().map(|(i, &n)| tokens(seed ^ (i as u64 + 1), n, v)).collect();
                prop_assert_eq!(
                    decoded(&policy, &prompt, &completions),
                    trained(&policy, &prompt, &completions),
                    "{} {:?}", family, dtype
                );
            }
        }
    }
}
