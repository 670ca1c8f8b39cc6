use std::sync::atomic::{AtomicUsize, Ordering};

use model::philox::Purpose;
use serde_json::{Map, json};

use super::*;
use crate::data::{Problem, PromptText};

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

#[test]
fn the_hidden_share_by_hand() {
    let start = Instant::now();
    let at = |n: f64| start + seconds(n);
    let work = |spans: &[(f64, f64)]| spans.iter().map(|(a, b)| (at(*a), at(*b))).collect::<Vec<_>>();
    // Sampling ends at 10: of 1 + 4 + 3 seconds, 1 + 2 + 0 lie before.
    let mixed = work(&[(2.0, 3.0), (8.0, 12.0), (11.0, 14.0)]);
    assert!((hidden_share(&mixed, at(10.0)) - 3.0 / 8.0).abs() < 1e-12);
    // Two scorers side by side count twice.
    assert_eq!(hidden_share(&work(&[(8.0, 12.0), (8.0, 12.0)]), at(10.0)), 0.5);
    assert_eq!(hidden_share(&work(&[(1.0, 2.0), (3.0, 10.0)]), at(10.0)), 1.0);
    assert_eq!(hidden_share(&work(&[(10.0, 11.0)]), at(10.0)), 0.0);
    assert_eq!(hidden_share(&[], at(10.0)), 1.0, "there was nothing to hide");
}

fn problem(expected: &str) -> PreparedProblem {
    let prompt = Prompt { index: 5, tokens: vec![1] };
    let problem =
        Problem { index: 5, prompt: PromptText::Text("3 + 4?".into()), expected: expected.into(), columns: Map::new() };
    PreparedProblem { problem, prompt, text: "3 + 4?".into() }
}

fn completion(text: &str) -> Completion {
    let n = text.len();
    Completion { tokens: vec![1; n], logprobs: vec![0.0; n], text: text.to_owned(), finish: FinishReason::Stop }
}

/// Whoever scores what, and in whatever order it comes: the scores are those of the whole groups.
#[test]
fn scorers_side_by_side_score_as_one() {
    let rules = serde_json::from_value::<Vec<rewards::RuleConfig>>(json!([
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "answer_tag"}},
        {"length_k15": {"weight": 0.5}},
    ]));
    let rubric = Rubric::new(&rules.unwrap()).unwrap();
    let problems = [problem("7"), problem("8"), problem("seven")];
    let problems: Vec<&PreparedProblem> = problems.iter().collect();
    let texts = ["<answer>7</answer>", "no", "well, <answer>8</answer>", "<answer>7.0</answer>"];
    let folder = tempfile::tempdir().unwrap();
    let mut log = StepLog::create(folder.path(), "scores", 1, crate::step_log::Verbosity::Quiet).unwrap();
    let bar = log.progress("scores", 3);
    let group = Group { prompt: problems[0].prompt.clone(), completions: texts.map(completion).into() };
    let whole: Vec<Vec<Score>> = problems.iter().map(|problem| rubric.score_group(&samples(problem, &group))).collect();

    let cancel = std::sync::atomic::AtomicBool::new(false);
    for (n_scorers, stride) in [(1, 1), (3, 5), (4, 7)] {
        let groups = problems.iter().map(|_| Mutex::new(Open::of(texts.len()))).collect();
        let scoring = Scoring { rubric: &rubric, step: 1, cancel: &cancel, problems: &problems, bar: &bar, groups };
        let (sender, finished) = crossbeam_channel::unbounded();
        let n_scored = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..n_scorers {
                scope.spawn(|| n_scored.fetch_add(scoring.run(&finished).len(), Ordering::Relaxed));
            }
            // 12 has no common factor with any stride: every completion comes once.
            for i in (0..12).map(|i| i * stride % 12) {
                let (place, sample) = (i / 4, i % 4);
                sender.send(Finished { place, sample, completion: completion(texts[sample]) }).unwrap();
            }
            drop(sender);
        });
        assert_eq!(n_scored.into_inner(), 12);
        for (open, whole) in scoring.groups.into_iter().zip(&whole) {
            let open = open.into_inner().unwrap();
            assert_eq!(&open.scores, whole);
            assert!(open.completions.iter().flatten().map(|one| one.text.as_str()).eq(texts));
        }
    }
}

