//! The block stack: what every family computes between the embedding and the head.
//!
//! A block is RMSNorm, grouped-query attention with rotary positions, RMSNorm, a gated feed-forward, each half added
//! to the stream. Sampling and training run the same functions on the same kernels; they differ only in where
//! attention finds its keys, which is the closure `attend`.

use crate::attention::{AttentionSaved, Heads, Segment, Widths, attention_backward};
use crate::buffer::Buffer;
use crate::kernels::{self, Rotation};
use crate::layout::Slot;
use crate::policy::Policy;
use crate::share::Share;
use crate::team;

/// Numbers that are worth a chunk of their own where several threads copy.
const COPY_GRAIN: usize = 8_192;

/// Attention of one block: (layer, q, k, v) to the output and, where a gradient will be asked for, log-normalisers.
pub(crate) type Attend<'a> = dyn FnMut(usize, &Buffer, &Buffer, &Buffer) -> (Buffer, Buffer) + 'a;

/// What the backward pass of one block needs, beside its input. What costs a pass over some rows and no product is
/// computed again: the normed rows, and the gated ones.
pub(crate) struct Kept {
    rstd: Buffer,
    heads: Option<KeptHeadNorms>,
    q: Buffer,
    key: Buffer,
    value: Buffer,
    attended: Buffer,
    log_sum: Buffer,
    middle: Buffer,
    ffn_rstd: Buffer,
    gate_up: Buffer,
}

/// Inputs of the per-head norms of queries and keys.
struct KeptHeadNorms {
    q: Buffer,
    q_rstd: Buffer,
    key: Buffer,
    key_rstd: Buffer,
}

impl Policy {
    pub(crate) fn heads(&self) -> Heads {
        self.config.heads()
    }

    fn eps(&self) -> f32 {
        self.config.norm_eps as f32
    }

    /// Embeddings of `tokens`, `[N, D]`.
    pub(crate) fn embed(&self, tokens: &[i64]) -> Buffer {
        let (table, d) = (self.vector(self.layout.embedding), self.config.hidden_dim);
        let mut x = Buffer::unwritten(tokens.len() * d);
        for (to, &token) in x.chunks_exact_mut(d).zip(tokens) {
            to.copy_from_slice(&table[token as usize * d..][..d]);
        }
        x
    }

    /// The final norm of rows `[M, D]`, with its reciprocal roots.
    pub(crate) fn final_norm(&self, x: &[f32]) -> (Buffer, Buffer) {
        kernels::rms_norm(x, self.vector(self.layout.norm), self.eps())
    }

    /// One block: its output `[N, D]`, and what its gradient needs.
    pub(crate) fn block(&self, layer: usize, x: &Buffer, positions: &[i32], attend: &mut Attend<'_>) -> (Buffer, Kept) {
        let slots = &self.layout.blocks[layer];
        let heads = self.heads();
        let (normed, rstd) = kernels::rms_norm(x, self.vector(slots.attention_norm), self.eps());
        let qkv = self.project(&normed, slots.qkv, slots.qkv_bias);
        drop(normed);
        let [mut q, mut key, value] = split(&qkv, widths(heads));
        drop(qkv);
        let mut head_norms = None;
        if let (Some(query_norm), Some(key_norm)) = (slots.query_norm, slots.key_norm) {
            let (q_normed, q_rstd) = kernels::rms_norm(&q, self.vector(query_norm), self.eps());
            let (key_normed, key_rstd) = kernels::rms_norm(&key, self.vector(key_norm), self.eps());
            let (q, key) = (std::mem::replace(&mut q, q_normed), std::mem::replace(&mut key, key_normed));
            head_norms = Some(KeptHeadNorms { q, q_rstd, key, key_rstd });
        }
        self.rotate_in_place(&mut q, positions, Rotation::Forward);
        self.rotate_in_place(&mut key, positions, Rotation::Forward);
        let (attended, log_sum) = attend(layer, &q, &key, &value);
        let middle = self.project_onto(x, &attended, slots.output);

        let (ffn_normed, ffn_rstd) = kernels::rms_norm(&middle, self.vector(slots.ffn_norm), self.eps());
        let gate_up = self.project(&ffn_normed, slots.gate_up, None);
        drop(ffn_normed);
        let gated = kernels::swiglu(&gate_up, self.config.ffn_dim);
        let out = self.project_onto(&middle, &gated, slots.down);
        let heads = head_norms;
        (out, Kept { rstd, heads, q, key, value, attended, log_sum, middle, ffn_rstd, gate_up })
    }

    /// Queries, keys and values of rows `[N, D]` side by side, none of them rotated; with normed queries and keys where
    /// the heads have norms.
    pub(crate) fn joint_projection(&self, layer: usize, x: &Buffer) -> (Buffer, Option<[Buffer; 2]>) {
        let slots = &self.layout.blocks[layer];
        let (normed, _) = kernels::rms_norm(x, self.vector(slots.attention_norm), self.eps());
        let joint = self.project(&normed, slots.qkv, slots.qkv_bias);
        let (Some(query_norm), Some(key_norm)) = (slots.query_norm, slots.key_norm) else { return (joint, None) };
        let [q, key, _] = split(&joint, widths(self.heads()));
        let norm = |part: &Buffer, weight: Slot| kernels::rms_norm(part, self.vector(weight), self.eps()).0;
        (joint, Some([norm(&q, query_norm), norm(&key, key_norm)]))
    }

