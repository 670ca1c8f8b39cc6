use super::*;
use crate::fixture::Dice;

fn checkpoint(run: &Path, step: u64) -> PathBuf {
    let folder = step_folder(run, step);
    durable::write_folder(&folder, |inside| {
        fs::create_dir(inside.join("optimizer")).unwrap();
        let weights: Vec<u8> = (0..5000u32).map(|n| (n * 7 % 251) as u8).collect();
        fs::write(inside.join("model.safetensors"), weights).unwrap();
        fs::write(inside.join("optimizer/m"), [9; 700]).unwrap();
        fs::write(inside.join("empty"), []).unwrap();
        write(inside)
    })
    .unwrap();
    folder
}

#[test]
fn sound_as_written() {
    let run = tempfile::tempdir().unwrap();
    verify(&checkpoint(run.path(), 1)).unwrap();
}

#[test]
fn two_hundred_damages_are_all_found() {
    let run = tempfile::tempdir().unwrap();
    let folder = checkpoint(run.path(), 1);
    let names = ["model.safetensors", "optimizer/m", MANIFEST];
    let mut dice = Dice(7);
    for round in 0..200 {
        let name = names[dice.below(names.len())];
        let path = folder.join(name);
        let whole = dice.damage(&path, 4);
        let error = verify(&folder).expect_err("damage").to_string();
        assert!(error.contains(name), "round {round}: {name}: {error}");
        fs::write(&path, whole).unwrap();
        verify(&folder).unwrap();
    }
}

#[test]
fn an_extra_file_is_named() {
    let run = tempfile::tempdir().unwrap();
    let folder = checkpoint(run.path(), 1);
    fs::write(folder.join("optimizer/stray"), "").unwrap();
    let error = verify(&folder).unwrap_err().to_string();
    assert!(error.ends_with("optimizer/stray is not in the manifest"), "{error}");
}

#[test]
fn the_newest_sound_one_is_taken() {
    let run = tempfile::tempdir().unwrap();
    assert!(newest_sound(run.path()).unwrap().is_none());
    for step in [5, 10, 10_000] {
        checkpoint(run.path(), step);
    }
    fs::create_dir(run.path().join("step_x")).unwrap();
    assert_eq!(newest_sound(run.path()).unwrap().unwrap().step, 10_000);

    fs::write(run.path().join("step_10000/empty"), "x").unwrap();
    fs::remove_file(run.path().join("step_0010").join(MANIFEST)).unwrap();
    let sound = newest_sound(run.path()).unwrap().unwrap();
    assert_eq!((sound.step, sound.damaged.len()), (5, 2));

    fs::remove_file(run.path().join("step_0005/model.safetensors")).unwrap();
    let error = newest_sound(run.path()).unwrap_err().to_string();
    for named in ["step_10000/empty", "step_0010", "step_0005/model.safetensors"] {
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn one_file_is_read_and_checked_alone() {
    let run = tempfile::tempdir().unwrap();
    let folder = checkpoint(run.path(), 1);
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert_eq!(read_verified(&folder, "optimizer/m").unwrap(), [9; 700]);
    fs::write(folder.join("optimizer/m"), [8; 700]).unwrap();
    assert!(matches!(read_verified(&folder, "optimizer/m"), Err(ManifestError::Content(_))));
    assert!(matches!(read_verified(&folder, "stray"), Err(ManifestError::Extra(_))));
}
