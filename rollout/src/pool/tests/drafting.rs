use super::*;
use crate::draft::{DraftTally, Drafting};

mod mtp;

/// A golden policy's shape with the tiny tokenizer's vocabulary and fresh weights.
fn policy(family: &str, dtype: Dtype) -> (Policy, Arc<Tokenizer>) {
    policy_with(family, dtype, 0)
}

/// The same with modules of multi-token prediction.
fn policy_with(family: &str, dtype: Dtype, n_mtp: usize) -> (Policy, Arc<Tokenizer>) {
    tch::set_num_threads(1);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let tokenizer = Arc::new(Tokenizer::from_folder(&root.join("configs/checkpoints/tiny")).unwrap());
    let golden = root.join("tests/golden").join(family).join("config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    json["max_position_embeddings"] = 256.into();
    json["vocab_size"] = tokenizer.vocab_size().into();
    json["num_nextn_predict_layers"] = n_mtp.into();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let checkpoint = folder.path().to_owned();
    let config = PolicyConfig { dtype, random_init: true, ..PolicyConfig::new(checkpoint) };
    let mut policy = Policy::load(folder.path(), &config, 1).unwrap();
    // Likes to say the same again, at times.
    policy.parameters_mut().iter_mut().for_each(|w| *w *= 6.0);
    policy.refresh();
    (policy, tokenizer)
}

/// Prompts that repeat a few tokens.
fn repeating(lengths: &[usize]) -> Vec<Prompt> {
    let prompt = |(i, &n): (usize, &usize)| Prompt {
        index: i as u64,
        tokens: (0..n).map(|p| ((p % 4 + 3 * i) % 18) as u32).collect(),
    };
    lengths.iter().enumerate().map(prompt).collect()
}

/// Completions with what decides where they end.
fn whole(groups: &[Group]) -> Vec<(String, FinishReason)> {
    groups.iter().flat_map(|g| &g.completions).map(|c| (c.text.clone(), c.finish)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is drafted: the completions of plain decoding, their texts and ends, and in f32 the training forward's
    /// log-probabilities, bit for bit; what is told while sampling is what was sampled; and every page comes back.
    #[test]
    fn a_draft_changes_no_completion(
        lengths in prop::collection::vec(1usize..100, 1..5),
        n in 1usize..6,
        max_tokens in 1usize..300,
        speculate in 1usize..12,
        replicas in 1usize..4,
        threads in 1usize..5,
        max_batch in 1usize..7,
        cold in 0usize..3,
        half: bool,
        strings: bool,
    ) {
        let temperature = [1.0, 0.3, 0.0][cold];
        let sampling = SamplingConfig { temperature, top_k: 5, ..SamplingConfig::default() };
        let prompts = repeating(&lengths);
        for family in ["qwen2", "qwen3", "llama"] {
            let (policy, tokenizer) = policy(family, if half { Dtype::Bf16 } else { Dtype::F32 });
            let strings = if strings { vec!["1".into(), "22".into(), "3=".into()] } else { Vec::new() };
            let pool = |speculate: usize, replicas: usize, threads: usize, max_batch: usize, pages: usize| {
                let kv_bytes = (pages * replicas * KvCache::page_bytes(policy.config())) as u64;
                let replicas = Some(replicas);
                let config = RolloutConfig { max_batch, kv_bytes, replicas, speculate, ..RolloutConfig::default() };
                let stop = StopRules { strings: strings.clone(), ..stop() };
                RolloutPool::new(&config, threads, policy.config(), tokenizer.clone(), stop)
            };
            let mut plain = pool(0, 1, 1, 64, 400);
            let expected = sampled(&policy, &mut plain, &prompts, n, max_tokens, &sampling);
            prop_assert_eq!(plain.take_tally(), None);
            // Room for one completion and little more: a page that did not come back would be missed.
            let mut drafting = pool(speculate, replicas, threads, max_batch, 14);
            let (sender, drawn) = crossbeam_channel::unbounded();
            drafting.watch(sender);
            for _ in 0..2 {
                let found = sampled(&policy, &mut drafting, &prompts, n, max_tokens, &sampling);
                prop_assert_eq!(bits(&expected), bits(&found), "{}", family);
                prop_assert_eq!(whole(&expected), whole(&found), "{}", family);
                // In bf16 the training forward multiplies with libtorch, whose rows of 24 numbers differ now and then.
                for group in found.iter().filter(|_| !half) {
                    let recorded: Vec<Vec<u32>> =
                        group.completions.iter().map(|c| c.logprobs.iter().map(|l| l.to_bits()).collect()).collect();
                    prop_assert_eq!(recorded, trained(&policy, group, sampling.logprob_temperature()));
                }
                let told: Vec<Drawn> = drawn.try_iter().collect();
                for (prompt, group) in found.iter().enumerate() {
                    for (sample, completion) in group.completions.iter().enumerate() {
                        let of_it = told.iter().filter(|d| (d.prompt, d.sample) == (prompt as u64, sample));
                        prop_assert!(of_it.map(|d| &d.token).eq(&completion.tokens));
                    }
                }
                let tokens: usize = found.iter().flat_map(|g| &g.completions).map(|c| c.tokens.len() - 1).sum();
                let DraftTally { drafted, stood, steps, .. } = drafting.take_tally().unwrap();
                prop_assert!(stood <= drafted && stood + steps == tokens as u64, "a token is a step's, or a draft's");
            }
        }
    }
}

/// A policy that repeats itself is decoded in few steps, one that does not is told so; a batch of many drafts nothing.
#[test]
fn drafts_stand_where_a_completion_repeats_itself() {
    let tally = |temperature: f64, max_batch: usize| {
        let (mut policy, tokenizer) = policy("qwen3", Dtype::F32);
        policy.parameters_mut().iter_mut().for_each(|w| *w /= 6.0);
        policy.refresh();
        let config = RolloutConfig { speculate: 4, max_batch, kv_bytes: 1 << 24, ..RolloutConfig::default() };
        let mut pool = RolloutPool::new(&config, 1, policy.config(), tokenizer.clone(), StopRules::default());
        let sampling = SamplingConfig { temperature, ..SamplingConfig::default() };
        sampled(&policy, &mut pool, &repeating(&[9, 20]), 4, 200, &sampling);
        pool.take_tally().unwrap()
    };
    let (greedy, hot) = (tally(0.0, 1), tally(50.0, 1));
    assert!(greedy.tokens_per_step().unwrap() > 3.0, "{greedy:?}");
    assert!(hot.drafted > 0 && hot.accepted().unwrap() < 0.3, "{hot:?}");
    let many = tally(0.0, 8);
    assert_eq!((many.drafted, many.steps), (0, 8 * 199));
}
