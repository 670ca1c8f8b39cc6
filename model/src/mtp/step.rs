//! The first module in sampling: what it expects behind a token that was drawn.
//!
//! Its cache is its own. A sequence there holds the module's rows, one fewer than the policy's. Kernels are those of
//! training, and so are the bits of its numbers.

use crate::attention::step::page_write;
use crate::buffer::Buffer;
use crate::decode::{Feed, Step};
use crate::kv_cache::KvCache;
use crate::policy::Policy;

/// What the module expects.
pub struct Expected {
    /// Of each sequence's last row the module's normed output, `[B, D]` and maybe rows of padding.
    pub rows: Buffer,
    /// Logits of the token behind it, `[B, V]` and maybe rows of padding.
    pub logits: Buffer,
}

impl Policy {
    /// Adds its tokens to each of the module's sequences, given the normed row before each token, `[N, D]`: the final
    /// norm's, or the module's own where it drafts on from its own draft.
    pub fn mtp_decode(&self, cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>], before: &[f32]) -> Expected {
        let step = Step::new(cache, feeds);
        let x = self.mtp_input(&step.tokens, before);
        let x = self.step_block(self.config.n_layers, &x, &step, &mut cache.pages());
        let d = self.config.hidden_dim;
        let mut last = Buffer::cleared(self.product_rows(feeds.len()) * d);
        for (to, end) in last.chunks_exact_mut(d).zip(&step.starts[1..]) {
            to.copy_from_slice(&x[(*end as usize - 1) * d..][..d]);
        }
        let (rows, _) = self.norm(&last, self.layout.mtp[0].norm);
        let logits = self.project(&rows, self.layout.head, None);
        Expected { rows, logits }
    }

    /// As [`Policy::mtp_decode`] where nobody asks what the module expects.
    pub fn mtp_extend(&self, cache: &mut KvCache<'_>, feeds: &mut [Feed<'_>], before: &[f32]) {
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let (mut pages, mut slots) = (Vec::new(), Vec::new());
        for Feed { sequence, tokens: own } in feeds {
            let start = sequence.len() as i32;
            cache.extend(sequence, own.len(), &mut pages, &mut slots);
            tokens.extend_from_slice(own);
            positions.extend(start..sequence.len() as i32);
        }
        let (layer, x) = (self.config.n_layers, self.mtp_input(&tokens, before));
        positions.resize(x.len() / self.config.hidden_dim, 0);
        let mut to = cache.pages();
        self.write_keys(layer, &x, &positions, &mut |key, value| {
            page_write(&mut to, layer, (key, value), (&pages, &slots), self.heads(layer));
        });
    }

    /// The block's input: rows of `tokens` and those before them, padded as products need it.
    fn mtp_input(&self, tokens: &[i64], before: &[f32]) -> Buffer {
        let d = self.config.hidden_dim;
        assert_eq!(before.len(), tokens.len() * d, "a row before each token");
        let mut tokens = tokens.to_vec();
        tokens.resize(self.product_rows(tokens.len()), 0);
        let mut read = Buffer::cleared(tokens.len() * d);
        read[..before.len()].copy_from_slice(before);
        self.project(&self.join_rows(0, &tokens, read).normed, self.layout.mtp[0].projection, None)
    }
}
