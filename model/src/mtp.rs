//! Multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2): modules behind the last block, each of which
//! predicts one token further ahead.
//!
//! A row of the first module stands at a token that has one before it, and predicts the token behind it: from the final
//! norm's row of the token before, and the embedding of its own. x = W · [norm(embedding); norm(row before)] goes through
//! one block, whose normed output meets the policy's head. (The paper writes the two halves the other way round; this is
//! how checkpoints have them.) A row of the next module reads the first one's normed output in the same way, and so on.
//! Rows of module k are the packed rows from position k on, at which they are rotated; in its own count they begin at 0.
//!
//! Embedding, head and what the modules read belong to the policy, and the gradient goes there too, as in the paper.

mod step;

use crate::attention::Segment;
use crate::backward::{HeadChunk, Targets};
use crate::block::{Kept, Rows, join, split};
use crate::buffer::Buffer;
use crate::gumbel;
use crate::kernels::TokenLogprobs;
use crate::packed::Packed;
use crate::policy::Policy;
use crate::router::Balancer;
use crate::share::{Hand, Share};
use std::ops::Range;
pub use step::Expected;
use tch::Tensor;

/// What a module found of a chunk of its targets.
pub struct MtpFound<'a> {
    /// Which module, from 0.
    pub module: usize,
    /// Of the targets' tokens.
    pub tokens: &'a TokenLogprobs,
    /// How many of the targets' tokens are the module's likeliest.
    pub n_likeliest: usize,
}

/// The gradient of the loss with respect to each log-probability of a chunk.
pub type MtpObjective<'a> = dyn FnMut(&MtpFound<'_>) -> f32 + 'a;

/// How many of `targets` module `module`, from 0, predicts as well: those behind a row with `module + 1` before it.
pub fn n_targets(packed: &Packed, targets: &Targets, module: usize) -> usize {
    targets.rows.iter().filter(|&&row| packed.positions[row as usize] > module as i32).count()
}

/// The rows of one module.
pub(crate) struct ModuleRows {
    /// Counted and attending as the module does: from 0, to none that it has no row of.
    pub(crate) packed: Packed,
    /// For each row the one before it, of the module that it reads or of the policy.
    pub(crate) before: Vec<usize>,
    /// For each row the one at the same token there.
    at: Vec<usize>,
}

impl ModuleRows {
    /// The rows of the module that reads `above`, the policy's rows or another module's: all but each sequence's first.
    pub(crate) fn behind(above: &Packed) -> ModuleRows {
        let mut rows = ModuleRows { packed: Packed::default(), before: Vec::new(), at: Vec::new() };
        // Where the rows of each sequence without a prefix went: prefixes are among them.
        let mut moved = Vec::new();
        for &Segment { start, length, prefix_start, prefix_length } in &above.segments {
            let first = if prefix_length == 0 { 1 } else { 0 };
            let own = start as usize + first..(start + length) as usize;
            if prefix_length == 0 {
                moved.push((start, rows.packed.len() as i32));
            }
            for row in own.clone() {
                let before = if row > start as usize { row - 1 } else { (prefix_start + prefix_length) as usize - 1 };
                rows.before.push(before);
                rows.at.push(row);
            }
            if own.is_empty() {
                continue;
            }
            let prefix = (prefix_length > 1).then(|| {
                let &(_, start) = moved.iter().find(|(from, _)| *from == prefix_start).expect("a prefix stands before");
                Segment { start, length: prefix_length - 1, prefix_start: 0, prefix_length: 0 }
            });
            rows.packed.push_after(prefix, &above.tokens[own]);
        }
        rows
    }

    /// The rows that the module has of ranges of rows.
    pub(crate) fn ranges(&self, above: &[Range<usize>]) -> Vec<Range<usize>> {
        let place = |row: usize| self.at.partition_point(|&at| at < row);
        above.iter().map(|rows| place(rows.start)..place(rows.end)).filter(|rows| !rows.is_empty()).collect()
    }

    /// Targets of those that the module has rows for.
    pub(crate) fn targets(&self, above: &Targets) -> Targets {
        let mut targets = Targets::default();
        for (row, &token) in above.rows.iter().zip(&above.tokens) {
            if let Ok(row) = self.at.binary_search(&(*row as usize)) {
                targets.rows.push(row as i64);
                targets.tokens.push(token);
            }
        }
        targets
    }
}

