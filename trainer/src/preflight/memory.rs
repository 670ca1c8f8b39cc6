//! The memory plan: what a run will hold at once, phase by phase, before any of it is allocated.
//!
//! Master weights, gradients and both moments of AdamW are f32. The backward pass keeps, of every packed row and
//! block, the inputs of its products and kernels; the head's logits exist for a chunk of rows at a time.

use std::fmt;

use model::config::{Dtype, ModelConfig};
use model::kernels::TILE;
use model::kv_cache::KvCache;

use super::{Finding, Stage};
use crate::config::RunConfig;

#[cfg(test)]
mod tests;

const F32: u64 = 4;
const BF16: u64 = 2;

/// Bytes that a chunk of logits may take, and its most rows: those of `model`'s head.
const CHUNK_BYTES: u64 = 64 << 20;
const CHUNK_ROWS: u64 = 1024;

/// A stretch of a run with memory needs of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Completions are sampled.
    Sampling,
    /// Gradients are computed and the weights move.
    Update,
    /// Held-out problems are sampled.
    Evaluation,
    /// A checkpoint is written.
    Saving,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Sampling => "sampling",
            Phase::Update => "update",
            Phase::Evaluation => "evaluation",
            Phase::Saving => "saving",
        })
    }
}

/// What takes the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The program, libtorch and the data, as measured when the plan was made.
    Program,
    /// Master weights, and the copy that bf16 compute multiplies with.
    Weights,
    /// The reference's weights.
    Reference,
    /// AdamW's two moments.
    Optimizer,
    /// The sum, and one gradient for every worker where there are several.
    Gradients,
    /// Keys and values.
    Cache,
    /// What the backward pass keeps, with what one block needs while it runs, over all workers.
    Activations,
    /// Logits, over all workers.
    Logits,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Program => "program, data",
            Part::Weights => "weights",
            Part::Reference => "reference",
            Part::Optimizer => "optimizer",
            Part::Gradients => "gradients",
            Part::Cache => "kv cache",
            Part::Activations => "activations",
            Part::Logits => "logits",
        })
    }
}

/// Numbers of the machine and the data that a plan depends on, beside the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Threads that compute where `run.workers` does not say.
    pub cores: usize,
    /// Memory held when the plan is made, in bytes: program, libtorch, data.
    pub program: u64,
    /// Longest prompt that is kept, in tokens.
    pub longest_prompt: usize,
    /// Problems of the largest held-out set.
    pub n_heldout: usize,
}

/// Bytes by phase and part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    phases: Vec<(Phase, Vec<(Part, u64)>)>,
    stage: Stage,
    checkpointing: bool,
}

impl Plan {
    /// Plans a run. A pure function: the same values give the same plan.
    pub fn new(model: &ModelConfig, run: &RunConfig, stage: Stage, load: &Load) -> Plan {
        let needs = Needs { model, run, load, workers: run.run.workers.unwrap_or(load.cores).max(1) as u64 };
        let mut phases = Vec::new();
        let standing = needs.standing(stage);
        let mut add = |phase: Phase, more: Vec<(Part, u64)>| {
            let parts = standing.iter().copied().chain(more).filter(|(_, bytes)| *bytes > 0).collect();
            phases.push((phase, parts));
        };
        // The cache of the largest request stays between phases: it is used again, not freed.
        let sampling = (stage == Stage::Grpo).then(|| needs.sampling());
        let evaluation = run.eval.as_ref().map(|_| needs.evaluation());
        let cache = sampling.iter().chain(&evaluation).map(|sampled| sampled.cache).max().unwrap_or(0);
        if let Some(sampled) = sampling {
            add(Phase::Sampling, vec![(Part::Cache, cache), (Part::Logits, sampled.logits)]);
        }
        let checkpointing = needs.update(stage).is_some_and(|update| update.checkpointing);
        if let Some(update) = needs.update(stage) {
            let passes = needs.passes(update);
            let (kept, logits) = needs.backward(update, passes);
            let gradients = if passes > 1 { passes + 1 } else { 1 };
            add(
                Phase::Update,
                vec![
                    (Part::Gradients, gradients * model.n_parameters() * F32),
                    (Part::Cache, cache),
                    (Part::Activations, kept),
                    (Part::Logits, logits),
                ],
            );
        }
        if let Some(sampled) = evaluation {
            add(Phase::Evaluation, vec![(Part::Cache, cache), (Part::Logits, sampled.logits)]);
        }
        if stage != Stage::Eval {
            add(Phase::Saving, vec![(Part::Cache, cache)]);
        }
        Plan { phases, stage, checkpointing }
    }

