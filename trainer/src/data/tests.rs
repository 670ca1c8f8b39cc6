use super::*;

fn chain(n_problems: u64, split: Split) -> Source {
    Source::Chain(Chain { n_problems, split, operations: 3 })
}

#[test]
fn an_epoch_shows_each_problem_once_and_every_epoch_has_its_own_order() {
    let set = ProblemSet::open(&chain(30, Split::Train), 7).unwrap();
    let epoch = |e: u64| -> Vec<u64> { (0..5).flat_map(|s| set.batch(e * 5 + s, 6)).map(|p| p.index).collect() };
    let (first, second) = (epoch(0), epoch(1));
    assert_ne!(first, second);
    for mut order in [first, second] {
        order.sort_unstable();
        assert_eq!(order, (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_depends_on_the_step_alone_and_may_cross_epochs() {
    let set = ProblemSet::open(&chain(5, Split::Train), 7).unwrap();
    let again = ProblemSet::open(&chain(5, Split::Train), 7).unwrap();
    let _ = again.batch(0, 3);
    assert_eq!(set.batch(9, 12), again.batch(9, 12));
    assert_eq!(set.batch(1, 12).len(), 12);
    // The same positions cut into other batches.
    let ones: Vec<_> = (12..24).flat_map(|step| set.batch(step, 1)).collect();
    assert_eq!(set.batch(1, 12), ones);
    let other = ProblemSet::open(&chain(5, Split::Train), 8).unwrap();
    assert_ne!(set.get(0), other.get(0));
    assert_eq!(set.get(5), None);
}

#[test]
fn overlap_ignores_white_space_and_finds_nothing_between_splits() {
    let train = ProblemSet::open(&chain(500, Split::Train), 1).unwrap();
    let heldout = ProblemSet::open(&chain(100, Split::Heldout), 2).unwrap();
    assert_eq!(overlap(&train, &heldout), Vec::<u64>::new());
    let mut leaked = heldout.clone();
    leaked.problems[3].prompt = PromptText::Text(format!(" {}\n", train.problems[9].prompt.text()));
    assert_eq!(overlap(&train, &leaked), [3]);
}

#[test]
fn a_source_reads_from_toml_and_refuses_unknown_fields() {
    #[derive(serde::Deserialize)]
    struct Config {
        data: Source,
    }
    let source: Config = toml::from_str("data.chain = { n_problems = 10 }").unwrap();
    assert_eq!(source.data, chain(10, Split::Train));
    let text = "data.files = { paths = ['a.jsonl'], layout = 'gsm8k', fields = { prompt = 'q' } }";
    let Source::Files(files) = toml::from_str::<Config>(text).unwrap().data else { panic!() };
    assert_eq!(files.layout, Some(Layout::Gsm8k));
    assert_eq!(files.fields.prompt.as_deref(), Some("q"));
    let error = toml::from_str::<Config>("data.chain = { n_problems = 10, operation = 3 }").err().unwrap().to_string();
    assert!(error.contains("unknown field `operation`"), "{error}");
}

#[test]
fn templates_word_a_prompt() {
    let prompt = PromptText::Text("What is 2 + 2?".into());
    assert_eq!(Template::Plain.apply(&prompt), prompt);
    let chat = Template::Chat.apply(&prompt);
    assert_eq!(chat, PromptText::Messages(vec![serde_json::json!({"role": "user", "content": "What is 2 + 2?"})]));
    assert_eq!(Template::Plain.apply(&chat), prompt);
    let text = Template::R1Zero.apply(&prompt).text();
    assert!(text.starts_with("A conversation between User and Assistant. "), "{text}");
    assert!(text.ends_with("</answer>. User: What is 2 + 2? Assistant:"), "{text}");
}
