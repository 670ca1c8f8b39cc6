use super::*;
use crate::backward::Targets;
use crate::config::{Dtype, PolicyConfig};
use crate::kernels;
use crate::kv_cache::KvArena;
use crate::philox::{Purpose, Stream};
use crate::policy::tests::FAMILIES;
use crate::team::Team;
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
    let config = PolicyConfig { dtype, ..PolicyConfig::new(checkpoint) };
    Policy::load(folder.path(), &config, 0).unwrap()
}

fn tokens(seed: u64, n: usize, vocabulary: usize) -> Vec<i64> {
    let stream = Stream::new(seed, Purpose::Sample, 0, 0, 0);
    (0..n).map(|i| stream.below(i as u32, vocabulary as u64) as i64).collect()
}

/// Decodes given completions of one prompt in a batch, `at_once` tokens of each in a step, those that end leaving it.
/// Returns each token's log-probability as bits.
fn decoded(policy: &Policy, prompt: &[i64], completions: &[Vec<i64>], at_once: usize) -> Vec<Vec<u32>> {
    let v = policy.config.vocab_size;
    let mut arena = KvArena::new(&policy.config, 256);
    let mut cache = arena.cache();
    let (shared, logits) = policy.prefill(&mut cache, prompt);
    let mut active: Vec<(usize, Sequence)> = (0..completions.len()).map(|i| (i, cache.fork(&shared))).collect();
    cache.release(shared);
    let mut found = vec![Vec::new(); completions.len()];
    for (i, completion) in completions.iter().enumerate() {
        let first = kernels::token_logprobs(&logits, &completion[..1], 0.9, policy.vocabulary());
        found[i].push(first.logprobs[0].to_bits());
    }
    loop {
        let (going, done): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|(i, _)| found[*i].len() < completions[*i].len());
        done.into_iter().for_each(|(_, sequence)| cache.release(sequence));
        active = going;
        if active.is_empty() {
            break;
        }
        let mut targets = Vec::new();
        let mut feeds = Vec::new();
        for (i, sequence) in &mut active {
            let (completion, at) = (&completions[*i], found[*i].len());
            let end = completion.len().min(at + at_once);
            feeds.push(Feed { sequence, tokens: &completion[at - 1..end - 1] });
            targets.extend((at..end).map(|at| (*i, completion[at])));
        }
        let logits = policy.decode(&mut cache, &mut feeds);
        for (row, (i, target)) in targets.into_iter().enumerate() {
            let row = kernels::token_logprobs(&logits[row * v..][..v], &[target], 0.9, policy.vocabulary());
            found[i].push(row.logprobs[0].to_bits());
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
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Decoding in a shrinking batch, one token a step or several, on one thread or a team, gives the training forward's
    /// log-probabilities, bit for bit, in f32, bf16 and FP8, for every family.
    #[test]
    fn sampler_and_trainer_agree_on_every_bit(
        prompt in 1usize..200,
        lengths in prop::collection::vec(1usize..300, 1..10),
        at_once in 2usize..40,
        threads in 2usize..4,
        seed: u64,
    ) {
        for family in FAMILIES {
            for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Fp8] {
                let policy = policy(family, dtype);
                let v = policy.config.vocab_size;
                let prompt = tokens(seed, prompt, v);
                let completions: Vec<Vec<i64>> =
                    lengths.iter().enumerate().map(|(i, &n)| tokens(seed ^ (i as u64 + 1), n, v)).collect();
                let expected = trained(&policy, &prompt, &completions);
                prop_assert_eq!(&decoded(&policy, &prompt, &completions, 1), &expected, "{} {:?}", family, dtype);
                let together = || decoded(&policy, &prompt, &completions, at_once);
                prop_assert_eq!(&Team::new(threads).lead(together), &expected, "{} {:?}", family, dtype);
            }
        }
    }
}

/// Nothing is multiplied that no sequence asked for: in f32 a step has a row for each token it is fed.
#[test]
fn a_step_multiplies_the_rows_it_is_fed() {
    for (dtype, rows) in [(Dtype::F32, 5), (Dtype::Bf16, 8)] {
        let policy = policy("qwen2", dtype);
        let mut arena = KvArena::new(&policy.config, 16);
        let mut cache = arena.cache();
        let (mut one, logits) = policy.prefill(&mut cache, &[1, 2, 3]);
        assert_eq!(logits.len(), policy.config.vocab_size);
        let mut other = cache.fork(&one);
        let mut feeds =
            [Feed { sequence: &mut one, tokens: &[4, 5] }, Feed { sequence: &mut other, tokens: &[6, 7, 8] }];
        let mut seen = Vec::new();
        let x = policy.decode_stream(&mut cache, &mut feeds, &mut |x| seen.push(x.len()));
        assert_eq!((one.len(), other.len()), (5, 6));
        assert_eq!(seen, vec![rows * policy.config.hidden_dim; policy.config.n_layers]);
        assert_eq!(policy.head_logits(&x).len(), rows * policy.config.vocab_size);
    }
}