    /// Rotated keys and values `[N, kv heads · K]` of rows `[N, D]`.
    pub(crate) fn keys_and_values(&self, layer: usize, x: &Buffer, positions: &[i32]) -> (Buffer, Buffer) {
        let (joint, normed) = self.joint_projection(layer, x);
        let [_, key, value] = split(&joint, widths(self.heads()));
        let mut key = normed.map_or(key, |[_, key]| key);
        self.rotate_in_place(&mut key, positions, Rotation::Forward);
        (key, value)
    }

    /// What follows attention in a block of input `x`: the block's output `[N, D]`.
    pub(crate) fn after_attention(&self, layer: usize, x: &Buffer, attended: &Buffer) -> Buffer {
        let slots = &self.layout.blocks[layer];
        let middle = self.project_onto(x, attended, slots.output);
        let (normed, _) = kernels::rms_norm(&middle, self.vector(slots.ffn_norm), self.eps());
        self.project_onto(&middle, &self.project_gated(&normed, slots.gate_up), slots.down)
    }

    /// Gradient of one block with respect to its input `x`; gradients of its weights are added to `gradient`. What the
    /// block kept goes as soon as nothing needs it, or becomes its own gradient.
    pub(crate) fn block_backward(
        &self,
        layer: usize,
        d_out: Buffer,
        x: &Buffer,
        kept: Kept,
        rows: Rows<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let slots = &self.layout.blocks[layer];
        let heads = self.heads();
        let Kept { rstd, heads: head_norms, q, key, value, attended, log_sum, middle, ffn_rstd, mut gate_up } = kept;
        gradient.turn_to(layer);
        let mut gated = self.project_input_backward(&d_out, slots.down);
        kernels::swiglu_backward(&mut gated, &mut gate_up, self.config.ffn_dim);
        self.project_weight_backward(&d_out, &gated, slots.down, None, gradient);
        drop(gated);
        let (normed, _) = kernels::rms_norm(&middle, self.vector(slots.ffn_norm), self.eps());
        let d_normed = self.project_backward(&gate_up, &normed, slots.gate_up, None, gradient);
        drop((gate_up, normed));
        let mut d_middle = self.norm_backward(&d_normed, &middle, slots.ffn_norm, &ffn_rstd, gradient);
        d_middle.add(&d_out);
        drop((d_normed, middle, d_out));

        let d_attended = self.project_backward(&d_middle, &attended, slots.output, None, gradient);
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &attended, log_sum: &log_sum };
        let (mut dq, mut dkey, dvalue) = attention_backward(&d_attended, saved, rows.segments, heads);
        drop((d_attended, q, key, value, attended, log_sum));
        self.rotate_in_place(&mut dq, rows.positions, Rotation::Backward);
        self.rotate_in_place(&mut dkey, rows.positions, Rotation::Backward);
        if let (Some(before), Some(query_norm), Some(key_norm)) = (&head_norms, slots.query_norm, slots.key_norm) {
            dq = self.norm_backward(&dq, &before.q, query_norm, &before.q_rstd, gradient);
            dkey = self.norm_backward(&dkey, &before.key, key_norm, &before.key_rstd, gradient);
        }
        let d_qkv = join([&dq, &dkey, &dvalue], widths(heads));
        drop((dq, dkey, dvalue, head_norms));
        let (normed, _) = kernels::rms_norm(x, self.vector(slots.attention_norm), self.eps());
        let d_normed = self.project_backward(&d_qkv, &normed, slots.qkv, slots.qkv_bias, gradient);
        drop((d_qkv, normed));
        let mut dx = self.norm_backward(&d_normed, x, slots.attention_norm, &rstd, gradient);
        dx.add(&d_middle);
        dx
    }

    /// Gradient of an RMSNorm with respect to its input; adds that of its weight to `gradient`.
    pub(crate) fn norm_backward(
        &self,
        dy: &[f32],
        x: &[f32],
        weight: Slot,
        rstd: &[f32],
        gradient: &mut Share,
    ) -> Buffer {
        kernels::rms_norm_backward(dy, x, self.vector(weight), rstd, gradient.slot(weight))
    }

    fn rotate_in_place(&self, x: &mut [f32], positions: &[i32], to: Rotation) {
        kernels::rope_in_place(x, positions, &self.cosine, &self.sine, self.config.head_dim, to);
    }
}

/// Where packed rows stand and whom they attend to.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) positions: &'a [i32],
    pub(crate) segments: &'a [Segment],
}

/// Widths of q, k and v in a row of their joint projection.
fn widths(heads: Heads) -> [usize; 3] {
    let Widths { q, key, value, .. } = heads.widths();
    [q, key, value]
}

/// Columns of joint rows, as three arrays.
fn split(joint: &[f32], widths: [usize; 3]) -> [Buffer; 3] {
    let total: usize = widths.iter().sum();
    let n = joint.len() / total;
    let mut from = 0;
    widths.map(|width| {
        let mut part = Buffer::unwritten(n * width);
        team::spread_rows(&mut part, width, COPY_GRAIN.div_ceil(width), |rows, part| {
            for (to, row) in part.chunks_exact_mut(width).zip(joint[rows.start * total..].chunks_exact(total)) {
                to.copy_from_slice(&row[from..from + width]);
            }
        });
        from += width;
        part
    })
}

/// The inverse of [`split`].
fn join(parts: [&[f32]; 3], widths: [usize; 3]) -> Buffer {
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
