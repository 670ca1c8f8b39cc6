//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) as one loop over flat arrays.
//!
//! ```text
//! m ← β₁m + (1 − β₁)g      v ← β₂v + (1 − β₂)g²
//! θ ← θ(1 − lr·decay) − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! Every number moves by itself, through the same operations wherever a thread's share begins, so the weights do not
//! depend on the number of workers. The gradient is read once for its norm and once for the move, which scales it.

mod moments;
mod on_device;
mod placed;

use std::error::Error;
use std::fmt;
use std::ops::Range;

use crate::schedule::Schedule;
use model::layout::{Layout, Parameter};
use model::team;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use moments::{Moments, MomentsDtype};
pub use on_device::DeviceOptimizer;
pub use placed::Placed;

use moments::Moment;

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with a schedule and clipping by the global norm.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Peak learning rate. R1-Zero: 3e-6.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// The gradient's global norm is scaled down to this; 0 never.
    pub max_grad_norm: f64,
    /// What both moments are kept in. bf16 has no numbers between which a second moment could decay where `beta2` is above
    /// 0.996; DeepSeek-V3 has 0.95.
    pub moments: MomentsDtype,
    /// How the learning rate moves. Its steps are updates of the weights.
    pub schedule: Schedule,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            lr: 3e-6,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            moments: MomentsDtype::F32,
            schedule: Schedule::default(),
        }
    }
}

/// What a move of the weights reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The gradient's global L2 norm before clipping.
    pub grad_norm: f64,
    /// The learning rate of this move.
    pub lr: f64,
    /// Whether the gradient was scaled down.
    pub clipped: bool,
}

/// The gradient is not finite, or its square is no f32; weights and moments are as they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotFinite {
    /// Its global L2 norm.
    pub grad_norm: f64,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gradient norm is {}, weights left as they were", self.grad_norm)
    }
}

impl Error for NotFinite {}

/// AdamW with its moments laid out as the weights are.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// The flat array cut where weight decay begins or ends.
    spans: Vec<Span>,
    moments: Moments,
    moves: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    range: Range<usize>,
    decay: bool,
}

impl Optimizer {
    /// Moments of zero for every parameter of `layout`.
    pub fn new(layout: &Layout, config: &OptimizerConfig) -> Optimizer {
        Optimizer::sparing(layout, config, &[])
    }

    /// The same without weight decay on parameters that lie in the ranges `spared`.
    pub fn sparing(layout: &Layout, config: &OptimizerConfig, spared: &[Range<usize>]) -> Optimizer {
        let spares = |range: &Range<usize>| spared.iter().any(|s| s.start <= range.start && range.end <= s.end);
        let decayed = layout.parameters().iter().filter(|p| p.decay()).map(Parameter::range);
        let decayed = decayed.filter(|range| !spares(range));
        Optimizer::over(spans(layout.len(), decayed), config)
    }

    fn over(spans: Vec<Span>, config: &OptimizerConfig) -> Optimizer {
        let len = spans.last().map_or(0, |span| span.range.end);
        Optimizer { config: config.clone(), spans, moments: Moments::zeros(len, config.moments), moves: 0 }
    }

    /// Moves `parameters` against `gradient`, both laid out as the moments are, with the team that leads here or one of
    /// `workers` threads.
    ///
    /// `update` counts from 1 to `updates` and sets the learning rate. A gradient that is not finite moves nothing.
    /// Whoever computed the loss has checked it.
    pub fn step(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        update: u64,
        updates: u64,
        workers: usize,
    ) -> Result<StepReport, NotFinite> {
        let len = self.moments.len();
        assert_eq!([parameters.len(), gradient.len()], [len; 2], "weights and gradient have the optimizer's layout");
        team::led(workers, || {
            let grad_norm = global_norm(gradient, workers);
            let (rule, report) = Rule::next(&self.config, grad_norm, update, updates, &mut self.moves)?;
            let mover = Mover { rule, spans: &self.spans };
            match &mut self.moments {
                Moments::F32([first, second]) => mover.step(parameters, gradient, first, second),
                Moments::Bf16([first, second]) => mover.step(parameters, gradient, first, second),
            }
            Ok(report)
        })
    }

    /// The moments, and how many times the weights have moved.
    pub fn state(&self) -> (&Moments, u64) {
        (&self.moments, self.moves)
    }

    /// Goes on after `moves` moves: the moments, into which those of then are to be put.
    pub fn restore(&mut self, moves: u64) -> &mut Moments {
        self.moves = moves;
        &mut self.moments
    }
}

/// What the gradient is multiplied by: 1 where its norm is within the limit or there is none.
///
/// The 1e-6 is that of `torch.nn.utils.clip_grad_norm_`.
fn clip_scale(grad_norm: f64, max_grad_norm: f64) -> f64 {
    if max_grad_norm > 0.0 { (max_grad_norm / (grad_norm + 1e-6)).min(1.0) } else { 1.0 }
}

/// Cuts `0..len` where weight decay begins or ends; what `decayed` leaves out has none.
fn spans(len: usize, decayed: impl Iterator<Item = Range<usize>>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut push = |range: Range<usize>, decay| match spans.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.decay == decay => last.range.end = range.end,
        _ => spans.push(Span { range, decay }),
    };
    let mut end = 0;
    for range in decayed {
        push(end..range.start, false);
        end = range.end;
        push(range, true);
    }
    push(end..len, false);
    spans
}

/// The constants of one move, rounded to f32 once.
struct Rule {
    clip: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// lr / (1 − β₁ᵗ).
    rate: f32,
    /// 1 / √(1 − β₂ᵗ).
    root: f32,
    epsilon: f32,
    /// 1 − lr · weight decay.
    keep: f32,
}

