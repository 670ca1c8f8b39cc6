//! How fast a device is, and what share of its own limits that is.

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use model::backward::Targets;
use model::checkpoint::Format;
use model::config::{Dtype, ModelConfig};
use model::device::{DeviceCache, DevicePolicy, fp8_product};
use model::packed::Packed;
use model::policy::Policy;
use rollout::sampling::SamplingConfig;
use serde::Serialize;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::generation::{Job, sample};
use super::{policies, settle};
use crate::cli::GpuCheckArgs;
use crate::optimizer::{DeviceOptimizer, OptimizerConfig};

/// One speed.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What and of which size, for programs: `gradient 16 1024 again`, `sampling 32 128 128`.
    pub key: String,
    /// Of what.
    pub what: String,
    /// Units a second.
    pub value: f64,
    /// FLOP, bytes, tokens or numbers.
    pub unit: &'static str,
    /// The share of the device's limit, where one is known.
    pub share: Option<f64>,
    /// Which limit that is.
    pub limit: Option<&'static str>,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scales = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
        let (scale, prefix) = scales.into_iter().find(|(scale, _)| self.value >= *scale).unwrap_or((1.0, ""));
        write!(f, "{}: {:.1} {prefix}{}/s", self.what, self.value / scale, self.unit)?;
        match (self.share, self.limit) {
            (Some(share), Some(limit)) => write!(f, ", {:.0} % of {limit}", 100.0 * share),
            _ => Ok(()),
        }
    }
}

/// What is measured: a GPU is filled, a CPU only walked through.
struct Size {
    matrix: i64,
    copied: i64,
    /// Sequences and their length, with only each block's input kept, and with everything kept.
    trained: [(usize, usize); 2],
    prompt: usize,
    n_tokens: usize,
    batches: &'static [usize],
    repeats: usize,
}

const GPU: Size = Size {
    matrix: 8192,
    copied: 1 << 28,
    trained: [(16, 1024), (4, 1024)],
    prompt: 128,
    n_tokens: 128,
    batches: &[1, 8, 32, 128],
    repeats: 5,
};

const CPU: Size = Size {
    matrix: 256,
    copied: 1 << 20,
    trained: [(4, 64), (2, 64)],
    prompt: 16,
    n_tokens: 16,
    batches: &[1, 4],
    repeats: 3,
};

/// Measures; each number goes to `tell` as it is found.
pub(super) fn measure(
    device: Device,
    arguments: &GpuCheckArgs,
    tell: &mut dyn FnMut(Measure) -> Result<()>,
) -> Result<()> {
    let size = if device.is_cuda() { GPU } else { CPU };
    let clock = Clock { device, repeats: size.repeats };
    let plain = |key: &str, what: &str, value, unit| Measure {
        key: key.into(),
        what: what.into(),
        value,
        unit,
        share: None,
        limit: None,
    };
    let [bf16, f32] = [Kind::BFloat16, Kind::Float].map(|kind| clock.product(size.matrix, kind));
    let fp8 = clock.product_fp8(size.matrix);
    let copy = clock.copy(size.copied);
    let n = size.matrix;
    tell(plain("product bf16", &format!("product in bf16, {n} × {n} × {n}"), bf16, "FLOP"))?;
    tell(plain("product fp8", &format!("product in FP8, {n} × {n} × {n}"), fp8, "FLOP"))?;
    tell(plain("product f32", &format!("product in f32, {n} × {n} × {n}"), f32, "FLOP"))?;
    tell(plain("copy", "copy, bytes read and written", copy, "B"))?;

    let scratch = tempfile::tempdir()?;
    for subject in Subject::all(device, arguments) {
        let policy = subject.open(scratch.path(), arguments)?;
        if let Some(folder) = arguments.save.as_ref().filter(|_| subject.name.is_empty()) {
            policy.save(folder, Format::Bf16)?;
        }
        let policy = DevicePolicy::new(&policy, device);
        clock.measure(&size, &subject, &policy, [bf16, fp8, copy], tell)?;
    }
    Ok(())
}

/// A policy that is measured.
struct Subject {
    /// What its keys begin with; empty for the first one.
    name: &'static str,
    /// Of a shape written here, or that of the arguments.
    shape: Option<Value>,
    dtype: Dtype,
}

impl Subject {
    /// A dense policy and one with experts, or that of the arguments, in bf16 and FP8.
    fn all(device: Device, arguments: &GpuCheckArgs) -> Vec<Subject> {
        let tiny = |family| policies::families().into_iter().find(|(name, _)| *name == family).map(|(_, shape)| shape);
        let (dense, experts) = match device.is_cuda() {
            true => (Some(policies::half_a_billion()), Some(policies::experts())),
            false => (tiny("qwen2"), tiny("deepseek_v3")),
        };
        let named = arguments.model.is_some();
        let dense = if named { None } else { dense };
        let experts = if named { None } else { experts };
        let mut all = vec![("", dense.clone(), Dtype::Bf16), ("fp8 ", dense, Dtype::Fp8)];
        if experts.is_some() {
            all.extend([("experts ", experts.clone(), Dtype::Bf16), ("experts fp8 ", experts, Dtype::Fp8)]);
        }
        all.into_iter().map(|(name, shape, dtype)| Subject { name, shape, dtype }).collect()
    }

