//! `Operands`: what products read of the weights that are not in FP8.

use super::policy::{bytes, view};
use crate::fp8::Scales;
use crate::layout::{Layout, Slot};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Weights as products read them.
pub(super) enum Operands {
    /// The very masters.
    Masters,
    /// Copies in bf16 of parts of the flat tensor, by where they begin.
    Half(BTreeMap<usize, Tensor>),
}

impl Operands {
    /// In bf16 all that lies between the matrices `coded`, and the latents' projections, which are read as they are even
    /// where they are in FP8, too.
    pub(super) fn half(layout: &Layout, coded: &[(Slot, Vec<usize>, Scales)], masters: &Tensor) -> Operands {
        let mut coded: Vec<Slot> = coded.iter().map(|(slot, ..)| *slot).collect();
        coded.retain(|slot| !layout.latents().any(|latent| latent.up == *slot));
        coded.sort_by_key(|slot| slot.offset);
        let (mut parts, mut at) = (BTreeMap::new(), 0);
        for range in coded.into_iter().map(Slot::range).chain(std::iter::once(layout.len()..layout.len())) {
            if at < range.start {
                let masters = masters.narrow(0, at as i64, (range.start - at) as i64);
                parts.insert(at, masters.to_kind(Kind::BFloat16));
            }
            at = range.end;
        }
        Operands::Half(parts)
    }

    /// Bytes that they take beside the masters.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Operands::Masters => 0,
            Operands::Half(parts) => parts.values().map(bytes).sum(),
        }
    }

    /// What they are.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Operands::Masters => Kind::Float,
            Operands::Half(_) => Kind::BFloat16,
        }
    }

    /// Takes over the masters.
    pub(super) fn refresh(&mut self, masters: &Tensor) {
        if let Operands::Half(parts) = self {
            for (&start, part) in parts {
                part.copy_(&masters.narrow(0, start as i64, part.numel() as i64));
            }
        }
    }

    /// A matrix, or a vector as one row.
    pub(super) fn view(&self, masters: &Tensor, slot: Slot) -> Tensor {
        let Operands::Half(parts) = self else { return view(masters, slot) };
        let (&start, part) = parts.range(..=slot.offset).next_back().expect("a weight that is not in FP8");
        view(part, Slot { offset: slot.offset - start, ..slot })
    }
}
