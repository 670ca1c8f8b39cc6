use std::path::PathBuf;

use model::config::ModelConfig;

use super::*;
use std::sync::atomic::Ordering;
use std::thread;

static GO: AtomicBool = AtomicBool::new(false);

fn layout() -> Layout {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/qwen2");
    Layout::new(&ModelConfig::from_folder(&folder).unwrap())
}

/// A gradient whose every number depends on the microbatch and on its own place, handed over in the order of a backward
/// pass: from the last part to the first.
fn hand_over(i: u32, hand: &mut Hand<'_>) {
    let (n, len) = (Share::n_parts(&layout()), layout().len());
    for part in (0..n).rev() {
        let range = part * len / n..(part + 1) * len / n;
        let numbers: Vec<f32> = range.clone().map(|at| 1.0 / (1.0 + i as f32 + at as f32 * 0.37)).collect();
        hand(part, range, &numbers);
    }
}

#[test]
fn the_sum_has_the_same_bits_for_any_number_of_workers() {
    let microbatches: Vec<u32> = (0..23).collect();
    let sums: Vec<Vec<u32>> = [(1, 1), (2, 2), (3, 8), (4, 2), (7, 7), (40, 40)]
        .into_iter()
        .map(|(threads, passes)| {
            let mut gradient = Gradient::new(&layout(), threads, passes);
            // Three times: each sum begins at zero again, and the second has fewer crews.
            for microbatches in [&microbatches[..], &microbatches[..2], &microbatches] {
                let results = gradient.sum(microbatches, &GO, |&i, _, hand| {
                    // Later ones are ready first, so that turns are waited for.
                    thread::sleep(std::time::Duration::from_micros(u64::from(200 - 8 * i)));
                    hand_over(i, hand);
                    i * 10
                });
                assert_eq!(results.unwrap(), microbatches.iter().map(|i| i * 10).collect::<Vec<_>>());
            }
            gradient.total().iter().map(|g| g.to_bits()).collect()
        })
        .collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]));
    let first: f32 = (0..23).fold(0.0, |sum, i| sum + 1.0 / (1.0 + i as f32));
    assert_eq!(sums[0][0], first.to_bits(), "added in order");
}

#[test]
fn a_crew_without_a_microbatch_helps_the_others() {
    let mut gradient = Gradient::new(&layout(), 2, 2);
    // Neither crew is done before both have begun.
    let begun = std::sync::Barrier::new(2);
    gradient.sum(&[0, 1], &GO, |&i, _, hand| {
        begun.wait();
        if i == 0 {
            // Each waits for the other, so it takes two threads; the crew has one.
            let meeting = std::sync::Barrier::new(2);
            model::team::spread(2, 1, |_| {
                meeting.wait();
            });
        }
        hand_over(i, hand);
    });
    assert!(gradient.total().iter().all(|&g| g > 0.0));
}

#[test]
fn a_crew_that_is_early_does_not_wait() {
    let mut gradient = Gradient::new(&layout(), 2, 2);
    let (late, early) = crossbeam_channel::bounded(1);
    // The first microbatch hands nothing over before the second has handed over everything.
    gradient.sum(&[0, 1], &GO, |&i, _, hand| {
        match i {
            0 => early.recv().unwrap(),
            _ => hand_over(i, hand),
        }
        match i {
            0 => hand_over(i, hand),
            _ => late.send(()).unwrap(),
        }
    });
    assert_eq!(gradient.total()[1], 1.0 / 1.37 + 1.0 / 2.37);
}

#[test]
fn a_panic_of_one_worker_ends_all_of_them() {
    let mut gradient = Gradient::new(&layout(), 4, 3);
    let microbatches: Vec<u32> = (0..16).collect();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        gradient.sum(&microbatches, &GO, |&i, _, hand| {
            assert!(i != 3, "microbatch 3 fails");
            hand_over(i, hand);
        });
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"microbatch 3 fails"));
}

#[test]
fn nothing_sums_to_zero() {
    let mut gradient = Gradient::new(&layout(), 4, 3);
    gradient.sum(&[1], &GO, |_, _, hand| hand_over(1, hand));
    assert!(gradient.sum(&[] as &[u8], &GO, |_, _, _| ()).unwrap().is_empty());
    assert!(gradient.total().iter().all(|&g| g == 0.0));
}

#[test]
fn a_sum_that_is_cancelled_is_none() {
    let mut gradient = Gradient::new(&layout(), 4, 3);
    let microbatches: Vec<u32> = (0..16).collect();
    let cancel = AtomicBool::new(false);
    let found = gradient.sum(&microbatches, &cancel, |&i, _, _| {
        if i == 5 {
            cancel.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(found, None);
    let found = gradient.sum(&microbatches, &GO, |&i, _, _| i);
    assert_eq!(found, Some(microbatches), "and the next one is whole");
}
