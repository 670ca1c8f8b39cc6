//! `Buffer`: an array of f32 that kernels see as a slice and libtorch as a tensor, without a copy.
//!
//! Aligned to 64 bytes always. libtorch's products may choose their instructions by alignment, and the bits of a run
//! must not depend on where an allocator happened to put an array.

use crate::{pages, team};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Kind, Tensor};

/// Numbers that are worth a chunk of their own where several threads add or clear.
const ADD_GRAIN: usize = 8_192;

/// Numbers from which on the pages of an array cost more than looking for another that is a little larger.
pub(crate) const MANY: usize = 1 << 16;

/// An owned, contiguous array of f32 in main memory.
#[derive(Debug)]
pub struct Buffer {
    /// Taken out only when the buffer goes.
    tensor: Option<Tensor>,
    data: *mut f32,
    len: usize,
    /// Numbers that the memory was counted with when it was taken; 0 for memory that is not kept.
    room: usize,
    /// Whether another thing may look at the same memory, which then cannot be used again.
    shared: AtomicBool,
}

// SAFETY: the memory is owned through `tensor`, whose reference count is atomic; `data` points into it. Shared access
// only reads, and writing needs `&mut`.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros. A large array takes memory as it is written.
    pub fn zeros(len: usize) -> Buffer {
        let mut buffer = Buffer::of(Tensor::empty([len as i64], (Kind::Float, Device::Cpu)));
        pages::huge(buffer.data, len);
        pages::zero(&mut buffer);
        buffer
    }

    /// `len` numbers of any value, for a kernel that writes all of them before anything reads one.
    ///
    /// The memory is that of a buffer of about this length that was dropped before, where there is one: passes over
    /// many blocks, and decoding steps one after the other, ask for the same lengths again and again, and memory that
    /// is new to the process costs more than what most kernels do with it.
    pub(crate) fn unwritten(len: usize) -> Buffer {
        let room = room_for(len);
        let dropped = if room < MANY { OWN.with_borrow_mut(|own| own.take(room)) } else { spare().take(room) };
        let tensor = dropped.unwrap_or_else(|| Tensor::empty([room as i64], (Kind::Float, Device::Cpu)));
        let mut buffer = Buffer::on(tensor, false);
        (buffer.len, buffer.room) = (len, buffer.len);
        buffer
    }

    /// `len` zeros for a kernel that adds to them or writes some of them, in memory as of [`Buffer::unwritten`].
    pub(crate) fn cleared(len: usize) -> Buffer {
        let mut buffer = Buffer::unwritten(len);
        clear(&mut buffer);
        buffer
    }

    /// A copy of `numbers`, in memory that was used before: for one that will soon be dropped.
    pub fn copy(numbers: &[f32]) -> Buffer {
        let mut copy = Buffer::unwritten(numbers.len());
        copy.copy_from_slice(numbers);
        copy
    }

    /// A copy of `numbers`.
    pub fn from_slice(numbers: &[f32]) -> Buffer {
        Buffer::of(Tensor::from_slice(numbers))
    }

    /// The numbers of a tensor, converted to contiguous f32 in main memory where they are not that already.
    pub fn of(tensor: Tensor) -> Buffer {
        Buffer::on(tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous(), true)
    }

    fn on(tensor: Tensor, shared: bool) -> Buffer {
        let (data, len) = (tensor.data_ptr().cast(), tensor.numel());
        Buffer { tensor: Some(tensor), data, len, room: 0, shared: AtomicBool::new(shared) }
    }

    fn tensor(&self) -> &Tensor {
        self.shared.store(true, Relaxed);
        self.tensor.as_ref().expect("a buffer that is not gone")
    }

    /// A tensor on the same memory, as rows of `width`.
    pub fn rows(&self, width: usize) -> Tensor {
        self.tensor().view([-1]).narrow(0, 0, self.len as i64).view([-1, width as i64])
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

    /// Puts `other` in place of the numbers from `start` on, as if it were added to zeros.
    pub fn put_at(&mut self, start: usize, other: &[f32]) {
        team::spread_rows(&mut self[start..start + other.len()], 1, ADD_GRAIN, |range, part| {
            // Zero and a negative zero make a positive one.
            part.iter_mut().zip(&other[range]).for_each(|(to, from)| *to = from + 0.0);
        });
    }

    /// Adds `other` to the numbers from `start` on.
    pub fn add_at(&mut self, start: usize, other: &[f32]) {
        team::spread_rows(&mut self[start..start + other.len()], 1, ADD_GRAIN, |range, part| {
            part.iter_mut().zip(&other[range]).for_each(|(to, from)| *to += from);
        });
    }
}

