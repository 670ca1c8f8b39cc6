//! What a device computes against what the CPU's own kernels compute.

use std::fmt;
use std::ops::Range;

use anyhow::Result;
use model::backward::{Beside, Lesson, Objective, Targets};
use model::buffer::Buffer;
use model::config::Dtype;
use model::device::{DeviceCache, DevicePolicy};
use model::layout::Role;
use model::mtp::MtpFound;
use model::packed::Packed;
use model::philox::{Purpose, Stream};
use model::policy::Policy;
use model::router::{Balance, Load, Loads, Routed};
use model::share::Share;
use rollout::sampling::SamplingConfig;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::generation::{Job, Sampled, sample};
use super::policies;
use crate::optimizer::{DeviceOptimizer, Optimizer, OptimizerConfig};

/// One number that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Of which family.
    pub family: &'static str,
    /// In which precision.
    pub dtype: &'static str,
    /// Of what.
    pub what: &'static str,
    /// What came out.
    pub value: f64,
    /// What it may be at most, where it is bounded and not only measured.
    pub bound: Option<f64>,
    /// Whether it is within the bound.
    pub ok: bool,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.ok, self.bound) {
            (true, None) => "measured",
            (true, Some(_)) => "ok",
            (false, _) => "FAILED",
        };
        write!(f, "{word:8}  {:11}  {:4}  {}: {:.2e}", self.family, self.dtype, self.what, self.value)?;
        self.bound.map_or(Ok(()), |bound| write!(f, " (at most {bound:.0e})"))
    }
}

/// What is allowed between two ways of computing in one precision.
struct Bounds {
    /// Log-probabilities: largest difference in f32, mean difference otherwise; nats.
    logprobs: f64,
    /// Gradients: 1 − cosine of the worst parameter in f32, the angle of the whole otherwise.
    gradient: f64,
    /// Greedy tokens: how far the CPU's logit of the token lies below its largest.
    greedy: f64,
}

impl Bounds {
    /// f32: sums of the same products in another order, about a hundred units in the last place of numbers around 10.
    ///
    /// bf16: both round operands to eight bits, the device those of attention as well, and a row may go to another expert
    /// for it. The device may be twice as far from f32 as the CPU, so three times as far from the CPU.
    ///
    /// FP8, with f32 elsewhere: the same codes, whose products a device adds up with fewer bits; half as far from the CPU
    /// as that is from f32.
    fn of(pair: &Pair) -> Bounds {
        let Some(exact) = &pair.exact else { return Bounds { logprobs: 1e-4, gradient: 1e-8, greedy: 1e-4 } };
        let (packed, targets) = batch(&pair.policy);
        let [own, theirs] = [&pair.policy, exact].map(|p| p.logprobs(&packed, &targets, 0.8).logprobs);
        let angle = cosine(&gradient(&pair.policy).0, &gradient(exact).0).acos();
        let mean = differences(&own, &theirs).sum::<f64>() / own.len() as f64;
        let times = if pair.policy.dtype() == Dtype::Bf16 { 3.0 } else { 0.5 };
        // A difference of logits counts twice: that of the token and that of the largest.
        Bounds { logprobs: times * mean, gradient: times * angle, greedy: 2.0 * times * pair.logits_apart(exact) }
    }
}

