//! `Needs`: what the code allocates, part by part, in bytes.
//!
//! Master weights and gradients are f32, and so is everything that flows through the network; AdamW's moments are what the
//! configuration says. With bf16 compute the operands of a product are rounded copies that live as long as the product.
//! Attention keeps no probabilities, and the head's logits exist for a chunk of rows at a time. Where lengths are not known
//! yet they are the longest there may be.

use model::attention::{self, Segment, TILE};
use model::backward::chunk_rows;
use model::buffer::slack;
use model::config::{AttentionConfig, Dtype, Mla, ModelConfig};
use model::kv_cache::KvCache;
use model::layout::{Layout, Role};
use model::share::Share;
use rollout::draft::DRAFT_ROWS;
use rollout::pool::page_bytes;

use super::compiled;
use super::widths::Widths;
use super::{Part, Passes};
use crate::gradient::{EARLY, side_by_side};
use crate::mtp;
use crate::preflight::Stage;
use crate::preflight::work::{Rows, Sampled, Work, longest_completion};

const F32: u64 = 4;
const BF16: u64 = 2;

/// Code of the program and of libtorch that no one ran before, with what steps leave in the heap of the thread that leads
/// them, in bytes; in bf16 also what oneDNN is made of.
const CODE: u64 = 20 << 20;
const ONEDNN: u64 = 12 << 20;

/// What making products leaves unused in the heap of each thread that calls oneDNN, at most.
const LEFT_BY_ONEDNN: u64 = 12 << 20;

/// What a thread has for itself: small buffers that it dropped, its heap and what is unused there, its stack.
const THREAD: u64 = 4 << 20;

pub(super) struct Needs<'a> {
    model: &'a ModelConfig,
    work: Work<'a>,
    passes: Passes,
    workers: u64,
    layout: Layout,
    widths: Widths,
}

type Parts = Vec<(Part, u64)>;

