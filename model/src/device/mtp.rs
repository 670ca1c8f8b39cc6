//! The modules of multi-token prediction while they are trained; see `mtp.rs` of the crate for what they are.

use super::attention::gather;
use super::backward::Rows;
use super::balancer::{Balancer, Judged};
use super::block::BlockWeights;
use super::policy::DevicePolicy;
use super::reader::{Read, Reader};
use super::tape::{Tape, input};
use super::weight::{Weight, project};
use crate::backward::{Lesson, Targets};
use crate::kernels::TokenLogprobs;
use crate::mtp::{ModuleRows, MtpFound, MtpObjective};
use std::ops::Range;
use tch::{Kind, Tensor};

/// The weights of one module.
struct ModuleWeights {
    /// Of what it reads: the final norm, or the norm of the module before it.
    above_norm: Tensor,
    embedding_norm: Tensor,
    hidden_norm: Tensor,
    projection: Weight,
    block: BlockWeights,
}

/// One module in a pass.
struct Module {
    rows: Rows,
    /// For each row the one that it reads.
    before: Tensor,
    judged: Judged,
    targets: Targets,
    /// The rows that it reads from, before their norm.
    above: Tensor,
    tape: Option<Tape>,
    out: Tensor,
}

impl DevicePolicy {
    /// The gradient of a loss on the log-probabilities that the modules give a lesson's targets, with respect to the
    /// stream `[N, D]`; that of all weights is added to `gradient`.
    pub(super) fn mtp_backward(
        &self,
        lesson: &Lesson<'_>,
        stream: &Tensor,
        judged: &Judged,
        balancer: &mut Balancer<'_>,
        gradient: &mut Tensor,
        objective: &mut MtpObjective<'_>,
    ) -> Tensor {
        let mut modules = self.modules(lesson, stream, judged, balancer);
        // With respect to what the next module reads.
        let mut d_read: Option<Tensor> = None;
        while let Some(Module { rows, before, judged, targets, above, tape, out }) = modules.pop() {
            let module = modules.len();
            let mut weigh = |range: Range<usize>, logits: &Tensor, found: &TokenLogprobs| {
                let n_likeliest = self.n_likeliest(logits, &targets.tokens[range.clone()]);
                let weight = objective(&MtpFound { module, tokens: found, n_likeliest });
                vec![weight; range.len()]
            };
            let norm = self.layout.mtp[module].norm;
            let mut d_out = self.head_backward(&out, norm, &targets, lesson.temperature, gradient, &mut weigh);
            if let Some(d_read) = d_read.take() {
                d_out += d_read;
            }
            drop(out);
            let tape = tape.unwrap_or_else(|| self.module_tape(module, &above, &before, &rows, &judged, balancer));
            let mut found = tape.backward(Some(&d_out), gradient);
            self.embed_backward(&rows.tokens, &found.swap_remove(1), gradient);
            d_read = found.pop();
        }
        d_read.unwrap_or_else(|| stream.zeros_like())
    }

    /// The modules' forward pass behind the stream of the last block. A module without rows is none, and so are those
    /// behind it.
    fn modules(
        &self,
        lesson: &Lesson<'_>,
        stream: &Tensor,
        judged: &Judged,
        balancer: &mut Balancer<'_>,
    ) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::new();
        let (mut own, mut targets, mut sequences) = (None, lesson.targets.clone(), judged.ranges().to_vec());
        for module in 0..self.layout.mtp.len() {
            let place = ModuleRows::behind(own.as_ref().map_or(lesson.packed, |above: &ModuleRows| &above.packed));
            (targets, sequences) = (place.targets(&targets), place.ranges(&sequences));
            if place.packed.len() == 0 {
                break;
            }
            let before: Vec<i64> = place.before.iter().map(|&row| row as i64).collect();
            let (rows, before) = (self.rows(&place.packed, module as i64 + 1), self.upload(&before));
            let judged = Judged::new(&sequences, self.device);
            let above = modules.last().map_or_else(|| stream.shallow_clone(), |above| above.out.shallow_clone());
            let (tape, out) = if lesson.checkpointing {
                let weights = ModuleWeights::new(self, module, &mut Reader::plain(self));
                (None, self.module(module, &weights, [&above, &self.embed(&rows.tokens)], &before, &rows))
            } else {
                let tape = self.module_tape(module, &above, &before, &rows, &judged, balancer);
                let out = tape.out();
                (Some(tape), out)
            };
            modules.push(Module { rows, before, judged, targets: targets.clone(), above, tape, out });
            own = Some(place);
        }
        modules
    }

    /// The tape of a module's block: from the rows above and from embeddings.
    fn module_tape(
        &self,
        module: usize,
        above: &Tensor,
        before: &Tensor,
        rows: &Rows,
        judged: &Judged,
        balancer: &mut Balancer<'_>,
    ) -> Tape {
        let inputs = [above, &self.embed(&rows.tokens)].map(input);
        let mut reader = Reader::with_gradients(self);
        let weights = ModuleWeights::new(self, module, &mut reader);
        let out = self.module(module, &weights, inputs.each_ref(), before, rows);
        self.close(self.config.n_layers + module, inputs.into(), reader, out, judged, balancer)
    }

    /// A module's rows behind its block, `[N of the module, D]`.
    fn module(
        &self,
        module: usize,
        w: &ModuleWeights,
        [above, embedded]: [&Tensor; 2],
        before: &Tensor,
        rows: &Rows,
    ) -> Tensor {
        let read = self.norm(&gather(above, before), &w.above_norm);
        let joint = [self.norm(embedded, &w.embedding_norm), self.norm(&read, &w.hidden_norm)];
        let x = project(&Tensor::cat(&joint, -1), &w.projection, None);
        self.packed_block(self.config.n_layers + module, &w.block, &x, rows)
    }

    /// How many of `tokens` are the likeliest after `logits`, one a row.
    fn n_likeliest(&self, logits: &Tensor, tokens: &[i64]) -> usize {
        let likeliest = logits.narrow(1, 0, self.vocabulary() as i64).argmax(-1, false);
        likeliest.eq_tensor(&self.upload(tokens)).sum(Kind::Int64).int64_value(&[]) as usize
    }
}

impl ModuleWeights {
    fn new(policy: &DevicePolicy, module: usize, from: &mut Reader<'_>) -> ModuleWeights {
        let slots = &policy.layout.mtp[module];
        let above = module.checked_sub(1).map_or(policy.layout.norm, |above| policy.layout.mtp[above].norm);
        ModuleWeights {
            above_norm: from.tensor(above, Read::Master),
            embedding_norm: from.tensor(slots.embedding_norm, Read::Master),
            hidden_norm: from.tensor(slots.hidden_norm, Read::Master),
            projection: from.weight(slots.projection),
            block: BlockWeights::new(&slots.block, from),
        }
    }
}

#[cfg(test)]
mod tests;
