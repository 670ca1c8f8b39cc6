use std::fs;

use model::config::PolicyConfig;
use rollout::completion::{Completion, FinishReason};
use rollout::pool::RolloutConfig;
use rollout::stopping::StopRules;
use serde_json::{Map, json};
use tempfile::TempDir;

use super::*;
use crate::data::{Problem, PromptText};
use crate::fixture::{Folder, tokenizer};

fn rule() -> RuleConfig {
    serde_json::from_value(json!({"accuracy": {"weight": 2.0, "kind": "numeric", "extract": "answer_tag"}})).unwrap()
}

fn judged(texts: &[(&str, FinishReason)], expected: &str) -> Outcome {
    outcome(&Rubric::only(&rule()).unwrap(), &problem(expected), &group(texts), Some(4))
}

fn problem(expected: &str) -> PreparedProblem {
    let prompt = Prompt { index: 5, tokens: vec![1] };
    let problem =
        Problem { index: 5, prompt: PromptText::Text("3 + 4?".into()), expected: expected.into(), columns: Map::new() };
    PreparedProblem { problem, prompt, text: "User: 3 + 4? Assistant:".into() }
}

fn group(texts: &[(&str, FinishReason)]) -> Group {
    let completion = |(text, finish): &(&str, FinishReason)| Completion {
        tokens: vec![1; text.len()],
        logprobs: vec![0.0; text.len()],
        text: text.to_string(),
        finish: *finish,
    };
    Group { prompt: problem("7").prompt, completions: texts.iter().map(completion).collect() }
}

#[test]
fn an_outcome_by_hand() {
    let completions = [
        ("<answer>8</answer>", FinishReason::Stop),
        ("<answer>7.0</answer>", FinishReason::Stop),
        ("no", FinishReason::Length),
        ("<answer>7</answer>", FinishReason::Stop),
    ];
    let outcome = judged(&completions, "7");
    assert_eq!(outcome.judged.correct, [false, true, false, true]);
    let answers: Vec<_> = outcome.judged.answers.iter().map(Option::as_deref).collect();
    assert_eq!(answers, [Some("8"), Some("7"), None, Some("7")]);
    assert_eq!((outcome.lengths, outcome.n_cut, outcome.unscored), (vec![18, 20, 2, 18], 1, 0));
    let shown = outcome.shown.unwrap();
    assert_eq!((shown.question.as_str(), shown.record.completion.as_str()), ("3 + 4?", "<answer>8</answer>"));
    assert_eq!((shown.correct, shown.record.step, shown.record.total), (Some(false), 4, Some(0.0)));
}

#[test]
fn what_cannot_be_scored_is_counted_and_left_out() {
    let outcome = judged(&[("<answer>7</answer>", FinishReason::Stop); 3], "seven");
    assert_eq!((outcome.unscored, outcome.judged.correct.len(), outcome.lengths.len()), (3, 0, 3));
    assert_eq!(outcome.shown.unwrap().correct, None);
    assert_eq!(judged(&[], "7"), Outcome::default());
}

#[test]
fn a_near_miss_of_countdown_is_wrong() {
    let rule: RuleConfig = serde_json::from_value(json!({"countdown": {"weight": 1.0, "format_score": 0.5}})).unwrap();
    let judge = Rubric::only(&rule).unwrap();
    let mut game = problem("7");
    game.problem.columns = json!({"nums": [3, 4], "target": 7}).as_object().unwrap().clone();
    let texts = ["<answer>3 * 4</answer>", "<answer>3 + 4</answer>"].map(|text| (text, FinishReason::Stop));
    assert_eq!(outcome(&judge, &game, &group(&texts), None).judged.correct, [false, true]);
}

struct Setup {
    folder: TempDir,
    policy: Policy,
}

