use super::*;
use crate::completion::FinishReason;
use model::backward::Targets;
use model::config::{Dtype, PolicyConfig};
use model::packed::Packed;
use proptest::prelude::*;
use std::path::PathBuf;

mod drafting;

/// The tiny policy's shape with fresh weights, or with odd widths: heads of 20, a feed-forward of 70.
fn policy(odd: bool, dtype: Dtype) -> (Policy, Arc<Tokenizer>) {
    tch::set_num_threads(1);
    let tiny = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    let tokenizer = Arc::new(Tokenizer::from_folder(&tiny).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(tiny.join("config.json")).unwrap()).unwrap();
    json["max_position_embeddings"] = 512.into();
    json["num_hidden_layers"] = 2.into();
    if odd {
        json["hidden_size"] = 52.into();
        json["head_dim"] = 20.into();
        json["intermediate_size"] = 70.into();
    }
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let checkpoint = folder.path().to_owned();
    let config = PolicyConfig { dtype, random_init: true, ..PolicyConfig::new(checkpoint) };
    let mut policy = Policy::load(folder.path(), &config, 1).unwrap();
    // Fresh weights give flat distributions; larger ones make every length and token occur.
    policy.parameters_mut().iter_mut().for_each(|w| *w *= 3.0);
    policy.refresh();
    (policy, tokenizer)
}

fn sampled(
    policy: &Policy,
    pool: &mut RolloutPool,
    prompts: &[Prompt],
    n: usize,
    max_tokens: usize,
    sampling: &SamplingConfig,
) -> Vec<Group> {
    let cancel = AtomicBool::new(false);
    let request = Request { seed: 5, purpose: Purpose::Rollout, step: 2, n, max_tokens, sampling, cancel: &cancel };
    let (sender, groups) = crossbeam_channel::unbounded();
    pool.sample(policy, &request, prompts, &sender).unwrap();
    drop(sender);
    let mut groups: Vec<(usize, Group)> = groups.iter().collect();
    groups.sort_by_key(|(index, _)| *index);
    assert!(groups.iter().map(|(i, _)| *i).eq(0..prompts.len()), "every prompt once");
    groups.into_iter().map(|(_, group)| group).collect()
}

fn prompts(lengths: &[usize]) -> Vec<Prompt> {
    let prompt = |(i, &n): (usize, &usize)| {
        let stream = model::philox::Stream::new(9, Purpose::Sample, 0, i as u64, 0);
        Prompt { index: i as u64 * 3, tokens: (0..n).map(|p| stream.below(p as u32, 18) as u32).collect() }
    };
    lengths.iter().enumerate().map(prompt).collect()
}

fn stop() -> StopRules {
    StopRules { ids: vec![18], strings: Vec::new() }
}

/// Tokens and log-probabilities as bits.
fn bits(groups: &[Group]) -> Vec<Vec<(Vec<u32>, Vec<u32>)>> {
    let of = |c: &crate::completion::Completion| (c.tokens.clone(), c.logprobs.iter().map(|l| l.to_bits()).collect());
    groups.iter().map(|g| g.completions.iter().map(of).collect()).collect()
}

