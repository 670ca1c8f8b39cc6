//! Philox4x32-10, the counter-based generator behind every draw (Salmon et al., *Parallel random numbers: as
//! easy as 1, 2, 3*, SC'11).
//!
//! There is no generator state: a draw is a pure function of where it happens, so a rollout can be replayed
//! alone and batching cannot change a completion.

/// What a draw is for. Two draws with different purposes never share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Sampling tokens while training.
    Rollout = 1,
    /// Sampling tokens for an evaluation.
    Evaluation = 2,
    /// Fresh weights.
    Weights = 3,
    /// Order of prompts or documents.
    Order = 4,
    /// Problems made by a generator, training split.
    Problems = 5,
    /// Sampling tokens for the `sample` command.
    Sample = 6,
    /// The reasoning effort that a problem is asked for.
    Effort = 7,
}

/// A stream of draws: everything that names it except the position inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    lane: [u32; 3],
}

impl Stream {
    /// The stream of one completion (or of one purpose, with zeros for what does not apply).
    ///
    /// `step`, `prompt` and `sample` are mixed into the key and three of the counter's four words; the fourth
    /// counts blocks inside the stream.
    pub fn new(seed: u64, purpose: Purpose, step: u64, prompt: u64, sample: u64) -> Self {
        // The seed and the purpose become the key by one round of the generator itself, so that neighbouring
        // seeds share nothing.
        let mixed = philox4x32_10(
            [purpose as u32, (step >> 32) as u32, (prompt >> 32) as u32, (sample >> 32) as u32],
            [seed as u32, (seed >> 32) as u32],
        );
        Stream { key: [mixed[0], mixed[1]], lane: [step as u32, prompt as u32, sample as u32] }
    }

    /// Four independent 32-bit words: block `block` of the draws at `position`.
    ///
    /// A token at `position` that needs noise for a whole vocabulary reads blocks `0..V/4`.
    pub fn block(&self, position: u32, block: u32) -> [u32; 4] {
        let ([step, prompt, sample], key) = self.at(position);
        philox4x32_10([step, prompt, sample, block], key)
    }

    /// The counter's first three words and the key at `position`; the block's number is the counter's last word.
    pub(crate) fn at(&self, position: u32) -> ([u32; 3], [u32; 2]) {
        // Position is folded into the key's second word with an odd multiplier: a bijection for a fixed key.
        (self.lane, [self.key[0], self.key[1] ^ position.wrapping_mul(0x9E37_79B1)])
    }

    /// A uniform number in the open interval (0, 1), with 24 bits, at `position`.
    pub fn uniform(&self, position: u32) -> f32 {
        open_unit(self.block(position, 0)[0])
    }

    /// A standard normal number at `position` (Box–Muller).
    pub fn normal(&self, position: u32) -> f32 {
        let [a, b, _, _] = self.block(position, 0);
        let radius = (-2.0 * f64::from(open_unit(a)).ln()).sqrt();
        (radius * (std::f64::consts::TAU * f64::from(open_unit(b))).cos()) as f32
    }

    /// A whole number in `0..n` at `position`, without bias beyond 2⁻³².
    pub fn below(&self, position: u32, n: u64) -> u64 {
        assert!(n > 0, "a draw needs something to choose from");
        let [a, b, _, _] = self.block(position, 0);
        let word = (u64::from(a) << 32) | u64::from(b);
        ((u128::from(word) * u128::from(n)) >> 64) as u64
    }

    /// A permutation of `0..n` (Fisher–Yates).
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.below(i as u32, i as u64 + 1) as usize;
            order.swap(i, j);
        }
        order
    }
}

/// Maps a word to (0, 1), never 0 and never 1: the centre of one of 2²³ cells, exact in f32.
pub fn open_unit(word: u32) -> f32 {
    ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Ten rounds of Philox4x32.
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let low = u64::from(counter[0]) * 0xD251_1F53;
        let high = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests;