impl<'a> Needs<'a> {
    pub(super) fn new(model: &'a ModelConfig, work: Work<'a>, passes: Passes) -> Needs<'a> {
        let Work { run, load, .. } = work;
        let workers = run.run.workers.unwrap_or(load.cores).max(1) as u64;
        Needs {
            model,
            work,
            passes,
            workers,
            layout: Layout::new(model),
            widths: Widths::of(model, run.model.dtype, run.model.mla),
        }
    }

    /// What every phase holds.
    pub(super) fn standing(&self) -> Parts {
        let n = self.layout.parameters().iter().map(|p| p.range().len() as u64).sum::<u64>();
        // What products read: the matrices, rounded or in panels (an embedding that is not the head is looked up, not
        // multiplied with).
        let looked_up = if self.model.tied_head { 0 } else { (self.model.vocab_size * self.model.hidden_dim) as u64 };
        let copies = self.also_copied()
            + match self.work.run.model.dtype {
                Dtype::Bf16 => (n - looked_up) * BF16,
                Dtype::F32 | Dtype::Auto => (n - looked_up) * F32,
                // A byte a number, and a scale for a block.
                Dtype::Fp8 => {
                    let coded = self.layout.n_coded() as u64;
                    (n - looked_up - coded) * F32 + coded + coded / 1024
                }
            };
        // Cosines and sines of half a head's width.
        let tables = (self.model.ropes.len() * self.model.max_positions * self.model.rope_dim()) as u64 * F32;
        let weights = n * F32 + copies + tables;
        let reference = if self.work.has_reference() { weights } else { 0 };
        // The sum, for each pass the ends and one block, and what passes are ahead of each other.
        let share = Share::room(&self.layout) as u64;
        let gradients = self.work.rows().map_or(0, |rows| {
            let passes = self.passes(rows);
            (n + passes * share + ((passes - 1) * n).min(EARLY as u64)) * F32
        });
        let moments = n * self.work.run.optimizer.moments.width() as u64;
        let optimizer = if self.work.stage == Stage::Eval { 0 } else { moments };
        vec![
            (Part::Program, self.work.load.program),
            (Part::Code, self.code()),
            (Part::Weights, weights),
            (Part::Reference, reference),
            (Part::Optimizer, optimizer),
            (Part::Gradients, gradients),
            (Part::Cache, self.cache()),
        ]
    }

    /// What computing brings into memory, whatever it computes.
    fn code(&self) -> u64 {
        let compiled = compiled::kept(self.work.load.cores) as u64 * compiled::BYTES;
        let bf16 = ONEDNN + self.workers * LEFT_BY_ONEDNN + compiled;
        CODE + self.workers * THREAD + if self.is_bf16() { bf16 } else { 0 }
    }

    /// Routers in f32 beside a bf16 copy; where latent attention is trained in another form than it is sampled in, what
    /// makes keys and values a second time: of every head at once, and not of each turned to meet its queries.
    fn also_copied(&self) -> u64 {
        let routers: usize = self.layout.router_ranges().iter().map(ExactSizeIterator::len).sum();
        let up = match (&self.model.attention, self.work.run.model.mla) {
            (AttentionConfig::Latent(a), Mla::Expanded) => {
                self.model.blocks.len() * a.n_heads * a.rank * (a.nope_dim + a.value_dim)
            }
            _ => 0,
        };
        match self.work.run.model.dtype {
            Dtype::Bf16 => routers as u64 * F32 + up as u64 * BF16,
            Dtype::F32 | Dtype::Auto => up as u64 * F32,
            Dtype::Fp8 => up as u64 + up as u64 / 1024,
        }
    }

    /// Sampling the completions of a step.
    pub(super) fn sampling(&self) -> Option<Parts> {
        let training = self.work.training()?;
        Some(self.sampled(training))
    }

    /// Sampling held-out problems.
    pub(super) fn evaluation(&self) -> Option<Parts> {
        let evaluation = self.work.heldout()?;
        Some(self.sampled(evaluation))
    }

    /// Backward passes side by side.
    pub(super) fn update(&self) -> Option<Parts> {
        let rows = self.work.rows()?;
        let passes = self.passes(rows);
        let microbatch = rows.microbatch as u64;
        let together = (passes * microbatch).min(rows.all as u64);
        let Widths { stream, kept_by_all, kept, forward, backward, attention, released, vocabulary } = self.widths;
        let layers = self.model.n_layers as u64;
        let attention = (together * attention + passes * self.sums(rows)).saturating_sub(together * released);
        let gradient = (together * backward).max(attention);
        let (stack, block) = match self.passes.checkpointing {
            false => (layers * stream + kept_by_all, gradient.max(together * forward)),
            true => (layers * stream, together * kept + gradient.max(together * (stream + forward))),
        };
        let chunk_rows = (chunk_rows(self.model.vocab_size) as u64).min(microbatch.max(8));
        // In bf16 logits are rounded for their products, and a product that is a gradient is made whole before it is added.
        let (mut logits, mut block_product) = (chunk_rows * vocabulary * F32, 0);
        if self.is_bf16() {
            logits += chunk_rows * vocabulary * BF16 + vocabulary * stream * BF16;
            block_product = self.widest() * BF16;
        }
        // A block's gradient is taken where the logits have been; they are not there at once.
        let logits = passes * logits;
        let head = logits + together * 2 * stream * F32 + passes * chunk_rows * 4 * stream * F32;
        let block = block * F32 + passes * block_product;
        // A module keeps its input, its output and what it reads beside what a block keeps.
        let modules = if mtp::learns(self.work.run) { self.model.n_mtp as u64 } else { 0 };
        let stack = stack + modules * (4 * stream + if self.passes.checkpointing { 0 } else { kept });
        let activations = together * stack * F32 + head.max(block).saturating_sub(logits);
        Some(vec![(Part::Activations, activations), (Part::Logits, logits)])
    }

    /// Writing a checkpoint: one tensor at a time, as numbers and as bytes.
    pub(super) fn saving(&self) -> Option<Parts> {
        let largest = self.layout.parameters().iter().map(|p| p.range().len()).max().unwrap_or(0) as u64;
        (self.work.stage != Stage::Eval).then(|| vec![(Part::File, 2 * largest * F32)])
    }

    /// A phase's own parts, with what else the buffers of an update keep.
    pub(super) fn with_kept(&self, mut own: Parts) -> Parts {
        let buffers = |parts: &Parts| -> u64 {
            let placed = parts.iter().filter(|(part, _)| matches!(part, Part::Activations | Part::Logits));
            placed.map(|(_, bytes)| bytes).sum()
        };
        if let Some(update) = self.update() {
            let (numbers, own_bytes) = ((buffers(&update) / F32) as usize, buffers(&own));
            let kept = buffers(&update) + slack(numbers) as u64 * F32;
            own.push((Part::Kept, kept.saturating_sub(own_bytes)));
        }
        own
    }

    /// Numbers of the largest matrix of a block.
    fn widest(&self) -> u64 {
        let linear = self.layout.parameters().iter().filter(|p| p.role == Role::Linear);
        linear.map(|p| p.range().len()).max().unwrap_or(0) as u64
    }

    fn is_bf16(&self) -> bool {
        self.work.run.model.dtype == Dtype::Bf16
    }

    /// Numbers in which attention's gradient adds up, for a microbatch.
    fn sums(&self, rows: Rows) -> u64 {
        let load = self.work.load;
        let segments = match &self.work.run.grpo {
            Some(grpo) if self.work.stage == Stage::Grpo => {
                let completion = longest_completion(self.work.run);
                groups_of(load.longest_prompt, completion, grpo.group_size, rows.microbatch)
            }
            _ => groups_of(load.longest_document, 0, 0, rows.microbatch),
        };
        attention::backward_sums(&segments, self.model.heads(0)) as u64
    }

    /// Backward passes that run at the same time.
    fn passes(&self, rows: Rows) -> u64 {
        let n = rows.all.div_ceil(rows.microbatch.max(1));
        side_by_side(self.workers as usize, self.passes.side_by_side, n) as u64
    }

    /// Completions that all replicas decode at once.
    fn at_once(&self, sampled: Sampled) -> u64 {
        (sampled.n as u64).min(self.workers * self.work.run.rollout.max_batch as u64)
    }

    /// Pages in use, of the request that needs most; each group shares its prompt's full pages.
    fn cache(&self) -> u64 {
        let needed = |sampled: Sampled| {
            let at_once = self.at_once(sampled);
            let groups = at_once.div_ceil(sampled.group_size.max(1) as u64);
            let (prompt, completion) = pages(self.work.load.longest_prompt, sampled.max_tokens);
            let pages = groups * prompt + at_once * completion;
            (pages * page_bytes(&self.work.run.rollout, self.model) as u64).min(self.work.run.rollout.kv_bytes)
        };
        [self.work.training(), self.work.heldout()].into_iter().flatten().map(needed).max().unwrap_or(0)
    }

    /// What replicas hold beside their caches: one block of a prompt or of a batch with its drafts, and
    /// its logits.
    fn sampled(&self, sampled: Sampled) -> Parts {
        let at_once = self.at_once(sampled);
        let replicas = self.workers.min(at_once);
        let drafted = if self.work.run.rollout.speculate > 0 { replicas * DRAFT_ROWS as u64 } else { 0 };
        let fed = at_once.max(drafted);
        let rows = (replicas * self.work.load.longest_prompt as u64).max(fed);
        let Widths { stream, kept, forward, vocabulary, .. } = self.widths;
        let half = if self.is_bf16() { BF16 } else { 0 };
        let block = rows * (stream + kept + forward) * F32;
        vec![(Part::Activations, block), (Part::Logits, fed * vocabulary * (F32 + half))]
    }
}

/// A microbatch of `rows` rows, full of groups of a prompt and completions that are as long as they may be.
fn groups_of(prompt: usize, completion: usize, group_size: usize, rows: usize) -> Vec<Segment> {
    let (mut segments, mut start) = (Vec::new(), 0);
    while start < rows {
        let prompt_start = start;
        let mut push = |length: usize, prefix_length: usize| {
            let length = length.min(rows - start);
            if length > 0 {
                let [start, length, prefix_start, prefix_length] =
                    [start, length, prompt_start, prefix_length].map(|n| n as i32);
                segments.push(Segment { start, length, prefix_start, prefix_length });
            }
            start += length;
        };
        push(prompt.max(1), 0);
        (0..group_size).for_each(|_| push(completion, prompt));
    }
    segments
}

/// Pages of keys and values that a prompt takes, and those that each of its completions may need beside them.
pub(crate) fn pages(prompt: usize, max_tokens: usize) -> (u64, u64) {
    let shared = prompt / TILE;
    (KvCache::pages_for(prompt) as u64, (KvCache::pages_for(prompt + max_tokens) - shared) as u64)
}