/// Makes `numbers` zero, on the threads of the team that leads here.
pub(crate) fn clear(numbers: &mut [f32]) {
    team::spread_rows(numbers, 1, ADD_GRAIN, |_, part| part.fill(0.0));
}

/// Numbers that dropped buffers may keep beyond the `most` that were ever in use: an eighth more, at most 64 MiB. The
/// passes of an update ask for arrays of a few lengths at different times, and without this room each would have to give
/// back what the next one is about to ask for.
pub fn slack(most: usize) -> usize {
    (most / 8).min(16 << 20)
}

/// Numbers in small buffers that a thread keeps, at most.
const OWN_MOST: usize = 1 << 18;

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own { tensors: BTreeMap::new(), kept: 0 }) };
}

/// Memory of small buffers that a thread dropped, for itself alone: a decoding step of a small policy asks for hundreds,
/// and threads that took turns at one list would wait for each other.
struct Own {
    /// By length, which is what is asked for.
    tensors: BTreeMap<usize, Vec<Tensor>>,
    kept: usize,
}

impl Own {
    fn take(&mut self, room: usize) -> Option<Tensor> {
        let tensor = self.tensors.get_mut(&room)?.pop()?;
        self.kept -= room;
        Some(tensor)
    }

    /// Keeps the memory of `room` numbers; where there is no room for it, that of lengths asked for long ago is in the
    /// way, and all of it goes.
    fn keep(&mut self, room: usize, tensor: Tensor) {
        if self.kept + room > OWN_MOST {
            self.tensors.clear();
            self.kept = 0;
        }
        self.kept += room;
        self.tensors.entry(room).or_default().push(tensor);
    }
}

/// Memory of large buffers that were dropped. Together with what is in use it is never more than what once was in use, and the [`slack`].
struct Spare {
    /// By length; of one length the latest last, each with the time it was dropped.
    tensors: BTreeMap<usize, Vec<(u64, Tensor)>>,
    time: u64,
    /// Numbers kept here, in use, and in use at most.
    kept: usize,
    used: usize,
    most: usize,
}

static SPARE: Mutex<Spare> = Mutex::new(Spare::new());

fn spare() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers that memory for `len` of them has, so that buffers of nearly one length can follow each other: up to an
/// eighth more, of which the system gives no page before it is written.
fn room_for(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 16).max(16))
}

impl Spare {
    const fn new() -> Spare {
        Spare { tensors: BTreeMap::new(), time: 0, kept: 0, used: 0, most: 0 }
    }

    /// Memory of `room` numbers, of a large array up to half as much again, which is in use from here on; `None` where it
    /// is to be taken from the system, to which what was dropped longest ago is given back first.
    fn take(&mut self, room: usize) -> Option<Tensor> {
        let widest = if room < MANY { room } else { room + room / 2 };
        let fitting = self.tensors.range_mut(room..=widest).find(|(_, all)| !all.is_empty());
        let (room, tensor) = match fitting {
            Some((&kept, all)) => (kept, all.pop().map(|(_, tensor)| tensor)),
            None => (room, None),
        };
        self.used += room;
        self.most = self.most.max(self.used);
        if tensor.is_some() {
            self.kept -= room;
            return tensor;
        }
        while self.kept > 0 && self.used + self.kept > self.most + slack(self.most) {
            self.drop_oldest();
        }
        None
    }

    fn drop_oldest(&mut self) {
        let oldest = self.tensors.iter_mut().filter(|(_, all)| !all.is_empty()).min_by_key(|(_, all)| all[0].0);
        if let Some((room, all)) = oldest {
            self.kept -= room;
            drop(all.remove(0));
        }
    }

    /// Ends the use of `room` numbers.
    fn end(&mut self, room: usize) {
        self.used -= room;
    }

