//! Work spread over threads that end with it.
//!
//! Unlike rayon's, such threads leave what they allocated to the next ones: a pool of threads that live on would keep
//! the memory of its largest task beside that of every other phase.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Starts a thread whose name a trace and a debugger show.
///
/// # Panics
/// Where the system has no thread left.
pub(crate) fn start<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    work: impl FnOnce() -> R + Send + 'scope,
) -> ScopedJoinHandle<'scope, R> {
    thread::Builder::new().name(name).spawn_scoped(scope, work).expect("a thread can be started")
}

/// `work` of each item, on up to `workers` threads; results are in the items' order.
///
/// # Panics
/// With the first panic of a worker.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], workers: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut states = vec![(); workers.clamp(1, items.len().max(1))];
    let results = map_until(&AtomicBool::new(false), items, &mut states, |(), _, item| work(item), || ());
    results.expect("nobody cancels")
}

/// [`map`] on a thread for each of `states`, which `work` gets with the item's place and the item; `None` where `cancel`
/// was set before every item was begun. Items are begun in order, and one that was begun is carried through. A thread that
/// begins no further item calls `rest` before it ends.
pub(crate) fn map_until<S: Send, T: Sync, R: Send>(
    cancel: &AtomicBool,
    items: &[T],
    states: &mut [S],
    work: impl Fn(&mut S, usize, &T) -> R + Sync,
    rest: impl Fn() + Sync,
) -> Option<Vec<R>> {
    let next = AtomicUsize::new(0);
    let share = |state: &mut S| {
        let mut results = Vec::new();
        while !cancel.load(Ordering::Relaxed)
            && let i = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(i)
        {
            results.push((i, work(state, i, item)));
        }
        rest();
        results
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let share = &share;
        let states = states.iter_mut().enumerate();
        let threads: Vec<_> =
            states.map(|(i, state)| start(scope, format!("worker {i}"), move || share(state))).collect();
        let ends: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        ends.into_iter().flat_map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    if results.len() < items.len() {
        return None;
    }
    results.sort_by_key(|(i, _)| *i);
    Some(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_the_order_of_items() {
        let items: Vec<usize> = (0..50).collect();
        for workers in [0, 1, 3, 80] {
            assert_eq!(super::map(&items, workers, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        }
        assert!(super::map(&[] as &[usize], 2, |n| *n).is_empty());
    }
}
