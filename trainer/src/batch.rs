//! From groups with advantages to the packed microbatches of each update.
//!
//! What is packed where follows from lengths alone. A group's prompt is encoded once in each microbatch that holds some
//! of its completions; each completion continues it. The prompt's last row predicts a completion's first token, row t of
//! a completion predicts its token t + 1, and the last token, which predicts nothing, has no row.

use std::ops::Range;

use model::backward::Targets;
use model::packed::Packed;
use rollout::completion::{Completion, FinishReason};
use rollout::group::Group;

use crate::grpo::GrpoConfig;
use crate::objective::{TokenBatch, completion_weights};

/// A number for every sampled token of a step: `[P][G][T]`.
pub type TokenValues = Vec<Vec<Vec<f32>>>;

/// What one move of the weights learns from: some groups of a step.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    groups: &'a [Group],
    items: Vec<Item>,
    /// Completions that count in the normaliser, also where their advantage is zero.
    pub n_completions: usize,
    /// Their tokens.
    pub n_tokens: usize,
    /// Groups from which nothing is packed: every advantage is zero, or no completion counts.
    pub n_skipped_groups: usize,
}

/// A completion that teaches, by its place in the step.
#[derive(Clone, Copy, Debug)]
struct Item {
    group: usize,
    completion: usize,
    advantage: f32,
    /// Of each of its tokens.
    weight: f64,
}

impl<'a> Update<'a> {
    /// Splits a step's groups evenly, in order, into `updates_per_step` updates.
    ///
    /// A completion without an advantage, without tokens, or masked as truncated counts nowhere. One whose advantage is
    /// zero counts in the normaliser; unless the loss has a KL term its gradient is exactly zero, and it is not packed.
    ///
    /// # Shapes
    /// `groups`: `[P]` of G completions · `advantages`: `[P][G]`
    pub fn split(groups: &'a [Group], advantages: &[Vec<Option<f64>>], config: &GrpoConfig) -> Vec<Update<'a>> {
        assert_eq!(groups.len(), advantages.len(), "advantages are [P][G], as the groups are");
        let (p, n) = (groups.len(), config.updates_per_step);
        (0..n).map(|i| Update::of(groups, i * p / n..(i + 1) * p / n, advantages, config)).collect()
    }

    fn of(
        groups: &'a [Group],
        range: Range<usize>,
        advantages: &[Vec<Option<f64>>],
        config: &GrpoConfig,
    ) -> Update<'a> {
        let counted: Vec<(usize, usize, f64)> =
            range.clone().flat_map(|group| counted(group, &groups[group], &advantages[group], config)).collect();
        let lengths: Vec<usize> = counted.iter().map(|&(g, c, _)| groups[g].completions[c].tokens.len()).collect();
        let weights = completion_weights(config.objective.normalize, &lengths);
        let items: Vec<Item> = counted
            .iter()
            .zip(weights)
            .filter(|((_, _, advantage), _)| *advantage != 0.0 || config.objective.kl_in_loss())
            .map(|(&(group, completion, advantage), weight)| Item {
                group,
                completion,
                advantage: advantage as f32,
                weight,
            })
            .collect();
        let n_teaching_groups = items.chunk_by(same_group).count();
        Update {
            groups,
            items,
            n_completions: lengths.len(),
            n_tokens: lengths.iter().sum(),
            n_skipped_groups: range.len() - n_teaching_groups,
        }
    }

