//! `Team`: threads that share the work inside one forward pass, backward pass or decoding step.
//!
//! Kernels cut their work into items that do not depend on who computes them and hand it to [`spread`]; where a team
//! leads, its threads take the items, and elsewhere the caller computes all of them. A product of a decoding step lasts
//! some microseconds, so waiting threads spin for a while before they sleep, and a caller never waits for a thread that
//! has not begun. Threads that have nothing to do elsewhere come in through a team's [`Door`].

use crossbeam_utils::CachePadded;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Looks at the state word that a waiting thread takes before it sleeps; some tens of microseconds.
const SPINS: usize = 4_000;

/// How long a guest that met no call for that many looks sleeps at a time.
const NAP: Duration = Duration::from_micros(50);

/// Chunks for each thread in one call of [`spread`], at most: enough that a thread that comes late leaves its work to the
/// others.
const CHUNKS: usize = 4;

thread_local! {
    /// The team that the kernels called by this thread use.
    static LEADING: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Threads beside the one that leads them. They end with the team.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
}

/// What leader and members look at.
#[derive(Default)]
struct Shared {
    // Each in a cache line of its own: members that wait look at the first while others write the next ones.
    /// Odd while a call is open; each call has numbers of its own.
    state: CachePadded<AtomicUsize>,
    /// Members and guests that may be looking at `call`.
    inside: CachePadded<AtomicUsize>,
    /// What is left of each thread's chunks of the open call, the leader's first.
    left: Box<[CachePadded<Left>]>,
    call: UnsafeCell<Call>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    wake: Condvar,
    ending: AtomicBool,
    members: usize,
    /// Whether somebody leads the team. Guests look at it as often as at the state.
    led: CachePadded<AtomicBool>,
    /// Threads from elsewhere that help.
    guests: AtomicUsize,
}

// SAFETY: `call` is written by the leader alone, while the state is even and nobody who is inside reads it; members and
// guests read it only if the state is odd, and that of the call they came for, when they have been counted inside.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `call` is followed only during the call that it belongs to, for which its target lives.
unsafe impl Send for Shared {}

/// What a call does with some items: which they are, and the first of those that this thread is likely to come to next.
type Work<'a> = dyn Fn(Range<usize>, Option<usize>) + Sync + 'a;

/// One call of [`spread`].
#[derive(Clone, Copy, Default)]
struct Call {
    work: Option<*const Work<'static>>,
    items: usize,
    chunks: usize,
}

/// Neighbouring chunks, of which their thread takes the first and others the last.
#[derive(Default)]
struct Left(AtomicU64);

impl Left {
    const HALF: u32 = u64::BITS / 2;

    fn set(&self, chunks: Range<usize>) {
        self.0.store(Left::packed(chunks), Relaxed);
    }

    fn packed(chunks: Range<usize>) -> u64 {
        (chunks.start as u64) << Left::HALF | chunks.end as u64
    }

    fn unpacked(packed: u64) -> Range<usize> {
        (packed >> Left::HALF) as usize..(packed & u64::from(u32::MAX)) as usize
    }

    fn len(&self) -> usize {
        Left::unpacked(self.0.load(Relaxed)).len()
    }

    /// What was left, and is now what `rest` makes of it; `None` where nothing was.
    fn take(&self, rest: impl Fn(Range<usize>) -> Range<usize>) -> Option<Range<usize>> {
        let taken = |packed| {
            let chunks = Left::unpacked(packed);
            (!chunks.is_empty()).then(|| Left::packed(rest(chunks)))
        };
        self.0.fetch_update(Relaxed, Relaxed, taken).ok().map(Left::unpacked)
    }
}

impl Team {
    /// A team of `threads` threads, the leader among them.
    pub fn new(threads: usize) -> Team {
        let members = threads.max(1) - 1;
        let left = (0..=members).map(|_| CachePadded::default()).collect();
        let shared = Arc::new(Shared { members, left, ..Shared::default() });
        let member = |i: usize| {
            let shared = shared.clone();
            let named = thread::Builder::new().name(format!("member {i}"));
            named.spawn(move || shared.serve(i)).expect("a thread can be started")
        };
        Team { members: (1..=members).map(member).collect(), shared }
    }

    /// Its threads, the leader among them.
    pub fn threads(&self) -> usize {
        self.shared.members + 1
    }

    /// `work`, on this thread, with the kernels that it calls spread over the team.
    pub fn lead<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let _before = Led(LEADING.replace(Arc::as_ptr(&self.shared)));
        self.shared.led.store(true, SeqCst);
        let _open = Open(&self.shared);
        work()
    }

    /// The way in for threads that are not of the team.
    pub fn door(&self) -> Door {
        Door(self.shared.clone())
    }
}

