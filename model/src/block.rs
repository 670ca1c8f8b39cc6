//! One block of the network: attention and a feed-forward, each behind a norm and added to the stream.
//!
//! Which attention and which feed-forward it has is in its slots; each kind is a file beside this one. Sampling and
//! training run the same functions on the same kernels; they differ only in where attention finds its keys, which is the
//! closure `attend`.

mod dense;
mod experts;
mod grouped;
mod latent;

use crate::attention::step::Pages;
use crate::attention::{Heads, Segment};
use crate::buffer::Buffer;
use crate::config::Mla;
use crate::decode::Step;
use crate::kernels::{self, Rotary, Rotation};
use crate::layout::{AttentionSlots, BlockSlots, FeedForwardSlots, Slot};
use crate::policy::Policy;
use crate::router::{Balancer, Routing};
use crate::share::Share;
use crate::team;
use dense::KeptDense;
use experts::KeptExperts;
use grouped::KeptGrouped;
pub(crate) use latent::LATENT_EPS;
use latent::{KeptExpanded, KeptLatent};

/// Numbers that are worth a chunk of their own where several threads copy.
const COPY_GRAIN: usize = 8_192;

/// Attention of one block: (its heads, q, k, v) to the output and, where a gradient will be asked for, log-normalisers.
pub(crate) type Attend<'a> = dyn FnMut(Heads, &Buffer, &Buffer, &Buffer) -> (Buffer, Buffer) + 'a;

/// What the backward pass of one block needs, beside its input. What costs a pass over some rows and no product is
/// computed again: the normed rows, and the gated ones.
pub(crate) struct Kept {
    rstd: Buffer,
    attention: KeptAttention,
    attended: Buffer,
    /// What the output projection gave, where it is normed.
    attention_after: Option<KeptNorm>,
    middle: Buffer,
    ffn_rstd: Buffer,
    feed_forward: KeptFeedForward,
    ffn_after: Option<KeptNorm>,
}

enum KeptAttention {
    Grouped(KeptGrouped),
    Latent(KeptLatent),
    Expanded(KeptExpanded),
}

enum KeptFeedForward {
    Dense(KeptDense),
    Experts(Box<KeptExperts>),
}

impl Kept {
    /// Where rows went, in a block with experts.
    pub(crate) fn routing(&self) -> Option<&Routing> {
        match &self.feed_forward {
            KeptFeedForward::Dense(_) => None,
            KeptFeedForward::Experts(kept) => Some(kept.routing()),
        }
    }
}

/// What went into a norm, and its reciprocal roots.
struct KeptNorm {
    x: Buffer,
    rstd: Buffer,
}

/// Where packed rows stand and whom they attend to.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) positions: &'a [i32],
    pub(crate) segments: &'a [Segment],
}

impl Policy {
    /// What attention of block `layer` is made of.
    pub(crate) fn heads(&self, layer: usize) -> Heads {
        self.config.heads(layer)
    }

    fn eps(&self) -> f32 {
        self.config.norm.eps as f32
    }

    /// Embeddings of `tokens`, `[N, D]`.
    pub(crate) fn embed(&self, tokens: &[i64]) -> Buffer {
        let (table, d) = (self.vector(self.layout.embedding), self.config.hidden_dim);
        let scale = self.embedding_scale();
        let mut x = Buffer::unwritten(tokens.len() * d);
        for (to, &token) in x.chunks_exact_mut(d).zip(tokens) {
            to.copy_from_slice(&table[token as usize * d..][..d]);
            if scale != 1.0 {
                to.iter_mut().for_each(|x| *x *= scale);
            }
        }
        x
    }

    /// RMSNorm of rows with the weights of `slot`, and its reciprocal roots.
    pub(crate) fn norm(&self, x: &[f32], slot: Slot) -> (Buffer, Buffer) {
        kernels::rms_norm(x, self.vector(slot), self.config.norm.offset, self.eps())
    }

    /// Gradient of [`Policy::norm`] with respect to its input; adds that of its weight to `gradient`.
    pub(crate) fn norm_backward(
        &self,
        dy: &[f32],
        x: &[f32],
        slot: Slot,
        rstd: &[f32],
        gradient: &mut Share,
    ) -> Buffer {
        self.norm_backward_onto(None, dy, x, slot, rstd, gradient)
    }

    /// [`Policy::norm_backward`], added to what there is already.
    fn norm_backward_onto(
        &self,
        onto: Option<&[f32]>,
        dy: &[f32],
        x: &[f32],
        slot: Slot,
        rstd: &[f32],
        gradient: &mut Share,
    ) -> Buffer {
        let offset = self.config.norm.offset;
        kernels::rms_norm_backward(dy, x, self.vector(slot), offset, rstd, onto, gradient.slot(slot))
    }

    /// The final norm of rows `[M, D]`, with its reciprocal roots.
    pub(crate) fn final_norm(&self, x: &[f32]) -> (Buffer, Buffer) {
        self.norm(x, self.layout.norm)
    }

