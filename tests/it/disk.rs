//! A disk that refuses what a run writes: the message names the file, older checkpoints stay, and the run goes on as
//! itself once there is room.

use std::fs;
use std::process::{Command, Stdio};

use crate::toy_run::{STEPS, Toy, resume_flag, same_run, text};

/// Resumes run `n` where no file may grow past `kib`. What was said; the run must fail.
fn resume_within(toy: &Toy, n: usize, kib: u64) -> String {
    let program = toy.command(&[&resume_flag(n)]);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -S -f \"$0\" && exec \"$@\"", &kib.to_string()]).arg(program.get_program());
    let output = limited
        .args(program.get_args())
        .current_dir(toy.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    // An error told, where the signal of the limit would have ended the program without a word.
    assert_eq!(output.status.code(), Some(1), "{}\n{}", output.status, text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_file_that_may_not_grow_is_named_and_the_run_goes_on_later() {
    let toy = Toy::new(&[]);
    toy.train();
    let log = fs::metadata(toy.run(1).join("metrics.jsonl")).unwrap().len();
    let weights = fs::metadata(toy.run(1).join("step_0001/model.safetensors")).unwrap().len();
    let moments = fs::metadata(toy.run(1).join("step_0001/optimizer/first_moment.safetensors")).unwrap().len();
    println!("{log} bytes of metrics, {weights} of weights, {moments} of moments");
    // Each limit stops another file: a log at its first line, the weights of the next checkpoint.
    for (n, kib, file) in [(2, 1, "run.log"), (3, weights / 2 / 1024, "step_0003")] {
        toy.copy_until(1, n, 2);
        let kept = fs::read(toy.run(n).join("step_0002/model.safetensors")).unwrap();
        let told = resume_within(&toy, n, kib);
        assert!(told.contains("File too large") && told.contains(file), "{told}");
        assert!(told.contains(".safetensors") || n == 2, "{told}");
        assert!(fs::read(toy.run(n).join("step_0002/model.safetensors")).unwrap() == kept);
        let names: Vec<_> = fs::read_dir(toy.run(n)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name == "step_0003"), "{names:?}");
        assert_eq!(toy.resume(n).matches("error").count(), 0);
        same_run(&toy.run(1), &toy.run(n), STEPS);
    }
}
