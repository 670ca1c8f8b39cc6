//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): keys and values of all heads come out of one
//! latent a row, and one rotated key serves all heads.
//!
//! In the absorbed form a head's query is taken through the matrix that would make keys of latents, so that it meets the
//! latents themselves; what it gathers is a mixture of latents, of which the head's matrix then makes values. The cache
//! holds nothing but latents and rotated keys. Sampler and trainer compute this one form;
//! see `latent/expanded.rs` for the other.

mod expanded;

use super::{Attend, COPY_GRAIN, Rows, join, split};
use crate::attention::step::{Columns, Pages, StepRows, attention_step};
use crate::attention::{AttentionSaved, attention_backward};
use crate::buffer::Buffer;
use crate::config::{AttentionConfig, LatentAttention};
use crate::decode::Step;
use crate::kernels::{self, Rotary, Rotation};
use crate::layout::{LatentSlots, Slot};
use crate::policy::Policy;
use crate::share::Share;
use crate::team;
pub(super) use expanded::KeptExpanded;

/// Epsilon of the norms of latents, whatever that of the others is: the published code names none.
pub(crate) const LATENT_EPS: f32 = 1e-6;

/// What the backward pass needs beside what attention gave.
pub(super) struct KeptLatent {
    /// What is projected from the stream: queries or their latent, before its norm; the latent, before its norm.
    queries: Option<Latent>,
    latent: Latent,
    /// `[H, N, nope]`
    nope: Buffer,
    /// `[N, H, rank + rope]`
    q: Buffer,
    /// `[N, rank + rope]`
    key: Buffer,
    /// What heads gathered of the latents, `[N, H, rank]`.
    gathered: Buffer,
    log_sum: Buffer,
}

/// A latent before its norm, and its reciprocal roots.
struct Latent {
    x: Buffer,
    rstd: Buffer,
}

/// Queries and keys that meet each other in the latents' space.
struct Absorbed {
    queries: Option<Latent>,
    latent: Latent,
    nope: Buffer,
    q: Buffer,
    key: Buffer,
}

/// What is projected from the stream, as both forms take it up.
struct Projected {
    queries: Option<Latent>,
    /// `[H, N, nope]`
    nope: Buffer,
    /// Of the queries, `[N, H, rope]`.
    rotated: Buffer,
    /// Before its norm, `[N, rank]`.
    latent: Buffer,
    /// Rotated, `[N, rope]`.
    key: Buffer,
}

impl Policy {
    fn latent_config(&self) -> &LatentAttention {
        match &self.config.attention {
            AttentionConfig::Latent(config) => config,
            AttentionConfig::Grouped(_) => unreachable!("slots of latents belong to latent attention"),
        }
    }

    /// Norm of a latent; its offset is none.
    fn latent_norm(&self, x: Buffer, slot: Slot) -> (Buffer, Latent) {
        let (normed, rstd) = kernels::rms_norm(&x, self.vector(slot), 0.0, LATENT_EPS);
        (normed, Latent { x, rstd })
    }

    /// [`Policy::latent_norm`] computed again.
    fn latent_normed(&self, latent: &Latent, slot: Slot) -> Buffer {
        kernels::rms_norm(&latent.x, self.vector(slot), 0.0, LATENT_EPS).0
    }

    fn latent_norm_backward(&self, dy: &[f32], latent: &Latent, slot: Slot, gradient: &mut Share) -> Buffer {
        kernels::rms_norm_backward(dy, &latent.x, self.vector(slot), 0.0, &latent.rstd, None, gradient.slot(slot))
    }

    /// What the heads of normed rows `[N, D]` gather, `[N, H · value width]`.
    pub(super) fn latent(
        &self,
        layer: usize,
        slots: &LatentSlots,
        normed: Buffer,
        positions: &[i32],
        attend: &mut Attend<'_>,
    ) -> (Buffer, KeptLatent) {
        let Absorbed { queries, latent, nope, q, key } = self.absorbed(layer, slots, &normed, positions);
        drop(normed);
        let (gathered, log_sum) = attend(self.heads(layer), &q, &key, &Buffer::zeros(0));
        let attended = self.latent_values(slots, &gathered);
        (attended, KeptLatent { queries, latent, nope, q, key, gathered, log_sum })
    }

    /// Latents and rotated keys `[N, rank + rope]` of normed rows.
    pub(super) fn latent_keys(&self, layer: usize, slots: &LatentSlots, normed: &Buffer, positions: &[i32]) -> Buffer {
        let LatentAttention { rank, rope_dim, .. } = *self.latent_config();
        let [_, latent, mut key] = split(&self.project(normed, slots.down, None), self.latent_widths(slots));
        self.rotate_latent(layer, &mut key, positions, Rotation::Forward);
        let (normed, _) = self.latent_norm(latent, slots.norm);
        join([&normed, &key], [rank, rope_dim])
    }

