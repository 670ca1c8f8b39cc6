//! The number formats of stored weights, and reading them as f32.

use crate::fp8::{self, BLOCK};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::ops::Range;
use std::sync::Arc;

/// A number format that weights are stored in, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit float.
    F32,
    /// bfloat16.
    Bf16,
    /// 16-bit float.
    F16,
    /// E4M3 with an f32 for each block of 128 × 128, which is a tensor of its own: `NAME_scale_inv`. Matrices alone.
    Fp8,
}

/// What the name of a tensor of scales ends with.
pub(super) const SCALES: &str = "_scale_inv";

impl Format {
    /// Bytes of a number.
    pub(super) fn width(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::Bf16 | Format::F16 => 2,
            Format::Fp8 => 1,
        }
    }

    /// Its name in a safetensors header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::Bf16 => "BF16",
            Format::F16 => "F16",
            Format::Fp8 => "F8_E4M3",
        }
    }

    /// Stored numbers as f32, each exactly; those in FP8 without their scales.
    pub(super) fn decode(self, bytes: &[u8], numbers: &mut [f32]) {
        let halves = || bytes.as_chunks::<2>().0;
        match self {
            Format::F32 => {
                let stored = bytes.as_chunks::<4>().0;
                numbers.iter_mut().zip(stored).for_each(|(number, bytes)| *number = f32::from_le_bytes(*bytes));
            }
            Format::Bf16 => {
                let widen = |bytes: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16);
                numbers.iter_mut().zip(halves()).for_each(|(number, bytes)| *number = widen(*bytes));
            }
            Format::F16 => {
                let mut row = [f16::ZERO; ROW];
                for (numbers, stored) in numbers.chunks_mut(ROW).zip(halves().chunks(ROW)) {
                    row.iter_mut().zip(stored).for_each(|(to, bytes)| *to = f16::from_le_bytes(*bytes));
                    row[..numbers.len()].convert_to_f32_slice(numbers);
                }
            }
            Format::Fp8 => fp8::decode(bytes, numbers),
        }
    }

    /// Adds `numbers` to `bytes`, rounded to the nearest, ties to even. Those of FP8 are [`fp8::encode`]'s.
    pub(super) fn encode(self, numbers: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Format::F32 => numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes())),
            Format::Bf16 => numbers.iter().for_each(|&number| bytes.extend(bf16::from_f32(number).to_le_bytes())),
            Format::F16 => numbers.iter().for_each(|&number| bytes.extend(f16::from_f32(number).to_le_bytes())),
            Format::Fp8 => panic!("FP8 has scales for whole blocks"),
        }
    }
}

/// Numbers that are converted at once where it takes a place beside.
const ROW: usize = 256;

/// Stored numbers of a mapped file.
pub(super) struct Piece<'a> {
    pub(super) map: &'a Mmap,
    /// Bytes within the file.
    pub(super) place: Range<usize>,
    pub(super) format: Format,
    pub(super) scales: Option<BlockScales>,
}

/// The scales of a tensor, and which part of the tensor they are for.
#[derive(Clone)]
pub(super) struct BlockScales {
    /// `[⌈rows / 128⌉, ⌈columns / 128⌉]`
    pub(super) scales: Arc<[f32]>,
    pub(super) columns: usize,
    /// The part's first number.
    pub(super) first: usize,
}

impl BlockScales {
    /// Multiplies each of the part's numbers with its block's scale.
    fn apply(&self, mut numbers: &mut [f32]) {
        let mut at = self.first;
        while !numbers.is_empty() {
            let (row, column) = (at / self.columns, at % self.columns);
            // As far as the block goes in this row.
            let count = (BLOCK - column % BLOCK).min(self.columns - column).min(numbers.len());
            let scale = self.scales[row / BLOCK * self.columns.div_ceil(BLOCK) + column / BLOCK];
            let (part, behind) = numbers.split_at_mut(count);
            part.iter_mut().for_each(|number| *number *= scale);
            (numbers, at) = (behind, at + count);
        }
    }
}

impl<'a> Piece<'a> {
    /// Numbers in it.
    pub(super) fn len(&self) -> usize {
        self.place.len() / self.format.width()
    }

    /// Pieces of at most `len` numbers, in order.
    pub(super) fn pieces(&self, len: usize) -> impl Iterator<Item = Piece<'a>> {
        let Piece { map, format, .. } = *self;
        let (start, end, step) = (self.place.start, self.place.end, len * format.width());
        let scales = self.scales.clone();
        (start..end).step_by(step).map(move |from| {
            let part = |all: &BlockScales| BlockScales { first: (from - start) / format.width(), ..all.clone() };
            Piece { map, format, place: from..end.min(from + step), scales: scales.as_ref().map(part) }
        })
    }

    /// Reads it, and lets go of the pages it lies in.
    pub(super) fn read(&self, numbers: &mut [f32]) {
        let (from, len) = (self.place.start, self.place.len());
        // Both are wishes: the first saves a fault for every few pages, the second keeps a file that is being read from
        // counting as memory of this process twice.
        let _ = self.map.advise_range(Advice::PopulateRead, from, len);
        self.format.decode(&self.map[self.place.clone()], numbers);
        if let Some(scales) = &self.scales {
            scales.apply(numbers);
        }
        // SAFETY: pages of a file that are only read come back as they were.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, len) };
    }
}
