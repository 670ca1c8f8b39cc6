//! The slots of one block: which pieces it has, and what their tensors are called.

use super::{CORRECTION, List, Role, Slot, StackSlot};
use crate::config::experts::ExpertsConfig;
use crate::config::{AttentionConfig, Family, GroupedAttention, LatentAttention, ModelConfig};
use crate::grouped::Stack;

/// The slots of one block.
#[derive(Clone, Debug)]
pub(crate) struct BlockSlots {
    pub(crate) attention_norm: Slot,
    pub(crate) attention: AttentionSlots,
    pub(crate) output: Slot,
    /// The norm of what attention gives, where there is one.
    pub(crate) attention_after: Option<Slot>,
    pub(crate) ffn_norm: Slot,
    pub(crate) feed_forward: FeedForwardSlots,
    /// The norm of what the feed-forward gives, where there is one.
    pub(crate) ffn_after: Option<Slot>,
}

/// How rows attend.
#[derive(Clone, Debug)]
pub(crate) enum AttentionSlots {
    Grouped(GroupedSlots),
    Latent(LatentSlots),
}

/// Grouped-query attention.
#[derive(Clone, Debug)]
pub(crate) struct GroupedSlots {
    pub(crate) qkv: Slot,
    pub(crate) bias: Option<Slot>,
    /// Of queries and of keys.
    pub(crate) head_norms: Option<[Slot; 2]>,
}

/// Latent attention.
#[derive(Clone, Debug)]
pub(crate) struct LatentSlots {
    /// What is projected from the stream: queries or their latent, then the latent of keys and values and the rotated key.
    pub(crate) down: Slot,
    /// The norm of the queries' latent, and what makes queries of it.
    pub(crate) query: Option<(Slot, Slot)>,
    pub(crate) norm: Slot,
    /// Keys and values out of the latent: for each head the rows of its key, then those of its values.
    pub(crate) up: Slot,
    /// Of `up` the rows of each head's key, turned: what makes a query meet latents instead of keys.
    pub(crate) keys: StackSlot,
    /// Of `up` the rows of each head's values.
    pub(crate) values: StackSlot,
}

/// What a block feeds forward through.
#[derive(Clone, Debug)]
pub(crate) enum FeedForwardSlots {
    Dense(DenseSlots),
    Experts(ExpertSlots),
}

/// A gated feed-forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenseSlots {
    pub(crate) gate_up: Slot,
    pub(crate) down: Slot,
}

/// Experts and their router.
#[derive(Clone, Debug)]
pub(crate) struct ExpertSlots {
    pub(crate) router: Slot,
    pub(crate) correction: Option<Slot>,
    /// Gate and up of each expert, `[2F, D]`.
    pub(crate) gate_up: StackSlot,
    /// Down of each expert, `[D, F]`.
    pub(crate) down: StackSlot,
    pub(crate) shared: Option<DenseSlots>,
}

/// A module of multi-token prediction.
#[derive(Clone, Debug)]
pub(crate) struct MtpSlots {
    pub(crate) embedding_norm: Slot,
    pub(crate) hidden_norm: Slot,
    /// The normed embedding and the normed stream side by side, to the block's input: `[D, 2D]`.
    pub(crate) projection: Slot,
    pub(crate) block: BlockSlots,
    pub(crate) norm: Slot,
}

impl BlockSlots {
    pub(super) fn new(list: &mut List, config: &ModelConfig, layer: usize) -> BlockSlots {
        let d = config.hidden_dim;
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        let norm = |list: &mut List, name: &str| list.vector(&[at(name)], "weight", &[d]);
        let attention_norm = norm(list, "input_layernorm");
        let (attention, attended) = match &config.attention {
            AttentionConfig::Grouped(a) => (grouped(list, a, d, at), a.n_heads * a.head_dim),
            AttentionConfig::Latent(a) => (latent(list, a, d, at), a.n_heads * a.value_dim),
        };
        let output = list.matrix(Role::Linear, &[at("self_attn.o_proj")], &[d], attended);
        let after = config.norm.after;
        let attention_after = after.then(|| norm(list, "post_attention_layernorm"));
        let ffn_norm = norm(list, if after { "pre_feedforward_layernorm" } else { "post_attention_layernorm" });
        let feed_forward = match &config.experts {
            Some(experts) if config.blocks[layer].sparse => {
                FeedForwardSlots::Experts(ExpertSlots::new(list, config.family, experts, d, at))
            }
            _ => FeedForwardSlots::Dense(DenseSlots::new(list, &at("mlp"), config.ffn_dim, d)),
        };
        let ffn_after = after.then(|| norm(list, "post_feedforward_layernorm"));
        BlockSlots { attention_norm, attention, output, attention_after, ffn_norm, feed_forward, ffn_after }
    }
}

impl BlockSlots {
    /// Its matrices that rows are multiplied with as a whole in the policy's precision, and their biases.
    pub(super) fn products(&self) -> Vec<(Slot, Option<Slot>)> {
        let (first, bias, second) = match &self.attention {
            AttentionSlots::Grouped(grouped) => (grouped.qkv, grouped.bias, None),
            AttentionSlots::Latent(latent) => (latent.down, None, latent.query.map(|(_, up)| up)),
        };
        let dense = match &self.feed_forward {
            FeedForwardSlots::Dense(dense) => Some(*dense),
            FeedForwardSlots::Experts(experts) => experts.shared,
        };
        let dense = dense.into_iter().flat_map(|dense| [dense.gate_up, dense.down]);
        let slots = second.into_iter().chain([self.output]).chain(dense);
        std::iter::once((first, bias)).chain(slots.map(|slot| (slot, None))).collect()
    }
}

