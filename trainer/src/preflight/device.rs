//! The memory that a run will take on the device that its policy computes on.
//!
//! Weights, moments, gradient and cache are counted as they are made. What a backward pass holds beside them is estimated
//! from what autograd keeps of a block: its own working memory, and libtorch's for a product, are not known beforehand.

use std::fmt;

use model::config::{Mla, ModelConfig};
use model::device::{DeviceCache, chunk_rows, number_bytes, weight_bytes};
use model::layout::{Layout, Parameter};

use super::memory::{Load, bytes};
use super::work::{Sampled, Work};
use super::{Finding, Stage};
use crate::config::RunConfig;

const F32: u64 = 4;

/// Bytes on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// What stays from the beginning on, with the names of its parts.
    standing: Parts,
    /// What sampling holds beside it.
    sampling: Parts,
    /// What an update holds beside it, in the ways that there are: with what blocks keep, and where that is computed again.
    update: Parts,
    again: Option<Parts>,
    checkpointing: bool,
}

type Parts = Vec<(&'static str, u64)>;

impl DevicePlan {
    /// What a run takes; `None` where the CPU's own kernels compute. Where the configuration does not say whether blocks are
    /// computed again they are not, until [`DevicePlan::fit`].
    pub fn new(model: &ModelConfig, run: &RunConfig, stage: Stage, load: &Load) -> Option<DevicePlan> {
        run.model.device.is_libtorchs().then(|| {
            let work = Work { run, stage, load };
            let (needs, asked) = (Needs { model, work, layout: Layout::new(model) }, work.checkpointing());
            let checkpointing = asked.unwrap_or(false);
            let (update, again) = (needs.update(checkpointing), asked.is_none().then(|| needs.update(true)));
            DevicePlan { standing: needs.standing(), sampling: needs.sampling(), update, again, checkpointing }
        })
    }

    /// Lets blocks be computed again where the plan exceeds what the device has `free`, in bytes, and nobody has said
    /// otherwise.
    #[must_use]
    pub fn fit(mut self, free: Option<u64>) -> DevicePlan {
        if free.is_some_and(|free| free < self.peak())
            && let Some(again) = self.again.take()
        {
            (self.update, self.checkpointing) = (again, true);
        }
        self
    }

    /// Whether only the blocks' inputs are kept, and the rest is computed again.
    pub fn checkpointing(&self) -> bool {
        self.checkpointing
    }

    /// Bytes at the peak.
    pub fn peak(&self) -> u64 {
        let sum = |parts: &[(&str, u64)]| parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
        sum(&self.standing) + sum(&self.sampling).max(sum(&self.update))
    }

    /// Warns where the peak exceeds what the device has `free`, in bytes.
    pub fn check(&self, free: Option<u64>) -> Option<Finding> {
        let free = free.filter(|free| *free < self.peak())?;
        let message = format!("the device needs about {}, {} can be had", bytes(self.peak()), bytes(free));
        let update = self.update.iter().chain(&self.sampling).max_by_key(|(_, bytes)| *bytes);
        let key = match update.map(|(name, _)| *name) {
            Some("kv cache") => "`rollout.kv_bytes`",
            Some("draws") => "`rollout.max_batch`",
            _ => "`microbatch_tokens`",
        };
        Some(Finding::warning("model.device", message).hint(format!("lower {key}")))
    }
}

impl fmt::Display for DevicePlan {
    /// One part a line, the largest sum at the foot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14}{:>12}{:>12}", "on the device", "sampling", "update")?;
        let one = |name: &str, [left, right]: [u64; 2], f: &mut fmt::Formatter<'_>| {
            let shown = |n: u64| if n == 0 { "–".to_owned() } else { bytes(n) };
            write!(f, "\n{name:<14}{:>12}{:>12}", shown(left), shown(right))
        };
        for (name, bytes) in self.standing.iter().filter(|(_, bytes)| *bytes > 0) {
            one(name, [*bytes; 2], f)?;
        }
        for (name, bytes) in self.sampling.iter().filter(|(_, bytes)| *bytes > 0) {
            one(name, [*bytes, 0], f)?;
        }
        for (name, bytes) in self.update.iter().filter(|(_, bytes)| *bytes > 0) {
            one(name, [0, *bytes], f)?;
        }
        let sum = |parts: &[(&str, u64)]| self.standing.iter().chain(parts).map(|(_, bytes)| bytes).sum();
        one("total", [sum(&self.sampling), sum(&self.update)], f)?;
        let kept = if self.checkpointing { "computed again" } else { "kept" };
        write!(f, "\n{:<14}  activations are {kept} for the gradient", "update")
    }
}