/// Compares every family in each precision; each number goes to `tell` as it is found.
pub(super) fn check(device: Device, tell: &mut dyn FnMut(Check) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (family, config) in policies::families() {
        for (dtype, name) in [(Dtype::F32, "f32"), (Dtype::Bf16, "bf16"), (Dtype::Fp8, "fp8")] {
            let draw = |dtype| -> Result<Policy> {
                let mut policy = policies::draw(folder.path(), &config, dtype)?;
                sharpen(&mut policy);
                Ok(policy)
            };
            let policy = draw(dtype)?;
            let wide = if dtype == Dtype::Bf16 { Kind::BFloat16 } else { Kind::Float };
            let on_device = DevicePolicy::with_operands(&policy, device, wide);
            let exact = if dtype == Dtype::F32 { None } else { Some(draw(Dtype::F32)?) };
            let pair = Pair { on_device, policy, exact };
            let bounds = Bounds::of(&pair);
            let mut say = |what, value: f64, bound: Option<f64>| {
                let ok = value.is_finite() && bound.is_none_or(|bound| value <= bound);
                tell(Check { family, dtype: name, what, value, bound, ok })
            };
            let [logprobs, gradient] = match dtype {
                Dtype::F32 | Dtype::Auto => ["log-probabilities, largest difference", "gradient, 1 - cosine"],
                Dtype::Bf16 | Dtype::Fp8 => ["log-probabilities, mean difference", "gradient, angle"],
            };
            say(logprobs, pair.logprobs(dtype), Some(bounds.logprobs))?;
            let Gradients { apart, again, elsewhere } = pair.gradient(dtype);
            say(gradient, apart, Some(bounds.gradient))?;
            if pair.policy.config().experts.is_some() {
                say("rows at other experts than the CPU's", elsewhere, (dtype == Dtype::F32).then_some(0.0))?;
            }
            say("gradient twice, largest difference", again, None)?;
            // Each number by the same operations; roots and the norm's sum may differ in their last places.
            say("weights after AdamW, largest difference", pair.moved(), Some(1e-6))?;
            let (greedy, drawn) = (pair.generate(0.0), pair.generate(1.0));
            say("greedy tokens, below the CPU's largest logit", pair.regret(&greedy), Some(bounds.greedy))?;
            say("keyed draws that differ for the same logits", pair.other_draws(&drawn), Some(0.0))?;
            say("sampler and trainer on the device, largest difference", pair.mismatch(&drawn), None)?;
        }
    }
    Ok(())
}

/// Fresh weights give nearly equal probabilities to all tokens; larger ones tell more of what is computed.
fn sharpen(policy: &mut Policy) {
    let matrices: Vec<Range<usize>> =
        policy.layout().parameters().iter().filter(|p| p.decay()).map(|p| p.range()).collect();
    let numbers = policy.parameters_mut();
    matrices.into_iter().for_each(|range| numbers[range].iter_mut().for_each(|x| *x *= 4.0));
    policy.refresh();
}

const N_TOKENS: usize = 24;

/// A policy on the CPU, and the same on the device; where it computes in less than f32, its weights in f32 as well.
struct Pair {
    policy: Policy,
    on_device: DevicePolicy,
    exact: Option<Policy>,
}

/// What two gradients on the device show.
struct Gradients {
    /// From the CPU's: 1 − cosine in the parameter where it is largest in f32, the angle of the whole otherwise.
    apart: f64,
    /// From each other, at most.
    again: f64,
    /// Rows that went to other experts than the CPU's.
    elsewhere: f64,
}

/// Prompts of several lengths.
fn prompts(policy: &Policy) -> Vec<Vec<i64>> {
    let stream = Stream::new(5, Purpose::Problems, 0, 0, 0);
    let vocabulary = policy.vocabulary() as u64;
    let tokens = |p: u32, n: u32| (0..n).map(|i| stream.below(1000 * p + i, vocabulary) as i64).collect();
    [40, 1, 17, 33].into_iter().zip(0..).map(|(n, p)| tokens(p, n)).collect()
}

/// Each prompt with two completions behind it, taken from the other prompts.
fn batch(policy: &Policy) -> (Packed, Targets) {
    let prompts = prompts(policy);
    let completions = [&prompts[0][..20], &prompts[3][..], &prompts[2][..5]];
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for (i, prompt) in prompts.iter().enumerate() {
        let pair: Vec<Vec<i64>> = (0..2).map(|j| completions[(i + j) % 3].to_vec()).collect();
        push(&mut packed, &mut targets, prompt, &pair);
    }
    (packed, targets)
}

/// A loss's own gradient.
fn weights(range: Range<usize>) -> Vec<f32> {
    range.map(|i| (i % 7) as f32 / 100.0 - 0.02).collect()
}

