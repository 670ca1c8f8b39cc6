//! Grouped-query attention (arXiv 2305.13245): query heads share key and value heads.

use super::{Attend, COPY_GRAIN, Rows, columns, join, split};
use crate::attention::step::{Columns, Pages, StepRows, attention_step};
use crate::attention::{AttentionSaved, Heads, Widths, attention_backward};
use crate::buffer::Buffer;
use crate::decode::Step;
use crate::kernels::{self, Rotary, Rotation};
use crate::layout::GroupedSlots;
use crate::policy::Policy;
use crate::share::Share;
use crate::team;

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
        let ([q, key, value], heads) = match slots.head_norms {
            None => (self.split_rotated(layer, &qkv, positions), None),
            Some([query_norm, key_norm]) => {
                let [q, key, value] = split(&qkv, widths(self.heads(layer)));
                let (mut q_normed, q_rstd) = self.norm(&q, query_norm);
                let (mut key_normed, key_rstd) = self.norm(&key, key_norm);
                self.rotate(layer, &mut q_normed, positions, Rotation::Forward);
                self.rotate(layer, &mut key_normed, positions, Rotation::Forward);
                ([q_normed, key_normed, value], Some(KeptHeadNorms { q, q_rstd, key, key_rstd }))
            }
        };
        drop(qkv);
        let (attended, log_sum) = attend(self.heads(layer), &q, &key, &value);
        (attended, KeptGrouped { heads, q, key, value, log_sum })
    }

    /// [`split`] of joint rows into queries, keys and values, the first two rotated on the way.
    fn split_rotated(&self, layer: usize, joint: &[f32], positions: &[i32]) -> [Buffer; 3] {
        let (n, heads) = (positions.len(), self.heads(layer));
        let [wide, narrow, last] = widths(heads);
        let total = wide + narrow + last;
        assert_eq!(joint.len(), n * total, "a row for each position");
        let rotated = |from: usize, width: usize| {
            let mut heads = Buffer::unwritten(n * width);
            team::spread_rows(&mut heads, width, COPY_GRAIN.div_ceil(width), |rows, to| {
                let (from, to) = ((joint[rows.start * total + from..].as_ptr(), total), (to.as_mut_ptr(), width));
                // SAFETY: the joint rows have these columns, and the part is nothing else.
                unsafe { self.rotate_columns(layer, from, &positions[rows], Rotation::Forward, width, to) };
            });
            heads
        };
        [rotated(0, wide), rotated(wide, narrow), columns(joint, total, wide + narrow, last)]
    }

    /// [`join`] of the gradients of queries, keys and values, the first two rotated back on the way.
    fn join_rotated(&self, layer: usize, [q, key, value]: [&[f32]; 3], positions: &[i32]) -> Buffer {
        let (n, [wide, narrow, last]) = (positions.len(), widths(self.heads(layer)));
        let total = wide + narrow + last;
        assert_eq!([q, key, value].map(<[f32]>::len), [n * wide, n * narrow, n * last], "a row for each position");
        let mut joint = Buffer::unwritten(n * total);
        team::spread_rows(&mut joint, total, COPY_GRAIN.div_ceil(total), |rows, joint| {
            let (at, first, back) = (&positions[rows.clone()], rows.start, Rotation::Backward);
            for (x, from, width) in [(q, 0, wide), (key, wide, narrow)] {
                let (x, to) = ((x[first * width..].as_ptr(), width), (joint[from..].as_mut_ptr(), total));
                // SAFETY: x has a row for each position, and the part is rows with these columns.
                unsafe { self.rotate_columns(layer, x, at, back, width, to) };
            }
            for (to, value) in joint.chunks_exact_mut(total).zip(value[first * last..].chunks_exact(last)) {
                to[wide + narrow..].copy_from_slice(value);
            }
        });
        joint
    }

    /// [`kernels::rope_columns`] with a layer's angles.
    ///
    /// # Safety
    /// As of that.
    unsafe fn rotate_columns(
        &self,
        layer: usize,
        from: (*const f32, usize),
        positions: &[i32],
        direction: Rotation,
        columns: usize,
        to: (*mut f32, usize),
    ) {
        let rotary = Rotary::halves(self.heads(layer).head_dim);
        // SAFETY: as the caller says.
        unsafe { kernels::rope_columns(from, positions, self.angles(layer), rotary, direction, columns, to) };
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
        let d_qkv = if let (Some(before), Some([query_norm, key_norm])) = (&before, slots.head_norms) {
            self.rotate(layer, &mut dq, rows.positions, Rotation::Backward);
            self.rotate(layer, &mut dkey, rows.positions, Rotation::Backward);
            dq = self.norm_backward(&dq, &before.q, query_norm, &before.q_rstd, gradient);
            dkey = self.norm_backward(&dkey, &before.key, key_norm, &before.key_rstd, gradient);
            join([&dq, &dkey, &dvalue], widths(heads))
        } else {
            self.join_rotated(layer, [&dq, &dkey, &dvalue], rows.positions)
        };
        drop((dq, dkey, dvalue, before));
        self.project_backward(&d_qkv, &normed(), slots.qkv, slots.bias, gradient)
    }
}

/// Widths of q, k and v in a row of their joint projection.
fn widths(heads: Heads) -> [usize; 3] {
    let Widths { q, key, value, .. } = heads.widths();
    [q, key, value]
}
