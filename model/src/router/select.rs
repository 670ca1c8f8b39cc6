//! The choice of experts by score.

use crate::config::experts::{ExpertsConfig, GroupScore};

/// Chooses the experts of one row after the other.
pub(super) struct Selection {
    n_chosen: usize,
    /// Experts in a group, groups that a row may use, and what a group is judged by.
    groups: Option<(usize, usize, GroupScore)>,
    /// Score plus bias of each expert.
    ranked: Vec<f32>,
    group_scores: Vec<f32>,
    group_chosen: Vec<u32>,
    best: Vec<(f32, u32)>,
}

impl Selection {
    pub(super) fn new(config: &ExpertsConfig) -> Selection {
        let groups = config.groups.map(|groups| {
            let (size, chosen) = (config.n_experts / groups.n.max(1), groups.n_chosen.min(groups.n));
            assert!(size * groups.n == config.n_experts, "groups hold equally many experts");
            (size, chosen, groups.by)
        });
        let allowed = groups.map_or(config.n_experts, |(size, chosen, _)| size * chosen);
        assert!(config.n_chosen <= allowed, "{} experts chosen of {allowed}", config.n_chosen);
        Selection {
            n_chosen: config.n_chosen,
            groups,
            ranked: vec![0.0; config.n_experts],
            group_scores: Vec::new(),
            group_chosen: vec![0; groups.map_or(0, |(_, chosen, _)| chosen)],
            best: Vec::new(),
        }
    }

    /// The experts with the largest score plus bias, in ascending order.
    pub(super) fn choose(&mut self, scores: &[f32], bias: Option<&[f32]>, chosen: &mut [u32]) {
        match bias {
            Some(bias) => {
                let sums = scores.iter().zip(bias).map(|(score, bias)| score + bias);
                self.ranked.iter_mut().zip(sums).for_each(|(to, sum)| *to = rank(sum));
            }
            None => self.ranked.iter_mut().zip(scores).for_each(|(to, &score)| *to = rank(score)),
        }
        debug_assert_eq!(chosen.len(), self.n_chosen);
        let Some((size, _, by)) = self.groups else {
            return top(self.ranked.iter().copied().zip(0..), &mut self.best, chosen);
        };
        self.group_scores.clear();
        self.group_scores.extend(self.ranked.chunks_exact(size).map(|group| judge(group, by)));
        top(self.group_scores.iter().copied().zip(0..), &mut self.best, &mut self.group_chosen);
        let ranked = &self.ranked;
        let allowed = self.group_chosen.iter().flat_map(|&group| {
            let first = group as usize * size;
            ranked[first..first + size].iter().copied().zip(first as u32..)
        });
        top(allowed, &mut self.best, chosen);
    }
}

/// A score as it is compared: what is no number comes last.
fn rank(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score }
}

fn judge(group: &[f32], by: GroupScore) -> f32 {
    let (first, second) = group.iter().fold((f32::NEG_INFINITY, f32::NEG_INFINITY), |(first, second), &score| {
        if score > first { (score, first) } else { (first, second.max(score)) }
    });
    match by {
        GroupScore::TopTwo if group.len() > 1 => first + second,
        _ => first,
    }
}

/// Indices of the largest scores, as many as `chosen` has room for, in ascending order; of equal ones the first come first.
fn top(scores: impl Iterator<Item = (f32, u32)>, best: &mut Vec<(f32, u32)>, chosen: &mut [u32]) {
    best.clear();
    for (score, index) in scores {
        if best.len() == chosen.len() {
            match best.last() {
                Some(&(least, _)) if score > least => best.pop(),
                _ => continue,
            };
        }
        let place = best.iter().rposition(|&(other, _)| other >= score).map_or(0, |before| before + 1);
        best.insert(place, (score, index));
    }
    chosen.iter_mut().zip(best.iter()).for_each(|(to, &(_, index))| *to = index);
    chosen.sort_unstable();
}