    /// Every token of a step with no advantage and no weight, to compute log-probabilities without learning.
    pub fn measuring(groups: &'a [Group]) -> Update<'a> {
        let all = groups.iter().enumerate().flat_map(|(group, g)| {
            let sampled = (0..g.completions.len()).filter(|&completion| !g.completions[completion].tokens.is_empty());
            sampled.map(move |completion| Item { group, completion, advantage: 0.0, weight: 0.0 })
        });
        let items: Vec<Item> = all.collect();
        let n_tokens = groups.iter().flat_map(|g| &g.completions).map(|c| c.tokens.len()).sum();
        Update { groups, n_completions: items.len(), n_tokens, n_skipped_groups: 0, items }
    }

    /// Whether nothing in this update teaches.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Packs the update into microbatches of at most `microbatch_tokens` rows; a completion that is longer with its
    /// prompt alone gets a microbatch of its own.
    pub fn microbatches(&self, microbatch_tokens: usize) -> Vec<Microbatch> {
        let pieces = self.pieces(microbatch_tokens);
        let sizes: Vec<usize> = pieces.iter().map(|piece| self.rows(piece)).collect();
        best_fit(&sizes, microbatch_tokens)
            .into_iter()
            .map(|bin| {
                let mut microbatch = Microbatch::default();
                bin.into_iter().for_each(|i| microbatch.push(self.groups, &pieces[i], self.begins_group(&pieces[i])));
                microbatch
            })
            .collect()
    }

    /// Cuts groups that are too long for one microbatch. No two pieces of a group fit into one together, so a prompt is
    /// never encoded twice in a microbatch.
    fn pieces(&self, microbatch_tokens: usize) -> Vec<Vec<Item>> {
        let cut = |items: &[Item]| -> Vec<Vec<Item>> {
            let room = microbatch_tokens.saturating_sub(self.groups[items[0].group].prompt.tokens.len());
            let sizes: Vec<usize> = items.iter().map(|item| completion_rows(self.groups, item)).collect();
            best_fit(&sizes, room).into_iter().map(|bin| bin.into_iter().map(|i| items[i]).collect()).collect()
        };
        self.items.chunk_by(same_group).flat_map(cut).collect()
    }

    /// Whether a piece of a group holds its first item: there its prompt counts, however the group is cut.
    fn begins_group(&self, piece: &[Item]) -> bool {
        let first = &self.items[self.items.partition_point(|item| item.group < piece[0].group)];
        first.completion == piece[0].completion
    }

    fn rows(&self, piece: &[Item]) -> usize {
        let completions: usize = piece.iter().map(|item| completion_rows(self.groups, item)).sum();
        self.groups[piece[0].group].prompt.tokens.len() + completions
    }
}

/// The completions of a group that count in the normaliser: (group, completion, advantage).
fn counted<'b>(
    group: usize,
    of: &'b Group,
    advantages: &'b [Option<f64>],
    config: &'b GrpoConfig,
) -> impl Iterator<Item = (usize, usize, f64)> + 'b {
    assert_eq!(of.completions.len(), advantages.len(), "advantages are [P][G], as the groups are");
    let masked = |c: &Completion| c.tokens.is_empty() || (config.mask_truncated && c.finish == FinishReason::Length);
    let places = of.completions.iter().zip(advantages).enumerate();
    places.filter(move |(_, (c, _))| !masked(c)).filter_map(move |(i, (_, advantage))| Some((group, i, (*advantage)?)))
}

fn same_group(a: &Item, b: &Item) -> bool {
    a.group == b.group
}

/// Rows of a completion behind its prompt: its last token needs none.
fn completion_rows(groups: &[Group], item: &Item) -> usize {
    groups[item.group].completions[item.completion].tokens.len() - 1
}

/// Puts things into bins of at most `capacity`, the largest first, each into the fullest bin that has room (best-fit
/// decreasing); one that is larger than a bin gets its own. Bins list places in ascending order.
///
/// A bin is opened only for what fits into no other, so no two bins would fit into one. Equal sizes and equally full
/// bins are taken in order.
fn best_fit(sizes: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(sizes[i]));
    let mut bins: Vec<(usize, Vec<usize>)> = Vec::new();
    for i in order {
        let open = bins.iter_mut().filter(|(filled, _)| filled + sizes[i] <= capacity);
        match open.reduce(|best, bin| if bin.0 > best.0 { bin } else { best }) {
            Some((filled, bin)) => {
                *filled += sizes[i];
                bin.push(i);
            }
            None => bins.push((sizes[i], vec![i])),
        }
    }
    bins.into_iter()
        .map(|(_, mut bin)| {
            bin.sort_unstable();
            bin
        })
        .collect()
}

