use std::io::Write as _;

use serde_json::json;

use super::*;
use crate::data::{Arithmetic, ChainDemonstrations, Split};

fn open(lines: &str, fields: Fields) -> Result<Documents> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let paths = vec![file.path().to_owned()];
    Documents::open(&Source::Files(Files { paths, layout: None, fields, limit: None }), 0)
}

fn bodies(lines: &str) -> Vec<DocumentBody> {
    open(lines, Fields::default()).unwrap().all.into_iter().map(|document| document.body).collect()
}

#[test]
fn rows_are_texts_completions_or_conversations() {
    assert_eq!(bodies(r#"{"text": "Once."}"#), [DocumentBody::Text("Once.".into())]);
    let completion = DocumentBody::Completion { prompt: PromptText::Text("2+2=".into()), completion: "4".into() };
    assert_eq!(bodies(r#"{"prompt": "2+2=", "completion": "4"}"#), std::slice::from_ref(&completion));
    assert_eq!(bodies(r#"{"question": "2+2=", "answer": "4"}"#), [completion]);
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]);
    let conversation = DocumentBody::Conversation { messages: messages.as_array().unwrap().clone(), tools: None };
    assert_eq!(bodies(&json!({"messages": messages}).to_string()), std::slice::from_ref(&conversation));
    assert_eq!(bodies(&json!({"messages": messages.to_string()}).to_string()), std::slice::from_ref(&conversation));
    let halves = json!({"prompt": [messages[0]], "completion": [messages[1]]});
    assert_eq!(bodies(&halves.to_string()), [conversation]);
}

#[test]
fn named_fields_go_before_those_that_are_found() {
    let fields = Fields { prompt: Some("q".into()), completion: Some("a.best".into()), ..Fields::default() };
    let documents = open(r#"{"text": "no", "q": "Why?", "a": {"best": "So."}}"#, fields).unwrap();
    let expected = DocumentBody::Completion { prompt: PromptText::Text("Why?".into()), completion: "So.".into() };
    assert_eq!(documents.all[0].body, expected);
}

#[test]
fn empty_rows_are_counted_and_wrong_ones_named() {
    let documents = open("{\"text\": \"a\"}\n{\"text\": \"\"}\n{\"text\": null}\n", Fields::default()).unwrap();
    assert_eq!((documents.all.len(), documents.n_empty), (1, 2));
    assert!(documents.all[0].place.ends_with(", line 1"), "{}", documents.all[0].place);

    let error = |lines: &str| format!("{:#}", open(lines, Fields::default()).unwrap_err());
    let wrong = error("{\"text\": \"a\"}\n{\"text\": 3}\n");
    assert!(wrong.ends_with("field `text` is not text at line 2"), "{wrong}");
    let missing = error("{\"text\": \"a\"}\n\n{\"body\": \"b\"}\n");
    assert!(missing.ends_with("missing field `text` at line 3"), "{missing}");
    let nothing = error("{\"id\": 1}\n");
    assert!(nothing.contains("nothing to learn in the first row"), "{nothing}");
    assert!(nothing.ends_with("(the row has `id`)"), "{nothing}");
}

#[test]
fn generated_problems_are_completed_by_their_solution() {
    let source = Source::Arithmetic(Arithmetic { n_problems: 20, split: Split::Train, terms: 3, max_number: 9 });
    let problems = ProblemSet::open(&source, 4).unwrap();
    let documents = Documents::open(&source, 4).unwrap();
    assert_eq!(documents.all.len(), 20);
    for (problem, document) in problems.iter().zip(&documents.all) {
        let DocumentBody::Completion { prompt, completion } = &document.body else { panic!("{document:?}") };
        assert_eq!(prompt, &problem.prompt);
        assert!(completion.starts_with("<think>"), "{completion}");
        assert!(completion.ends_with(&format!("</think><answer>{}</answer>", problem.expected)), "{completion}");
    }
}

#[test]
fn demonstrations_share_the_problems_of_the_chain_and_some_are_right() {
    let config = ChainDemonstrations { n_problems: 2000, split: Split::Train, operations: 4, right: 0.2 };
    let source = Source::ChainDemonstrations(config.clone());
    let problems = ProblemSet::open(&source, 5).unwrap();
    let right = |problem: &&crate::data::Problem| {
        let completion = problem.columns["completion"].as_str().unwrap();
        completion.ends_with(&format!("<answer>{}</answer>", problem.expected))
    };
    // 0.2 by strategy, and a few more by accident.
    let n_right = problems.iter().filter(right).count();
    assert!((400..640).contains(&n_right), "{n_right}");
    let all_right = Source::ChainDemonstrations(ChainDemonstrations { right: 1.0, ..config });
    let all_right = ProblemSet::open(&all_right, 5).unwrap();
    assert!(all_right.iter().all(|problem| right(&problem)));
    assert!(problems.iter().zip(all_right.iter()).all(|(a, b)| a.prompt == b.prompt));
}
