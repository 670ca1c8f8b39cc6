use super::*;

fn drafting(policy: &Policy, tokenizer: &Arc<Tokenizer>, config: RolloutConfig, threads: usize) -> RolloutPool {
    let config = RolloutConfig { draft: Drafting::Mtp, ..config };
    RolloutPool::new(&config, threads, policy.config(), tokenizer.clone(), stop())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the block drafts: the completions of plain decoding and their log-probabilities, byte for byte; for prompts
    /// around a page's end, and every page of both caches comes back.
    #[test]
    fn a_draft_of_the_block_changes_no_completion(
        mut lengths in prop::collection::vec(1usize..100, 1..4),
        edge in prop::sample::select(vec![1usize, 2, 31, 32, 33, 64]),
        n in 1usize..6,
        max_tokens in 1usize..120,
        speculate in 1usize..7,
        replicas in 1usize..4,
        threads in 1usize..5,
        max_batch in 1usize..7,
        cold in 0usize..3,
        half: bool,
    ) {
        let temperature = [1.0, 0.3, 0.0][cold];
        let sampling = SamplingConfig { temperature, top_k: 5, ..SamplingConfig::default() };
        lengths.push(edge);
        let prompts = repeating(&lengths);
        for family in ["qwen3", "deepseek_v3_mtp"] {
            let (policy, tokenizer) = policy_with(family, if half { Dtype::Bf16 } else { Dtype::F32 }, 1);
            let config = RolloutConfig { kv_bytes: 1 << 26, ..RolloutConfig::default() };
            let mut plain = RolloutPool::new(&config, 1, policy.config(), tokenizer.clone(), stop());
            let expected = sampled(&policy, &mut plain, &prompts, n, max_tokens, &sampling);
            // Room for one completion and little more: a page that did not come back would be missed.
            let page = KvCache::page_bytes(policy.config()) + KvCache::mtp_page_bytes(policy.config());
            let kv_bytes = (14 * replicas * page) as u64;
            let config =
                RolloutConfig { max_batch, kv_bytes, replicas: Some(replicas), speculate, ..RolloutConfig::default() };
            let mut pool = drafting(&policy, &tokenizer, config, threads);
            for _ in 0..2 {
                let found = sampled(&policy, &mut pool, &prompts, n, max_tokens, &sampling);
                prop_assert_eq!(bits(&expected), bits(&found), "{}", family);
                prop_assert_eq!(whole(&expected), whole(&found), "{}", family);
                let tokens: usize = found.iter().flat_map(|g| &g.completions).map(|c| c.tokens.len() - 1).sum();
                let tally = pool.take_tally().unwrap();
                prop_assert!(tally.stood <= tally.judged && tally.judged <= tally.drafted);
                prop_assert_eq!(tally.stood + tally.steps, tokens as u64, "a token is a step's, or a draft's");
                prop_assert!(tally.overlap >= 0.0 && tally.overlap <= tally.judged as f64 + 1e-6);
            }
        }
    }
}

/// A block that gives the policy's own logits drafts its tokens, whatever the temperature: the draft is drawn by the same
/// rule and the same noise. Here all that logits depend on is the last token.
#[test]
fn a_block_that_agrees_is_always_right() {
    for temperature in [1.0, 0.0] {
        let (mut policy, tokenizer) = policy_with("qwen3", Dtype::F32, 1);
        let parameters = policy.layout().parameters().to_vec();
        let d = policy.config().hidden_dim;
        for parameter in &parameters {
            let numbers = &mut policy.parameters_mut()[parameter.range()];
            if parameter.name.ends_with("o_proj.weight") || parameter.name.ends_with("down_proj.weight") {
                numbers.fill(0.0);
            } else if parameter.name.ends_with("norm.weight") {
                numbers.fill(1.0);
            } else if parameter.name.ends_with("eh_proj.weight") {
                // The embedding goes through, what stands before it does not.
                numbers.fill(0.0);
                (0..d).for_each(|i| numbers[i * 2 * d + i] = 1.0);
            }
        }
        policy.refresh();
        let config = RolloutConfig { speculate: 3, max_batch: 1, kv_bytes: 1 << 24, ..RolloutConfig::default() };
        let mut pool = drafting(&policy, &tokenizer, config, 1);
        let sampling = SamplingConfig { temperature, ..SamplingConfig::default() };
        sampled(&policy, &mut pool, &repeating(&[5, 33]), 3, 60, &sampling);
        let tally = pool.take_tally().unwrap();
        // A draft that the completion ends with is not counted.
        assert!(tally.drafted > 0 && tally.accepted().unwrap() > 0.9, "{tally:?}");
        assert!((tally.overlap().unwrap() - 1.0).abs() < 1e-3, "{tally:?}");
        assert!(tally.tokens_per_step().unwrap() > 2.5, "{tally:?}");
    }
}