#[test]
fn scorers_stop_where_nobody_waits() {
    let rules = serde_json::from_value::<Vec<rewards::RuleConfig>>(json!([{"length_k15": {"weight": 0.5}},
        {"accuracy": {"weight": 1.0, "kind": "numeric", "extract": "any"}}]));
    let rubric = Rubric::new(&rules.unwrap()).unwrap();
    let problems = [problem("7")];
    let problems: Vec<&PreparedProblem> = problems.iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let mut log = StepLog::create(folder.path(), "scores", 1, crate::step_log::Verbosity::Quiet).unwrap();
    let bar = log.progress("scores", 1);
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let groups = vec![Mutex::new(Open::of(2))];
    let scoring = Scoring { rubric: &rubric, step: 1, cancel: &cancel, problems: &problems, bar: &bar, groups };
    let (sender, finished) = crossbeam_channel::unbounded();
    for sample in 0..2 {
        sender.send(Finished { place: 0, sample, completion: completion("7") }).unwrap();
    }
    drop(sender);
    assert_eq!(scoring.run(&finished), []);
    assert_eq!(scoring.groups.into_iter().next().unwrap().into_inner().unwrap().alone.len(), 2);
}

/// A policy of random weights samples; groups and scores come out as from a pool that is asked for groups.
#[test]
fn groups_come_out_in_prompt_order() {
    let folder = crate::fixture::Folder::default().write();
    let tokenizer = crate::fixture::tokenizer(folder.path());
    let config: model::config::PolicyConfig =
        toml::from_str(&format!("checkpoint = {:?}\nrandom_init = true", folder.path().display().to_string())).unwrap();
    tch::set_num_threads(1);
    let policy = Policy::load(folder.path(), &config, 3).unwrap();
    let problems: Vec<PreparedProblem> = (0..5).map(|i| problem(&i.to_string())).collect();
    let problems: Vec<&PreparedProblem> = problems.iter().collect();
    let rubric = Rubric::new(
        &serde_json::from_value::<Vec<_>>(json!([{"length_k15": {"weight": 1.0}}, {"accuracy":
        {"weight": 1.0, "kind": "numeric", "extract": "any"}}]))
        .unwrap(),
    )
    .unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut log = StepLog::create(logs.path(), "scores", 1, crate::step_log::Verbosity::Quiet).unwrap();
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let sampling = rollout::sampling::SamplingConfig::default();
    let request = Request {
        seed: 1,
        purpose: Purpose::Rollout,
        step: 1,
        n: 3,
        max_tokens: 12,
        sampling: &sampling,
        cancel: &cancel,
    };
    let pool = || {
        let config = rollout::pool::RolloutConfig { kv_bytes: 1 << 22, ..Default::default() };
        RolloutPool::new(&config, 2, policy.config(), tokenizer.clone(), rollout::stopping::StopRules::default())
    };
    let bar = log.progress("scores", 5);
    let scored = sample_and_score(&policy, &mut pool(), &rubric, &request, &problems, &log, &bar).unwrap();
    assert!((0.0..=1.0).contains(&scored.hidden), "{}", scored.hidden);

    let (sender, groups) = crossbeam_channel::unbounded();
    pool().sample(&policy, &request, &prompts(&problems), &sender).unwrap();
    drop(sender);
    let mut groups: Vec<(usize, Group)> = groups.iter().collect();
    groups.sort_by_key(|(place, _)| *place);
    let groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
    assert_eq!(scored.groups, groups);
    for ((problem, group), scores) in problems.iter().zip(&groups).zip(&scored.scores) {
        assert_eq!(scores, &rubric.score_group(&samples(problem, group)));
    }
}