    fn open(&self, scratch: &Path, arguments: &GpuCheckArgs) -> Result<Policy> {
        match (&self.shape, &arguments.model) {
            (Some(shape), _) => policies::draw(scratch, shape, self.dtype),
            (None, Some(folder)) => policies::load(folder, self.dtype, false),
            (None, None) => unreachable!("a policy without a shape is the arguments'"),
        }
    }

    /// How lines call it.
    fn words(&self) -> String {
        let format = if self.dtype == Dtype::Fp8 { "FP8" } else { "bf16" };
        let experts = if self.name.starts_with("experts") { ", with experts" } else { "" };
        format!("in {format}{experts}")
    }
}

/// Operations that the gradient of one token takes: two a weight forward, four backward, and attention, which meets half
/// of the sequence or its window. What is computed again is not counted.
fn training_flops(c: &ModelConfig, length: usize) -> f64 {
    let attention = |layer: usize| {
        let heads = c.heads(layer);
        let (widths, seen) = (heads.widths(), heads.window.map_or(length / 2, |window| window.min(length / 2)));
        2 * (widths.q + widths.out) * seen
    };
    3.0 * (2.0 * c.n_product_weights() as f64 + (0..c.n_layers).map(attention).sum::<usize>() as f64)
}

/// Bytes that one step of decoding reads at least: every weight once, of experts those that somebody in the batch goes to,
/// and the cache of each row. A weight of a linear layer takes `bytes`, another two.
fn decoding_bytes(c: &ModelConfig, bytes: f64, batch: usize, positions: usize) -> f64 {
    let head = (c.vocab_size * c.hidden_dim) as f64;
    let experts = c.experts.as_ref().map_or(0.0, |e| {
        let (n, k) = (e.n_experts as f64, e.n_chosen as f64);
        // Where rows choose independently.
        let touched = n * (1.0 - (1.0 - k / n).powi(batch as i32));
        let sparse = c.blocks[..c.n_layers].iter().filter(|block| block.sparse).count();
        (touched - k) * (3 * c.hidden_dim * e.width * sparse) as f64
    });
    let cached = |layer: usize| {
        let heads = c.heads(layer);
        (heads.widths().key + heads.widths().value) * heads.window.map_or(positions, |window| window.min(positions))
    };
    let cache = batch * (0..c.n_layers).map(cached).sum::<usize>();
    bytes * (c.n_product_weights() as f64 - head + experts) + 2.0 * (head + cache as f64)
}

/// Times work on a device.
struct Clock {
    device: Device,
    repeats: usize,
}

