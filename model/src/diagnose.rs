//! Where a sampled and a trained row part: for a person who has to find out why.

use crate::attention::Segment;
use crate::decode::Feed;
use crate::kv_cache::{KvArena, KvCache, Sequence};
use crate::packed::Packed;
use crate::policy::Policy;

impl Policy {
    /// Decodes the sequence that ends in packed row `row` again, a token at a time, and compares that row after every
    /// block with the packed forward's. Returns the first block that differs, `None` where all agree.
    pub fn first_difference(&self, packed: &Packed, row: usize) -> Option<usize> {
        let holds = |s: &&Segment| (s.start as usize..(s.start + s.length) as usize).contains(&row);
        let segment = packed.segments.iter().find(holds)?;
        let prefix = segment.prefix_start as usize..(segment.prefix_start + segment.prefix_length) as usize;
        let tokens = [&packed.tokens[prefix], &packed.tokens[segment.start as usize..=row]].concat();

        let d = self.config.hidden_dim;
        let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let mut trained: Vec<Vec<u32>> = Vec::new();
        let last = self.stream(packed, |_, x, _| trained.push(bits(&x[row * d..][..d])));
        trained.push(bits(&last[row * d..][..d]));

        let mut arena = KvArena::new(&self.config, KvCache::pages_for(tokens.len()));
        let mut cache = arena.cache();
        let mut sequence = Sequence::default();
        let mut sampled = Vec::new();
        for token in tokens {
            sampled.clear();
            let mut feeds = [Feed { sequence: &mut sequence, tokens: &[token] }];
            self.decode_stream(&mut cache, &mut feeds, &mut |x| sampled.push(bits(&x[..d])));
        }
        // The trained side begins with the embedding, the sampled one with the first block's output.
        trained[1..].iter().zip(&sampled).position(|(a, b)| a != b)
    }
}
