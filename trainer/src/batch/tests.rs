use std::collections::HashSet;
use std::path::PathBuf;

use model::buffer::Buffer;
use model::config::PolicyConfig;
use model::policy::Policy;
use proptest::prelude::*;
use rollout::prompt::Prompt;

use super::*;
use crate::objective::{KlEstimator, Normalize, ObjectiveConfig, Tally, clipped_objective};
use crate::optimizer::global_norm;

fn config(updates: usize, objective: ObjectiveConfig) -> GrpoConfig {
    let mut config: GrpoConfig = toml::from_str("steps = 1\nprompts_per_step = 1\ngroup_size = 2").unwrap();
    config.updates_per_step = updates;
    config.objective = objective;
    config
}

fn with_kl(normalize: Normalize) -> ObjectiveConfig {
    ObjectiveConfig { normalize, kl_coef: 0.1, kl: KlEstimator::K3, ..ObjectiveConfig::default() }
}

/// Groups of these lengths: prompt, completions. Every token and every log-probability of a step is different.
fn groups(lengths: &[(usize, Vec<usize>)]) -> Vec<Group> {
    let mut next = 0;
    let mut fresh = |n: usize| -> Vec<u32> {
        next += n as u32;
        (next - n as u32..next).collect()
    };
    let mut completion = |length: usize| {
        let tokens = fresh(length);
        let logprobs = tokens.iter().map(|&id| -(id as f32)).collect();
        Completion { tokens, logprobs, text: String::new(), finish: FinishReason::Stop }
    };
    let mut group = |index: usize, prompt: usize, lengths: &[usize]| Group {
        prompt: Prompt { index: index as u64, tokens: completion(prompt).tokens },
        completions: lengths.iter().map(|&length| completion(length)).collect(),
    };
    lengths.iter().enumerate().map(|(i, (prompt, lengths))| group(i, *prompt, lengths)).collect()
}

fn ones(groups: &[Group]) -> Vec<Vec<Option<f64>>> {
    groups.iter().map(|group| vec![Some(1.0); group.completions.len()]).collect()
}

fn only(mut updates: Vec<Update>) -> Update {
    assert_eq!(updates.len(), 1);
    updates.remove(0)
}

#[test]
fn packed_by_hand() {
    let groups = groups(&[(2, vec![3, 1])]); // prompt 0 1, completions 2 3 4 and 5
    let advantages = [vec![Some(1.0), Some(-1.0)]];
    let update = only(Update::split(&groups, &advantages, &config(1, ObjectiveConfig::default())));
    let microbatch = update.microbatches(100).remove(0);
    assert_eq!(microbatch.packed.tokens, [0, 1, 2, 3]);
    assert_eq!(microbatch.packed.positions, [0, 1, 2, 3]);
    assert_eq!(microbatch.packed.segments.len(), 2, "a completion of one token has no rows");
    assert_eq!(microbatch.targets, Targets { rows: vec![1, 2, 3, 1], tokens: vec![2, 3, 4, 5] });
    assert_eq!(microbatch.old, [-2.0, -3.0, -4.0, -5.0]);
    assert_eq!(microbatch.advantages, [1.0, 1.0, 1.0, -1.0]);
    assert_eq!(microbatch.weights, [1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.5]);
    assert_eq!(microbatch.origin(2), Origin { group: 0, completion: 0, position: 2 });
    assert_eq!(microbatch.origin(3), Origin { group: 0, completion: 1, position: 0 });
    assert_eq!(microbatch.tokens(1..3, &[0.0, 0.5]).old, [-3.0, -4.0]);
}

#[test]
fn updates_share_the_groups_in_order() {
    let groups = groups(&[(1, vec![2, 2]), (1, vec![2, 2]), (1, vec![2, 2]), (1, vec![2, 2]), (1, vec![2, 2])]);
    for (n, expected) in [(1, vec![5]), (2, vec![2, 3]), (5, vec![1; 5]), (7, vec![0, 1, 1, 0, 1, 1, 1])] {
        let updates = Update::split(&groups, &ones(&groups), &config(n, ObjectiveConfig::default()));
        let first_groups: Vec<usize> =
            updates.iter().flat_map(|u| u.items.chunk_by(same_group).map(|items| items[0].group)).collect();
        assert_eq!(first_groups, [0, 1, 2, 3, 4]);
        assert_eq!(updates.iter().map(|u| u.n_completions / 2).collect::<Vec<_>>(), expected, "{n} updates");
    }
}

