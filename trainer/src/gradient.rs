//! `Gradient`: the gradient of an update, summed over microbatches by crews of threads.
//!
//! A crew computes a microbatch's gradient part by part and adds each part to the total when its turn comes. Of every
//! part the order of summation is that of the microbatches, so the bits of the sum do not depend on how many crews there
//! are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use model::buffer::Buffer;
use model::layout::Layout;
use model::policy::Policy;
use model::share::{Hand, Share};
use model::team::{Door, Team};
use tch::Tensor;
use tracing::debug_span;

use crate::workers;

/// The sum, and the crews that compute it, kept from update to update.
pub struct Gradient {
    total: Buffer,
    /// The sum where the policy computes on a device, in place of the one here.
    on_device: Option<Share>,
    crews: Vec<Crew>,
    /// Room for gradients of crews that the last update had no microbatch for.
    shares: Vec<Share>,
    layout: Layout,
    threads: usize,
    passes: usize,
}

/// The threads that compute one microbatch after the other, and room for the gradient of one.
struct Crew {
    team: Team,
    share: Share,
}

impl Gradient {
    /// Zeros for every number of `layout`. Up to `passes` microbatches are computed side by side, by `threads` threads.
    pub fn new(layout: &Layout, threads: usize, passes: usize) -> Gradient {
        let total = Buffer::zeros(layout.len());
        Gradient {
            total,
            on_device: None,
            crews: Vec::new(),
            shares: Vec::new(),
            layout: layout.clone(),
            threads,
            passes,
        }
    }

    /// The same where `policy` computes: on a device one microbatch after the other is added up there.
    pub fn beside(policy: &Policy, threads: usize, passes: usize) -> Gradient {
        let Some(twin) = policy.on_device() else { return Gradient::new(policy.layout(), threads, passes) };
        let (layout, on_device) = (policy.layout().clone(), Some(Share::of_device(twin.gradient())));
        Gradient { total: Buffer::zeros(0), on_device, crews: Vec::new(), shares: Vec::new(), layout, threads, passes }
    }

    /// The sum of the last call of [`Gradient::sum`]; empty where it is on a device.
    pub fn total(&self) -> &[f32] {
        &self.total
    }

    /// The sum where it is on a device.
    pub fn on_device(&mut self) -> Option<&mut Tensor> {
        self.on_device.as_mut().and_then(Share::on_device)
    }

