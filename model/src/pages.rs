//! What is asked of the system about the memory of large arrays.
//!
//! A page of 4 KiB is taken, cleared and entered by the system when it is first touched, which costs more than a pass of
//! AdamW over it; memory of gigabytes therefore comes in pages of 2 MiB where the system has them.

use std::ops::Range;

use crate::buffer::MANY;

/// Bytes from which an array is large: glibc maps it by itself instead of using memory again, and what it maps is zero.
const LARGE: usize = 32 << 20;

const PAGE: usize = 4096;

/// Lets every array that buffers keep for all threads go back to the system when it is dropped for good. To be called
/// before any other thread is born.
///
/// glibc would come to take arrays of up to 32 MiB out of heaps that only grow, one for each thread, where those that the
/// passes of a step leave behind, of many lengths, stay between others that are held. Memory that is asked for again and
/// again is kept by [`crate::buffer::Buffer`] itself.
pub fn give_back_arrays() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call sets a number of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, (size_of::<f32>() * MANY) as i32);
    }
}

/// Asks for huge pages under `numbers`, before they are touched. A wish: nothing else depends on it.
pub(crate) fn huge(data: *mut f32, len: usize) {
    let bytes = size_of::<f32>() * len;
    if bytes >= LARGE {
        advise(data, 0..bytes, libc::MADV_HUGEPAGE);
    }
}

/// Fills `numbers` with zeros. Whole pages of a large array are given back instead: the system hands out zeros when they
/// are next touched, and what is never touched takes no memory.
pub(crate) fn zero(numbers: &mut [f32]) {
    let bytes = size_of_val(numbers);
    let start = numbers.as_ptr() as usize;
    let inner = start.next_multiple_of(PAGE) - start..((start + bytes) / PAGE * PAGE).saturating_sub(start);
    if bytes >= LARGE && advise(numbers.as_mut_ptr(), inner.clone(), libc::MADV_DONTNEED) {
        let width = size_of::<f32>();
        numbers[..inner.start / width].fill(0.0);
        numbers[inner.end / width..].fill(0.0);
    } else {
        numbers.fill(0.0);
    }
}

/// Whether the system took an advice on the whole pages within `bytes` of `data`.
fn advise(data: *mut f32, bytes: Range<usize>, advice: i32) -> bool {
    let start = (data as usize + bytes.start).next_multiple_of(PAGE);
    let end = (data as usize + bytes.end) / PAGE * PAGE;
    // SAFETY: whole pages inside an array that the caller may write. They are private memory of this process without a
    // file behind it, as every allocator hands out, so that giving them back makes them zeros.
    start < end && unsafe { libc::madvise(start as *mut libc::c_void, end - start, advice) } == 0
}

#[cfg(test)]
mod tests;