    /// What the heads of a decoding step's normed rows gather from the pages, their own latents among them.
    pub(super) fn latent_step(
        &self,
        layer: usize,
        slots: &LatentSlots,
        normed: &Buffer,
        step: &Step,
        pages: &mut Pages<'_>,
    ) -> Buffer {
        let heads = self.heads(layer);
        let n = normed.len() / self.config.hidden_dim;
        let Step { positions, starts, table, .. } = step;
        let mut padded = positions.clone();
        padded.resize(n, 0);
        let Absorbed { q, key, .. } = self.absorbed(layer, slots, normed, &padded);
        let widths = heads.widths();
        let rows = StepRows {
            q: Columns { numbers: &q, step: widths.q },
            key: Columns { numbers: &key, step: widths.key },
            value: Columns { numbers: &[], step: 0 },
            positions,
            starts,
            table,
        };
        let gathered = attention_step(&rows, pages, layer, None, heads, n);
        self.latent_values(slots, &gathered)
    }

    /// Gradient with respect to what `normed` gives, given that of the values of what heads gathered.
    #[expect(clippy::too_many_arguments, reason = "what the forward pass gave, and where gradients go")]
    pub(super) fn latent_backward(
        &self,
        layer: usize,
        slots: &LatentSlots,
        d_attended: Buffer,
        normed: &dyn Fn() -> Buffer,
        kept: KeptLatent,
        rows: Rows<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let KeptLatent { queries, latent, nope, q, key, gathered, log_sum } = kept;
        let LatentAttention { n_heads, rank, rope_dim, value_dim, .. } = *self.latent_config();
        let ends = ends(n_heads, key.len() / (rank + rope_dim));

        let (d_values, _) = apart(&d_attended, n_heads, value_dim, 0);
        drop(d_attended);
        let (by_head, _) = apart(&gathered, n_heads, rank, 0);
        self.project_stack_weight_backward(&d_values, &by_head, &ends, slots.values, gradient);
        drop(by_head);
        let by_head = self.project_stack_input_backward(&d_values, &ends, slots.values);
        drop(d_values);
        let d_gathered = together(&by_head, &[], n_heads, rank, 0);
        drop(by_head);
        let saved = AttentionSaved { q: &q, key: &key, value: &[], out: &gathered, log_sum: &log_sum };
        let (dq, dkey, _) = attention_backward(&d_gathered, saved, rows.segments, self.heads(layer));
        drop((d_gathered, q, key, gathered, log_sum));

        let dq = self.absorbed_backward(layer, slots, (dq, nope), rows.positions, gradient);
        let d_queries = self.queries_backward(slots, dq, queries, gradient);
        let [d_normed, mut d_rotated] = split(&dkey, [rank, rope_dim]);
        self.rotate_latent(layer, &mut d_rotated, rows.positions, Rotation::Backward);
        let d_latent = self.latent_norm_backward(&d_normed, &latent, slots.norm, gradient);
        let d_down = join([&d_queries, &d_latent, &d_rotated], self.latent_widths(slots));
        drop((d_queries, d_latent, d_rotated, dkey, latent));
        self.project_backward(&d_down, &normed(), slots.down, None, gradient)
    }

    /// Gradient with respect to the queries `[N, H, nope + rope]`, given that of those that met latents.
    fn absorbed_backward(
        &self,
        layer: usize,
        slots: &LatentSlots,
        (dq, nope): (Buffer, Buffer),
        positions: &[i32],
        gradient: &mut Share,
    ) -> Buffer {
        let LatentAttention { n_heads, rank, nope_dim, rope_dim, .. } = *self.latent_config();
        let ends = ends(n_heads, positions.len());
        let (d_absorbed, mut d_rotated) = apart(&dq, n_heads, rank, rope_dim);
        drop(dq);
        self.rotate_latent(layer, &mut d_rotated, positions, Rotation::Backward);
        self.project_stack_weight_backward(&d_absorbed, &nope, &ends, slots.keys, gradient);
        let d_nope = self.project_stack_input_backward(&d_absorbed, &ends, slots.keys);
        together(&d_nope, &d_rotated, n_heads, nope_dim, rope_dim)
    }

    /// Queries `[N, H, nope + rope]` of what was projected for them from the stream; their latent, where they have one.
    fn queries(&self, slots: &LatentSlots, projected: Buffer) -> (Buffer, Option<Latent>) {
        let Some((norm, up)) = slots.query else { return (projected, None) };
        let (normed, latent) = self.latent_norm(projected, norm);
        (self.project(&normed, up, None), Some(latent))
    }

    /// Gradient with respect to what was projected for the queries.
    fn queries_backward(
        &self,
        slots: &LatentSlots,
        dq: Buffer,
        queries: Option<Latent>,
        gradient: &mut Share,
    ) -> Buffer {
        let (Some((norm, up)), Some(latent)) = (slots.query, queries) else { return dq };
        let d_normed = self.project_backward(&dq, &self.latent_normed(&latent, norm), up, None, gradient);
        self.latent_norm_backward(&d_normed, &latent, norm, gradient)
    }

