//! Gates, windows, sources, clips, and rules that are not configuration.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{Gate, Lack, Member, Rubric, Rule, RuleConfig, Sample, Score, Terms, Verdict};

const GOOD: &str = "<think>a</think><answer>5</answer>";
const BARE: &str = "<answer>5</answer>";

fn rubric(value: Value) -> Rubric {
    Rubric::new(&serde_json::from_value::<Vec<RuleConfig>>(value).unwrap()).unwrap()
}

fn score(rubric: &Rubric, completion: &str, step: Option<u64>) -> Score {
    let sample = Sample { completion, expected: "5", n_tokens: 1, step, ..Sample::default() };
    rubric.score_group(&[sample]).remove(0)
}

#[test]
fn a_gate_lets_a_rule_count_only_where_another_holds() {
    let rubric = rubric(json!([
        {"accuracy": {"weight": 2.0, "kind": "numeric", "extract": "any", "needs": {"format": 1.0}}},
        {"format": {"weight": 0.5, "style": "think_answer"}},
    ]));
    let held = score(&rubric, GOOD, None);
    assert_eq!((held.total, held.right, held.parts[0].gate), (Some(2.5), Some(true), Gate::Open));
    let loose = score(&rubric, BARE, None);
    assert_eq!((loose.total, loose.right, loose.parts[0].gate), (Some(0.0), Some(true), Gate::Closed));
    assert_eq!((loose.parts[0].value, loose.parts[0].weight), (Some(1.0), 2.0), "the value itself is kept");
    assert_eq!(loose.parts[0].note, "right; does not count: format is 0, and 1 is needed");
    let text = serde_json::to_value(&loose.parts).unwrap();
    assert_eq!((&text[0]["gate"], text[1].get("gate")), (&json!("closed"), None));
}

#[test]
fn behind_a_gate_what_is_not_known_may_not_matter() {
    let rubric = rubric(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any", "needs": {"format": 1.0}}},
        {"format": {"weight": 1.0, "style": "think_answer", "needs": {"accuracy": 0.0}}},
    ]));
    let of = |completion| {
        let sample = Sample { completion, expected: "no number", ..Sample::default() };
        rubric.score_group(&[sample]).remove(0)
    };
    // The layout is kept: accuracy should count, and format too if only accuracy were known.
    let kept = of(GOOD);
    assert_eq!((kept.total, kept.parts[0].lack, kept.parts[1].gate), (None, Some(Lack::Undecided), Gate::Unknown));
    let broken = of(BARE);
    assert_eq!((broken.total, broken.parts[0].gate), (None, Gate::Closed), "format is still not known to count");
}

#[test]
fn a_rule_without_weight_is_only_measured() {
    let rubric = rubric(json!([
        {"accuracy": {"weight": 0.0, "kind": "numeric", "extract": "any"}},
        {"format": {"weight": 1.0, "style": "think_answer"}},
    ]));
    let sample = Sample { completion: GOOD, expected: "no number", ..Sample::default() };
    let score = rubric.score_group(&[sample]).remove(0);
    assert_eq!((score.total, score.parts[0].value), (Some(1.0), None));
}

#[test]
fn a_window_of_steps_and_its_warm_up() {
    let rubric = rubric(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any", "steps": [3, 9]}},
        {"format": {"weight": 4.0, "style": "think_answer", "steps": [5], "warmup_steps": 4}},
    ]));
    let total = |step| score(&rubric, GOOD, step).total.unwrap();
    let expected = [
        (1, 0.0),
        (2, 0.0),
        (3, 1.0),
        (4, 1.0),
        (5, 2.0),
        (6, 3.0),
        (7, 4.0),
        (8, 5.0),
        (9, 5.0),
        (10, 4.0),
        (1_000_000, 4.0),
    ];
    for (step, sum) in expected {
        assert_eq!(total(Some(step)), sum, "step {step}");
    }
    assert_eq!(total(None), 5.0, "outside of training every rule counts in full");
    let early = score(&rubric, GOOD, Some(1));
    // What says what is right is asked at every step; the layout waits for its first.
    let names: Vec<&str> = early.parts.iter().map(|part| part.rule.as_str()).collect();
    assert_eq!((names, early.parts[0].weight, early.right), (vec!["accuracy"], 0.0, Some(true)));
}

#[test]
fn a_gate_holds_while_its_rule_counts() {
    let rubric = rubric(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any", "needs": {"format": 1.0}}},
        {"format": {"weight": 0.0, "style": "think_answer", "steps": [1, 10]}},
    ]));
    assert_eq!(score(&rubric, BARE, Some(10)).total, Some(0.0));
    assert_eq!(score(&rubric, BARE, Some(11)).total, Some(1.0));
}

#[test]
fn a_clip_bounds_the_value() {
    let rubric = rubric(json!([
        {"soft_overlong": {"weight": 2.0, "max_tokens": 10, "buffer": 10, "clip": [-0.25, 1.0]}},
    ]));
    let of = |n_tokens| rubric.score_group(&[Sample { n_tokens, ..Sample::default() }]).remove(0);
    assert_eq!((of(2).total, of(10).total), (Some(-0.4), Some(-0.5)));
    assert_eq!(of(10).parts[0].note, "overlong; clipped from -1");
}