/// The training forward's log-probabilities of the completions of a group, as bits.
fn trained(policy: &Policy, group: &Group, temperature: f32) -> Vec<Vec<u32>> {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    let ids = |tokens: &[u32]| tokens.iter().map(|&t| i64::from(t)).collect::<Vec<_>>();
    let shared = packed.push(&ids(&group.prompt.tokens));
    for completion in &group.completions {
        let tokens = ids(&completion.tokens);
        let own = packed.push_after(Some(shared), &tokens[..tokens.len() - 1]);
        targets.rows.push(i64::from(shared.start + shared.length) - 1);
        targets.rows.extend((0..i64::from(own.length)).map(|i| i64::from(own.start) + i));
        targets.tokens.extend(tokens);
    }
    let mut found = policy.logprobs(&packed, &targets, temperature).logprobs.into_iter();
    let take = |c: &crate::completion::Completion| found.by_ref().take(c.tokens.len()).map(f32::to_bits).collect();
    group.completions.iter().map(take).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// However replicas, their threads, batches and the cache are sized, in whatever order prompts come: the same
    /// completions, and log-probabilities that are those of the training forward, bit for bit.
    #[test]
    fn completions_do_not_depend_on_how_they_were_batched(
        lengths in prop::collection::vec(1usize..200, 1..6),
        n in 1usize..6,
        max_tokens in 1usize..300,
        replicas in 1usize..5,
        threads in 1usize..6,
        max_batch in 1usize..20,
        spare_pages in 0usize..40,
        odd: bool,
        half: bool,
    ) {
        let (policy, tokenizer) = policy(odd, if half { Dtype::Bf16 } else { Dtype::F32 });
        let prompts = prompts(&lengths);
        let sampling = SamplingConfig { temperature: 0.8, ..SamplingConfig::default() };
        let pool = |replicas: usize, threads: usize, max_batch: usize, pages: usize| {
            let kv_bytes = (pages * replicas * KvCache::page_bytes(policy.config())) as u64;
            let config = RolloutConfig { max_batch, kv_bytes, replicas: Some(replicas), ..RolloutConfig::default() };
            RolloutPool::new(&config, threads, policy.config(), tokenizer.clone(), stop())
        };
        let mut plain = pool(1, 1, 64, 400);
        let expected = sampled(&policy, &mut plain, &prompts, n, max_tokens, &sampling);
        let mut other = pool(replicas, threads, max_batch, 20 + spare_pages);
        let found = sampled(&policy, &mut other, &prompts, n, max_tokens, &sampling);
        prop_assert_eq!(bits(&expected), bits(&found));
        // A second time the order is by the lengths seen, and the cache's pages are used ones.
        let again = sampled(&policy, &mut other, &prompts, n, max_tokens, &sampling);
        prop_assert_eq!(bits(&expected), bits(&again));
        for group in &found {
            let recorded: Vec<Vec<u32>> =
                group.completions.iter().map(|c| c.logprobs.iter().map(|l| l.to_bits()).collect()).collect();
            prop_assert_eq!(recorded, trained(&policy, group, 0.8));
            for completion in &group.completions {
                let stopped = completion.tokens.last() == Some(&18);
                prop_assert_eq!(completion.finish == crate::completion::FinishReason::Stop, stopped);
                prop_assert!(completion.tokens.len() <= max_tokens && !completion.tokens.is_empty());
            }
        }
    }
}

#[test]
fn a_stop_string_cuts_the_text_and_keeps_its_tokens() {
    let (policy, tokenizer) = policy(false, Dtype::F32);
    let rules = StopRules { ids: vec![18], strings: vec!["7".into()] };
    let mut pool = RolloutPool::new(&RolloutConfig::default(), 2, policy.config(), tokenizer.clone(), rules);
    let groups = sampled(&policy, &mut pool, &prompts(&[5, 9]), 16, 60, &SamplingConfig::default());
    let seven = tokenizer.id("7").unwrap();
    let mut cut = 0;
    for completion in groups.iter().flat_map(|g| &g.completions) {
        assert!(!completion.text.contains('7'));
        if let Some(at) = completion.tokens.iter().position(|&t| t == seven) {
            assert_eq!(at, completion.tokens.len() - 1, "nothing after the token that completes the string");
            assert_eq!(completion.finish, crate::completion::FinishReason::Stop);
            assert_eq!(completion.text, tokenizer.decode(&completion.tokens[..at], false));
            cut += 1;
        }
    }
    assert!(cut > 0, "some completion met the string");
}

#[test]
fn a_cache_too_small_is_an_error_with_numbers() {
    let (policy, tokenizer) = policy(false, Dtype::F32);
    let config = RolloutConfig { kv_bytes: 2 * KvCache::page_bytes(policy.config()) as u64, ..Default::default() };
    let mut pool = RolloutPool::new(&config, 1, policy.config(), tokenizer, stop());
    let cancel = AtomicBool::new(false);
    let sampling = SamplingConfig::default();
    let request = Request {
        seed: 0,
        purpose: Purpose::Rollout,
        step: 1,
        n: 2,
        max_tokens: 100,
        sampling: &sampling,
        cancel: &cancel,
    };
    let (sender, _groups) = crossbeam_channel::unbounded();
    let error = pool.sample(&policy, &request, &prompts(&[40]), &sender).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cache of a replica has 2 pages of 32 positions, a completion of prompt 0 may need 6"
    );
    cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(pool.sample(&policy, &request, &prompts(&[4]), &sender), Err(PoolError::Cancelled)));
}

#[test]
fn a_replica_that_panics_is_named() {
    let (policy, tokenizer) = policy(false, Dtype::F32);
    let mut pool = RolloutPool::new(&RolloutConfig::default(), 1, policy.config(), tokenizer, stop());
    let cancel = AtomicBool::new(false);
    let sampling = SamplingConfig::default();
    let request = Request {
        seed: 0,
        purpose: Purpose::Rollout,
        step: 1,
        n: 1,
        max_tokens: 4,
        sampling: &sampling,
        cancel: &cancel,
    };
    let (sender, _groups) = crossbeam_channel::unbounded();
    let outside = [Prompt { index: 0, tokens: vec![1_000_000] }];
    let error = pool.sample(&policy, &request, &outside, &sender).unwrap_err().to_string();
    assert!(error.starts_with("replica 0 died: ") && error.contains("index"), "{error}");
}