#[test]
fn what_does_not_count_and_what_counts_with_zero() {
    let mut groups = groups(&[(3, vec![4, 4, 4]), (3, vec![5, 5, 5]), (3, vec![6, 6, 6]), (3, vec![0, 7, 7])]);
    groups[0].completions[2].finish = FinishReason::Length;
    let advantages =
        [vec![Some(1.0), None, Some(-1.0)], vec![Some(0.0); 3], vec![None; 3], vec![Some(1.0), Some(0.0), Some(2.0)]];
    let token = ObjectiveConfig { normalize: Normalize::Token, ..ObjectiveConfig::default() };

    let update = only(Update::split(&groups, &advantages, &config(1, token.clone())));
    let n_tokens = 4 + 4 + 15 + 14;
    assert_eq!((update.n_completions, update.n_tokens, update.n_skipped_groups), (7, n_tokens, 2));
    let weights: Vec<f64> = update.microbatches(1000).iter().flat_map(|m| m.weights.clone()).collect();
    assert_eq!(weights, vec![1.0 / n_tokens as f64; 4 + 4 + 7], "zero advantages are in the denominator alone");

    let masked = GrpoConfig { mask_truncated: true, ..config(1, token) };
    let update = only(Update::split(&groups, &advantages, &masked));
    assert_eq!((update.n_completions, update.n_tokens), (6, n_tokens - 4));

    let update = only(Update::split(&groups, &advantages, &config(1, with_kl(Normalize::Token))));
    assert_eq!((update.items.len(), update.n_skipped_groups), (7, 1), "with a KL loss zero advantages have a gradient");

    let in_reward = ObjectiveConfig { kl: KlEstimator::K1, ..with_kl(Normalize::Token) };
    let update = only(Update::split(&groups, &advantages, &config(1, in_reward)));
    assert_eq!(update.n_skipped_groups, 2, "a KL in the reward is already in the advantage");
}

#[test]
fn an_update_that_teaches_nothing() {
    let groups = groups(&[(3, vec![4, 4])]);
    let update = only(Update::split(&groups, &[vec![Some(0.0), Some(-0.0)]], &config(1, ObjectiveConfig::default())));
    assert!(update.is_empty() && update.microbatches(10).is_empty());
    assert_eq!((update.n_completions, update.n_skipped_groups), (2, 1));
    assert!(Update::measuring(&[]).microbatches(10).is_empty());
}

#[test]
fn best_fit_by_hand() {
    assert_eq!(best_fit(&[3, 7, 5, 2, 3], 10), [vec![0, 1], vec![2, 3, 4]]);
    assert_eq!(best_fit(&[12, 4, 10, 6], 10), [vec![0], vec![2], vec![1, 3]]);
    assert_eq!(best_fit(&[0, 2, 0], 0), [vec![1], vec![0, 2]]);
    assert!(best_fit(&[], 10).is_empty());
}

fn tiny_policy() -> Policy {
    let checkpoint = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/qwen2"));
    let config = PolicyConfig::new(&checkpoint);
    Policy::load(&checkpoint, &config, 0).unwrap()
}

fn log_probabilities(policy: &Policy, groups: &[Group], budget: usize) -> TokenValues {
    let mut values: TokenValues = groups.iter().map(|g| vec![Vec::new(); g.completions.len()]).collect();
    for microbatch in Update::measuring(groups).microbatches(budget) {
        microbatch.scatter(&policy.logprobs(&microbatch.packed, &microbatch.targets, 0.9).logprobs, &mut values);
    }
    values
}

/// One update's gradient and tally with a KL to a reference that is a little off, cut to `budget` rows.
fn update_gradient(policy: &Policy, groups: &[Group], reference: &TokenValues, budget: usize) -> (Buffer, Tally) {
    let advantages: Vec<_> = groups.iter().map(|_| vec![Some(1.5), Some(-0.5), Some(-1.0)]).collect();
    let config = config(1, with_kl(Normalize::Completion));
    let (mut gradient, mut tally) = (Buffer::zeros(policy.layout().len()), Tally::default());
    for mut microbatch in only(Update::split(groups, &advantages, &config)).microbatches(budget) {
        microbatch.reference = Some(microbatch.gather(reference));
        policy.backward(&microbatch.packed, &microbatch.targets, 0.9, false, &mut gradient, &mut |range, found| {
            let objective = clipped_objective(&microbatch.tokens(range, &found.logprobs), &config.objective);
            tally += objective.tally;
            objective.d_logprob
        });
    }
    (gradient, tally)
}

