//! What a verdict may cost, counted in steps and not in seconds, so that it is the same on every machine.

/// Bytes of an answer beyond which it is not read.
pub(crate) const MAX_BYTES: usize = 32 * 1024;
/// Tokens of an answer.
pub(crate) const MAX_TOKENS: usize = 4096;
/// Nodes of an answer's tree.
pub(crate) const MAX_NODES: usize = 2048;
/// Brackets, fractions and exponents within one another.
pub(crate) const MAX_DEPTH: usize = 64;
/// Bits of an exact number; beyond them it is kept as a formula.
pub(crate) const MAX_BITS: usize = 1 << 15;
/// Steps of one verdict. A step is about an operation on machine numbers, some tens of nanoseconds.
const MAX_STEPS: u32 = 120_000;

/// Why a verdict could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Steps left for one verdict.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u32,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { left: MAX_STEPS }
    }

    /// Takes some steps away.
    pub(crate) fn take(&mut self, steps: u32) -> Result<(), Exhausted> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted)
            }
        }
    }
}
