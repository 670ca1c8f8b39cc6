//! `Buffer`: an array of f32 that kernels see as a slice and libtorch as a tensor, without a copy.
//!
//! Aligned to 64 bytes always. libtorch's products may choose their instructions by alignment, and the bits of a run
//! must not depend on where an allocator happened to put an array.

use crate::team;
use std::ops::{Deref, DerefMut};
use tch::{Device, Kind, Tensor};

/// Numbers that are worth a chunk of their own where several threads add.
const ADD_GRAIN: usize = 8_192;

/// An owned, contiguous array of f32 in main memory.
#[derive(Debug)]
pub struct Buffer {
    tensor: Tensor,
    data: *mut f32,
    len: usize,
}

// SAFETY: the memory is owned through `tensor`, whose reference count is atomic; `data` points into it. Shared access
// only reads, and writing needs `&mut`.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        Buffer::of(Tensor::zeros([len as i64], (Kind::Float, Device::Cpu)))
    }

    /// `len` numbers of any value, for a kernel that writes all of them before anything reads one.
    pub(crate) fn unwritten(len: usize) -> Buffer {
        Buffer::of(Tensor::empty([len as i64], (Kind::Float, Device::Cpu)))
    }

    /// A copy of `numbers`.
    pub fn from_slice(numbers: &[f32]) -> Buffer {
        Buffer::of(Tensor::from_slice(numbers))
    }

    /// The numbers of a tensor, converted to contiguous f32 in main memory where they are not that already.
    pub fn of(tensor: Tensor) -> Buffer {
        let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let (data, len) = (tensor.data_ptr().cast(), tensor.numel());
        Buffer { tensor, data, len }
    }

    /// A tensor on the same memory, as rows of `width`.
    pub fn rows(&self, width: usize) -> Tensor {
        self.tensor.view([-1, width as i64])
    }

    /// A tensor on the `rows · columns` numbers from `offset`.
    pub fn matrix(&self, offset: usize, rows: usize, columns: usize) -> Tensor {
        self.tensor.view([-1]).narrow(0, offset as i64, (rows * columns) as i64).view([rows as i64, columns as i64])
    }

    /// Keeps the first `len` numbers.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds `other`, number by number.
    pub fn add(&mut self, other: &[f32]) {
        assert_eq!(self.len, other.len(), "sums need equal lengths");
        self.add_at(0, other);
    }

    /// Adds `other` to the numbers from `start` on.
    pub fn add_at(&mut self, start: usize, other: &[f32]) {
        team::spread_rows(&mut self[start..start + other.len()], 1, ADD_GRAIN, |range, part| {
            part.iter_mut().zip(&other[range]).for_each(|(to, from)| *to += from);
        });
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        Buffer::of(self.tensor.copy())
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `data` points at `len` initialised numbers that live as long as `tensor`. An empty tensor may have
        // no memory, and a slice needs a pointer that is not null.
        if self.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.data, self.len) } }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `&mut self` makes this the only slice.
        if self.len == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(self.data, self.len) } }
    }
}