    /// Bytes of a phase, all parts together; 0 for a phase that the run does not have.
    pub fn total(&self, phase: Phase) -> u64 {
        self.parts(phase).iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of one part in a phase.
    pub fn part(&self, phase: Phase, part: Part) -> u64 {
        self.parts(phase).iter().find(|(one, _)| *one == part).map_or(0, |(_, bytes)| *bytes)
    }

    /// The phase that needs most, and its bytes.
    pub fn peak(&self) -> (Phase, u64) {
        let totals = self.phases.iter().map(|(phase, _)| (*phase, self.total(*phase)));
        totals.max_by_key(|(_, bytes)| *bytes).unwrap_or((Phase::Evaluation, 0))
    }

    /// The key to turn where a phase runs out of memory: that of its largest part that a key can make smaller.
    pub fn hint_for_phase(&self, phase: Phase) -> String {
        let table = if self.stage == Stage::Sft { "sft" } else { "grpo" };
        let turnable = |part: Part| match part {
            Part::Activations if !self.checkpointing => Some(format!("set `{table}.activation_checkpointing = true`")),
            Part::Activations => Some(format!("lower `{table}.microbatch_tokens`")),
            Part::Gradients => Some("lower `run.workers`: every worker adds up a gradient of its own".to_owned()),
            Part::Cache => Some("lower `rollout.kv_bytes`".to_owned()),
            Part::Logits if phase != Phase::Update => Some("lower `rollout.max_batch`".to_owned()),
            Part::Logits => Some("lower `run.workers`: every worker holds a chunk of logits".to_owned()),
            Part::Reference => Some("set `grpo.objective.kl_coef = 0`, which needs no reference".to_owned()),
            Part::Program | Part::Weights | Part::Optimizer => None,
        };
        let mut parts = self.parts(phase).to_vec();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let found = parts.into_iter().find_map(|(part, _)| turnable(part));
        found.unwrap_or_else(|| "take a smaller checkpoint in `model.checkpoint`".to_owned())
    }

    /// One line that compares the plan with what was measured at the run's end, in bytes.
    pub fn compare(&self, measured: u64) -> String {
        let (phase, planned) = self.peak();
        let off = 100.0 * (measured as f64 / planned.max(1) as f64 - 1.0);
        format!("memory: {} at most, {} planned ({phase}), {off:+.0} %", bytes(measured), bytes(planned))
    }

    /// Warns where the peak exceeds what is held already and what could still be taken, in bytes.
    pub(super) fn check(&self, held: u64, free: Option<u64>) -> Option<Finding> {
        let (phase, peak) = self.peak();
        let available = held + free.filter(|free| held + free < peak)?;
        let message = format!("{phase} needs about {}, {} can be had", bytes(peak), bytes(available));
        Some(Finding::warning("model", message).hint(self.hint_for_phase(phase)))
    }

    fn parts(&self, phase: Phase) -> &[(Part, u64)] {
        self.phases.iter().find(|(one, _)| *one == phase).map_or(&[], |(_, parts)| parts)
    }
}

impl fmt::Display for Plan {
    /// A table: parts down, phases across, a total at the foot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PARTS: [Part; 8] = [
            Part::Program,
            Part::Weights,
            Part::Reference,
            Part::Optimizer,
            Part::Gradients,
            Part::Cache,
            Part::Activations,
            Part::Logits,
        ];
        write!(f, "{:<14}", "memory plan")?;
        for (phase, _) in &self.phases {
            write!(f, "{phase:>12}")?;
        }
        let phases = || self.phases.iter().map(|(phase, _)| *phase);
        for part in PARTS.into_iter().filter(|part| phases().any(|phase| self.part(phase, *part) > 0)) {
            write!(f, "\n{part:<14}")?;
            for phase in phases() {
                match self.part(phase, part) {
                    0 => write!(f, "{:>12}", "–")?,
                    some => write!(f, "{:>12}", bytes(some))?,
                }
            }
        }
        write!(f, "\n{:<14}", "total")?;
        for phase in phases() {
            write!(f, "{:>12}", bytes(self.total(phase)))?;
        }
        Ok(())
    }
}

/// What sampling holds.
struct Sampled {
    cache: u64,
    logits: u64,
}

/// The knobs of a backward pass.
#[derive(Clone, Copy)]
struct Update {
    /// Packed rows of a microbatch, at most.
    rows: u64,
    /// Packed rows of an update.
    all_rows: u64,
    checkpointing: bool,
}

struct Needs<'a> {
    model: &'a ModelConfig,
    run: &'a RunConfig,
    load: &'a Load,
    workers: u64,
}

