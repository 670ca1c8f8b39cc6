//! `Moments`: what AdamW remembers of the gradients, in f32 or in bf16.

use half::bf16;
use model::buffer::Buffer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number format of AdamW's moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MomentsDtype {
    /// 32-bit float.
    #[default]
    F32,
    /// bfloat16, as DeepSeek-V3 keeps them (arXiv 2412.19437, section 3.3.3): half the memory. A move computes in f32 and
    /// rounds what it keeps to nearest, ties to even.
    Bf16,
}

impl MomentsDtype {
    /// Bytes of both moments of a parameter.
    pub fn width(self) -> usize {
        match self {
            MomentsDtype::F32 => 8,
            MomentsDtype::Bf16 => 4,
        }
    }
}

/// The first moments and the second, each laid out as the weights are.
#[derive(Debug)]
pub enum Moments {
    /// In f32.
    F32([Buffer; 2]),
    /// In bf16.
    Bf16([Vec<bf16>; 2]),
}

impl Moments {
    /// Of `len` parameters, all zero.
    pub fn zeros(len: usize, dtype: MomentsDtype) -> Moments {
        match dtype {
            MomentsDtype::F32 => Moments::F32([Buffer::zeros(len), Buffer::zeros(len)]),
            MomentsDtype::Bf16 => Moments::Bf16([vec![bf16::ZERO; len], vec![bf16::ZERO; len]]),
        }
    }

    /// Parameters that they are of.
    pub(super) fn len(&self) -> usize {
        match self {
            Moments::F32([first, _]) => first.len(),
            Moments::Bf16([first, _]) => first.len(),
        }
    }
}

/// A moment of one parameter, as it is kept.
pub(super) trait Moment: Copy + Send {
    /// What a move computes with.
    fn wide(self) -> f32;

    /// What is kept of it.
    fn kept(number: f32) -> Self;
}

impl Moment for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn kept(number: f32) -> f32 {
        number
    }
}

impl Moment for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    // A moment is finite, as the gradient's norm and its square are, and stays so.
    #[inline(always)]
    fn kept(number: f32) -> bf16 {
        let bits = number.min(bf16::MAX.to_f32_const()).to_bits();
        bf16::from_bits(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}