/// What a module's forward pass leaves.
struct Module {
    rows: ModuleRows,
    tokens: Vec<i64>,
    positions: Vec<i32>,
    x: Buffer,
    kept: Option<Kept>,
    out: Buffer,
}

/// A module's input before the projection: embeddings and what is read, and their norms side by side.
struct Joint {
    embedded: Buffer,
    embedded_rstd: Buffer,
    read: Buffer,
    read_rstd: Buffer,
    /// `[N, 2D]`.
    normed: Buffer,
}

impl Policy {
    /// Logits of each module's rows, `[N of the module, V]` f32: packed rows from position 1 on for the first, from 2 on
    /// for the second. A row predicts the token behind its own.
    pub fn mtp_logits(&self, packed: &Packed) -> Vec<Tensor> {
        let modules = self.modules(packed, &self.stream(packed, |_, _, _| ()), true);
        let logits = |(module, Module { rows, out, .. }): (usize, &Module)| {
            let (normed, _) = self.norm(out, self.layout.mtp[module].norm);
            let logits = self.project(&normed, self.layout.head, None);
            logits.rows(self.config.vocab_size).narrow(0, 0, rows.packed.len() as i64)
        };
        modules.iter().enumerate().map(logits).collect()
    }

    /// Log-probabilities that each module gives those of `targets` that it predicts, in their order, under
    /// softmax(logits / temperature).
    pub fn mtp_logprobs(&self, packed: &Packed, targets: &Targets, temperature: f32) -> Vec<TokenLogprobs> {
        let modules = self.modules(packed, &self.stream(packed, |_, _, _| ()), true);
        let mut targets = targets.clone();
        let mut logprobs = |(module, Module { rows, out, .. }): (usize, &Module)| {
            targets = rows.targets(&targets);
            let mut all = TokenLogprobs::default();
            for range in self.chunks(&targets) {
                all.extend(self.head(out, self.layout.mtp[module].norm, &targets, range, temperature).found);
            }
            all
        };
        modules.iter().enumerate().map(&mut logprobs).collect()
    }

