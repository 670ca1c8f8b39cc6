//! FP8 on a device: the numbers of [`crate::fp8`], as tensor operations.
//!
//! Codes and scales are the CPU's to the bit. A product is the sum over chunks of 128 of the inner dimension, each times
//! both scales, in order, in f32. Hopper computes it by cuBLAS's block-wise scaled products; where libtorch has none, the
//! codes of a chunk are multiplied as f32, which [`product`] says once.

mod matrix;

use crate::config::Mla;
use crate::fp8::{BLOCK, LARGEST, Scales};
use crate::grouped::Stack;
use crate::layout::{Layout, Slot};
pub(super) use matrix::CodedMatrix;
use std::sync::Once;
use tch::{Kind, TchError, Tensor};
use tracing::warn;

const CHUNK: i64 = BLOCK as i64;

/// Rows and columns of a scaled product are multiples of this.
const STEP: i64 = 16;

/// Blocks along the inner dimension have scales for a multiple of so many.
const SCALE_STEP: i64 = 4;

/// What `_scaled_mm_v2` calls tiles of 1 × 128 and blocks of 128 × 128, and scales as they are.
const TILES: i64 = 4;
const BLOCKS: i64 = 5;
const PLAIN: i64 = 0;

/// Every matrix whose products are in FP8: where it lies, the rows of each linear layer in it, its inputs' scales.
pub(super) fn coded(layout: &Layout, mla: Mla) -> Vec<(Slot, Vec<usize>, Scales)> {
    let outputs = layout.outputs();
    let alone = layout.products().into_iter().map(|(slot, _)| slot);
    let expanded = layout.latents().filter(|_| mla == Mla::Expanded).map(|latent| latent.up);
    let stacked = layout.stacks().into_iter().filter(|slot| !slot.turned).flat_map(|slot| {
        let Stack { rows, columns, groups, .. } = slot.stack;
        (0..groups).map(move |group| Slot { offset: slot.offset + slot.stack.matrix(group).start, rows, columns })
    });
    let input = |slot| if outputs.contains(&slot) { Scales::Powers } else { Scales::Largest };
    let all = alone.chain(expanded).chain(stacked);
    all.filter_map(|slot| Some((slot, layout.linear_rows(slot.range(), slot.columns)?, input(slot)))).collect()
}

/// How a dimension is cut into chunks of at most 128, which begin anew with each of several parts.
#[derive(Debug)]
struct Chunks {
    /// Where some chunk is shorter: for each place of whole chunks which number stands there, and for each number its place.
    /// Where none stands, the number behind the last.
    filled: Option<[Tensor; 2]>,
}

impl Chunks {
    fn new(parts: &[i64], device: tch::Device) -> Chunks {
        let n: i64 = parts.iter().sum();
        let (mut index, mut places, mut start) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            let whole = index.len() as i64;
            places.extend(whole..whole + part);
            index.extend((0..part + missing(*part, CHUNK)).map(|i| if i < *part { start + i } else { n }));
            start += part;
        }
        let filled =
            (index.len() as i64 != n).then(|| [index, places].map(|all| Tensor::from_slice(&all).to_device(device)));
        Chunks { filled }
    }

    /// Columns of x `[M, n]` in whole chunks, with zeros where there is none.
    fn fill(&self, x: &Tensor) -> Tensor {
        match &self.filled {
            None => x.shallow_clone(),
            Some([index, _]) => x.constant_pad_nd([0, 1]).index_select(1, index),
        }
    }

    /// The inverse of [`Chunks::fill`].
    fn take(&self, x: Tensor) -> Tensor {
        match &self.filled {
            None => x,
            Some([_, places]) => x.index_select(1, places),
        }
    }
}

/// Numbers in whole chunks of 128 along the last dimension.
#[derive(Debug)]
struct Coded {
    /// E4M3, `[R, C · 128]`.
    codes: Tensor,
    /// Of tiles `[R, C]`, of blocks `[R / 128, C]`.
    scales: Tensor,
    blocks: bool,
}

impl Coded {
    /// Rows x `[R, C · 128]` f32 in tiles of 1 × 128.
    fn tiles(x: &Tensor, kind: Scales) -> Coded {
        let tiles = x.reshape([x.size()[0], -1, CHUNK]);
        let scales = scales(&tiles.abs().amax([2], false), kind);
        let codes = encode(&tiles, &scales.unsqueeze(2)).view(x.size().as_slice());
        Coded { codes, scales, blocks: false }
    }

    /// A matrix `[R, C · 128]` f32 in blocks of 128 × 128, with whole ones along its rows.
    fn blocks(x: &Tensor) -> Coded {
        let blocks = x.view([x.size()[0] / CHUNK, CHUNK, -1, CHUNK]);
        let scales = scales(&blocks.abs().amax([1, 3], false), Scales::Largest);
        let codes = encode(&blocks, &scales.unsqueeze(1).unsqueeze(3)).view(x.size().as_slice());
        Coded { codes, scales, blocks: true }
    }

    /// The same numbers with rows and columns exchanged; of blocks only.
    fn turned(&self) -> Coded {
        let turn = |x: &Tensor| x.transpose(0, 1).contiguous();
        let bytes = turn(&self.codes.view_dtype(Kind::Uint8));
        Coded { codes: bytes.view_dtype(Kind::Float8e4m3fn), scales: turn(&self.scales), blocks: true }
    }

    /// Scales of each row's chunks, `[R, C]`.
    fn row_scales(&self) -> Tensor {
        if self.blocks { self.scales.repeat_interleave_self_int(CHUNK, 0, None) } else { self.scales.shallow_clone() }
    }

