//! The number formats of stored weights, and reading them as f32.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::ops::Range;

/// A number format that weights are stored in, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit float.
    F32,
    /// bfloat16.
    Bf16,
    /// 16-bit float.
    F16,
}

impl Format {
    /// Bytes of a number.
    pub(super) fn width(self) -> usize {
        if self == Format::F32 { 4 } else { 2 }
    }

    /// Its name in a safetensors header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::Bf16 => "BF16",
            Format::F16 => "F16",
        }
    }

    /// Stored numbers as f32, each exactly.
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
        }
    }

    /// Adds `numbers` to `bytes`, rounded to the nearest, ties to even.
    pub(super) fn encode(self, numbers: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Format::F32 => numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes())),
            Format::Bf16 => numbers.iter().for_each(|&number| bytes.extend(bf16::from_f32(number).to_le_bytes())),
            Format::F16 => numbers.iter().for_each(|&number| bytes.extend(f16::from_f32(number).to_le_bytes())),
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
}

impl<'a> Piece<'a> {
    /// Numbers in it.
    pub(super) fn len(&self) -> usize {
        self.place.len() / self.format.width()
    }

    /// Pieces of at most `len` numbers, in order.
    pub(super) fn pieces(&self, len: usize) -> impl Iterator<Item = Piece<'a>> {
        let Piece { map, format, .. } = *self;
        let (end, step) = (self.place.end, len * format.width());
        self.place.clone().step_by(step).map(move |from| Piece { map, format, place: from..end.min(from + step) })
    }

    /// Reads it, and lets go of the pages it lies in.
    pub(super) fn read(&self, numbers: &mut [f32]) {
        let (from, len) = (self.place.start, self.place.len());
        // Both are wishes: the first saves a fault for every few pages, the second keeps a file that is being read from
        // counting as memory of this process twice.
        let _ = self.map.advise_range(Advice::PopulateRead, from, len);
        self.format.decode(&self.map[self.place.clone()], numbers);
        // SAFETY: pages of a file that are only read come back as they were.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, len) };
    }
}