    /// The gradient of a loss on the log-probabilities that the modules give `targets`, with respect to the stream
    /// `[N, D]`: that of the modules' weights is handed over module by module, that of embedding, head and final norm
    /// added to `gradient`.
    #[expect(clippy::too_many_arguments, reason = "what to learn, and where to")]
    pub(crate) fn mtp_backward(
        &self,
        targets: &Targets,
        temperature: f32,
        stream: &Buffer,
        modules: MtpModules,
        balancer: &mut Balancer<'_>,
        gradient: &mut Share,
        objective: &mut MtpObjective<'_>,
        hand: &mut Hand<'_>,
    ) -> Buffer {
        let MtpModules(mut modules) = modules;
        let mut of_module = vec![targets.clone()];
        let mut sequences = vec![balancer.sequences().to_vec()];
        for Module { rows, .. } in &modules {
            of_module.push(rows.targets(of_module.last().expect("the policy's targets")));
            sequences.push(rows.ranges(sequences.last().expect("the policy's sequences")));
        }
        // With respect to what the next module reads.
        let mut d_read: Option<Buffer> = None;
        while let Some(Module { rows, tokens, positions, x, kept, out }) = modules.pop() {
            let module = modules.len();
            let (layer, slots) = (self.config.n_layers + module, &self.layout.mtp[module]);
            let targets = &of_module[module + 1];
            gradient.turn_to(layer);
            let mut weigh = |range: Range<usize>, chunk: &HeadChunk| {
                let n_likeliest = self.n_likeliest(chunk, &targets.tokens[range.clone()]);
                let weight = objective(&MtpFound { module, tokens: &chunk.found, n_likeliest });
                vec![weight; range.len()]
            };
            let mut d_out = self.head_backward(&out, slots.norm, targets, temperature, gradient, &mut weigh);
            if let Some(d_read) = d_read.take() {
                let (_, rstd) = self.norm(&out, slots.norm);
                d_out.add(&self.norm_backward(&d_read, &out, slots.norm, &rstd, gradient));
            }
            drop(out);
            let in_block = Rows { positions: &positions, segments: &rows.packed.segments };
            let kept = kept.unwrap_or_else(|| self.packed_block(layer, &x, in_block).1);
            let mut own = balancer.over(&sequences[module + 1]);
            let dx = self.block_backward(layer, d_out, (&x, kept), in_block, &mut own, gradient);
            balancer.routed.add(&own.routed);
            drop(x);
            let above = self.read_by(modules.last(), module, stream);
            let joint = self.joint(module, &rows, &tokens, &above);
            let d_normed = self.project_backward(&dx, &joint.normed, slots.projection, None, gradient);
            let d = self.config.hidden_dim;
            let [d_embedded, d_rows] = split(&d_normed, [d, d]);
            let Joint { embedded, embedded_rstd, read, read_rstd, .. } = &joint;
            let d_embedded = self.norm_backward(&d_embedded, embedded, slots.embedding_norm, embedded_rstd, gradient);
            self.embed_backward(&tokens, d_embedded, gradient);
            let d_rows = self.norm_backward(&d_rows, read, slots.hidden_norm, read_rstd, gradient);
            let mut d_above = Buffer::cleared(above.len());
            for (from, &before) in d_rows.chunks_exact(d).zip(&rows.before) {
                d_above[before * d..][..d].iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
            d_read = Some(d_above);
            gradient.hand_block(layer, hand);
        }
        let d_read = d_read.unwrap_or_else(|| Buffer::cleared(stream.len()));
        let (_, rstd) = self.final_norm(stream);
        self.norm_backward(&d_read, stream, self.layout.norm, &rstd, gradient)
    }

    /// The modules' forward pass behind the stream of the policy's last block, `[N, D]`.
    pub(crate) fn mtp_modules(&self, packed: &Packed, stream: &Buffer, checkpointing: bool) -> MtpModules {
        MtpModules(self.modules(packed, stream, checkpointing))
    }

    fn modules(&self, packed: &Packed, stream: &Buffer, checkpointing: bool) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::with_capacity(self.layout.mtp.len());
        for module in 0..self.layout.mtp.len() {
            let above = modules.last();
            let rows = ModuleRows::behind(above.map_or(packed, |above| &above.rows.packed));
            // Kernels want a row, be it padding.
            let (tokens, positions) = rows.packed.padded(self.product_rows(rows.packed.len().max(1)));
            let read = self.read_by(above, module, stream);
            let normed = self.joint(module, &rows, &tokens, &read).normed;
            let x = self.project(&normed, self.layout.mtp[module].projection, None);
            drop((read, normed));
            let in_block = Rows { positions: &positions, segments: &rows.packed.segments };
            let (out, kept) = self.packed_block(self.config.n_layers + module, &x, in_block);
            modules.push(Module { rows, tokens, positions, x, kept: (!checkpointing).then_some(kept), out });
        }
        modules
    }

    /// The normed rows that module `module` reads: of the module before it, or of the policy.
    fn read_by(&self, above: Option<&Module>, module: usize, stream: &Buffer) -> Buffer {
        match above {
            Some(above) => self.norm(&above.out, self.layout.mtp[module - 1].norm).0,
            None => self.final_norm(stream).0,
        }
    }

    fn joint(&self, module: usize, rows: &ModuleRows, tokens: &[i64], above: &Buffer) -> Joint {
        let d = self.config.hidden_dim;
        let mut read = Buffer::cleared(tokens.len() * d);
        for (to, &before) in read.chunks_exact_mut(d).zip(&rows.before) {
            to.copy_from_slice(&above[before * d..][..d]);
        }
        self.join_rows(module, tokens, read)
    }

    /// Embeddings of `tokens` and the rows that stand before them, normed, side by side.
    fn join_rows(&self, module: usize, tokens: &[i64], read: Buffer) -> Joint {
        let (slots, d) = (&self.layout.mtp[module], self.config.hidden_dim);
        let embedded = self.embed(tokens);
        let (left, embedded_rstd) = self.norm(&embedded, slots.embedding_norm);
        let (right, read_rstd) = self.norm(&read, slots.hidden_norm);
        Joint { normed: join([&left, &right], [d, d]), embedded, embedded_rstd, read, read_rstd }
    }

    fn n_likeliest(&self, chunk: &HeadChunk, tokens: &[i64]) -> usize {
        let rows = chunk.logits.chunks_exact(self.config.vocab_size).zip(tokens);
        rows.filter(|(logits, token)| i64::from(gumbel::argmax(&logits[..self.vocabulary()])) == **token).count()
    }
}

/// What the modules' forward pass leaves for their gradient.
pub(crate) struct MtpModules(Vec<Module>);

#[cfg(test)]
pub(crate) mod tests;