#[test]
fn rows_of_each_source_have_their_own_rules() {
    let rules = json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any", "sources": ["gsm8k", "math"], "name": "sums"}},
        {"accuracy": {"weight": 1.0, "kind": "exact", "extract": "any", "sources": ["trivia"], "name": "words"}},
        {"format": {"weight": 0.5, "style": "think_answer", "sources": ["gsm8k"]}},
    ]);
    let rubric = rubric(rules.clone());
    let of = |columns: Value, expected| {
        let columns: Map<String, Value> = columns.as_object().unwrap().clone();
        let sample = Sample { completion: "<answer>5.0</answer>", expected, columns: &columns, ..Sample::default() };
        let score = rubric.score_group(&[sample]).remove(0);
        let names: Vec<String> = score.parts.iter().map(|part| part.rule.clone()).collect();
        (score.total, score.right, names.join(" "), rubric.answer(&sample))
    };
    let answer = |text: &str| Some(text.to_owned());
    let sums = (Some(1.0), Some(true), "sums format".to_owned(), answer("5"));
    assert_eq!(of(json!({"source": "gsm8k"}), "5"), sums);
    let first = json!({"data_source": "gsm8k", "source": "trivia"});
    assert_eq!(of(first, "5"), sums, "verl's column comes first");
    let words = (Some(0.0), Some(false), "words".to_owned(), answer("5.0"));
    assert_eq!(of(json!({"source": "trivia"}), "5"), words);
    // No rule for the row is no reason for a reward of 0.
    assert_eq!(of(json!({"source": "poems"}), "5"), (None, None, String::new(), None));
    assert_eq!(of(json!({}), "5"), (None, None, String::new(), None));

    let judging = rubric.judging().unwrap();
    assert_eq!(judging.names().collect::<Vec<_>>(), ["sums", "words"]);
    let configs: Vec<RuleConfig> = serde_json::from_value(rules).unwrap();
    assert!(Rubric::new(&configs[2..]).unwrap().judging().is_none());
    // Alone, a rule is for every row.
    let words = Rubric::only(&configs[1]).unwrap();
    assert_eq!(
        words.score_group(&[Sample { completion: BARE, expected: "5", ..Sample::default() }])[0].total,
        Some(1.0)
    );
}

/// Says what its name says, of one completion or of many.
struct Says {
    verdict: fn(&Sample<'_>) -> Verdict,
    judges: bool,
    in_groups: bool,
    n_verdicts: Option<usize>,
}

impl Rule for Says {
    fn name(&self) -> &str {
        "says"
    }

    fn judge(&self, sample: &Sample<'_>) -> Option<Verdict> {
        (!self.in_groups).then(|| (self.verdict)(sample))
    }

    fn judge_group(&self, group: &[Member<'_>]) -> Vec<Verdict> {
        let n = self.n_verdicts.unwrap_or(group.len());
        group.iter().take(n).map(|one| (self.verdict)(&one.sample)).collect()
    }

    fn judges(&self) -> bool {
        self.judges
    }
}

fn says(verdict: fn(&Sample<'_>) -> Verdict) -> Says {
    Says { verdict, judges: false, in_groups: false, n_verdicts: None }
}

#[test]
fn rules_of_ones_own_stand_beside_configured_ones() {
    let k15: RuleConfig = serde_json::from_value(json!({"length_k15": {"weight": 1.0}})).unwrap();
    let right = |sample: &Sample<'_>| Verdict::new(f64::from(u8::from(sample.completion == "yes")), "");
    // What is right may be said of the group; rules that build on it are asked behind it.
    for in_groups in [false, true] {
        let own = Says { judges: true, in_groups, ..says(right) };
        let rubric = Rubric::of(vec![(k15.terms(), k15.rule()), (Terms::weight(10.0), Arc::new(own))]).unwrap();
        let sample = |completion, n_tokens| Sample { completion, n_tokens, ..Sample::default() };
        let scores = rubric.score_group(&[sample("yes", 1), sample("no", 2), sample("yes", 3)]);
        let totals: Vec<_> = scores.iter().map(|score| score.total.unwrap()).collect();
        assert_eq!(totals, [10.5, 0.0, 9.5]);
        let rights: Vec<_> = scores.iter().map(|score| score.right.unwrap()).collect();
        assert_eq!(rights, [true, false, true]);
    }
}

#[test]
fn what_fails_leaves_its_completion_out() {
    let total = |own: Says| {
        let rubric = Rubric::of(vec![(Terms::weight(1.0), Arc::new(own) as Arc<dyn Rule>)]).unwrap();
        let score = rubric.score_group(&[Sample::default()]).remove(0);
        (score.total, score.parts[0].lack, score.parts[0].note.clone())
    };
    let failed = Some(Lack::Failed);
    let note = |text: &str| text.to_owned();
    assert_eq!(total(says(|_| Verdict::failed("worker died"))), (None, failed, note("worker died")));
    let (sum, lack, text) = total(says(|_| Verdict::new(f64::NAN, "a mean of nothing")));
    assert_eq!((sum, lack), (None, failed));
    assert_eq!(text, "the rule's value is NaN (a mean of nothing)");
    let short = Says { in_groups: true, n_verdicts: Some(0), ..says(|_| Verdict::new(1.0, "")) };
    assert_eq!(total(short), (None, failed, note("the rule gave 0 verdicts on 1 completions")));
}

#[test]
fn a_rule_that_abstains_leaves_the_sum_to_the_others() {
    let abstains = || Arc::new(says(|_| Verdict::abstained("not my row"))) as Arc<dyn Rule>;
    let one = Arc::new(says(|_| Verdict::new(1.0, ""))) as Arc<dyn Rule>;
    let named = |name: &str| Terms { name: Some(name.to_owned()), ..Terms::weight(2.0) };
    let score = |rules| Rubric::of(rules).unwrap().score_group(&[Sample::default()]).remove(0);
    let both = score(vec![(named("a"), abstains()), (named("b"), one)]);
    assert_eq!((both.total, both.parts[0].lack), (Some(2.0), Some(Lack::Abstained)));
    // Where nobody speaks there is no reward, not one of 0.
    assert_eq!(score(vec![(named("a"), abstains()), (named("b"), abstains())]).total, None);
}
