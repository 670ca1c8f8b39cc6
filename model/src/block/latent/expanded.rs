//! The expanded form of latent attention: keys and values of every head are made of the latents, and heads attend to keys
//! of their own. Fewer operations a row than the absorbed form takes, in another order: for training alone, where the
//! sampler's log-probabilities may differ in their last bits.

use super::{Attend, Latent, LatentSlots, Projected, Rows, apart, split, together};
use crate::attention::{AttentionSaved, attention_backward};
use crate::block::{COPY_GRAIN, join};
use crate::buffer::Buffer;
use crate::config::LatentAttention;
use crate::kernels::Rotation;
use crate::policy::Policy;
use crate::share::Share;
use crate::team;

/// What the backward pass needs beside what attention gave.
pub(in crate::block) struct KeptExpanded {
    queries: Option<Latent>,
    latent: Latent,
    /// `[N, H, nope + rope]`
    q: Buffer,
    /// `[N, H, nope + rope]`
    key: Buffer,
    /// `[N, H, value width]`
    value: Buffer,
    log_sum: Buffer,
}

impl Policy {
    /// What the heads of normed rows `[N, D]` gather, `[N, H · value width]`.
    pub(in crate::block) fn expanded(
        &self,
        layer: usize,
        slots: &LatentSlots,
        normed: Buffer,
        positions: &[i32],
        attend: &mut Attend<'_>,
    ) -> (Buffer, KeptExpanded) {
        let LatentAttention { n_heads, nope_dim, rope_dim, value_dim, .. } = *self.latent_config();
        let Projected { queries, nope, rotated, latent, key } = self.projected(layer, slots, &normed, positions);
        drop(normed);
        let q = together(&nope, &rotated, n_heads, nope_dim, rope_dim);
        drop((nope, rotated));
        let (normed, latent) = self.latent_norm(latent, slots.norm);
        let [nope, value] = split(&self.project(&normed, slots.up, None), [nope_dim, value_dim]);
        drop(normed);
        let key = beside(&nope, &key, n_heads, [nope_dim, rope_dim]);
        drop(nope);
        let (attended, log_sum) = attend(self.config.expanded_heads(layer), &q, &key, &value);
        (attended, KeptExpanded { queries, latent, q, key, value, log_sum })
    }

    /// Gradient with respect to what `normed` gives, given that of what heads gathered and that itself.
    #[expect(clippy::too_many_arguments, reason = "what the forward pass gave, and where gradients go")]
    pub(in crate::block) fn expanded_backward(
        &self,
        layer: usize,
        slots: &LatentSlots,
        (d_attended, attended): (Buffer, Buffer),
        normed: &dyn Fn() -> Buffer,
        kept: KeptExpanded,
        rows: Rows<'_>,
        gradient: &mut Share,
    ) -> Buffer {
        let KeptExpanded { queries, latent, q, key, value, log_sum } = kept;
        let LatentAttention { n_heads, nope_dim, rope_dim, value_dim, .. } = *self.latent_config();
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &attended, log_sum: &log_sum };
        let heads = self.config.expanded_heads(layer);
        let (dq, dkey, dvalue) = attention_backward(&d_attended, saved, rows.segments, heads);
        drop((d_attended, attended, q, key, value, log_sum));

        let (d_nope, mut d_rotated) = apart(&dq, n_heads, nope_dim, rope_dim);
        drop(dq);
        self.rotate_latent(layer, &mut d_rotated, rows.positions, Rotation::Backward);
        let dq = together(&d_nope, &d_rotated, n_heads, nope_dim, rope_dim);
        drop((d_nope, d_rotated));
        let d_queries = self.queries_backward(slots, dq, queries, gradient);

        let [d_nope, d_heads] = split(&dkey, [nope_dim, rope_dim]);
        drop(dkey);
        let mut d_rotated = sum_heads(&d_heads, n_heads, rope_dim);
        drop(d_heads);
        self.rotate_latent(layer, &mut d_rotated, rows.positions, Rotation::Backward);
        let d_up = join([&d_nope, &dvalue], [nope_dim, value_dim]);
        drop((d_nope, dvalue));
        let d_normed = self.project_backward(&d_up, &self.latent_normed(&latent, slots.norm), slots.up, None, gradient);
        drop(d_up);
        let d_latent = self.latent_norm_backward(&d_normed, &latent, slots.norm, gradient);
        let d_down = join([&d_queries, &d_latent, &d_rotated], self.latent_widths(slots));
        drop((d_queries, d_latent, d_rotated, d_normed, latent));
        self.project_backward(&d_down, &normed(), slots.down, None, gradient)
    }
}

/// Rows of heads `[N, H, a]` with the one part `[N, b]` of their row behind each: `[N, H, a + b]`.
fn beside(heads: &[f32], shared: &[f32], n_heads: usize, [a, b]: [usize; 2]) -> Buffer {
    let mut x = Buffer::unwritten(heads.len() / a * (a + b));
    team::spread_rows(&mut x, a + b, COPY_GRAIN.div_ceil(a + b), |items, part| {
        for (item, to) in items.zip(part.chunks_exact_mut(a + b)) {
            to[..a].copy_from_slice(&heads[item * a..][..a]);
            to[a..].copy_from_slice(&shared[item / n_heads * b..][..b]);
        }
    });
    x
}

/// The sum over the heads of each row, in order: `[N, H, b]` to `[N, b]`.
fn sum_heads(x: &[f32], n_heads: usize, b: usize) -> Buffer {
    let mut sums = Buffer::cleared(x.len() / n_heads);
    team::spread_rows(&mut sums, b, COPY_GRAIN.div_ceil(b * n_heads), |rows, part| {
        for (row, to) in rows.zip(part.chunks_exact_mut(b)) {
            for head in x[row * n_heads * b..][..n_heads * b].chunks_exact(b) {
                to.iter_mut().zip(head).for_each(|(to, x)| *to += x);
            }
        }
    });
    sums
}