/// With a real network: log-probabilities have the same bits, and each tensor's gradient is within 1e-5, whether all
/// completions stand behind their prompts together or each has a microbatch of its own.
#[test]
fn cuts_do_not_move_the_gradient_of_a_policy() {
    tch::set_num_threads(1); // of this thread: a product this small costs less than waking others
    let policy = tiny_policy();
    let mut groups = groups(&[(5, vec![9, 1, 4]), (1, vec![2, 7, 12]), (3, vec![6, 6, 3])]);
    for group in &mut groups {
        group.prompt.tokens.iter_mut().for_each(|id| *id = *id * 7 % 64);
        group.completions.iter_mut().flat_map(|c| &mut c.tokens).for_each(|id| *id = *id * 7 % 64);
    }
    let old = log_probabilities(&policy, &groups, 1000);
    let mut reference = old.clone();
    for (g, group) in groups.iter_mut().enumerate() {
        for (c, completion) in group.completions.iter_mut().enumerate() {
            completion.logprobs = old[g][c].iter().map(|x| x - 0.1).collect();
            reference[g][c].iter_mut().for_each(|x| *x += 0.2);
        }
    }
    let (whole, sums) = update_gradient(&policy, &groups, &reference, 1000);
    assert!(sums.n_tokens == 50 && sums.clipped == 0 && (sums.ratio_max - 0.1f64.exp()).abs() < 1e-5, "{sums:?}");
    for budget in [0, 12, 20] {
        assert_eq!(log_probabilities(&policy, &groups, budget), old, "{budget} rows");
        let (cut, cut_sums) = update_gradient(&policy, &groups, &reference, budget);
        assert!((cut_sums.loss - sums.loss).abs() < 1e-12, "{budget} rows: {cut_sums:?}");
        for parameter in policy.layout().parameters() {
            let (a, b) = (&whole[parameter.range()], &cut[parameter.range()]);
            let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let relative = global_norm(&difference, 1) / global_norm(a, 1);
            assert!(relative <= 1e-5, "{budget} rows, {}: {relative}", parameter.name);
        }
    }
}

fn lengths() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
    prop::collection::vec((1usize..12, prop::collection::vec(1usize..20, 1..7)), 1..7)
}

/// The tokens that a packed row attends to, itself included.
fn context(packed: &Packed, row: usize) -> Vec<i64> {
    let inside = |s: &&model::attention::Segment| (s.start..s.start + s.length).contains(&(row as i32));
    let segment = packed.segments.iter().find(inside).expect("every row is in a segment");
    let prefix = segment.prefix_start as usize..(segment.prefix_start + segment.prefix_length) as usize;
    let mut context = packed.tokens[prefix].to_vec();
    context.extend(&packed.tokens[segment.start as usize..=row]);
    context
}

/// Follows a target back to its group and checks all that is known of it there.
fn check_target(microbatch: &Microbatch, target: usize, groups: &[Group], update: &Update) {
    let Origin { group, completion, position } = microbatch.origin(target);
    let (prompt, found) = (&groups[group].prompt, &groups[group].completions[completion]);
    let row = microbatch.targets.rows[target] as usize;
    let before = [&prompt.tokens[..], &found.tokens[..position]].concat();
    assert_eq!(context(&microbatch.packed, row), ids(&before));
    assert_eq!(microbatch.packed.positions[row] as usize, before.len() - 1);
    assert_eq!(microbatch.targets.tokens[target], i64::from(found.tokens[position]));
    assert_eq!(microbatch.old[target], found.logprobs[position]);
    let item = update.items.iter().find(|item| (item.group, item.completion) == (group, completion)).unwrap();
    assert_eq!(microbatch.advantages[target], item.advantage);
    assert_eq!(microbatch.weights[target], item.weight);
}