impl Needs<'_> {
    /// What every phase holds.
    fn standing(&self, stage: Stage) -> Vec<(Part, u64)> {
        let copy = if self.run.model.dtype == Dtype::Bf16 { BF16 } else { 0 };
        let weights = self.model.n_parameters() * (F32 + copy);
        let has_reference = self.run.grpo.as_ref().is_some_and(|grpo| grpo.objective.kl_coef > 0.0);
        let optimizer = if stage == Stage::Eval { 0 } else { 2 * self.model.n_parameters() * F32 };
        vec![
            (Part::Program, self.load.program),
            (Part::Weights, weights),
            (Part::Reference, if stage == Stage::Grpo && has_reference { weights } else { 0 }),
            (Part::Optimizer, optimizer),
        ]
    }

    fn sampling(&self) -> Sampled {
        let n = self.run.grpo.as_ref().map_or(1, |grpo| grpo.prompts_per_step * grpo.group_size);
        let group_size = self.run.grpo.as_ref().map_or(1, |grpo| grpo.group_size);
        self.sampled(n, group_size, longest_completion(self.run))
    }

    fn evaluation(&self) -> Sampled {
        let eval = self.run.eval.as_ref();
        let samples = eval.map_or(1, |eval| eval.samples);
        let max_tokens = eval.and_then(|eval| eval.max_tokens).unwrap_or(self.run.rollout.max_tokens);
        self.sampled(self.load.n_heldout * samples, samples, max_tokens)
    }

    /// `n` completions, of which a replica decodes `max_batch` at once; each group shares its prompt's full pages.
    fn sampled(&self, n: usize, group_size: usize, max_tokens: usize) -> Sampled {
        let at_once = (n as u64).min(self.workers * self.run.rollout.max_batch as u64);
        let groups = at_once.div_ceil(group_size.max(1) as u64);
        let (prompt, completion) = pages(self.load.longest_prompt, max_tokens);
        let needed = (groups * prompt + at_once * completion) * KvCache::page_bytes(self.model) as u64;
        Sampled { cache: needed.min(self.run.rollout.kv_bytes), logits: at_once * self.model.vocab_size as u64 * F32 }
    }

    fn update(&self, stage: Stage) -> Option<Update> {
        match stage {
            Stage::Grpo => self.run.grpo.as_ref().map(|grpo| {
                let longest = self.load.longest_prompt + longest_completion(self.run);
                let group = self.load.longest_prompt + grpo.group_size * longest_completion(self.run);
                let groups = grpo.prompts_per_step.div_ceil(grpo.updates_per_step.max(1));
                let all_rows = (groups * group) as u64;
                let rows = all_rows.min(grpo.microbatch_tokens.max(longest) as u64);
                Update { rows, all_rows, checkpointing: grpo.activation_checkpointing }
            }),
            Stage::Sft => self.run.sft.as_ref().map(|sft| {
                let rows = sft.batch_tokens.min(sft.microbatch_tokens.max(sft.max_tokens)) as u64;
                Update { rows, all_rows: sft.batch_tokens as u64, checkpointing: sft.activation_checkpointing }
            }),
            Stage::Eval => None,
        }
    }

    /// Backward passes that run at the same time.
    fn passes(&self, update: Update) -> u64 {
        self.workers.min(update.all_rows.div_ceil(update.rows.max(1))).max(1)
    }

    /// What the backward passes keep, and the logits of their heads.
    fn backward(&self, update: Update, passes: u64) -> (u64, u64) {
        let c = self.model;
        let wide = |n: usize| n as u64;
        let (d, f) = (wide(c.hidden_dim), wide(c.ffn_dim));
        let (q, kv) = (wide(c.n_heads * c.head_dim), wide(c.n_kv_heads * c.head_dim));
        // Input, both norms' outputs and roots, q, k, v, attended with its log-sums, the middle of the stream, gate,
        // up, gated; with norms on heads also what went into them.
        let head_norms = if c.qk_norm { q + kv + wide(c.n_heads + c.n_kv_heads) } else { 0 };
        let kept = 3 * d + 2 + 2 * q + 2 * kv + wide(c.n_heads) + 3 * f + head_norms;
        // Gradients of the same things while one block runs backward.
        let running = 4 * d + 3 * f + 4 * q + 6 * kv;
        let layers = wide(c.n_layers);
        let block = match update.checkpointing {
            false => layers * (d + kept) + running,
            true => layers * d + kept + running,
        };
        let chunk_rows = (CHUNK_BYTES / (F32 * wide(c.vocab_size).max(1))).clamp(8, CHUNK_ROWS).min(update.rows.max(8));
        let logits = chunk_rows * wide(c.vocab_size) * F32;
        (passes * update.rows * block * F32, passes * logits)
    }
}

/// The longest completion a run samples while training, schedule included, in tokens.
pub(super) fn longest_completion(run: &RunConfig) -> usize {
    let changes = run.grpo.iter().flat_map(|grpo| &grpo.max_tokens_schedule).map(|change| change.max_tokens);
    changes.chain([run.rollout.max_tokens]).max().unwrap_or(0)
}

/// Pages of keys and values that a prompt takes, and those that each of its completions may need beside them.
pub(super) fn pages(prompt: usize, max_tokens: usize) -> (u64, u64) {
    let shared = prompt / TILE;
    (KvCache::pages_for(prompt) as u64, (KvCache::pages_for(prompt + max_tokens) - shared) as u64)
}

/// The most memory this process ever held, in bytes (`VmHWM`); `None` where the system does not say.
pub fn measured_peak() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A number of bytes for people, in binary units.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}