    /// Rows filled up with zeros to a multiple of [`STEP`].
    fn padded(&self) -> Coded {
        let rows = self.codes.size()[0];
        let more = missing(rows, STEP);
        if more == 0 || self.blocks {
            return Coded { codes: self.codes.shallow_clone(), scales: self.scales.shallow_clone(), ..*self };
        }
        let codes = self.codes.view_dtype(Kind::Uint8).constant_pad_nd([0, 0, 0, more]);
        let scales = self.scales.constant_pad_nd([0, 0, 0, more]);
        Coded { codes: codes.view_dtype(Kind::Float8e4m3fn), scales, blocks: false }
    }

    /// The scales as `_scaled_mm_v2` wants them: chunk by chunk, those of blocks row by row with zeros behind.
    fn laid_out(&self) -> (Tensor, i64) {
        if !self.blocks {
            return (self.scales.transpose(0, 1).contiguous().transpose(0, 1), TILES);
        }
        let chunks = self.scales.size()[1];
        let more = missing(chunks, SCALE_STEP);
        (self.scales.constant_pad_nd([0, more]).contiguous().transpose(0, 1), BLOCKS)
    }
}

/// How much `n` lacks of a multiple of `step`.
fn missing(n: i64, step: i64) -> i64 {
    (step - n % step) % step
}

/// The scales of tiles or blocks whose largest magnitudes these are.
fn scales(largest: &Tensor, kind: Scales) -> Tensor {
    // By a tensor: a device would multiply with the reciprocal of a number.
    let scale = largest / largest.full_like(f64::from(LARGEST));
    let least = f64::from(f32::MIN_POSITIVE);
    let scale = scale.ones_like().where_self(&scale.lt(least), &scale);
    let scale = match kind {
        Scales::Largest => scale,
        // A mantissa that is not zero carries into the exponent.
        Scales::Powers => {
            let up = (scale.view_dtype(Kind::Int) + 0x007f_ffff).bitwise_and(0x7f80_0000).view_dtype(Kind::Float);
            up.where_self(&scale.isfinite(), &scale)
        }
    };
    scale.where_self(&scale.isfinite(), &scale.full_like(f64::NAN))
}

fn encode(x: &Tensor, scales: &Tensor) -> Tensor {
    let largest = f64::from(LARGEST);
    (x / scales).clamp(-largest, largest).to_kind(Kind::Float8e4m3fn)
}

/// a · bᵀ for a in tiles `[M, C · 128]` and b in tiles or blocks `[N, C · 128]`: `[M, N]` f32.
fn product(a: &Coded, b: &Coded) -> Tensor {
    static NOT_ON_THE_CPU: Once = Once::new();
    static REFUSED: Once = Once::new();
    if !a.codes.device().is_cuda() {
        NOT_ON_THE_CPU.call_once(|| fallen_back("libtorch has no scaled products for its CPU device"));
    } else if !REFUSED.is_completed() {
        match scaled(a, b) {
            Ok(y) => return y,
            Err(error) => REFUSED.call_once(|| fallen_back(error.to_string().lines().next().unwrap_or_default())),
        }
    }
    in_chunks(a, b)
}

/// Says that scaled products are computed in chunks.
fn fallen_back(reason: &str) {
    warn!(reason, "FP8 products are computed in f32, 128 numbers at a time");
}

/// x · Wᵀ in FP8 for x `[M, K]` and W `[N, K]` f32, of multiples of 128. Coded here, and multiplied at each call: for those
/// who measure a device.
pub fn fp8_product(x: &Tensor, w: &Tensor) -> impl Fn() -> Tensor + use<> {
    let (x, w) = (Coded::tiles(x, Scales::Largest), Coded::blocks(w));
    move || product(&x, &w)
}

/// [`product`] by cuBLAS, which adds up a chunk in the tensor cores and chunks in f32.
fn scaled(a: &Coded, b: &Coded) -> Result<Tensor, TchError> {
    let (m, n) = (a.codes.size()[0], b.codes.size()[0]);
    let (a, b) = (a.padded(), b.padded());
    let ([a_scales, b_scales], [a_kind, b_kind]) = {
        let (a, b) = (a.laid_out(), b.laid_out());
        ([a.0, b.0], [a.1, b.1])
    };
    let none: [i64; 0] = [];
    let y = a.codes.f_internal_scaled_mm_v2(
        &b.codes.transpose(0, 1),
        &[a_scales],
        [a_kind],
        [PLAIN],
        &[b_scales],
        [b_kind],
        [PLAIN],
        None,
        Kind::Float,
        none,
        false,
    )?;
    Ok(y.narrow(0, 0, m).narrow(1, 0, n))
}

/// [`product`] as it is defined.
fn in_chunks(a: &Coded, b: &Coded) -> Tensor {
    let (a_scales, b_scales) = (a.row_scales(), b.row_scales());
    let chunk = |x: &Coded, c: i64| x.codes.narrow(1, c * CHUNK, CHUNK).to_kind(Kind::Float);
    let mut y = Tensor::zeros([a.codes.size()[0], b.codes.size()[0]], (Kind::Float, a.codes.device()));
    for c in 0..a_scales.size()[1] {
        let scale = a_scales.narrow(1, c, 1) * b_scales.narrow(1, c, 1).transpose(0, 1);
        y += chunk(a, c).matmul(&chunk(b, c).transpose(0, 1)) * scale;
    }
    y
}

#[cfg(test)]
mod tests;