proptest! {
    #[test]
    fn unpacking_finds_every_token_once(lengths in lengths(), budget in 0usize..120, updates in 1usize..4) {
        let groups = groups(&lengths);
        let config = config(updates, with_kl(Normalize::Completion));
        let mut seen = HashSet::new();
        for update in Update::split(&groups, &ones(&groups), &config) {
            let mut in_update = 0;
            for microbatch in update.microbatches(budget) {
                let rows = microbatch.packed.tokens.len();
                prop_assert!(rows <= budget || microbatch.places.len() == 1
                    || microbatch.places.iter().all(|place| place.targets.len() == 1), "{} rows", rows);
                // Tokens are all different, so a prompt packed twice would show.
                prop_assert_eq!(microbatch.packed.tokens.iter().collect::<HashSet<_>>().len(), rows);
                for target in 0..microbatch.old.len() {
                    check_target(&microbatch, target, &groups, &update);
                    prop_assert!(seen.insert(microbatch.targets.tokens[target]));
                    in_update += 1;
                }
            }
            prop_assert_eq!(in_update, update.n_tokens);
        }
        prop_assert_eq!(seen.len(), lengths.iter().flat_map(|(_, completions)| completions).sum::<usize>());
    }

    /// Routers are judged by the same sequences however an update is cut: each completion, and each prompt once.
    #[test]
    fn sequences_do_not_depend_on_cuts(lengths in lengths(), budget in 0usize..120, updates in 1usize..4) {
        let groups = groups(&lengths);
        for update in Update::split(&groups, &ones(&groups), &config(updates, with_kl(Normalize::Completion))) {
            let sequences = |budget: usize| {
                let microbatches = update.microbatches(budget);
                let tokens = |m: &Microbatch| m.sequences.iter().map(|r| m.packed.tokens[r.clone()].to_vec()).collect::<Vec<_>>();
                let mut all: Vec<Vec<i64>> = microbatches.iter().flat_map(tokens).collect();
                all.sort_unstable();
                all
            };
            let found = sequences(budget);
            prop_assert_eq!(&found, &sequences(10_000));
            let of = |item: &Item| &groups[item.group].completions[item.completion].tokens;
            let several = update.items.iter().filter(|item| of(item).len() > 1).count();
            prop_assert_eq!(found.len(), update.items.chunk_by(same_group).count() + several);
        }
    }

    #[test]
    fn weights_of_an_update_sum_to_one(lengths in lengths(), budget in 1usize..80, updates in 1usize..4) {
        let groups = groups(&lengths);
        for normalize in [Normalize::Completion, Normalize::Token] {
            for update in Update::split(&groups, &ones(&groups), &config(updates, with_kl(normalize))) {
                let sum: f64 = update.microbatches(budget).iter().flat_map(|m| &m.weights).sum();
                prop_assert!(update.is_empty() || (sum - 1.0).abs() < 1e-12, "{}", sum);
            }
        }
    }

    /// A skipped completion is one whose tokens would all have had a gradient of exactly zero, and skipping it moves no
    /// other weight.
    #[test]
    fn skipping_is_exact(
        lengths in lengths(), zeros in prop::collection::vec(any::<bool>(), 7 * 7), budget in 1usize..80,
    ) {
        let groups = groups(&lengths);
        let advantages: Vec<Vec<Option<f64>>> = groups.iter().enumerate().map(|(g, group)| {
            (0..group.completions.len()).map(|c| Some(if zeros[7 * g + c] { 0.0 } else { 0.5 })).collect()
        }).collect();
        let gradients = |objective: ObjectiveConfig| {
            let mut values: TokenValues =
                groups.iter().map(|g| g.completions.iter().map(|c| vec![0.0; c.tokens.len()]).collect()).collect();
            let plain = ObjectiveConfig::default();
            for microbatch in only(Update::split(&groups, &advantages, &config(1, objective))).microbatches(budget) {
                let found = clipped_objective(&microbatch.tokens(0..microbatch.old.len(), &microbatch.old), &plain);
                microbatch.scatter(&found.d_logprob, &mut values);
            }
            values
        };
        // The KL setting packs everything; the objective is the same.
        prop_assert_eq!(gradients(ObjectiveConfig::default()), gradients(with_kl(Normalize::Completion)));
    }

    #[test]
    fn packing_follows_from_lengths(lengths in lengths(), budget in 1usize..80) {
        let groups = groups(&lengths);
        let mut others = groups.clone();
        for completion in others.iter_mut().flat_map(|group| &mut group.completions) {
            completion.tokens.fill(7);
            completion.logprobs.fill(-1.0);
        }
        let places = |groups: &[Group]| -> Vec<Vec<Place>> {
            Update::measuring(groups).microbatches(budget).into_iter().map(|m| m.places).collect()
        };
        prop_assert_eq!(places(&groups), places(&others));
    }

    #[test]
    fn gather_undoes_scatter(lengths in lengths(), budget in 0usize..80) {
        let groups = groups(&lengths);
        let mut values: TokenValues = groups.iter().map(|g| vec![Vec::new(); g.completions.len()]).collect();
        let update = Update::measuring(&groups);
        for microbatch in update.microbatches(budget) {
            microbatch.scatter(&microbatch.old, &mut values);
            prop_assert_eq!(microbatch.gather(&values), microbatch.old);
        }
        let logprobs: TokenValues =
            groups.iter().map(|g| g.completions.iter().map(|c| c.logprobs.clone()).collect()).collect();
        prop_assert_eq!(values, logprobs);
    }
}