    /// One block: its output `[N, D]`, and what its gradient needs. Of latent attention it computes the form `mla`.
    pub(crate) fn block(
        &self,
        layer: usize,
        x: &Buffer,
        positions: &[i32],
        mla: Mla,
        attend: &mut Attend<'_>,
    ) -> (Buffer, Kept) {
        let slots = self.layout.block(layer);
        let (normed, rstd) = self.norm(x, slots.attention_norm);
        let (attended, attention) = match &slots.attention {
            AttentionSlots::Grouped(grouped) => {
                let (attended, kept) = self.grouped(layer, grouped, normed, positions, attend);
                (attended, KeptAttention::Grouped(kept))
            }
            AttentionSlots::Latent(latent) if mla == Mla::Expanded => {
                let (attended, kept) = self.expanded(layer, latent, normed, positions, attend);
                (attended, KeptAttention::Expanded(kept))
            }
            AttentionSlots::Latent(latent) => {
                let (attended, kept) = self.latent(layer, latent, normed, positions, attend);
                (attended, KeptAttention::Latent(kept))
            }
        };
        let (middle, attention_after) = self.add_attended(x, &attended, slots);
        let (normed, ffn_rstd) = self.norm(&middle, slots.ffn_norm);
        let (out, feed_forward, ffn_after) = match &slots.feed_forward {
            FeedForwardSlots::Dense(dense) => {
                let (gated, kept) = self.dense(*dense, normed);
                let (out, after) = self.add_projected(&middle, &gated, dense.down, slots.ffn_after);
                (out, KeptFeedForward::Dense(kept), after)
            }
            FeedForwardSlots::Experts(experts) => {
                let (fed, kept) = self.experts(experts, normed);
                let (out, after) = self.add_fed(&middle, fed, slots.ffn_after);
                (out, KeptFeedForward::Experts(Box::new(kept)), after)
            }
        };
        (out, Kept { rstd, attention, attended, attention_after, middle, ffn_rstd, feed_forward, ffn_after })
    }

    /// Writes keys and values of rows `[N, D]`, the input of block `layer`, to where `write` puts them.
    pub(crate) fn write_keys(
        &self,
        layer: usize,
        x: &Buffer,
        positions: &[i32],
        write: &mut dyn FnMut(&Buffer, &Buffer),
    ) {
        let slots = self.layout.block(layer);
        let (normed, _) = self.norm(x, slots.attention_norm);
        match &slots.attention {
            AttentionSlots::Grouped(grouped) => {
                let (key, value) = self.grouped_keys(layer, grouped, &normed, positions);
                write(&key, &value);
            }
            AttentionSlots::Latent(latent) => {
                write(&self.latent_keys(layer, latent, &normed, positions), &Buffer::zeros(0));
            }
        }
    }

    /// One block for the rows of a decoding step: its output `[N, D]`.
    pub(crate) fn step_block(&self, layer: usize, x: &Buffer, step: &Step, pages: &mut Pages<'_>) -> Buffer {
        let slots = self.layout.block(layer);
        let (normed, _) = self.norm(x, slots.attention_norm);
        let attended = match &slots.attention {
            AttentionSlots::Grouped(grouped) => self.grouped_step(layer, grouped, &normed, step, pages),
            AttentionSlots::Latent(latent) => self.latent_step(layer, latent, &normed, step, pages),
        };
        let (middle, _) = self.add_attended(x, &attended, slots);
        let (normed, _) = self.norm(&middle, slots.ffn_norm);
        match &slots.feed_forward {
            FeedForwardSlots::Dense(dense) => {
                let gated = self.project_gated(&normed, dense.gate_up);
                self.add_projected(&middle, &gated, dense.down, slots.ffn_after).0
            }
            FeedForwardSlots::Experts(experts) => {
                self.add_fed(&middle, self.experts_step(experts, &normed), slots.ffn_after).0
            }
        }
    }

    fn add_attended(&self, x: &Buffer, attended: &Buffer, slots: &BlockSlots) -> (Buffer, Option<KeptNorm>) {
        self.add_projected(x, attended, slots.output, slots.attention_after)
    }

    /// `onto` + rows · Wᵀ, which is normed before where `after` says so.
    fn add_projected(
        &self,
        onto: &Buffer,
        rows: &Buffer,
        weight: Slot,
        after: Option<Slot>,
    ) -> (Buffer, Option<KeptNorm>) {
        match after {
            None => (self.project_onto(onto, rows, weight), None),
            Some(after) => self.add_normed(onto, self.project(rows, weight, None), after),
        }
    }

    /// `onto` + `x`, which is normed before where `after` says so.
    fn add_fed(&self, onto: &Buffer, mut x: Buffer, after: Option<Slot>) -> (Buffer, Option<KeptNorm>) {
        match after {
            None => {
                x.add(onto);
                (x, None)
            }
            Some(after) => self.add_normed(onto, x, after),
        }
    }

    /// `onto` + the norm of `x`.
    fn add_normed(&self, onto: &Buffer, x: Buffer, slot: Slot) -> (Buffer, Option<KeptNorm>) {
        let (mut normed, rstd) = self.norm(&x, slot);
        normed.add(onto);
        (normed, Some(KeptNorm { x, rstd }))
    }

