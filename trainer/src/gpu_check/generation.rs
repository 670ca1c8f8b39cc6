//! Completions by a policy on a device, all of one length.

use model::device::{DeviceCache, DevicePolicy};
use model::philox::{Purpose, Stream};
use rollout::sampling::SamplingConfig;

/// What is sampled: each prompt so many times, so many tokens.
pub(super) struct Job<'a> {
    pub(super) prompts: &'a [Vec<i64>],
    pub(super) samples: usize,
    pub(super) n_tokens: usize,
    pub(super) sampling: &'a SamplingConfig,
}

/// A completion's tokens and their log-probabilities.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampled {
    pub(super) tokens: Vec<i64>,
    pub(super) logprobs: Vec<f32>,
}

/// Samples all completions side by side, prompt by prompt: `[P · G]`. Each prompt is encoded once.
pub(super) fn sample(policy: &DevicePolicy, cache: &mut DeviceCache, job: &Job<'_>) -> Vec<Sampled> {
    cache.clear();
    let mut streams = Vec::new();
    let mut sampled: Vec<Sampled> = Vec::new();
    for (p, prompt) in job.prompts.iter().enumerate() {
        let encoded = policy.encode(prompt);
        let own: Vec<Stream> =
            (0..job.samples).map(|g| Stream::new(7, Purpose::Sample, 0, p as u64, g as u64)).collect();
        let n = job.samples as i64;
        let logits = encoded.logits.expand([n, -1], false);
        draw(policy, &logits, &own, job.sampling, &mut sampled, p * job.samples);
        (0..job.samples).for_each(|_| cache.start(&encoded));
        streams.extend(own);
    }
    for _ in 1..job.n_tokens {
        let last: Vec<i64> = sampled.iter().filter_map(|one| one.tokens.last().copied()).collect();
        let logits = policy.decode(cache, &last);
        draw(policy, &logits, &streams, job.sampling, &mut sampled, 0);
    }
    sampled
}

/// Draws the next token of the completions from `from` on, one a row of `logits`.
fn draw(
    policy: &DevicePolicy,
    logits: &tch::Tensor,
    streams: &[Stream],
    sampling: &SamplingConfig,
    sampled: &mut Vec<Sampled>,
    from: usize,
) {
    sampled.resize(sampled.len().max(from + streams.len()), Sampled::default());
    let rows = &mut sampled[from..];
    let draws: Vec<(Stream, u32)> = streams.iter().zip(&*rows).map(|(s, one)| (*s, one.tokens.len() as u32)).collect();
    let drawn = sampling.draw_rows(logits, policy.vocabulary(), &draws);
    let drawn: Vec<i64> = drawn.into_iter().map(i64::from).collect();
    let found = policy.token_logprobs(logits, &drawn, sampling.logprob_temperature());
    for ((one, token), logprob) in rows.iter_mut().zip(drawn).zip(found.logprobs) {
        one.tokens.push(token);
        one.logprobs.push(logprob);
    }
}
