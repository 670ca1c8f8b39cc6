use serde_json::{Value, json};

use super::{failure, fixture, rubric, scored, totals};
use crate::{Lack, Rubric};

fn judge(arguments: &[&str], more: Value) -> Rubric {
    let mut command = vec!["python3".to_owned(), fixture("program.py")];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let mut settings = json!({"command": command, "workers": 2, "timeout_s": 20, "retries": 0});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rubric("program", settings)
}

#[test]
fn a_program_that_speaks_lines_of_json() {
    let judge = judge(&[], json!({"batch": 2}));
    assert!(judge.open().is_empty());
    let scores = scored(&judge, &["abc", "", "ab", "a", "ü"], json!({}));
    assert_eq!(totals(&scores), [Some(3.0), None, Some(2.0), Some(1.0), Some(1.0)]);
    assert_eq!(scores[0].parts[0].note, "step 5");
    assert_eq!(scores[1].parts[0].lack, Some(Lack::Abstained));
}

#[test]
fn a_program_that_fails_fails_its_batch() {
    let one = judge(&[], json!({"batch": 2, "workers": 1}));
    let scores = scored(&one, &["abc", "die", "ab", "babble"], json!({}));
    assert_eq!(failure(&scores[0]), "the process ended with exit code 4 before it answered; it printed:\ncannot go on");
    assert_eq!(failure(&scores[1]), failure(&scores[0]));
    assert_eq!(scores[2].total, Some(2.0), "another process has taken over");
    assert_eq!(failure(&scores[3]), "gave \"many\", which is neither a number nor null");
}

#[test]
fn a_program_that_does_not_speak_it_is_refused() {
    let refused = |judge: &Rubric| judge.open().remove(0).1;
    let garbage = refused(&judge(&["garbage"], json!({})));
    assert!(garbage.starts_with("program: `command`: the answer is not JSON"), "{garbage}");
    assert!(garbage.ends_with("it printed:\nno JSON"), "{garbage}");
    let silent = rubric("program", json!({"command": ["sleep", "100"], "timeout_s": 0.3}));
    assert_eq!(refused(&silent), "program: `command`: no answer after 0.3 s");
    let missing = rubric("program", json!({"command": ["no-such-program"]}));
    let told = "program: `command`: start `no-such-program`: No such file or directory (os error 2)";
    assert_eq!(refused(&missing), told);
    let ends = rubric("program", json!({"command": ["true"]}));
    assert_eq!(refused(&ends), "program: `command`: the process ended with exit code 0 before it answered");
    // A child of its own holds the pipe open.
    let forks = rubric("program", json!({"command": ["sh", "-c", "sleep 100 & exit 5"]}));
    assert_eq!(refused(&forks), "program: `command`: the process ended with exit code 5 before it answered");
}

#[test]
fn requests_larger_than_a_pipe_go_through() {
    let text = "a".repeat(3 << 20);
    let scores = scored(&judge(&[], json!({})), &[&text, "b"], json!({"column": text}));
    assert_eq!(totals(&scores), [Some((3 << 20) as f64), Some(1.0)]);
}