    /// Gradient of one block with respect to its input `x`; gradients of its weights are added to `gradient`. What the
    /// block kept goes as soon as nothing needs it, or becomes its own gradient.
    pub(crate) fn block_backward(
        &self,
        layer: usize,
        d_out: Buffer,
        (x, kept): (&Buffer, Kept),
        rows: Rows<'_>,
        balancer: &mut Balancer<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let slots = self.layout.block(layer);
        let Kept { rstd, attention, attended, attention_after, middle, ffn_rstd, feed_forward, ffn_after } = kept;
        gradient.turn_to(layer);
        let d_fed = self.after_backward(&d_out, slots.ffn_after, ffn_after, gradient);
        let d_fed = d_fed.as_ref().unwrap_or(&d_out);
        let normed = || self.norm(&middle, slots.ffn_norm).0;
        let d_normed = match (&slots.feed_forward, feed_forward) {
            (FeedForwardSlots::Dense(dense), KeptFeedForward::Dense(kept)) => {
                self.dense_backward(*dense, d_fed, &normed, kept, gradient)
            }
            (FeedForwardSlots::Experts(experts), KeptFeedForward::Experts(kept)) => {
                self.experts_backward((layer, experts), d_fed, &normed, *kept, balancer, gradient)
            }
            _ => unreachable!("what a block kept is of its kind"),
        };
        let d_middle = self.norm_backward_onto(Some(&d_out), &d_normed, &middle, slots.ffn_norm, &ffn_rstd, gradient);
        drop((d_normed, middle, d_out));

        let d_projected = self.after_backward(&d_middle, slots.attention_after, attention_after, gradient);
        let d_projected = d_projected.as_ref().unwrap_or(&d_middle);
        let d_attended = self.project_backward(d_projected, &attended, slots.output, None, gradient);
        let normed = || self.norm(x, slots.attention_norm).0;
        let d_normed = match (&slots.attention, attention) {
            (AttentionSlots::Grouped(grouped), KeptAttention::Grouped(kept)) => {
                self.grouped_backward(layer, grouped, (d_attended, attended), &normed, kept, rows, gradient)
            }
            (AttentionSlots::Latent(latent), KeptAttention::Latent(kept)) => {
                drop(attended);
                self.latent_backward(layer, latent, d_attended, &normed, kept, rows, gradient)
            }
            (AttentionSlots::Latent(latent), KeptAttention::Expanded(kept)) => {
                self.expanded_backward(layer, latent, (d_attended, attended), &normed, kept, rows, gradient)
            }
            _ => unreachable!("what a block kept is of its kind"),
        };
        self.norm_backward_onto(Some(&d_middle), &d_normed, x, slots.attention_norm, &rstd, gradient)
    }

    /// Gradient of the norm behind attention or feed-forward; `None` where there is none.
    fn after_backward(
        &self,
        d_out: &Buffer,
        slot: Option<Slot>,
        kept: Option<KeptNorm>,
        gradient: &mut Share,
    ) -> Option<Buffer> {
        let (slot, KeptNorm { x, rstd }) = slot.zip(kept)?;
        Some(self.norm_backward(d_out, &x, slot, &rstd, gradient))
    }

    /// Rotates the heads of rows by the angles of their positions, or back.
    fn rotate(&self, layer: usize, x: &mut [f32], positions: &[i32], to: Rotation) {
        let table = self.angles(layer);
        let rotary = Rotary::halves(self.heads(layer).head_dim);
        kernels::rope(x, positions, table.cosine, table.sine, rotary, to);
    }
}

/// Columns of joint rows, as arrays of their own.
pub(crate) fn split<const P: usize>(joint: &[f32], widths: [usize; P]) -> [Buffer; P] {
    let total = widths.iter().sum();
    let mut from = 0;
    widths.map(|width| {
        from += width;
        columns(joint, total, from - width, width)
    })
}

/// Columns `from` to `from + width` of rows of `total` numbers.
fn columns(joint: &[f32], total: usize, from: usize, width: usize) -> Buffer {
    let mut part = Buffer::unwritten(joint.len() / total * width);
    team::spread_rows(&mut part, width, COPY_GRAIN.div_ceil(width), |rows, part| {
        for (to, row) in part.chunks_exact_mut(width).zip(joint[rows.start * total..].chunks_exact(total)) {
            to.copy_from_slice(&row[from..from + width]);
        }
    });
    part
}

/// The inverse of [`split`].
pub(crate) fn join<const P: usize>(parts: [&[f32]; P], widths: [usize; P]) -> Buffer {
    let total: usize = widths.iter().sum();
    let mut joint = Buffer::unwritten(parts[0].len() / widths[0] * total);
    team::spread_rows(&mut joint, total, COPY_GRAIN.div_ceil(total), |rows, joint| {
        for (row, to) in rows.zip(joint.chunks_exact_mut(total)) {
            let mut from = 0;
            for (part, width) in parts.into_iter().zip(widths) {
                to[from..from + width].copy_from_slice(&part[row * width..][..width]);
                from += width;
            }
        }
    });
    joint
}