impl Clock {
    /// The median of a few runs in seconds, after one that warms up.
    fn seconds(&self, mut work: impl FnMut()) -> f64 {
        let mut timed = || {
            settle(self.device);
            let start = Instant::now();
            work();
            settle(self.device);
            start.elapsed().as_secs_f64()
        };
        timed();
        let mut all: Vec<f64> = (0..self.repeats).map(|_| timed()).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// Operations a second of a square product of random numbers.
    fn product(&self, n: i64, kind: Kind) -> f64 {
        let [a, b] = [(); 2].map(|()| Tensor::randn([n, n], (Kind::Float, self.device)).to_kind(kind));
        let in_a_row = 4;
        let seconds = self.seconds(|| (0..in_a_row).for_each(|_| drop(black_box(a.matmul(&b)))));
        f64::from(in_a_row) * 2.0 * (n as f64).powi(3) / seconds
    }

    /// [`Clock::product`] in FP8, of numbers that are coded beforehand.
    fn product_fp8(&self, n: i64) -> f64 {
        let [a, b] = [(); 2].map(|()| Tensor::randn([n, n], (Kind::Float, self.device)));
        let product = fp8_product(&a, &b);
        let in_a_row = 4;
        let seconds = self.seconds(|| (0..in_a_row).for_each(|_| drop(black_box(product()))));
        f64::from(in_a_row) * 2.0 * (n as f64).powi(3) / seconds
    }

    /// Bytes a second, read and written, of a copy of `n` numbers.
    fn copy(&self, n: i64) -> f64 {
        let from = Tensor::randn([n], (Kind::Float, self.device));
        let mut to = from.zeros_like();
        8.0 * n as f64 / self.seconds(|| to.copy_(&from))
    }

    /// Measures one policy; the limits are operations of products and bytes of a copy, a second.
    fn measure(
        &self,
        size: &Size,
        subject: &Subject,
        policy: &DevicePolicy,
        [bf16, fp8, copy]: [f64; 3],
        tell: &mut dyn FnMut(Measure) -> Result<()>,
    ) -> Result<()> {
        let (c, name, words) = (policy.config(), subject.name, subject.words());
        let (product, limit) = match subject.dtype {
            Dtype::Fp8 => (fp8, "the product in FP8"),
            Dtype::F32 | Dtype::Bf16 | Dtype::Auto => (bf16, "the product in bf16"),
        };
        for (checkpointing, (sequences, length)) in [true, false].into_iter().zip(size.trained) {
            let tokens = (sequences * length) as f64 / self.backward(policy, sequences, length, checkpointing);
            let [kept, blocks] = if checkpointing { ["again", "computed again"] } else { ["kept", "kept"] };
            tell(Measure {
                key: format!("{name}gradient {sequences} {length} {kept}"),
                what: format!("gradient {words}, {sequences} sequences of {length} tokens, blocks {blocks}"),
                value: tokens,
                unit: "tokens",
                share: Some(tokens * training_flops(c, length) / product),
                limit: Some(limit),
            })?;
        }
        if subject.dtype != Dtype::Fp8 {
            let numbers = policy.layout().len() as f64 / self.optimizer(policy);
            tell(Measure {
                key: format!("{name}adamw"),
                what: format!("AdamW, {:.0} M numbers", policy.layout().len() as f64 / 1e6),
                value: numbers,
                unit: "numbers",
                // Weights and moments are read and written, the gradient read: seven times four bytes.
                share: Some(28.0 * numbers / copy),
                limit: Some("the copy"),
            })?;
        }
        let bytes = if subject.dtype == Dtype::Fp8 { 1.0 } else { 2.0 };
        for &batch in size.batches {
            for (what, seconds) in
                [("decoding", self.decode(policy, size, batch)), ("sampling", self.sample(policy, size, batch))]
            {
                let steps = size.n_tokens as f64 / seconds;
                let read = decoding_bytes(c, bytes, batch, size.prompt + size.n_tokens / 2);
                tell(Measure {
                    key: format!("{name}{what} {batch} {} {}", size.prompt, size.n_tokens),
                    what: format!("{what} {words}, {batch} × {} tokens after {}", size.n_tokens, size.prompt),
                    value: batch as f64 * steps,
                    unit: "tokens",
                    share: Some(steps * read / copy),
                    limit: Some("the copy"),
                })?;
            }
        }
        Ok(())
    }

    fn backward(&self, policy: &DevicePolicy, sequences: usize, length: usize, checkpointing: bool) -> f64 {
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        for i in 0..sequences {
            let tokens = tokens(policy, i, length);
            let segment = packed.push(&tokens);
            targets.push_sequence(i64::from(segment.start), &tokens);
        }
        let mut gradient = policy.gradient();
        self.seconds(|| {
            policy.backward(&packed, &targets, 1.0, checkpointing, &mut gradient, &mut |range, _| {
                vec![1e-4; range.len()]
            });
        })
    }

    fn optimizer(&self, policy: &DevicePolicy) -> f64 {
        let weights = policy.parameters().copy();
        let gradient = &weights * 0.01;
        let mut optimizer = DeviceOptimizer::new(policy.layout(), &weights, &OptimizerConfig::default());
        // Only a gradient that is not finite moves nothing.
        self.seconds(|| assert!(optimizer.step(&weights, &gradient, 1, 2).is_ok(), "weights move"))
    }

    /// Seconds for the tokens of a batch, given, not drawn.
    fn decode(&self, policy: &DevicePolicy, size: &Size, batch: usize) -> f64 {
        let mut cache = DeviceCache::new(policy, batch, size.prompt + size.n_tokens);
        let encoded = policy.encode(&tokens(policy, 0, size.prompt));
        let next = tokens(policy, 1, batch);
        self.seconds(|| {
            cache.clear();
            (0..batch).for_each(|_| cache.start(&encoded));
            (0..size.n_tokens).for_each(|_| drop(black_box(policy.decode(&mut cache, &next))));
        })
    }

    /// Seconds for a prompt, and the tokens of a batch drawn after it.
    fn sample(&self, policy: &DevicePolicy, size: &Size, batch: usize) -> f64 {
        let mut cache = DeviceCache::new(policy, batch, size.prompt + size.n_tokens);
        let (prompts, sampling) = ([tokens(policy, 0, size.prompt)], SamplingConfig::default());
        let job = Job { prompts: &prompts, samples: batch, n_tokens: size.n_tokens, sampling: &sampling };
        self.seconds(|| drop(black_box(sample(policy, &mut cache, &job))))
    }
}

fn tokens(policy: &DevicePolicy, seed: usize, n: usize) -> Vec<i64> {
    (0..n).map(|i| ((7919 * (i + 1) * (seed + 1)) % policy.vocabulary()) as i64).collect()
}