    /// Queries and keys of normed rows in the latents' space.
    fn absorbed(&self, layer: usize, slots: &LatentSlots, normed: &Buffer, positions: &[i32]) -> Absorbed {
        let LatentAttention { n_heads, rank, rope_dim, .. } = *self.latent_config();
        let Projected { queries, nope, rotated, latent, key } = self.projected(layer, slots, normed, positions);
        let absorbed = self.project_stack(&nope, &ends(n_heads, positions.len()), slots.keys);
        let q = together(&absorbed, &rotated, n_heads, rank, rope_dim);
        let (normed, latent) = self.latent_norm(latent, slots.norm);
        let key = join([&normed, &key], [rank, rope_dim]);
        Absorbed { queries, latent, nope, q, key }
    }

    /// What both forms begin with.
    fn projected(&self, layer: usize, slots: &LatentSlots, normed: &Buffer, positions: &[i32]) -> Projected {
        let LatentAttention { n_heads, nope_dim, rope_dim, .. } = *self.latent_config();
        let [queries, latent, mut key] = split(&self.project(normed, slots.down, None), self.latent_widths(slots));
        let (q, queries) = self.queries(slots, queries);
        let (nope, mut rotated) = apart(&q, n_heads, nope_dim, rope_dim);
        self.rotate_latent(layer, &mut rotated, positions, Rotation::Forward);
        self.rotate_latent(layer, &mut key, positions, Rotation::Forward);
        Projected { queries, nope, rotated, latent, key }
    }

    /// The values of what heads gathered: `[N, H, rank]` to `[N, H · value width]`.
    fn latent_values(&self, slots: &LatentSlots, gathered: &Buffer) -> Buffer {
        let LatentAttention { n_heads, rank, value_dim, .. } = *self.latent_config();
        let (by_head, _) = apart(gathered, n_heads, rank, 0);
        let ends = ends(n_heads, gathered.len() / (n_heads * rank));
        let values = self.project_stack(&by_head, &ends, slots.values);
        together(&values, &[], n_heads, value_dim, 0)
    }

    /// Widths of queries or their latent, the latent and the rotated key in a row of their joint projection.
    fn latent_widths(&self, slots: &LatentSlots) -> [usize; 3] {
        let LatentAttention { rank, rope_dim, .. } = *self.latent_config();
        [slots.down.rows - rank - rope_dim, rank, rope_dim]
    }

    /// Rotates parts of `rope` numbers, one a head, by the angles of the rows' positions, or back.
    fn rotate_latent(&self, layer: usize, x: &mut [f32], positions: &[i32], to: Rotation) {
        let LatentAttention { rope_dim, interleaved, .. } = *self.latent_config();
        let table = self.angles(layer);
        let rotary = Rotary { interleaved, ..Rotary::halves(rope_dim) };
        kernels::rope(x, positions, table.cosine, table.sine, rotary, to);
    }
}

/// Where the rows of each head end, with `n` rows each.
fn ends(n_heads: usize, n: usize) -> Vec<usize> {
    (1..=n_heads).map(|head| head * n).collect()
}

/// Rows of heads `[N, H, a + b]` as the first `a` numbers, head by head `[H, N, a]`, and the others, row by row
/// `[N, H, b]`.
fn apart(x: &[f32], n_heads: usize, a: usize, b: usize) -> (Buffer, Buffer) {
    let n = x.len() / (n_heads * (a + b));
    let mut by_head = Buffer::unwritten(n_heads * n * a);
    team::spread_rows(&mut by_head, a, COPY_GRAIN.div_ceil(a), |items, part| {
        for (item, to) in items.zip(part.chunks_exact_mut(a)) {
            let (head, row) = (item / n, item % n);
            to.copy_from_slice(&x[(row * n_heads + head) * (a + b)..][..a]);
        }
    });
    let mut by_row = Buffer::unwritten(n * n_heads * b);
    if b > 0 {
        team::spread_rows(&mut by_row, b, COPY_GRAIN.div_ceil(b), |items, part| {
            for (item, to) in items.zip(part.chunks_exact_mut(b)) {
                to.copy_from_slice(&x[item * (a + b) + a..][..b]);
            }
        });
    }
    (by_head, by_row)
}

/// The inverse of [`apart`].
fn together(by_head: &[f32], by_row: &[f32], n_heads: usize, a: usize, b: usize) -> Buffer {
    let n = by_head.len() / (n_heads * a);
    let mut x = Buffer::unwritten(n * n_heads * (a + b));
    team::spread_rows(&mut x, a + b, COPY_GRAIN.div_ceil(a + b), |items, part| {
        for (item, to) in items.zip(part.chunks_exact_mut(a + b)) {
            let (row, head) = (item / n_heads, item % n_heads);
            to[..a].copy_from_slice(&by_head[(head * n + row) * a..][..a]);
            to[a..].copy_from_slice(&by_row[item * b..][..b]);
        }
    });
    x
}

#[cfg(test)]
mod tests;
