//! What a crash, a full disk or a damaged file leaves of checkpoints.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::*;
use crate::durable::set_failpoint;
use crate::fixture::Dice;

/// Names the `n`th failpoint that a save passes, or `None` where it passes fewer.
fn save_failing_at(run: &RunDir, state: &State, n: usize, crash: bool) -> Option<Result<PathBuf>> {
    let passed = Rc::new(Cell::new(0));
    let count = Rc::clone(&passed);
    let guard = set_failpoint(move |_, _| {
        count.set(count.get() + 1);
        if count.get() != n {
            return Ok(());
        }
        assert!(!crash, "crash");
        Err(io::Error::from_raw_os_error(libc::ENOSPC))
    });
    let saved = catch_unwind(AssertUnwindSafe(|| save(run, state, 1)));
    drop(guard);
    if passed.get() < n {
        return None;
    }
    Some(saved.unwrap_or_else(|_| Err(anyhow::anyhow!("crash"))))
}

#[test]
fn a_crash_anywhere_in_a_save_resumes_from_a_sound_checkpoint() {
    let mut outcomes = [0, 0];
    for n in 1.. {
        let (_root, run) = folder();
        let [first, second, third] = [(1, Some(0.9)), (2, None), (3, None)].map(|(step, pass)| Run::at(step, pass));
        save(&run, &first.state(), 1).unwrap();
        save(&run, &second.state(), 1).unwrap();
        let Some(saved) = save_failing_at(&run, &third.state(), n, true) else { break };
        assert_eq!(saved.unwrap_err().to_string(), "crash");
        let at = run.path().to_owned();
        drop(run);
        let step = find_resume(&at).unwrap().checkpoint.unwrap().step;
        let whole = usize::from(step == 3);
        outcomes[whole] += 1;
        assert_eq!(resumes_at(&at, if whole == 1 { &third } else { &second }).warnings, [""; 0], "failpoint {n}");
        // The one writer of the folder has cleared what the crash left, and the best is still there.
        assert!(names(&at).iter().all(|name| name.starts_with("step_")), "{:?}", names(&at));
        assert_eq!(best(&at).unwrap().unwrap().0.file_name().unwrap(), "step_0001");
        // The step is taken again, and saved.
        let run = RunDir::open(&at).unwrap();
        save(&run, &third.state(), 1).unwrap();
        assert_eq!(names(&at), ["step_0001", "step_0003"]);
    }
    // State and manifest are written with four failpoints each, the folder itself with four, the removal has three.
    assert!(outcomes[0] >= 9 && outcomes[1] >= 4, "{outcomes:?}");
}

#[test]
fn the_only_checkpoint_survives_a_crash_while_it_is_written_again() {
    for n in 1.. {
        let (_root, run) = folder();
        let only = Run::at(4, None);
        save(&run, &only.state(), 1).unwrap();
        let Some(saved) = save_failing_at(&run, &only.state(), n, true) else { break };
        assert!(saved.is_err());
        let at = run.path().to_owned();
        drop(run);
        resumes_at(&at, &only);
        assert_eq!(names(&at), ["step_0004"], "failpoint {n}");
    }
}

#[test]
fn a_full_disk_leaves_the_old_checkpoints_and_is_named() {
    for n in 1.. {
        let (_root, run) = folder();
        let [first, second] = [1, 2].map(|step| Run::at(step, None));
        save(&run, &first.state(), 1).unwrap();
        let Some(saved) = save_failing_at(&run, &second.state(), n, false) else { break };
        let error = format!("{:#}", saved.unwrap_err());
        assert!(error.contains("No space left on device") && error.contains("step_000"), "{error}");
        let at = run.path().to_owned();
        let visible = run.step(2).exists();
        assert!(visible || names(&at) == ["step_0001"], "failpoint {n}: {:?}", names(&at));
        // Room was made: the same process saves the step once more.
        save(&run, &second.state(), 1).unwrap();
        drop(run);
        resumes_at(&at, &second);
        assert_eq!(names(&at), ["step_0002"]);
    }
}

#[test]
fn two_hundred_damages_are_named_and_the_one_before_is_used() {
    let (_root, run) = folder();
    let [former, newest] = [1, 2].map(|step| Run::at(step, None));
    for one in [&former, &newest] {
        save(&run, &one.state(), 2).unwrap();
    }
    let at = fs::canonicalize(run.path()).unwrap();
    let folder = at.join("step_0002");
    let files = ["config.json", "model.safetensors", FIRST_MOMENT, SECOND_MOMENT, REFERENCE, STATE, MANIFEST];
    let mut dice = Dice(11);
    let mut loaded = Run::new();
    for round in 0..200 {
        let name = files[dice.below(files.len())];
        let path = folder.join(name);
        let whole = dice.damage(&path, 3);
        let found = find_resume(&at).unwrap().checkpoint.unwrap();
        assert_eq!((found.step, found.damaged.len()), (1, 1), "round {round}: {name}");
        let named = found.damaged[0].to_string();
        assert!(named.contains(name), "round {round}: {name}: {named}");
        let progress = load(&found.path, &mut loaded.state_mut()).unwrap();
        assert_eq!(progress, former.progress);
        loaded.progress = progress;
        assert!(loaded.bits() == former.bits(), "round {round}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(find_resume(&at).unwrap().checkpoint.unwrap().step, 2);
}

#[test]
fn a_damaged_checkpoint_is_warned_of_and_makes_room() {
    let (_root, run) = folder();
    let former = Run::at(1, None);
    for one in [&former, &Run::at(2, None), &Run::at(3, None)] {
        save(&run, &one.state(), 3).unwrap();
    }
    let at = run.path().to_owned();
    fs::write(run.step(3).join(SECOND_MOMENT), "x").unwrap();
    fs::write(run.step(2).join("config.json"), "x").unwrap();
    drop(run);
    let warnings = resumes_at(&at, &former).warnings.join("\n");
    for named in ["step_0003/optimizer/second_moment", "step_0002/config.json", "step_0002.aside", "step_0003.aside"] {
        assert!(warnings.contains(named), "{warnings}");
    }
    assert_eq!(names(&at), ["step_0001", "step_0002.aside", "step_0003.aside"]);
    // The run comes to step 2 once more.
    let run = RunDir::open(&at).unwrap();
    save(&run, &Run::at(2, None).state(), 2).unwrap();
    assert_eq!(names(&at), ["step_0001", "step_0002", "step_0003.aside"]);
    save(&run, &Run::at(4, None).state(), 2).unwrap();
    assert_eq!(names(&at), ["step_0002", "step_0004"], "what was set aside is there until the run is past it");
    assert_eq!(find_resume(&at).unwrap().checkpoint.unwrap().step, 4);
}

#[test]
fn none_sound_is_an_error() {
    let (_root, run) = folder();
    save(&run, &Run::at(1, None).state(), 2).unwrap();
    fs::write(run.step(1).join(STATE), "{}").unwrap();
    let error = find_resume(run.path()).unwrap_err().to_string();
    assert!(error.contains("no sound checkpoint") && error.contains("step_0001/state.json"), "{error}");
}
