use super::*;
use std::sync::atomic::AtomicU64;

/// How often each item was given out.
fn counts(items: usize, grain: usize) -> Vec<usize> {
    let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
    spread(items, grain, |range| {
        for i in range {
            counts[i].fetch_add(1, Relaxed);
        }
    });
    counts.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_item_is_computed_once() {
    for threads in 1..=5 {
        let mut team = Team::new(threads);
        assert_eq!(team.threads(), threads);
        team.lead(|| {
            for items in (0..40).chain([1_000, 1_001]) {
                for grain in [0, 1, 7, 2_000] {
                    assert_eq!(counts(items, grain), vec![1; items], "{threads} threads, {items} items, grain {grain}");
                }
            }
        });
    }
}

#[test]
fn runs_cover_all_items_and_say_what_follows() {
    for threads in 1..=5 {
        Team::new(threads).lead(|| {
            for items in 0..40 {
                for grain in [0, 1, 3] {
                    let parts = Mutex::new(Vec::new());
                    spread_in_runs(items, grain, |part, next| parts.lock().expect("no panic").push((part, next)));
                    let mut parts = parts.into_inner().expect("no panic");
                    parts.sort_by_key(|(part, _)| part.start);
                    assert!(
                        parts.iter().flat_map(|(part, _)| part.clone()).eq(0..items),
                        "{parts:?} are {items} items"
                    );
                    assert!(parts.iter().all(|(part, _)| parts.len() == 1 || part.len() >= grain), "{parts:?}");
                    assert!(parts.iter().all(|(part, next)| next.is_none_or(|next| next == part.end)), "{parts:?}");
                }
            }
        });
    }
}

/// A thread goes through a run of its own, and what it does not come to, others do.
#[test]
fn what_a_slow_thread_leaves_is_taken_from_its_end() {
    let (threads, items) = (4, 64);
    let slow = Mutex::new(Vec::new());
    Team::new(threads).lead(|| {
        let (leader, rest) = (thread::current().id(), AtomicUsize::new(0));
        spread_in_runs(items, 1, |part, _| {
            if thread::current().id() == leader {
                slow.lock().expect("no panic").push(part.start);
                let patience = std::time::Instant::now();
                while rest.load(SeqCst) < items - 1 && patience.elapsed().as_secs() < 20 {
                    thread::yield_now();
                }
            } else {
                rest.fetch_add(1, SeqCst);
            }
        });
    });
    // None at all where the leader itself was kept from its core.
    let slow = slow.into_inner().expect("no panic");
    assert!(slow.iter().all(|&item| item == 0), "its first item kept it busy until all others were done: {slow:?}");
}

#[test]
fn calls_close_upon_each_other_never_mix() {
    let mut team = Team::new(4);
    let sum = AtomicU64::new(0);
    let mut expected = 0;
    team.lead(|| {
        for call in 0..50_000_u64 {
            let items = (call % 17) as usize;
            spread(items, 1, |range| {
                sum.fetch_add(range.len() as u64 * call, Relaxed);
            });
            expected += items as u64 * call;
        }
    });
    assert_eq!(sum.into_inner(), expected);
}

#[test]
fn members_that_slept_wake_again() {
    let mut team = Team::new(3);
    for _ in 0..3 {
        thread::sleep(std::time::Duration::from_millis(20));
        team.lead(|| assert_eq!(counts(100, 1), vec![1; 100]));
    }
}

#[test]
fn work_is_led_by_the_team_that_is_here_or_a_new_one() {
    assert_eq!((led(3, threads), threads()), (3, 1));
    assert_eq!(Team::new(2).lead(|| led(3, threads)), 2);
}

/// How many threads a team takes for two items that wait for each other: they need two.
fn threads_that_meet(team: &mut Team) -> usize {
    let seen = Mutex::new(std::collections::HashSet::new());
    let meeting = std::sync::Barrier::new(2);
    let meet = |_: Range<usize>| {
        seen.lock().expect("no panic").insert(thread::current().id());
        meeting.wait();
    };
    team.lead(|| spread(2, 1, meet));
    seen.lock().expect("no panic").len()
}

#[test]
fn work_reaches_other_threads() {
    assert_eq!(threads_that_meet(&mut Team::new(2)), 2);
}

/// Sets its flag, also where a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// `work`, with so many guests that come again and again to the teams behind `doors`.
fn with_guests(n: usize, doors: &[Door], work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..n {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    Door::help_all(doors);
                }
            });
        }
        let _done = Done(&done);
        work();
    });
    assert!(doors.iter().all(|door| door.0.guests.load(SeqCst) == 0), "all guests left");
}

