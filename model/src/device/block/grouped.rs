//! Grouped-query attention.

use super::{Angles, Attend};
use crate::attention::Heads;
use crate::device::DevicePolicy;
use crate::device::reader::{Read, Reader};
use crate::device::weight::{Weight, project};
use crate::layout::GroupedSlots;
use tch::Tensor;

pub(super) struct GroupedWeights {
    qkv: Weight,
    bias: Option<Tensor>,
    head_norms: Option<[Tensor; 2]>,
}

impl GroupedWeights {
    pub(super) fn new(slots: &GroupedSlots, from: &mut Reader<'_>) -> GroupedWeights {
        GroupedWeights {
            qkv: from.weight(slots.qkv),
            bias: slots.bias.map(|slot| from.tensor(slot, Read::Operand).view([-1])),
            head_norms: slots.head_norms.map(|norms| norms.map(|slot| from.tensor(slot, Read::Master))),
        }
    }
}

impl DevicePolicy {
    /// What the heads of normed rows `[N, D]` gather, `[N, H · K]`.
    pub(super) fn grouped(
        &self,
        layer: usize,
        w: &GroupedWeights,
        normed: &Tensor,
        angles: &Angles,
        attend: &mut Attend<'_>,
    ) -> Tensor {
        let heads = self.config.heads(layer);
        let Heads { n_heads, n_kv_heads, head_dim, .. } = heads;
        let [n_heads, kv_heads, k] = [n_heads, n_kv_heads, head_dim].map(|n| n as i64);
        let qkv = project(normed, &w.qkv, w.bias.as_ref());
        let joint = qkv.view([-1, n_heads + 2 * kv_heads, k]);
        let mut q = joint.narrow(1, 0, n_heads);
        let mut key = joint.narrow(1, n_heads, kv_heads);
        let value = joint.narrow(1, n_heads + kv_heads, kv_heads).to_kind(self.kind());
        if let Some([query_norm, key_norm]) = &w.head_norms {
            (q, key) = (self.norm(&q, query_norm), self.norm(&key, key_norm));
        }
        let [q, key] = [q, key].map(|x| angles.rotate(&x).to_kind(self.kind()));
        attend(heads, &q, &key, Some(&value))
    }
}
