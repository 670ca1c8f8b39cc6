//! Random numbers that repeat: a function of the two texts compared and of what they are for.

/// A hash from which numbers and further hashes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u64);

impl Seed {
    /// The seed of a pair of texts. Nobody who writes one of them can tell the points at which it is tested before
    /// both are known.
    pub(crate) fn of(gold: &str, answer: &str) -> Self {
        Self(0x9e37_79b9_7f4a_7c15).with(gold).with("‖").with(answer)
    }

    /// The seed mixed with a text.
    pub(crate) fn with(self, text: &str) -> Self {
        let mut state = self.0 ^ 0xcbf2_9ce4_8422_2325;
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            state = mixed(state ^ u64::from_le_bytes(word));
        }
        Self(mixed(state ^ text.len() as u64))
    }

    /// The seed mixed with a number.
    pub(crate) fn with_number(self, number: u64) -> Self {
        Self(mixed(self.0 ^ mixed(number.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// The number of this seed.
    pub(crate) fn number(self) -> u64 {
        mixed(self.0)
    }

    /// A number from 0 up to 1 with 20 bits, so that it is exact at any precision.
    pub(crate) fn share(self) -> f64 {
        (self.number() >> 44) as f64 / f64::from(1 << 20)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