/// Where threads that have nothing else to do come in to help a team.
pub struct Door(Arc<Shared>);

impl Door {
    /// Helps whichever of the teams is led and has the fewest guests until nobody leads it, and so on until none is led. Not
    /// for a thread that leads one of them: it would wait for itself.
    pub fn help_all(doors: &[Door]) {
        let open = |door: &&Door| door.0.led.load(SeqCst);
        while let Some(door) = doors.iter().filter(open).min_by_key(|door| door.0.guests.load(SeqCst)) {
            door.0.host();
        }
    }
}

/// Sends the guests away when it is dropped.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.led.store(false, SeqCst);
    }
}

/// Puts back whom a thread led before.
struct Led(*const Shared);

impl Drop for Led {
    fn drop(&mut self) {
        LEADING.set(self.0);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ending.store(true, SeqCst);
        self.shared.rouse();
        for member in self.members.drain(..) {
            // A member catches what its work throws: it has nothing to say here.
            let _ = member.join();
        }
    }
}

/// Threads that this machine runs side by side.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads of the team that leads here; 1 where none does.
pub fn threads() -> usize {
    let team = LEADING.get();
    // SAFETY: `lead` borrows the team as long as the pointer is set.
    if team.is_null() { 1 } else { unsafe { (*team).members + 1 } }
}

/// `work` with the team that leads here, or where none does with one of `threads` threads that ends with it.
pub fn led<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    if LEADING.get().is_null() { Team::new(threads).lead(work) } else { work() }
}

/// Calls `work` for sub-ranges that cover `0..items` once, on the threads of the team that leads here, each of at least
/// `grain` items; for all of them at once where none does, or where there are too few for two.
///
/// # Panics
/// With a panic of `work`, on whichever thread it came.
pub fn spread(items: usize, grain: usize, work: impl Fn(Range<usize>) + Sync) {
    spread_in(CHUNKS, items, grain, &|items: Range<usize>, _: Option<usize>| work(items));
}

/// [`spread`] in as many sub-ranges as there can be, of which each thread gets a run, to go through one after the other, and
/// takes from others when that is done. `work` is also told which item comes next, if it is known.
pub(crate) fn spread_in_runs(items: usize, grain: usize, work: impl Fn(Range<usize>, Option<usize>) + Sync) {
    spread_in(usize::MAX, items, grain, &work);
}

/// [`spread`] in up to `each` sub-ranges for each thread.
fn spread_in(each: usize, items: usize, grain: usize, work: &Work<'_>) {
    let team = LEADING.get();
    let most = items / grain.max(1);
    if team.is_null() || most < 2 {
        if items > 0 {
            work(0..items, None);
        }
        return;
    }
    // Work that spreads its own does it alone.
    let _before = Led(LEADING.replace(ptr::null()));
    // As many for each thread, where there are enough: equal work is done at the same time.
    // SAFETY: `lead` borrows the team as long as the pointer is set.
    let team = unsafe { &*team };
    let threads = team.members + 1;
    let chunks = if most < threads { most } else { (most - most % threads).min(threads.saturating_mul(each)) };
    team.call(chunks, items, work);
}

/// Calls `work` for runs of whole rows of `rows`, each `width` numbers, with the indices of its rows.
pub fn spread_rows<T: Send>(rows: &mut [T], width: usize, grain: usize, work: impl Fn(Range<usize>, &mut [T]) + Sync) {
    let n = rows.len() / width.max(1);
    let all = Cells(rows.as_mut_ptr());
    spread(n, grain, |range| {
        // SAFETY: the sub-ranges of a call do not overlap, and their rows lie inside `rows`.
        let part = unsafe { std::slice::from_raw_parts_mut(all.at(range.start * width), range.len() * width) };
        work(range, part);
    });
}

/// Sets each of `items` to what `make` says of its place, on the threads of the team that leads here.
pub fn fill<T: Send>(items: &mut [T], grain: usize, make: impl Fn(usize) -> T + Sync) {
    let all = Cells(items.as_mut_ptr());
    spread(items.len(), grain, |range| {
        for i in range {
            // SAFETY: the sub-ranges of a call do not overlap and lie inside `items`; the old value is dropped.
            unsafe { *all.at(i) = make(i) };
        }
    });
}

/// Numbers that several threads write, each its own.
pub(crate) struct Cells<T = f32>(pub(crate) *mut T);

// SAFETY: whoever writes through the pointer sees to it that no number is another thread's.
unsafe impl<T: Send> Sync for Cells<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Cells<T> {}

impl<T> Cells<T> {
    /// The place of number `i`.
    pub(crate) fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }

    /// `len` of them from number `i` on.
    ///
    /// # Safety
    /// They are written, and nobody else's as long as the slice lives.
    #[expect(clippy::mut_from_ref, reason = "the caller sees to it that no two slices overlap")]
    pub(crate) unsafe fn slice(&self, i: usize, len: usize) -> &mut [T] {
        // SAFETY: as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.at(i), len) }
    }
}

