use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn assigned(effort: &Effort, index: u64, seed: u64) -> String {
    let mut columns = Map::new();
    effort.assign(&mut columns, index, seed);
    Effort::of(&columns).unwrap()
}

#[test]
fn an_effort_is_a_function_of_seed_and_place() {
    let effort = Effort::default();
    let of = |seed: u64| (0..3_000).map(|index| assigned(&effort, index, seed)).collect::<Vec<_>>();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let mut counts = BTreeMap::new();
    for level in of(1) {
        *counts.entry(level).or_insert(0) += 1;
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["high", "low", "medium"]);
    assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
}

#[test]
fn a_row_keeps_its_own_effort() {
    let effort = Effort { levels: vec!["low".into()], ..Effort::default() };
    for (own, said) in [(json!("high"), "high"), (json!(512), "512")] {
        let mut columns = Map::from_iter([("effort".to_owned(), own)]);
        effort.assign(&mut columns, 0, 1);
        assert_eq!(Effort::of(&columns).unwrap(), said);
    }
    assert!(Effort::of(&Map::from_iter([("effort".to_owned(), json!([1]))])).is_err());
    assert!(Effort::of(&Map::new()).is_err());
}

#[test]
fn the_words_are_configuration() {
    let effort = |line: &str| Effort { line: line.to_owned(), ..Effort::default() };
    assert_eq!(Effort::default().paragraph("low").as_deref(), Some("Reasoning effort: low."));
    assert_eq!(effort("Think for {effort} tokens.").paragraph("512").as_deref(), Some("Think for 512 tokens."));
    assert_eq!(effort("").paragraph("low"), None);
}
