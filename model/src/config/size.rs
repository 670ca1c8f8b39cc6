//! How many numbers an architecture has.

use super::{AttentionConfig, ExpertsConfig, ModelConfig};

/// Products of four believable dimensions fit.
fn wide(n: usize) -> u128 {
    n as u128
}

fn narrow(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
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
        narrow(self.table() + self.matrices(|experts| experts.n_chosen))
    }

    fn count(&self, n_experts: impl Fn(&ExpertsConfig) -> usize) -> u64 {
        let tables = if self.tied_head { 1 } else { 2 };
        narrow(tables * self.table() + self.matrices(n_experts) + self.vectors())
    }

    /// The embedding's weights, or the head's.
    fn table(&self) -> u128 {
        wide(self.vocab_size) * wide(self.hidden_dim)
    }

    /// Weights of the blocks' products.
    fn matrices(&self, n_experts: impl Fn(&ExpertsConfig) -> usize) -> u128 {
        let d = wide(self.hidden_dim);
        let attention = match &self.attention {
            AttentionConfig::Grouped(a) => 2 * d * wide((a.n_heads + a.n_kv_heads) * a.head_dim),
            AttentionConfig::Latent(a) => {
                let (h, rank) = (wide(a.n_heads), wide(a.rank));
                let q = h * wide(a.nope_dim + a.rope_dim);
                let queries = a.query_rank.map_or(d * q, |r| (d + q) * wide(r));
                let latent = d * (rank + wide(a.rope_dim));
                queries + latent + rank * h * wide(a.nope_dim + a.value_dim) + h * wide(a.value_dim) * d
            }
        };
        let dense = 3 * d * wide(self.ffn_dim);
        let sparse = self.experts.as_ref().map_or(0, |e| {
            let widths = wide(n_experts(e)) * wide(e.width) + wide(e.shared_width.unwrap_or(0));
            3 * d * widths + d * wide(e.n_experts)
        });
        let blocks = self.blocks[..self.n_layers].iter();
        blocks.map(|block| attention + if block.sparse { sparse } else { dense }).sum()
    }

    /// Norms' weights and biases.
    fn vectors(&self) -> u128 {
        let attention = match &self.attention {
            AttentionConfig::Grouped(a) => {
                let biases = if a.bias { (a.n_heads + 2 * a.n_kv_heads) * a.head_dim } else { 0 };
                biases + if a.head_norms { 2 * a.head_dim } else { 0 }
            }
            AttentionConfig::Latent(a) => a.rank + a.query_rank.unwrap_or(0),
        };
        let norms = if self.norm.after { 4 } else { 2 };
        let d = wide(self.hidden_dim);
        wide(self.n_layers) * (norms * d + wide(attention)) + d
    }
}