impl Setup {
    fn new() -> Self {
        tch::set_num_threads(1);
        let folder = Folder::default().write();
        let config = PolicyConfig { random_init: true, ..PolicyConfig::new(folder.path()) };
        let policy = Policy::load(folder.path(), &config, 3).unwrap();
        let rows: Vec<String> = (0..6).map(|i| format!(r#"{{"prompt": "{i} + 4?", "answer": "{}"}}"#, i + 4)).collect();
        fs::write(folder.path().join("problems.jsonl"), rows.join("\n")).unwrap();
        Setup { folder, policy }
    }

    fn config(&self) -> EvalConfig {
        let data = json!({
            "source": {"files": {
                "paths": [self.folder.path().join("problems.jsonl")],
                "fields": {"prompt": "prompt", "expected": "answer"},
            }},
            "template": "plain",
        });
        serde_json::from_value(json!({
            "sets": [{"name": "sums", "data": data}, {"name": "few", "data": data, "n_problems": 2}],
            "samples": 3,
        }))
        .unwrap()
    }

    fn open(&self, config: &EvalConfig) -> Result<EvalSets> {
        EvalSets::open(config, &[rule()], 12, &tokenizer(self.folder.path()), 0)
    }

    fn evaluate(&self, config: &EvalConfig, replicas: usize, max_batch: usize, step: u64) -> Vec<Evaluation> {
        let tokenizer = tokenizer(self.folder.path());
        let rollout = RolloutConfig { max_batch, kv_bytes: 1 << 24, ..RolloutConfig::default() };
        let stop = StopRules { ids: vec![257], strings: Vec::new() };
        let mut pool = RolloutPool::new(&rollout, replicas, self.policy.config(), tokenizer, stop);
        let sets = self.open(config).unwrap();
        evaluate(&self.policy, &mut pool, &sets, 9, step, &AtomicBool::new(false)).unwrap()
    }
}

#[test]
fn the_same_whatever_the_number_of_replicas() {
    let setup = Setup::new();
    let config = setup.config();
    let one = setup.evaluate(&config, 1, 1, 4);
    assert_eq!(setup.evaluate(&config, 3, 2, 4), one);
    assert_ne!(setup.evaluate(&config, 1, 1, 5), one, "another step draws other tokens");

    let [sums, few] = one.try_into().unwrap();
    assert_eq!((sums.name.as_str(), sums.main, sums.n_problems, sums.k, sums.unscored), ("sums", true, 6, 3, 0));
    assert_eq!(sums.pass_at.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(sums.shown.iter().map(|one| one.record.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(sums.shown[2].expected, "6");
    assert!(sums.len.unwrap() > 1.0 && sums.len.unwrap() <= 12.0);
    assert_eq!((few.main, few.n_problems), (false, 2));
    // The same problems with the same draws, in another set.
    for (one, other) in few.shown.iter().zip(&sums.shown) {
        assert_eq!((&one.question, &one.record.completion), (&other.question, &other.record.completion));
    }
    assert_eq!(few.shown.len(), 2);
    assert_eq!(few.shown[0].record.set.as_deref(), Some("few"));
}

#[test]
fn no_problem_is_no_number() {
    let setup = Setup::new();
    let mut config = setup.config();
    config.sets.truncate(1);
    config.sets[0].n_problems = Some(0);
    let evaluations = setup.evaluate(&config, 2, 4, 0);
    assert_eq!((evaluations[0].n_problems, evaluations[0].numbers()), (0, vec![("eval/prompts".to_owned(), 0.0)]));
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let setup = Setup::new();
    let error = |change: fn(&mut EvalConfig), rewards: &[RuleConfig]| {
        let mut config = setup.config();
        change(&mut config);
        let opened = EvalSets::open(&config, rewards, 12, &tokenizer(setup.folder.path()), 0);
        format!("{:#}", opened.unwrap_err())
    };
    let length: RuleConfig = serde_json::from_value(json!({"length_k15": {"weight": 1.0}})).unwrap();
    assert!(error(|_| {}, &[length]).contains("set `eval.rule`"));
    assert!(error(|config| config.samples = 0, &[rule()]).contains("`eval.samples` is 0"));
    let format = |config: &mut EvalConfig| {
        config.rule = serde_json::from_value(json!({"format": {"weight": 1.0, "style": "boxed"}})).unwrap();
    };
    assert!(error(format, &[rule()]).contains("`eval.rule` must be"));
    let tiny = |config: &mut EvalConfig| config.sets[1].data.max_prompt_tokens = 1;
    let told = error(tiny, &[rule()]);
    assert!(told.contains("held-out set `few`") && told.contains("max_prompt_tokens"), "{told}");
}