    /// Takes the numbers in `range` out of the sum.
    pub fn clear(&mut self, range: Range<usize>) {
        match self.on_device() {
            Some(total) => drop(total.narrow(0, range.start as i64, range.len() as i64).zero_()),
            None => self.total[range].fill(0.0),
        }
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `backward` for each microbatch, on a thread that leads a crew's team. It gets room for its gradient and a hand
    /// that takes the parts. Sums the gradients and returns what `backward` did, both in the order of the microbatches.
    /// `None`, and no sum, where `cancel` was set before all were begun.
    ///
    /// # Panics
    /// With the first panic of a crew.
    pub fn sum<M: Sync, R: Send>(
        &mut self,
        microbatches: &[M],
        cancel: &AtomicBool,
        backward: impl Fn(&M, &mut Share, &mut Hand<'_>) -> R + Sync,
    ) -> Option<Vec<R>> {
        if let Some(share) = &mut self.on_device {
            return sum_on_device(share, microbatches, cancel, backward);
        }
        if microbatches.is_empty() {
            self.total.fill(0.0);
        }
        let n = side_by_side(self.threads, self.passes, microbatches.len());
        if self.crews.len() != n {
            self.shares.extend(self.crews.drain(..).map(|crew| crew.share));
            let share = || self.shares.pop().unwrap_or_else(|| Share::new(&self.layout));
            let crew = |(i, share)| Crew { team: Team::new((self.threads + i) / n), share };
            self.crews = std::iter::repeat_with(share).take(n).enumerate().map(crew).collect();
        }
        let turns = Turns::new(&mut self.total, Share::n_parts(&self.layout));
        let doors: Vec<Door> = self.crews.iter().map(|crew| crew.team.door()).collect();
        // A microbatch that was begun is always added: those behind it wait for its turn.
        let work = |Crew { team, share }: &mut Crew, i, microbatch: &M| {
            let leaving = turns.enter();
            let mut hand = |part, range, numbers: &[f32]| turns.add(i, part, range, numbers);
            let result = team.lead(|| backward(microbatch, share, &mut hand));
            leaving.done();
            result
        };
        // A crew without a microbatch helps those that are not done: some cores are slower than others.
        workers::map_until(cancel, microbatches, &mut self.crews, work, || Door::help_all(&doors))
    }
}

/// [`Gradient::sum`] into a share on a device.
fn sum_on_device<M, R>(
    share: &mut Share,
    microbatches: &[M],
    cancel: &AtomicBool,
    backward: impl Fn(&M, &mut Share, &mut Hand<'_>) -> R,
) -> Option<Vec<R>> {
    share.on_device().into_iter().for_each(|total| drop(total.zero_()));
    let mut add = |microbatch| {
        let mut hand = |_, _, _: &[f32]| unreachable!("a share on a device takes the whole gradient");
        (!cancel.load(Ordering::Relaxed)).then(|| backward(microbatch, share, &mut hand))
    };
    microbatches.iter().map(&mut add).collect()
}

/// Microbatches of `n` that are computed side by side.
pub(crate) fn side_by_side(threads: usize, passes: usize, n: usize) -> usize {
    threads.min(passes).min(n).max(1)
}

/// Numbers that wait for their turn beside the sum, at most: so much may crews be ahead of those before them.
pub(crate) const EARLY: usize = 4 << 20;

/// Who may add to the sum.
struct Turns<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    total: &'a mut Buffer,
    /// For each part the microbatch whose turn it is; `None` once a crew died, and the sum will never be whole.
    turns: Option<Vec<usize>>,
    /// What came before its turn: by part and microbatch.
    early: BTreeMap<(usize, usize), Buffer>,
    /// Numbers in `early`.
    waiting: usize,
}

impl State<'_> {
    /// Whether microbatch `i` has to wait with `n` numbers of a part.
    fn holds_up(&self, i: usize, part: usize, n: usize) -> bool {
        let others = self.turns.as_ref().is_some_and(|turns| turns[part] != i);
        others && self.waiting + n > EARLY
    }

    /// Adds microbatch `i`'s numbers of a part if it is its turn, and those that waited for that; else they wait. The
    /// first microbatch's take the place of the last sum.
    fn take(&mut self, i: usize, part: usize, start: usize, numbers: &[f32]) {
        let State { total, turns, early, waiting } = self;
        let Some(turn) = turns.as_mut().map(|turns| &mut turns[part]) else { return };
        if *turn != i {
            *waiting += numbers.len();
            early.insert((part, i), Buffer::copy(numbers));
            return;
        }
        match i {
            0 => total.put_at(start, numbers),
            _ => total.add_at(start, numbers),
        }
        *turn += 1;
        while let Some(numbers) = early.remove(&(part, *turn)) {
            *waiting -= numbers.len();
            total.add_at(start, &numbers);
            *turn += 1;
        }
    }
}

impl<'a> Turns<'a> {
    fn new(total: &'a mut Buffer, n_parts: usize) -> Turns<'a> {
        let state = State { total, turns: Some(vec![0; n_parts]), early: BTreeMap::new(), waiting: 0 };
        Turns { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds microbatch `i`'s numbers of a part when its turn comes. Waits for that only where too many numbers wait already.
    /// Every microbatch before it is in the hands of a crew that waits for none behind it and will add its own or die, so
    /// the wait ends.
    fn add(&self, i: usize, part: usize, range: Range<usize>, numbers: &[f32]) {
        let _span = debug_span!("add", part).entered();
        let holds_up = |state: &mut State<'_>| state.holds_up(i, part, numbers.len());
        let mut state = self.changed.wait_while(self.lock(), holds_up).unwrap_or_else(PoisonError::into_inner);
        state.take(i, part, range.start, numbers);
        self.changed.notify_all();
    }

    fn enter<'t>(&'t self) -> Leaving<'t, 'a> {
        Leaving { turns: self, done: false }
    }
}

/// Ends the turns of all others where a crew panics.
struct Leaving<'t, 'a> {
    turns: &'t Turns<'a>,
    done: bool,
}

impl Leaving<'_, '_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        if !self.done {
            self.turns.lock().turns = None;
            self.turns.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
