//! The memory plan: what a run will hold at once, phase by phase, before any of it is allocated.
//!
//! How many bytes each part takes is in `memory/needs.rs`; what is said when they cannot be had, in
//! `memory/shortage.rs`.

use std::fmt;

use model::config::ModelConfig;

use super::work::Work;
use super::{Finding, Stage};
use crate::config::RunConfig;
use needs::Needs;

mod compiled;
mod needs;
mod shortage;
#[cfg(test)]
mod tests;
mod widths;

pub use compiled::bound_compiled_products;
pub(super) use needs::pages;

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
    /// What comes into memory when a run begins to compute: code of the program and of libtorch, what threads have for
    /// themselves, and in bf16 the products that libtorch compiles.
    Code,
    /// Master weights, the copy that products read, the tables of rotary positions.
    Weights,
    /// The reference's weights.
    Reference,
    /// AdamW's two moments.
    Optimizer,
    /// The sum, and one gradient for every microbatch that is computed beside others. They stay from update to update.
    Gradients,
    /// Keys and values. Pages stay, to be used again.
    Cache,
    /// What the backward pass keeps, with what one block needs while it runs beyond the logits' place; over all that
    /// runs side by side.
    Activations,
    /// Logits, over all that runs side by side.
    Logits,
    /// The tensor that is being written.
    File,
    /// Memory of the last update's activations and logits beyond what this phase puts there, to be used again, and what
    /// buffers may keep beside that.
    Kept,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Program => "program, data",
            Part::Code => "code, threads",
            Part::Weights => "weights",
            Part::Reference => "reference",
            Part::Optimizer => "optimizer",
            Part::Gradients => "gradients",
            Part::Cache => "kv cache",
            Part::Activations => "activations",
            Part::Logits => "logits",
            Part::File => "file",
            Part::Kept => "kept",
        })
    }
}

/// Numbers of the machine and the data that a plan depends on, beside the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Threads that compute where `run.workers` does not say.
    pub cores: usize,
    /// Memory held before a weight is loaded, in bytes: program, libtorch, data.
    pub program: u64,
    /// Longest prompt that is kept, in tokens.
    pub longest_prompt: usize,
    /// Longest document that is kept, in tokens.
    pub longest_document: usize,
    /// Problems of the largest held-out set.
    pub n_heldout: usize,
}

/// Bytes that several microbatches side by side may take beyond one at a time. Threads that share none are faster, by a
/// fifth where its products are short; but where activations are large they are slower, and memory is worth more.
const CHEAP: u64 = 256 << 20;

/// How the backward passes of an update are made. No bit of a run depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Microbatches that may be computed at the same time.
    pub side_by_side: usize,
    /// Whether each keeps only its blocks' inputs, and computes the rest again.
    pub checkpointing: bool,
}

impl Passes {
    /// The ways a plan may choose from, the one that takes most memory first. What `run` says stands in each of them.
    fn ways(work: Work<'_>) -> [Passes; 4] {
        let settings = &work.run.run;
        let workers = settings.workers.unwrap_or(work.load.cores).max(1);
        [(workers, false), (2, false), (1, false), (1, true)].map(|(side_by_side, checkpointing)| Passes {
            side_by_side: settings.parallel_microbatches.unwrap_or(side_by_side).min(workers),
            checkpointing: work.checkpointing().unwrap_or(checkpointing),
        })
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.checkpointing { "computed again for the gradient" } else { "kept for the gradient" };
        match self.side_by_side {
            1 => write!(f, "one microbatch at a time, activations are {kept}"),
            n => write!(f, "up to {n} microbatches side by side, activations are {kept}"),
        }
    }
}

/// Bytes by phase and part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    phases: Vec<(Phase, Vec<(Part, u64)>)>,
    stage: Stage,
    passes: Passes,
    /// The bytes that can be had, where they were too few for the first way to make backward passes.
    short: Option<u64>,
}

impl Plan {
    /// Plans a run with the first way to make its backward passes that fits into `available` bytes, the most thrifty
    /// where none does and the first where nobody knows what is available. Several microbatches side by side are such a
    /// way where they take at most 256 MiB more than one at a time. A pure function: the same values give the same plan.
    pub fn choose(model: &ModelConfig, run: &RunConfig, stage: Stage, load: &Load, available: Option<u64>) -> Plan {
        let all = Passes::ways(Work { run, stage, load }).map(|way| Plan::new(model, run, stage, load, way));
        let costly = |way: &Plan| way.peak().1 > all[2].peak().1 + CHEAP;
        let ways = &all[all.iter().take_while(|way| costly(way)).count()..];
        let fits = |plan: &&Plan| available.is_none_or(|available| plan.peak().1 <= available);
        let chosen = ways.iter().find(fits).unwrap_or(&all[3]);
        let short = available.filter(|_| chosen.passes != ways[0].passes);
        Plan { short, ..chosen.clone() }
    }

