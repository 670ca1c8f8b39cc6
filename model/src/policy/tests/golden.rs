use super::*;
use crate::decode::Feed;
use crate::kernels;
use crate::kv_cache::KvArena;

/// Greedy tokens through the cache are those of transformers, whose largest logits lead by enough.
#[test]
fn greedy_tokens_match_transformers() {
    for family in FAMILIES {
        let (policy, _) = golden(family);
        let greedy = read_golden(family, "greedy");
        let [prompt, tokens] = ["prompt", "tokens"].map(|name| Vec::<i64>::try_from(named(&greedy, name)).unwrap());
        let expected = Vec::<f32>::try_from(named(&greedy, "logprobs")).unwrap();
        let mut arena = KvArena::new(policy.config(), 8);
        let mut cache = arena.cache();
        let (mut sequence, mut logits) = policy.prefill(&mut cache, &prompt);
        for (i, (&token, expected)) in tokens.iter().zip(expected).enumerate() {
            let row = &logits[..policy.config().vocab_size];
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!(best as i64, token, "{family}: token {i}");
            let found = kernels::token_logprobs(row, &[token], 1.0, policy.vocabulary()).logprobs[0];
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{family}: {found}, not {expected}");
            logits = policy.decode(&mut cache, &mut [Feed { sequence: &mut sequence, tokens: &[token] }]);
        }
    }
}