#[test]
fn a_team_of_one_that_has_a_guest_works_on_two_items_at_once() {
    let mut team = Team::new(1);
    let doors = [team.door()];
    Door::help_all(&doors); // Nobody leads: there is nothing to wait for.
    with_guests(1, &doors, || assert_eq!(threads_that_meet(&mut team), 2));
}

#[test]
fn guests_of_several_teams_compute_no_item_twice() {
    let mut teams = [Team::new(1), Team::new(1), Team::new(2)];
    let doors = teams.each_ref().map(Team::door);
    with_guests(2, &doors, || {
        thread::scope(|scope| {
            for team in &mut teams {
                // A stay ends and another begins between one `lead` and the next.
                let lead =
                    || (0..2_000).for_each(|call| team.lead(|| assert_eq!(counts(call % 17, 1), vec![1; call % 17])));
                scope.spawn(lead);
            }
        });
    });
}

#[test]
fn a_guest_s_panic_comes_to_the_leader_and_sends_all_guests_away() {
    let mut team = Team::new(1);
    let doors = [team.door()];
    with_guests(1, &doors, || {
        let meeting = std::sync::Barrier::new(2);
        let leader = thread::current().id();
        let meet_and_fail = |_: Range<usize>| {
            meeting.wait();
            assert!(thread::current().id() == leader, "a guest fails");
        };
        let failed = panic::catch_unwind(AssertUnwindSafe(|| team.lead(|| spread(2, 1, meet_and_fail))));
        assert!(failed.is_err());
        assert_eq!(team.lead(|| counts(100, 1)), vec![1; 100]);
    });
}

#[test]
fn spread_inside_spread_and_outside_a_team_is_inline() {
    assert_eq!(counts(9, 1), vec![1; 9]);
    let mut team = Team::new(2);
    team.lead(|| {
        spread(4, 1, |_| assert_eq!(counts(5, 1), vec![1; 5]));
        assert!(!LEADING.get().is_null(), "the team leads again after a call");
    });
    assert!(LEADING.get().is_null());
}

#[test]
fn a_panic_comes_back_to_the_leader_and_the_team_goes_on() {
    let mut team = Team::new(3);
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        team.lead(|| spread(30, 1, |range| assert!(!range.contains(&17), "item seventeen")));
    }));
    let message = *caught.expect_err("it panics").downcast::<&str>().expect("a text");
    assert_eq!(message, "item seventeen");
    team.lead(|| assert_eq!(counts(30, 1), vec![1; 30]));
}

#[test]
fn rows_are_cut_at_rows() {
    let mut team = Team::new(4);
    let mut numbers = vec![0.0; 7 * 100];
    team.lead(|| {
        spread_rows(&mut numbers, 7, 3, |rows, part| {
            for (row, numbers) in rows.zip(part.chunks_exact_mut(7)) {
                numbers.fill(row as f32);
            }
        });
    });
    for (row, numbers) in numbers.chunks_exact(7).enumerate() {
        assert!(numbers.iter().all(|&n| n == row as f32));
    }
}

#[test]
fn items_are_filled_in_place() {
    let mut items = vec![String::from("before"); 100];
    Team::new(3).lead(|| fill(&mut items, 1, |i| i.to_string()));
    assert!(items.iter().enumerate().all(|(i, item)| *item == i.to_string()));
}