impl Rule {
    /// The rule of the move that follows `moves` others, and what is said of it; the move is counted.
    fn next(
        config: &OptimizerConfig,
        grad_norm: f64,
        update: u64,
        updates: u64,
        moves: &mut u64,
    ) -> Result<(Rule, StepReport), NotFinite> {
        // A square beyond f32 would make the second moment infinite for ever. False for NaN.
        let representable = grad_norm * grad_norm <= f64::from(f32::MAX);
        if !representable {
            return Err(NotFinite { grad_norm });
        }
        let lr = config.schedule.learning_rate(config.lr, update, updates);
        let clip = clip_scale(grad_norm, config.max_grad_norm);
        *moves += 1;
        Ok((Rule::new(config, lr, clip, *moves), StepReport { grad_norm, lr, clipped: clip < 1.0 }))
    }

    fn new(config: &OptimizerConfig, lr: f64, clip: f64, moves: u64) -> Rule {
        let bias = |beta: f64| 1.0 - beta.powf(moves as f64);
        Rule {
            clip: clip as f32,
            beta1: config.beta1 as f32,
            rest1: (1.0 - config.beta1) as f32,
            beta2: config.beta2 as f32,
            rest2: (1.0 - config.beta2) as f32,
            rate: (lr / bias(config.beta1)) as f32,
            root: (1.0 / bias(config.beta2).sqrt()) as f32,
            epsilon: config.epsilon as f32,
            keep: (1.0 - lr * config.weight_decay) as f32,
        }
    }

    fn move_span<M: Moment>(
        &self,
        keep: f32,
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [M],
        second: &mut [M],
    ) {
        let moments = first.iter_mut().zip(second);
        widest(|| {
            for ((w, g), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
                let g = g * self.clip;
                let m = self.beta1 * first.wide() + self.rest1 * g;
                let v = self.beta2 * second.wide() + self.rest2 * (g * g);
                *w = *w * keep - self.rate * m / (v.sqrt() * self.root + self.epsilon);
                (*first, *second) = (M::kept(m), M::kept(v));
            }
        });
    }
}

/// Numbers that are worth a share of their own where several threads move, and shares at most.
const SHARE: usize = 1 << 14;
const MOST_SHARES: usize = 256;

/// One move of all parameters.
struct Mover<'a> {
    rule: Rule,
    spans: &'a [Span],
}

impl Mover<'_> {
    /// Each thread of the team moves shares of the flat array.
    fn step<M: Moment>(&self, parameters: &mut [f32], gradient: &[f32], first: &mut [M], second: &mut [M]) {
        let share = parameters.len().div_ceil(MOST_SHARES).max(SHARE);
        let moments = first.chunks_mut(share).zip(second.chunks_mut(share));
        let shares = parameters.chunks_mut(share).zip(gradient.chunks(share)).zip(moments);
        let mut shares: Vec<_> = shares.collect();
        team::spread_rows(&mut shares, 1, 1, |range, shares| {
            for (i, ((weights, gradient), (first, second))) in range.zip(shares) {
                self.move_share(i * share, weights, gradient, first, second);
            }
        });
    }

    /// Moves the share of the flat array that begins at `start`.
    fn move_share<M: Moment>(
        &self,
        start: usize,
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [M],
        second: &mut [M],
    ) {
        let end = start + weights.len();
        for span in self.spans {
            let (from, to) = (span.range.start.max(start), span.range.end.min(end));
            if from < to {
                let here = from - start..to - start;
                let keep = if span.decay { self.rule.keep } else { 1.0 };
                let (weights, gradient) = (&mut weights[here.clone()], &gradient[here.clone()]);
                self.rule.move_span(keep, weights, gradient, &mut first[here.clone()], &mut second[here]);
            }
        }
    }
}

/// Numbers whose squares are added up before they join the total.
const NORM_BLOCK: usize = 1 << 16;

/// The L2 norm of a gradient, in f64, with the team that leads here or one of `workers` threads.
///
/// Squares are added within blocks of fixed places and the blocks in order, so the norm is the same for any number of
/// threads.
pub fn global_norm(gradient: &[f32], workers: usize) -> f64 {
    let mut sums = vec![0.0; gradient.len().div_ceil(NORM_BLOCK)];
    let sum = |i: usize| {
        let block = &gradient[i * NORM_BLOCK..gradient.len().min((i + 1) * NORM_BLOCK)];
        widest(|| sum_of_squares(block))
    };
    team::led(workers.min(sums.len()), || team::fill(&mut sums, 1, sum));
    sums.iter().sum::<f64>().sqrt()
}

/// Sixteen sums side by side, which is as many as the compiler needs to use vectors.
#[inline(always)]
fn sum_of_squares(block: &[f32]) -> f64 {
    let mut lanes = [0f64; 16];
    let (rows, rest) = block.as_chunks::<16>();
    for row in rows {
        for (lane, x) in lanes.iter_mut().zip(row) {
            *lane += f64::from(*x) * f64::from(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(*x) * f64::from(*x);
    }
    lanes.iter().sum()
}

/// `work`, with the widest vectors that this machine has where its loops are compiled into this function. Rust joins no
/// multiplication and addition of its own accord, so the bits are the same with all of them.
fn widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
        fn avx512<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        #[target_feature(enable = "avx2")]
        fn avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        let has = [is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx512vl")];
        if has == [true; 2] && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq") {
            // SAFETY: the machine has these instructions.
            return unsafe { avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(work) };
        }
    }
    work()
}

#[cfg(test)]
mod tests;