/// Rows for one forward and backward pass, and what the objective needs to know of their targets.
///
/// # Shapes
/// N packed rows and M targets: `old`, `reference`, `advantages`, `weights` are `[M]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Microbatch {
    /// Prompts, each followed by its completions without their last tokens.
    pub packed: Packed,
    /// The sampled tokens, completion by completion, with the rows that predict them.
    pub targets: Targets,
    /// `old_logprobs`: the rollout's, unless the run computed them again.
    pub old: Vec<f32>,
    /// The reference's log-probabilities, once they are known.
    pub reference: Option<Vec<f32>>,
    /// The advantage of each token's completion.
    pub advantages: Vec<f32>,
    /// The share of each token in the whole update.
    pub weights: Vec<f64>,
    /// The sequences that routers are judged by, as ranges of rows: completions, and each prompt once in the update.
    pub sequences: Vec<Range<usize>>,
    places: Vec<Place>,
}

/// A completion's targets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    group: usize,
    completion: usize,
    targets: Range<usize>,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its group in the step.
    pub group: usize,
    /// Its completion in the group.
    pub completion: usize,
    /// Its place in the completion.
    pub position: usize,
}

impl Microbatch {
    /// Adds a prompt, which counts among the sequences where `prompt_counts`, and completions of it.
    fn push(&mut self, groups: &[Group], piece: &[Item], prompt_counts: bool) {
        let group = &groups[piece[0].group];
        assert!(!group.prompt.tokens.is_empty(), "a completion's first token is predicted by its prompt's last row");
        let prompt = self.packed.push(&ids(&group.prompt.tokens));
        let last = i64::from(prompt.start + prompt.length - 1);
        if prompt_counts {
            self.sequences.push(prompt.rows());
        }
        for item in piece {
            let Completion { tokens, logprobs, .. } = &group.completions[item.completion];
            assert_eq!(tokens.len(), logprobs.len(), "every sampled token has a log-probability");
            let tokens = ids(tokens);
            self.targets.rows.push(last);
            if tokens.len() > 1 {
                let segment = self.packed.push_after(Some(prompt), &tokens[..tokens.len() - 1]);
                self.targets.rows.extend((segment.start..segment.start + segment.length).map(i64::from));
                self.sequences.push(segment.rows());
            }
            let start = self.old.len();
            self.targets.tokens.extend(&tokens);
            self.old.extend(logprobs);
            self.advantages.resize(self.old.len(), item.advantage);
            self.weights.resize(self.old.len(), item.weight);
            let targets = start..self.old.len();
            self.places.push(Place { group: item.group, completion: item.completion, targets });
        }
    }

    /// What the objective sees of the targets in `range`, given the policy's log-probabilities of them.
    pub fn tokens<'a>(&'a self, range: Range<usize>, new: &'a [f32]) -> TokenBatch<'a> {
        TokenBatch {
            new,
            old: &self.old[range.clone()],
            reference: self.reference.as_ref().map(|reference| &reference[range.clone()]),
            advantages: &self.advantages[range.clone()],
            weights: &self.weights[range],
        }
    }

    /// Where a target comes from.
    pub fn origin(&self, target: usize) -> Origin {
        let place = &self.places[self.places.partition_point(|place| place.targets.end <= target)];
        Origin { group: place.group, completion: place.completion, position: target - place.targets.start }
    }

    /// This microbatch's share of a step's numbers, `[M]`.
    pub fn gather(&self, values: &TokenValues) -> Vec<f32> {
        self.places.iter().flat_map(|place| &values[place.group][place.completion]).copied().collect()
    }

    /// Writes numbers of this microbatch's targets, `[M]`, to their places in the step.
    pub fn scatter(&self, numbers: &[f32], values: &mut TokenValues) {
        for place in &self.places {
            values[place.group][place.completion] = numbers[place.targets.clone()].to_vec();
        }
    }
}

fn ids(tokens: &[u32]) -> Vec<i64> {
    tokens.iter().map(|&id| i64::from(id)).collect()
}

#[cfg(test)]
mod tests;