    fn new(model: &ModelConfig, run: &RunConfig, stage: Stage, load: &Load, passes: Passes) -> Plan {
        let needs = Needs::new(model, Work { run, stage, load }, passes);
        let standing = needs.standing();
        let phases = [
            (Phase::Sampling, needs.sampling()),
            (Phase::Update, needs.update()),
            (Phase::Evaluation, needs.evaluation()),
            (Phase::Saving, needs.saving()),
        ];
        let phases = phases.into_iter().filter_map(|(phase, more)| {
            let more = needs.with_kept(more?);
            let parts = standing.iter().copied().chain(more).filter(|(_, bytes)| *bytes > 0).collect();
            Some((phase, parts))
        });
        Plan { phases: phases.collect(), stage, passes, short: None }
    }

    /// How backward passes are made.
    pub fn passes(&self) -> Passes {
        self.passes
    }

    /// How backward passes are made, where memory is too short for the usual way: in words, with what can be had.
    pub fn saving_way(&self) -> Option<String> {
        self.short.map(|short| format!("{}: more does not fit into {}", self.passes, bytes(short)))
    }

    /// The same plan where the program and its data hold `bytes`.
    #[must_use]
    pub fn with_program(mut self, bytes: u64) -> Plan {
        for (part, held) in self.phases.iter_mut().flat_map(|(_, parts)| parts) {
            if *part == Part::Program {
                *held = bytes;
            }
        }
        self
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
        let several = self.passes.side_by_side > 1;
        let turnable = |part: Part| match part {
            Part::Activations | Part::Logits if phase != Phase::Update => Some("lower `rollout.max_batch`".to_owned()),
            Part::Activations if !self.passes.checkpointing => {
                Some(format!("set `{table}.activation_checkpointing = true`"))
            }
            Part::Activations => Some(format!("lower `{table}.microbatch_tokens`")),
            Part::Gradients if several => {
                Some("set `run.parallel_microbatches = 1`: each adds up a gradient of its own".to_owned())
            }
            Part::Cache => Some("lower `rollout.kv_bytes`".to_owned()),
            Part::Logits if several => {
                Some("set `run.parallel_microbatches = 1`: each holds a chunk of logits".to_owned())
            }
            Part::Reference => Some("set `grpo.objective.kl_coef = 0`, which needs no reference".to_owned()),
            Part::Gradients | Part::Logits => None,
            Part::Kept if phase == Phase::Saving => Some(self.hint_for_phase(Phase::Update)),
            Part::Program | Part::Code | Part::Weights | Part::Optimizer | Part::File | Part::Kept => None,
        };
        let mut parts = self.parts(phase).to_vec();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let found = parts.into_iter().find_map(|(part, _)| turnable(part));
        found.unwrap_or_else(|| "take a smaller checkpoint in `model.checkpoint`".to_owned())
    }

    /// One line that compares the plan with the most that was held, in bytes.
    pub fn compare(&self, measured: u64) -> String {
        format!("memory  planned {}, peak {}", bytes(self.peak().1), bytes(measured))
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
    /// A table: parts down, phases across, a total at the foot; below it how backward passes are made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PARTS: [Part; 11] = [
            Part::Program,
            Part::Code,
            Part::Weights,
            Part::Reference,
            Part::Optimizer,
            Part::Gradients,
            Part::Cache,
            Part::Activations,
            Part::Logits,
            Part::File,
            Part::Kept,
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
        if self.total(Phase::Update) > 0 {
            let way = self.saving_way().unwrap_or_else(|| self.passes.to_string());
            write!(f, "\n{:<14}  {way}", "update")?;
        }
        Ok(())
    }
}

/// The most memory this process ever held, in bytes; `None` where the system does not say.
pub fn measured_peak() -> Option<u64> {
    status("VmHWM:")
}

/// The memory this process holds now, in bytes; `None` where the system does not say.
pub fn held() -> Option<u64> {
    status("VmRSS:")
}

fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
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
