//! Grouped-query attention (arXiv 2305.13245): query heads share key and value heads.

use super::{Attend, Rows, join, split};
use crate::attention::step::{Columns, Pages, StepRows, attention_step};
use crate::attention::{AttentionSaved, Heads, Widths, attention_backward};
use crate::buffer::Buffer;
use crate::decode::Step;
use crate::kernels::Rotation;
use crate::layout::GroupedSlots;
use crate::policy::Policy;
use crate::share::Share;

/// What the backward pass needs beside what attention gave.
pub(super) struct KeptGrouped {
    /// What went into the norms of queries and keys.
    heads: Option<KeptHeadNorms>,
    q: Buffer,
    key: Buffer,
    value: Buffer,
    log_sum: Buffer,
}

/// Inputs of the per-head norms of queries and keys.
struct KeptHeadNorms {
    q: Buffer,
    q_rstd: Buffer,
    key: Buffer,
    key_rstd: Buffer,
}

impl Policy {
    /// What the heads of normed rows `[N, D]` gather, `[N, H · K]`.
    pub(super) fn grouped(
        &self,
        layer: usize,
        slots: &GroupedSlots,
        normed: Buffer,
        positions: &[i32],
        attend: &mut Attend<'_>,
    ) -> (Buffer, KeptGrouped) {
        let qkv = self.project(&normed, slots.qkv, slots.bias);
        drop(normed);
        let [mut q, mut key, value] = split(&qkv, widths(self.heads(layer)));
        drop(qkv);
        let mut heads = None;
        if let Some([query_norm, key_norm]) = slots.head_norms {
            let (q_normed, q_rstd) = self.norm(&q, query_norm);
            let (key_normed, key_rstd) = self.norm(&key, key_norm);
            let (q, key) = (std::mem::replace(&mut q, q_normed), std::mem::replace(&mut key, key_normed));
            heads = Some(KeptHeadNorms { q, q_rstd, key, key_rstd });
        }
        self.rotate(layer, &mut q, positions, Rotation::Forward);
        self.rotate(layer, &mut key, positions, Rotation::Forward);
        let (attended, log_sum) = attend(self.heads(layer), &q, &key, &value);
        (attended, KeptGrouped { heads, q, key, value, log_sum })
    }

    /// Queries, keys and values of normed rows side by side, none of them rotated; with normed queries and keys where the
    /// heads have norms.
    fn joint_projection(&self, layer: usize, slots: &GroupedSlots, normed: &Buffer) -> (Buffer, Option<[Buffer; 2]>) {
        let joint = self.project(normed, slots.qkv, slots.bias);
        let Some([query_norm, key_norm]) = slots.head_norms else { return (joint, None) };
        let [q, key, _] = split(&joint, widths(self.heads(layer)));
        (joint, Some([self.norm(&q, query_norm).0, self.norm(&key, key_norm).0]))
    }

    /// Rotated keys and values `[N, kv heads · K]` of normed rows.
    pub(super) fn grouped_keys(
        &self,
        layer: usize,
        slots: &GroupedSlots,
        normed: &Buffer,
        positions: &[i32],
    ) -> (Buffer, Buffer) {
        let (joint, head_normed) = self.joint_projection(layer, slots, normed);
        let [_, key, value] = split(&joint, widths(self.heads(layer)));
        let mut key = head_normed.map_or(key, |[_, key]| key);
        self.rotate(layer, &mut key, positions, Rotation::Forward);
        (key, value)
    }

    /// What the heads of a decoding step's normed rows gather from the pages, their own keys and values among them.
    pub(super) fn grouped_step(
        &self,
        layer: usize,
        slots: &GroupedSlots,
        normed: &Buffer,
        step: &Step,
        pages: &mut Pages<'_>,
    ) -> Buffer {
        let heads = self.heads(layer);
        let [wide, narrow, last] = widths(heads);
        let total = wide + narrow + last;
        let (joint, head_normed) = self.joint_projection(layer, slots, normed);
        let columns = |from: usize| Columns { numbers: &joint[from..], step: total };
        let (q, key) = match &head_normed {
            Some([q, key]) => (Columns { numbers: q, step: wide }, Columns { numbers: key, step: narrow }),
            None => (columns(0), columns(wide)),
        };
        let Step { positions, starts, table, .. } = step;
        let rows = StepRows { q, key, value: columns(wide + narrow), positions, starts, table };
        attention_step(&rows, pages, layer, Some(self.angles(layer)), heads, joint.len() / total)
    }

    /// Gradient with respect to what `normed` gives, given that of what the heads gathered and that itself.
    #[expect(clippy::too_many_arguments, reason = "what the forward pass gave, and where gradients go")]
    pub(super) fn grouped_backward(
        &self,
        layer: usize,
        slots: &GroupedSlots,
        (d_attended, attended): (Buffer, Buffer),
        normed: &dyn Fn() -> Buffer,
        kept: KeptGrouped,
        rows: Rows<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let KeptGrouped { heads: before, q, key, value, log_sum } = kept;
        let heads = self.heads(layer);
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &attended, log_sum: &log_sum };
        let (mut dq, mut dkey, dvalue) = attention_backward(&d_attended, saved, rows.segments, heads);
        drop((d_attended, q, key, value, attended, log_sum));
        self.rotate(layer, &mut dq, rows.positions, Rotation::Backward);
        self.rotate(layer, &mut dkey, rows.positions, Rotation::Backward);
        if let (Some(before), Some([query_norm, key_norm])) = (&before, slots.head_norms) {
            dq = self.norm_backward(&dq, &before.q, query_norm, &before.q_rstd, gradient);
            dkey = self.norm_backward(&dkey, &before.key, key_norm, &before.key_rstd, gradient);
        }
        let d_qkv = join([&dq, &dkey, &dvalue], widths(heads));
        drop((dq, dkey, dvalue, before));
        self.project_backward(&d_qkv, &normed(), slots.qkv, slots.bias, gradient)
    }
}

/// Widths of q, k and v in a row of their joint projection.
fn widths(heads: Heads) -> [usize; 3] {
    let Widths { q, key, value, .. } = heads.widths();
    [q, key, value]
}