impl BlockSlots {
    /// Its stacks of matrices.
    pub(super) fn stacks(&self) -> Vec<StackSlot> {
        let mut stacks = Vec::new();
        if let AttentionSlots::Latent(latent) = &self.attention {
            stacks.extend([latent.keys, latent.values]);
        }
        if let FeedForwardSlots::Experts(experts) = &self.feed_forward {
            stacks.extend([experts.gate_up, experts.down]);
        }
        stacks
    }
}

fn grouped(list: &mut List, a: &GroupedAttention, d: usize, at: impl Fn(&str) -> String) -> AttentionSlots {
    let (q, kv) = (a.n_heads * a.head_dim, a.n_kv_heads * a.head_dim);
    let projections = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"].map(&at);
    let head_norms = a.head_norms.then(|| {
        ["self_attn.q_norm", "self_attn.k_norm"].map(|name| list.vector(&[at(name)], "weight", &[a.head_dim]))
    });
    AttentionSlots::Grouped(GroupedSlots {
        qkv: list.matrix(Role::Linear, &projections, &[q, kv, kv], d),
        bias: a.bias.then(|| list.vector(&projections, "bias", &[q, kv, kv])),
        head_norms,
    })
}

fn latent(list: &mut List, a: &LatentAttention, d: usize, at: impl Fn(&str) -> String) -> AttentionSlots {
    let q = a.n_heads * (a.nope_dim + a.rope_dim);
    let (name, rows) = match a.query_rank {
        Some(rank) => ("self_attn.q_a_proj", rank),
        None => ("self_attn.q_proj", q),
    };
    let down = [at(name), at("self_attn.kv_a_proj_with_mqa")];
    let down = list.matrix(Role::Linear, &down, &[rows, a.rank + a.rope_dim], d);
    let query = a.query_rank.map(|rank| {
        let norm = list.vector(&[at("self_attn.q_a_layernorm")], "weight", &[rank]);
        (norm, list.matrix(Role::Linear, &[at("self_attn.q_b_proj")], &[q], rank))
    });
    let norm = list.vector(&[at("self_attn.kv_a_layernorm")], "weight", &[a.rank]);
    let rows = a.n_heads * (a.nope_dim + a.value_dim);
    let up = list.matrix(Role::Linear, &[at("self_attn.kv_b_proj")], &[rows], a.rank);
    let stack = |rows| Stack { rows, columns: a.rank, stride: up.range().len() / a.n_heads, groups: a.n_heads };
    let keys = StackSlot { offset: up.offset, stack: stack(a.nope_dim), turned: true };
    let values = StackSlot { offset: up.offset + a.nope_dim * a.rank, stack: stack(a.value_dim), turned: false };
    AttentionSlots::Latent(LatentSlots { down, query, norm, up, keys, values })
}

impl DenseSlots {
    fn new(list: &mut List, at: &str, f: usize, d: usize) -> DenseSlots {
        DenseSlots {
            gate_up: list.matrix(Role::Linear, &[format!("{at}.gate_proj"), format!("{at}.up_proj")], &[f, f], d),
            down: list.matrix(Role::Linear, &[format!("{at}.down_proj")], &[d], f),
        }
    }
}

impl ExpertSlots {
    fn new(
        list: &mut List,
        family: Family,
        experts: &ExpertsConfig,
        d: usize,
        at: impl Fn(&str) -> String,
    ) -> ExpertSlots {
        let (e, f) = (experts.n_experts, experts.width);
        let (module, [gate, up, down]) = match family {
            Family::Mixtral => (at("block_sparse_moe"), ["w1", "w3", "w2"]),
            _ => (at("mlp"), ["gate_proj", "up_proj", "down_proj"]),
        };
        let router = format!("{module}.gate");
        let name = |expert: usize, name: &str| format!("{module}.experts.{expert}.{name}");
        let gate_up: Vec<String> = (0..e).flat_map(|expert| [name(expert, gate), name(expert, up)]).collect();
        let downs: Vec<String> = (0..e).map(|expert| name(expert, down)).collect();
        ExpertSlots {
            router: list.matrix(Role::Matrix, &[&router], &[e], d),
            correction: experts.correction_bias.then(|| list.vector(&[&router], CORRECTION, &[e])),
            gate_up: stack(list.matrix(Role::Linear, &gate_up, &vec![f; 2 * e], d), e),
            down: stack(list.matrix(Role::Linear, &downs, &vec![d; e], f), e),
            shared: experts.shared_width.map(|width| DenseSlots::new(list, &at("mlp.shared_experts"), width, d)),
        }
    }
}

/// Matrices one above the other, as a stack of `groups`.
fn stack(slot: Slot, groups: usize) -> StackSlot {
    let rows = slot.rows / groups;
    let stack = Stack { rows, columns: slot.columns, stride: rows * slot.columns, groups };
    StackSlot { offset: slot.offset, stack, turned: false }
}

impl MtpSlots {
    pub(super) fn new(list: &mut List, config: &ModelConfig, layer: usize) -> MtpSlots {
        let d = config.hidden_dim;
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        MtpSlots {
            embedding_norm: list.vector(&[at("enorm")], "weight", &[d]),
            hidden_norm: list.vector(&[at("hnorm")], "weight", &[d]),
            projection: list.matrix(Role::Matrix, &[at("eh_proj")], &[d], 2 * d),
            block: BlockSlots::new(list, config, layer),
            norm: list.vector(&[at("shared_head.norm")], "weight", &[d]),
        }
    }
}
