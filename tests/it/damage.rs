//! Damaged checkpoints as the program meets them. That every damage is found is shown beside the checkpoint's code,
//! where 200 of them cost less.

use std::fs;

use crate::toy_run::{Dice, STEPS, Toy, metrics, same_run};

const FILES: [&str; 5] = [
    "model.safetensors",
    "optimizer/first_moment.safetensors",
    "reference/reference.safetensors",
    "state.json",
    "manifest.json",
];

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_goes_on() {
    let toy = Toy::new(&[]);
    toy.train();
    let mut dice = Dice(5);
    for (i, file) in FILES.iter().enumerate() {
        let n = i + 2;
        toy.copy(1, &toy.run(n));
        fs::remove_dir_all(toy.run(n).join("final")).unwrap();
        let path = toy.run(n).join(format!("step_{STEPS:04}")).join(file);
        let mut bytes = fs::read(&path).unwrap();
        let place = dice.below(bytes.len() as u64) as usize;
        match i % 3 {
            0 => bytes[place] ^= 1 << dice.below(8),
            1 => bytes.truncate(place),
            _ => fs::remove_file(&path).unwrap(),
        }
        if i % 3 != 2 {
            fs::write(&path, bytes).unwrap();
        }
        let told = toy.resume(n);
        assert!(told.contains("passed over") && told.contains(&format!("step_{STEPS:04}")), "{told}");
        assert!(told.contains(file), "{told}");
        same_run(&toy.run(1), &toy.run(n), STEPS);
    }
}

#[test]
fn without_a_sound_checkpoint_nothing_is_started() {
    let toy = Toy::new(&["grpo.steps=2"]);
    toy.train();
    for step in [1, 2] {
        fs::write(toy.run(1).join(format!("step_{step:04}/state.json")), "{}").unwrap();
    }
    let before = metrics(&toy.run(1));
    let (told, code) = toy.refuse(1);
    assert_eq!(code, 1, "{told}");
    for named in ["no sound checkpoint", "step_0001/state.json", "step_0002/state.json"] {
        assert!(told.contains(named), "{told}");
    }
    assert!(!toy.run(2).exists());
    assert_eq!(metrics(&toy.run(1)), before);
}