/// A policy that computes on libtorch's CPU device draws from logits that differ in their last places: nearly all
/// completions are the host's, each one's log-probabilities those of the training forward there, however many rows fit.
#[test]
fn a_device_samples_what_the_host_does() {
    let (mut policy, tokenizer) = policy(false, Dtype::F32);
    let (prompts, sampling) = (prompts(&[9, 1, 40, 17]), SamplingConfig { temperature: 0.8, ..Default::default() });
    let config = RolloutConfig { kv_bytes: 1 << 24, ..RolloutConfig::default() };
    let pool = |config: &RolloutConfig, policy: &Policy| {
        RolloutPool::new(config, 2, policy.config(), tokenizer.clone(), stop())
    };
    let host = sampled(&policy, &mut pool(&config, &policy), &prompts, 6, 30, &sampling);
    policy.compute_on(tch::Device::Cpu);
    for max_batch in [1, 5, 64] {
        let config = RolloutConfig { max_batch, ..config.clone() };
        let device = sampled(&policy, &mut pool(&config, &policy), &prompts, 6, 30, &sampling);
        let pairs = || device.iter().zip(&host).flat_map(|(a, b)| a.completions.iter().zip(&b.completions));
        let same = pairs().filter(|(a, b)| (&a.tokens, &a.text, a.finish) == (&b.tokens, &b.text, b.finish)).count();
        assert!(same >= 23, "{same} of 24 are the host's");
        assert!(pairs().any(|(a, _)| a.finish == FinishReason::Stop));
        assert!(pairs().any(|(a, _)| a.finish == FinishReason::Length));
        for group in &device {
            for (completion, trained) in group.completions.iter().zip(trained(&policy, group, 0.8)) {
                let trained = trained.into_iter().map(f32::from_bits);
                // A sum of the same products in another order.
                assert!(completion.logprobs.iter().zip(trained).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs())));
            }
        }
    }
    let small = RolloutConfig { kv_bytes: 1, ..config };
    let cancel = AtomicBool::new(false);
    let request = Request {
        seed: 5,
        purpose: Purpose::Rollout,
        step: 2,
        n: 1,
        max_tokens: 30,
        sampling: &sampling,
        cancel: &cancel,
    };
    let (sender, _groups) = crossbeam_channel::unbounded();
    let refused = pool(&small, &policy).sample(&policy, &request, &prompts, &sender);
    assert!(matches!(refused, Err(PoolError::KvBudget { prompt: 6, .. })), "{refused:?}");
    cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let cancelled = pool(&RolloutConfig::default(), &policy).sample(&policy, &request, &prompts, &sender);
    assert!(matches!(cancelled, Err(PoolError::Cancelled)), "{cancelled:?}");
}

#[test]
fn replicas_are_tried_and_change_no_completion() {
    let (policy, tokenizer) = policy(false, Dtype::F32);
    let mut pool = RolloutPool::new(&RolloutConfig::default(), 4, policy.config(), tokenizer, stop());
    assert_eq!((pool.threads(), pool.replicas()), (4, 4), "one thread each, unless something else is asked for");
    let prompts = prompts(&[3, 40, 7, 20, 5]);
    let before = sampled(&policy, &mut pool, &prompts, 8, 30, &SamplingConfig::default());
    let go = AtomicBool::new(false);
    let trials = pool.try_replicas(&policy, 5, 8, &go).unwrap();
    let tried: Vec<_> = trials.iter().map(|trial| (trial.replicas, trial.threads)).collect();
    assert_eq!(tried, [(1, 4), (2, 2), (4, 1)]);
    let fastest = trials.iter().max_by(|a, b| a.tokens_per_second.total_cmp(&b.tokens_per_second)).unwrap();
    assert_eq!(pool.replicas(), fastest.replicas);
    for replicas in [0, 1, 2, 3, 4, 9] {
        pool.set_replicas(replicas);
        assert_eq!(pool.replicas(), replicas.clamp(1, 4));
        let after = sampled(&policy, &mut pool, &prompts, 8, 30, &SamplingConfig::default());
        assert_eq!(bits(&after), bits(&before), "{replicas} replicas");
    }
    assert!(pool.try_replicas(&policy, 1, 8, &go).unwrap().is_empty(), "one prompt leaves no choice");
    let stopped = pool.try_replicas(&policy, 5, 8, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(PoolError::Cancelled)));
}