struct Needs<'a> {
    model: &'a ModelConfig,
    work: Work<'a>,
    layout: Layout,
}

impl Needs<'_> {
    fn standing(&self) -> Parts {
        let (n, Work { run, stage, .. }) = (self.layout.len() as u64, self.work);
        let weights = weight_bytes(self.model, run.model.dtype, run.model.mla);
        let trained = u64::from(stage != Stage::Eval);
        vec![
            ("weights", weights),
            ("reference", if self.work.has_reference() { weights } else { 0 }),
            ("optimizer", trained * n * run.optimizer.moments.width() as u64),
            ("gradient", trained * n * F32),
        ]
    }

    /// Keys and values of all rows, each with room for the longest completion, and what is held to draw from logits.
    fn sampling(&self) -> Parts {
        let (rollout, work) = (&self.work.run.rollout, self.work);
        let needed = |Sampled { n, max_tokens, .. }: Sampled| {
            let positions = work.load.longest_prompt + max_tokens;
            let row = DeviceCache::planned_bytes(self.model, work.run.model.dtype, 1, positions) as u64;
            let rows = (rollout.kv_bytes / row.max(1)).min(n.min(rollout.max_batch) as u64);
            // Logits, scaled ones, and noise by integers of 64 bits.
            (rows * row, rows * self.model.vocab_size as u64 * 40)
        };
        let (cache, draws) =
            [work.training(), work.heldout()].into_iter().flatten().map(needed).max().unwrap_or((0, 0));
        vec![("kv cache", cache), ("draws", draws)]
    }

    /// The streams between blocks, what autograd keeps of one block or of all, as much again while it goes back, and a
    /// chunk of logits.
    fn update(&self, checkpointing: bool) -> Parts {
        let Some(rows) = self.work.rows().map(|rows| rows.microbatch as u64) else { return Vec::new() };
        let (layers, d) = (self.model.blocks.len() as u64, self.model.hidden_dim as u64);
        let block = rows * self.block_row();
        let kept = if checkpointing { 0 } else { layers * block };
        // Gradients of a block's weights come together, each once more in f32 while it is added.
        let weights = |parameter: &Parameter| parameter.range().len() as u64;
        let largest = self.layout.parameters().iter().map(weights).max().unwrap_or(0);
        let of_block = self.layout.block_sizes().max().unwrap_or(0) as u64 * self.number() + largest * F32;
        let chunk = (chunk_rows(self.model.vocab_size) as u64).min(rows);
        // Logits, scaled ones, their exponentials, and gradients of the first two.
        let head =
            5 * chunk * self.model.vocab_size as u64 * F32 + self.model.vocab_size as u64 * d * (F32 + self.number());
        let stream = (layers + 3) * rows * d * F32;
        vec![("activations", stream + kept + (2 * block + of_block).max(head).saturating_sub(head)), ("logits", head)]
    }

    /// Bytes of what autograd keeps of one row in the block that keeps most.
    fn block_row(&self) -> u64 {
        let (d, number) = (self.model.hidden_dim as u64, self.number());
        let heads = match self.work.run.model.mla {
            Mla::Expanded => self.model.expanded_heads(0),
            Mla::Absorbed => self.model.heads(0),
        };
        let widths = heads.widths();
        let [q, kv, out] = [widths.q, widths.key + widths.value, widths.out].map(|n| n as u64);
        // Both norms' inputs in f32 and outputs as products read them; queries, keys and values before and behind the
        // rotation; what was attended to, by place and by row.
        let attention = d * (2 * F32 + 2 * number) + (q + kv) * (F32 + number) + 2 * out * number;
        // Gate, up and their gate's activation in f32, gated ones as products read them.
        let gated = |width: usize| width as u64 * (3 * F32 + number);
        let dense = gated(self.model.ffn_dim);
        let sparse = self.model.experts.as_ref().map_or(0, |experts| {
            let k = experts.n_chosen as u64;
            // Rows at each of their places, and what each expert gave of them.
            k * d * (2 * F32 + number) + gated(experts.n_chosen * experts.width + experts.shared_width.unwrap_or(0))
        });
        attention + dense.max(sparse)
    }

    /// Bytes of a number as products read it.
    fn number(&self) -> u64 {
        number_bytes(self.work.run.model.dtype) as u64
    }
}

#[cfg(test)]
mod tests;
