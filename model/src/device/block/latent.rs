//! Multi-head latent attention, absorbed and expanded; see `block/latent.rs` of the crate.

use super::{Angles, Attend, rms_norm};
use crate::block::LATENT_EPS;
use crate::config::{AttentionConfig, LatentAttention};
use crate::device::DevicePolicy;
use crate::device::reader::{Read, Reader};
use crate::device::weight::{Weight, project};
use crate::layout::LatentSlots;
use tch::{Kind, Tensor};

pub(super) struct LatentWeights {
    down: Weight,
    query: Option<(Tensor, Weight)>,
    norm: Tensor,
    /// As the absorbed form reads it.
    up: Tensor,
    /// As the expanded form does.
    expanded: Weight,
}

impl LatentWeights {
    pub(super) fn new(slots: &LatentSlots, from: &mut Reader<'_>) -> LatentWeights {
        LatentWeights {
            down: from.weight(slots.down),
            query: slots.query.map(|(norm, up)| (from.tensor(norm, Read::Master), from.weight(up))),
            norm: from.tensor(slots.norm, Read::Master),
            up: from.tensor(slots.up, Read::Operand),
            expanded: from.weight(slots.up),
        }
    }
}

/// What is made of rows in both forms.
struct Latents {
    /// The part of each head's query beside its position, `[N, H, nope]`.
    nope: Tensor,
    /// The rotated part, `[N, H, rope]`.
    rotated: Tensor,
    /// The normed latent, `[N, rank]`.
    latent: Tensor,
    /// The rotated key that all heads share, `[N, 1, rope]`.
    key: Tensor,
}

impl DevicePolicy {
    fn latent_config(&self) -> &LatentAttention {
        match &self.config.attention {
            AttentionConfig::Latent(config) => config,
            AttentionConfig::Grouped(_) => unreachable!("weights of latents belong to latent attention"),
        }
    }

    fn latents(&self, w: &LatentWeights, normed: &Tensor, angles: &Angles) -> Latents {
        let c = self.latent_config();
        let [heads, rank, nope, rope] = [c.n_heads, c.rank, c.nope_dim, c.rope_dim].map(|n| n as i64);
        let rotate = |x: &Tensor| if c.interleaved { angles.rotate_neighbours(x) } else { angles.rotate(x) };
        let down = project(normed, &w.down, None);
        let queries = down.size()[1] - rank - rope;
        let mut q = down.narrow(1, 0, queries);
        if let Some((norm, up)) = &w.query {
            q = project(&rms_norm(&q, norm, f64::from(LATENT_EPS)), up, None);
        }
        let q = q.reshape([-1, heads, nope + rope]);
        Latents {
            nope: q.narrow(2, 0, nope),
            rotated: rotate(&q.narrow(2, nope, rope)),
            latent: rms_norm(&down.narrow(1, queries, rank), &w.norm, f64::from(LATENT_EPS)),
            key: rotate(&down.narrow(1, queries + rank, rope).unsqueeze(1)),
        }
    }

    /// What the heads of normed rows `[N, D]` gather, `[N, H · value width]`: queries meet latents.
    pub(super) fn absorbed(
        &self,
        layer: usize,
        w: &LatentWeights,
        normed: &Tensor,
        angles: &Angles,
        attend: &mut Attend<'_>,
    ) -> Tensor {
        let c = self.latent_config();
        let [heads, rank, nope, value] = [c.n_heads, c.rank, c.nope_dim, c.value_dim].map(|n| n as i64);
        let Latents { nope: q, rotated, latent, key } = self.latents(w, normed, angles);
        let up = w.up.view([heads, nope + value, rank]);
        let [q, key] = [
            Tensor::cat(&[by_head(&q, &up.narrow(1, 0, nope)), rotated], -1),
            Tensor::cat(&[latent.unsqueeze(1), key], -1),
        ]
        .map(|x| x.to_kind(w.up.kind()));
        let gathered = attend(self.config.heads(layer), &q, &key, None).view([-1, heads, rank]);
        by_head(&gathered, &up.narrow(1, nope, value).transpose(1, 2)).reshape([-1, heads * value])
    }

    /// [`DevicePolicy::absorbed`] in the other form: every head has keys and values of its own.
    pub(super) fn expanded(
        &self,
        layer: usize,
        w: &LatentWeights,
        normed: &Tensor,
        angles: &Angles,
        attend: &mut Attend<'_>,
    ) -> Tensor {
        let c = self.latent_config();
        let [heads, nope, rope, value] = [c.n_heads, c.nope_dim, c.rope_dim, c.value_dim].map(|n| n as i64);
        let Latents { nope: q, rotated, latent, key } = self.latents(w, normed, angles);
        let up = project(&latent, &w.expanded, None).view([-1, heads, nope + value]);
        let key = key.expand([-1, heads, rope], false);
        let [q, key, value] =
            [Tensor::cat(&[q, rotated], -1), Tensor::cat(&[up.narrow(2, 0, nope), key], -1), up.narrow(2, nope, value)]
                .map(|x| x.to_kind(w.up.kind()));
        attend(self.config.expanded_heads(layer), &q, &key, Some(&value))
    }
}

/// Heads of rows `[N, H, a]`, each times its own of the matrices `[H, a, b]`, in their precision: `[N, H, b]` f32.
fn by_head(x: &Tensor, matrices: &Tensor) -> Tensor {
    x.to_kind(matrices.kind()).transpose(0, 1).bmm(matrices).transpose(0, 1).to_kind(Kind::Float)
}