    /// Keeps the memory of `room` numbers, whose use has ended.
    fn keep(&mut self, room: usize, tensor: Tensor) {
        self.time += 1;
        self.kept += room;
        self.tensors.entry(room).or_default().push((self.time, tensor));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.room > 0
            && let Some(tensor) = self.tensor.take()
        {
            let shared = *self.shared.get_mut();
            if self.room < MANY {
                // A thread that ends keeps nothing.
                if !shared {
                    let _ = OWN.try_with(|own| own.borrow_mut().keep(self.room, tensor));
                }
                return;
            }
            let mut spare = spare();
            spare.end(self.room);
            if !shared {
                spare.keep(self.room, tensor);
            }
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        Buffer::from_slice(self)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `data` points at `len` numbers that live as long as `tensor`; who asked for unwritten ones writes them
        // before anything is read. An empty tensor may have no memory, and a slice needs a pointer that is not null.
        if self.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.data, self.len) } }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `&mut self` makes this the only slice.
        if self.len == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(self.data, self.len) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_memory_is_used_again_unless_a_tensor_sees_it() {
        // A length that no other test asks for; but another test's buffers may take the memory's place.
        let second = (0..100).find_map(|_| {
            let first = Buffer::unwritten(10_000_019);
            let place = first.as_ptr();
            drop(first);
            let second = Buffer::unwritten(10_000_010);
            (second.as_ptr() == place && second.len() == 10_000_010).then_some(second)
        });
        let second = second.expect("memory that is used again");
        let place = second.as_ptr();
        let seen = second.rows(10);
        assert_eq!(seen.size(), [1_000_001, 10]);
        drop(second);
        let third = Buffer::unwritten(10_000_019);
        assert_ne!(third.as_ptr(), place, "the tensor still looks there");
        drop(seen);
    }

    #[test]
    fn cleared_memory_that_was_used_before_is_zero() {
        // A length that no other test asks for.
        let mut first = Buffer::unwritten(11_000_003);
        first.fill(1.0);
        drop(first);
        let second = Buffer::cleared(11_000_003);
        assert!(second.iter().all(|number| *number == 0.0));
    }

    #[test]
    fn a_thread_uses_small_memory_again_and_keeps_little() {
        let place = |len: usize| Buffer::unwritten(len).as_ptr() as usize;
        let first = place(1_000);
        assert_eq!(place(1_000), first, "the same memory");
        let kept = || OWN.with_borrow(|own| (own.kept, own.tensors.values().flatten().count()));
        assert_eq!(kept(), (room_for(1_000), 1));
        let other = std::thread::spawn(move || (place(1_000) == first, kept().1)).join().expect("it ends");
        assert_eq!(other, (false, 1), "another thread has its own");
        for len in (1..MANY).step_by(1_000) {
            drop(Buffer::unwritten(len));
            let held: usize = OWN.with_borrow(|own| own.tensors.values().flatten().map(Tensor::numel).sum());
            assert!(kept().0 <= OWN_MOST && held == kept().0, "{len}: {held} are held");
        }
        let seen = Buffer::unwritten(500);
        let tensor = seen.rows(10);
        let before = kept();
        drop(seen);
        assert_eq!(kept(), before, "a tensor still looks there");
        drop(tensor);
    }

    #[test]
    fn no_more_is_kept_than_was_in_use() {
        let mut spare = Spare::new();
        let numbers = |room: usize| Tensor::empty([room as i64], (Kind::Float, Device::Cpu));
        for room in [100, 80, 30] {
            assert!(spare.take(room * MANY).is_none());
        }
        for room in [80, 100, 30] {
            spare.end(room * MANY);
            spare.keep(room * MANY, numbers(room));
        }
        let held = |spare: &Spare| {
            let lengths = spare.tensors.iter().flat_map(|(len, all)| vec![len / MANY; all.len()]);
            (lengths.collect::<Vec<_>>(), spare.used / MANY, spare.most / MANY)
        };
        assert_eq!(held(&spare), (vec![30, 80, 100], 0, 210));
        assert!(spare.take(19 * MANY).is_none());
        assert_eq!(held(&spare), (vec![30, 80, 100], 19, 210), "an eighth more than was in use");
        assert!(spare.take(10 * MANY).is_none());
        assert_eq!(held(&spare), (vec![30, 100], 29, 210), "what was dropped first made room");
        assert!(spare.take(90 * MANY).is_some(), "memory a little larger is as good");
        assert!(spare.take(120 * MANY).is_none());
        assert_eq!(held(&spare), (vec![30], 249, 249));
        assert!(spare.take(19 * MANY).is_none() && spare.take(MANY).is_none());
        assert_eq!(held(&spare), (vec![30], 269, 269), "much larger is not");
    }

    #[test]
    fn room_is_an_eighth_more_at_most() {
        for len in (0..5_000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let room = room_for(len);
            assert!(room >= len && room <= (len + len / 8).max(len + 16), "{len}: {room}");
        }
    }
}
