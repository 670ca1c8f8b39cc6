//! `Load`: how many tokens each expert got, and the bias that evens it out.

/// Tokens that went to each expert. Counts of parts add up to those of the whole, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    counts: Vec<u64>,
}

impl Load {
    /// None yet, for `n_experts`.
    pub fn new(n_experts: usize) -> Load {
        Load { counts: vec![0; n_experts] }
    }

    /// Those that were counted elsewhere, `[E]`.
    pub(crate) fn of(counts: Vec<u64>) -> Load {
        Load { counts }
    }

    /// Counts the experts `chosen`.
    pub fn count(&mut self, chosen: &[u32]) {
        chosen.iter().for_each(|&expert| self.counts[expert as usize] += 1);
    }

    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Load) {
        assert_eq!(self.counts.len(), other.counts.len(), "loads of as many experts");
        self.counts.iter_mut().zip(&other.counts).for_each(|(to, from)| *to += from);
    }

    /// Tokens of each expert, `[E]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All of them together: k for each token.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How far the fullest expert is above the mean, as a part of the mean: 0 for an even load (MaxVio of arXiv
    /// 2408.15664). 0 where nothing was counted.
    pub fn max_violation(&self) -> f64 {
        let (most, total) = (self.counts.iter().max().copied().unwrap_or(0), self.total());
        if total == 0 { 0.0 } else { most as f64 * self.counts.len() as f64 / total as f64 - 1.0 }
    }

    /// Moves the correction bias `[E]` against the load: `gamma` down where an expert got more than the mean, `gamma` up
    /// where it got less (loss-free balancing, arXiv 2408.15664, algorithm 1; γ is 0.001 in DeepSeek-V3).
    pub fn move_bias(&self, bias: &mut [f32], gamma: f32) {
        assert_eq!(bias.len(), self.counts.len(), "a bias for each expert");
        let total = u128::from(self.total());
        for (bias, &count) in bias.iter_mut().zip(&self.counts) {
            // Compared as whole numbers: what equals the mean is left alone.
            match (u128::from(count) * self.counts.len() as u128).cmp(&total) {
                std::cmp::Ordering::Greater => *bias -= gamma,
                std::cmp::Ordering::Less => *bias += gamma,
                std::cmp::Ordering::Equal => {}
            }
        }
    }
}
