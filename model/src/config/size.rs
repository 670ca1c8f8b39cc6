//! How many numbers an architecture has.

use super::{AttentionConfig, ModelConfig};
use crate::layout::{Layout, Role};

/// Products of four believable dimensions fit.
fn wide(n: usize) -> u128 {
    n as u128
}

impl ModelConfig {
    /// Number of trained parameters; a tied head counts once. Blocks of multi-token prediction do not count, nor do the
    /// correction biases of routers, which no gradient moves.
    pub fn n_parameters(&self) -> u64 {
        self.count(|experts| experts.n_experts)
    }

    /// Of them, how many take part in one token: all but the experts that it does not go to.
    pub fn n_active_parameters(&self) -> u64 {
        self.count(|experts| experts.n_chosen)
    }

    /// Weights in the products of one token: those of the blocks, of the experts it goes to, and the head's.
    pub fn n_product_weights(&self) -> u64 {
        let tables = if self.tied_head { 1 } else { 2 };
        let looked_up = (tables - 1) * (self.vocab_size * self.hidden_dim) as u64;
        self.n_active_parameters() - looked_up - self.n_vector_parameters()
    }

    fn count(&self, n_experts: impl Fn(&super::ExpertsConfig) -> usize) -> u64 {
        let d = wide(self.hidden_dim);
        let norms = if self.norm.after { 4 * d } else { 2 * d };
        let dense = 3 * d * wide(self.ffn_dim);
        let sparse = self.experts.as_ref().map_or(0, |e| {
            let widths = wide(n_experts(e)) * wide(e.width) + wide(e.shared_width.unwrap_or(0));
            3 * d * widths + d * wide(e.n_experts)
        });
        let blocks: u128 = self.blocks[..self.n_layers]
            .iter()
            .map(|block| norms + self.attention_parameters() + if block.sparse { sparse } else { dense })
            .sum();
        let tables = if self.tied_head { 1 } else { 2 };
        let total = tables * wide(self.vocab_size) * d + blocks + d;
        u64::try_from(total).unwrap_or(u64::MAX)
    }

    /// Norms' weights and biases.
    fn n_vector_parameters(&self) -> u64 {
        let layout = Layout::new(self);
        let vectors = layout.parameters().iter().filter(|p| p.role == Role::Vector);
        vectors.map(|p| p.range().len() as u64).sum()
    }

    fn attention_parameters(&self) -> u128 {
        let d = wide(self.hidden_dim);
        match &self.attention {
            AttentionConfig::Grouped(a) => {
                let (q, kv) = (wide(a.n_heads * a.head_dim), wide(a.n_kv_heads * a.head_dim));
                let biases = if a.bias { q + 2 * kv } else { 0 };
                let norms = if a.head_norms { 2 * wide(a.head_dim) } else { 0 };
                2 * d * q + 2 * d * kv + biases + norms
            }
            AttentionConfig::Latent(a) => {
                let (h, rank) = (wide(a.n_heads), wide(a.rank));
                let q = h * wide(a.nope_dim + a.rope_dim);
                let queries = a.query_rank.map_or(d * q, |r| (d + q + 1) * wide(r));
                let latent = d * (rank + wide(a.rope_dim)) + rank;
                queries + latent + rank * h * wide(a.nope_dim + a.value_dim) + h * wide(a.value_dim) * d
            }
        }
    }
}