impl Shared {
    /// Calls `work` for so many chunks.
    fn call(&self, chunks: usize, items: usize, work: &Work<'_>) {
        let threads = self.members + 1;
        // SAFETY: only the lifetime is changed; the call is closed, and nobody is inside, before `work` goes.
        let work: *const Work<'static> = unsafe { std::mem::transmute(work) };
        // SAFETY: the state is even and nobody reads it: the last call ended so.
        unsafe { *self.call.get() = Call { work: Some(work), items, chunks } };
        for (i, left) in self.left.iter().enumerate() {
            left.set(i * chunks / threads..(i + 1) * chunks / threads);
        }
        self.state.fetch_add(1, SeqCst);
        if self.asleep.load(SeqCst) > 0 {
            self.rouse();
        }
        self.take_chunks(Some(0));
        self.state.fetch_add(1, SeqCst);
        // Each of those inside is at its last chunk.
        let mut spins = 0;
        while self.inside.load(SeqCst) > 0 {
            pause(&mut spins);
        }
        if let Some(panic) = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            panic::resume_unwind(panic);
        }
    }

    /// Works on chunks of the open call until none is left, its own first if it has any.
    fn take_chunks(&self, own: Option<usize>) {
        // SAFETY: the caller is the leader, or counted inside while the state was odd.
        let Call { work, items, chunks } = unsafe { *self.call.get() };
        let Some(work) = work else { return };
        let from = |chunk: usize| chunk * items / chunks;
        while let Some((chunk, next)) = self.take_chunk(own) {
            // SAFETY: the leader keeps `work` until nobody is inside.
            let one = || unsafe { (*work)(from(chunk)..from(chunk + 1), next.map(from)) };
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(one)) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
        }
    }

    /// The next of a thread's own chunks with the one that follows it; when those are gone, the last of whoever has most
    /// left.
    fn take_chunk(&self, own: Option<usize>) -> Option<(usize, Option<usize>)> {
        if let Some(own) = own
            && let Some(chunks) = self.left[own].take(|chunks| chunks.start + 1..chunks.end)
        {
            return Some((chunks.start, (chunks.len() > 1).then_some(chunks.start + 1)));
        }
        loop {
            let most = self.left.iter().max_by_key(|left| left.len()).filter(|left| left.len() > 0)?;
            if let Some(chunks) = most.take(|chunks| chunks.start..chunks.end - 1) {
                return Some((chunks.end - 1, None));
            }
        }
    }

    /// A member's life.
    fn serve(&self, own: usize) {
        let mut seen = 0;
        while let Some(state) = self.next_call(seen) {
            self.join(state, Some(own));
            seen = state;
        }
    }

    /// The number of the open call, if there is one that was not seen.
    fn open_call(&self, seen: usize) -> Option<usize> {
        let state = self.state.load(SeqCst);
        (state % 2 == 1 && state != seen).then_some(state)
    }

    /// Works on the call with this number, if it is still open.
    fn join(&self, state: usize, own: Option<usize>) {
        self.inside.fetch_add(1, SeqCst);
        // A call that was closed meanwhile has nothing for anyone, and may be gone.
        if self.state.load(SeqCst) == state {
            self.take_chunks(own);
        }
        self.inside.fetch_sub(1, SeqCst);
    }

    /// A guest's stay: it has no chunks of its own, and nobody wakes it.
    fn host(&self) {
        self.guests.fetch_add(1, SeqCst);
        let (mut seen, mut spins) = (0, 0);
        while self.led.load(SeqCst) {
            if let Some(state) = self.open_call(seen) {
                self.join(state, None);
                (seen, spins) = (state, 0);
            } else if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::sleep(NAP);
            }
        }
        self.guests.fetch_sub(1, SeqCst);
    }

    /// Waits for a call that this member has not seen; `None` where the team ends.
    fn next_call(&self, seen: usize) -> Option<usize> {
        for _ in 0..SPINS {
            if let Some(state) = self.open_call(seen) {
                return Some(state);
            }
            std::hint::spin_loop();
        }
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, SeqCst);
        let found = loop {
            if self.ending.load(SeqCst) {
                break None;
            }
            if let Some(state) = self.open_call(seen) {
                break Some(state);
            }
            bed = self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner);
        };
        self.asleep.fetch_sub(1, SeqCst);
        found
    }

    fn rouse(&self) {
        let _bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.notify_all();
    }
}

/// Waits a little; longer where it has been long.
fn pause(spins: &mut usize) {
    *spins += 1;
    if *spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
}

#[cfg(test)]
mod tests;
