//! What a policy will take on a device, in bytes, before it is there.

use super::fp8::coded;
use crate::config::{Dtype, Mla, ModelConfig};
use crate::fp8::BLOCK;
use crate::layout::Layout;

/// Bytes of a policy's weights on a device that computes in `dtype`: masters, what products read beside them, and the
/// tables of rotary positions.
pub fn weight_bytes(config: &ModelConfig, dtype: Dtype, mla: Mla) -> u64 {
    let layout = Layout::new(config);
    let coded = if dtype == Dtype::Fp8 { coded(&layout, mla) } else { Vec::new() };
    let (mut codes, mut in_fp8) = (0, 0);
    for (slot, parts, _) in &coded {
        let blocks = parts.iter().map(|rows| rows.div_ceil(BLOCK)).sum::<usize>() * slot.columns.div_ceil(BLOCK);
        codes += blocks * (BLOCK * BLOCK + size_of::<f32>());
        // Read both ways, and so kept in bf16 as well.
        in_fp8 += if layout.latents().any(|latent| latent.up == *slot) { 0 } else { slot.range().len() };
    }
    let wide = match dtype {
        Dtype::F32 | Dtype::Auto => 0,
        Dtype::Bf16 | Dtype::Fp8 => 2 * (layout.len() - in_fp8),
    };
    let tables = config.ropes.len() * config.max_positions * config.rope_dim();
    (size_of::<f32>() * (layout.len() + tables) + wide + codes) as u64
}

/// Bytes of a number as products on a device read it where it is in no FP8, and as caches hold it.
pub fn number_bytes(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 | Dtype::Auto => 4,
        Dtype::Bf16 | Dtype::Fp8 => 2,
    }
}