/// All that `policy` can learn from the batch: its targets, losses on routers where it has experts, and what modules of
/// multi-token prediction predict, where it has some.
fn everything<R>(policy: &Policy, learn: impl FnOnce(&Lesson<'_>, &mut Objective<'_>, Beside<'_>) -> R) -> R {
    let (packed, targets) = batch(policy);
    let sequences = packed.rows_of_segments();
    let balance = Balance {
        sequence: 0.1,
        batch: 0.1,
        z: 0.01,
        n_sequences: sequences.len() as u64,
        n_rows: packed.len() as u64,
        loads: policy.loads(&packed, &sequences),
    };
    let lesson = Lesson { balance: &balance, sequences: &sequences, ..Lesson::new(&packed, &targets, 0.8, true) };
    let mut mtp = |_: &MtpFound<'_>| 0.02;
    let beside = Beside { mtp: (policy.config().n_mtp > 0).then_some(&mut mtp) };
    learn(&lesson, &mut |range, _| weights(range), beside)
}

/// The CPU's gradient of that, and what its routers did.
fn gradient(policy: &Policy) -> (Buffer, Routed) {
    let mut gradient = Buffer::zeros(policy.layout().len());
    let routed = everything(policy, |lesson, objective, beside| {
        let hand = &mut |_, range: Range<usize>, part: &[f32]| gradient[range].copy_from_slice(part);
        policy.backward_beside(lesson, &mut Share::new(policy.layout()), objective, beside, hand)
    });
    (gradient, routed)
}

/// Rows that went to other experts.
fn elsewhere(ours: &Loads, theirs: &Loads) -> f64 {
    let differ = |(ours, theirs): (&Load, &Load)| -> u64 {
        ours.counts().iter().zip(theirs.counts()).map(|(ours, theirs)| ours.abs_diff(*theirs)).sum()
    };
    if ours.len() != theirs.len() {
        f64::INFINITY
    } else {
        ours.values().zip(theirs.values()).map(differ).sum::<u64>() as f64 / 2.0
    }
}

impl Pair {
    fn logprobs(&self, dtype: Dtype) -> f64 {
        let (packed, targets) = batch(&self.policy);
        let expected = self.policy.logprobs(&packed, &targets, 0.8).logprobs;
        let found = self.on_device.logprobs(&packed, &targets, 0.8).logprobs;
        match dtype {
            Dtype::Bf16 | Dtype::Fp8 => differences(&found, &expected).sum::<f64>() / expected.len() as f64,
            Dtype::F32 | Dtype::Auto => differences(&found, &expected).fold(0.0, f64::max),
        }
    }

    /// How far the CPU's logits are from those of `exact`, at most.
    fn logits_apart(&self, exact: &Policy) -> f64 {
        let (packed, _) = batch(exact);
        (self.policy.logits(&packed) - exact.logits(&packed)).abs().max().double_value(&[])
    }

    fn gradient(&self, dtype: Dtype) -> Gradients {
        let (expected, there) = gradient(&self.policy);
        let on_device = || {
            let mut gradient = self.on_device.gradient();
            let learn = |lesson: &Lesson<'_>, objective: &mut Objective<'_>, beside: Beside<'_>| {
                self.on_device.learn(lesson, &mut gradient, objective, beside)
            };
            let routed = everything(&self.policy, learn);
            (Buffer::of(gradient), routed)
        };
        let ((found, here), (again, _)) = (on_device(), on_device());
        let moved = self.policy.layout().parameters().iter().filter(|p| p.role != Role::Correction);
        let apart = match dtype {
            Dtype::Bf16 | Dtype::Fp8 => cosine(&expected, &found).min(1.0).acos(),
            Dtype::F32 | Dtype::Auto => {
                moved.map(|p| 1.0 - cosine(&expected[p.range()], &found[p.range()])).fold(0.0, f64::max)
            }
        };
        let again = differences(&found, &again).fold(0.0, f64::max);
        Gradients { apart, again, elsewhere: elsewhere(&here.loads, &there.loads) }
    }

    /// How far weights are apart that AdamW moved on the CPU and on the device, by the same gradient.
    fn moved(&self) -> f64 {
        let layout = self.policy.layout();
        let stream = Stream::new(6, Purpose::Problems, 0, 0, 0);
        let gradient: Vec<f32> = (0..layout.len()).map(|i| stream.uniform(i as u32) - 0.5).collect();
        let config = OptimizerConfig { lr: 1e-2, weight_decay: 0.1, ..OptimizerConfig::default() };
        let mut weights = self.policy.parameters().to_vec();
        let on_device = self.on_device.parameters().copy();
        let expected = Optimizer::new(layout, &config).step(&mut weights, &gradient, 1, 2, 1);
        let gradient = Tensor::from_slice(&gradient).to_device(self.on_device.device());
        let found = DeviceOptimizer::new(layout, &on_device, &config).step(&on_device, &gradient, 1, 2);
        match (expected, found) {
            (Ok(_), Ok(_)) => differences(&weights, &Buffer::of(on_device)).fold(0.0, f64::max),
            _ => f64::NAN,
        }
    }

    /// Two completions of each prompt.
    fn generate(&self, temperature: f64) -> Vec<Sampled> {
        let prompts = prompts(&self.policy);
        let sampling = SamplingConfig { temperature, ..SamplingConfig::default() };
        let mut cache = DeviceCache::new(&self.on_device, 2 * prompts.len(), 40 + N_TOKENS);
        let job = Job { prompts: &prompts, samples: 2, n_tokens: N_TOKENS, sampling: &sampling };
        sample(&self.on_device, &mut cache, &job)
    }

    /// How far the CPU's logits of greedy tokens lie below its largest.
    fn regret(&self, greedy: &[Sampled]) -> f64 {
        let mut largest: f64 = 0.0;
        for (i, one) in greedy.iter().enumerate() {
            let prompt = &prompts(&self.policy)[i / 2];
            let mut packed = Packed::default();
            packed.push(&[prompt.as_slice(), one.tokens.as_slice()].concat());
            let logits = self.policy.logits(&packed);
            for (t, &token) in one.tokens.iter().enumerate() {
                let row = logits.get((prompt.len() + t) as i64 - 1).to_kind(Kind::Double);
                largest = largest.max(row.max().double_value(&[]) - row.double_value(&[token]));
            }
        }
        largest
    }

    /// Draws by the device that the host, given the same logits, would have made otherwise.
    fn other_draws(&self, drawn: &[Sampled]) -> f64 {
        let prompts = prompts(&self.policy);
        let mut packed = Packed::default();
        prompts.iter().zip(drawn.chunks(2)).for_each(|(prompt, pair)| {
            packed.push(&[prompt.as_slice(), pair[0].tokens.as_slice()].concat());
        });
        let logits = self.on_device.logits(&packed);
        let draws: Vec<(Stream, u32)> =
            (0..packed.len() as u32).map(|i| (Stream::new(8, Purpose::Sample, 0, 0, u64::from(i)), i)).collect();
        let sampling = SamplingConfig::default();
        let found = sampling.draw_rows(&logits, self.policy.vocabulary(), &draws);
        let logits = Buffer::of(logits);
        let rows = logits.chunks_exact(self.policy.config().vocab_size);
        let differ = |((row, (stream, position)), found): ((&[f32], &(Stream, u32)), &u32)| {
            sampling.draw(&row[..self.policy.vocabulary()], stream, *position) != *found
        };
        rows.zip(&draws).zip(&found).filter(|one| differ(*one)).count() as f64
    }

    /// How far the sampler's log-probabilities are from those of the training forward, both on the device.
    fn mismatch(&self, drawn: &[Sampled]) -> f64 {
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        for (prompt, pair) in prompts(&self.policy).iter().zip(drawn.chunks(2)) {
            let tokens: Vec<Vec<i64>> = pair.iter().map(|one| one.tokens.clone()).collect();
            push(&mut packed, &mut targets, prompt, &tokens);
        }
        let sampled: Vec<f32> = drawn.iter().flat_map(|one| one.logprobs.clone()).collect();
        let trained = self.on_device.logprobs(&packed, &targets, 1.0).logprobs;
        differences(&sampled, &trained).fold(0.0, f64::max)
    }
}

/// Packs completions behind their prompt; every token of theirs is a target.
fn push(packed: &mut Packed, targets: &mut Targets, prompt: &[i64], completions: &[Vec<i64>]) {
    let shared = packed.push(prompt);
    for completion in completions {
        let segment = packed.push_after(Some(shared), &completion[..completion.len() - 1]);
        targets.rows.push(i64::from(shared.start + shared.length) - 1);
        targets.rows.extend((0..i64::from(segment.length)).map(|i| i64::from(segment.start) + i));
        targets.tokens.extend_from_slice(completion);
    }
}

fn differences<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
    // Not a number is further away than any number.
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).map(|d| if d.is_nan() { f64::INFINITY } else { d })
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
