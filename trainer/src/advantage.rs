//! Group-relative advantages: how much better a completion scored than its siblings.

/// `A_i = (r_i − mean) / (std + epsilon)` within each group of completions of one prompt.
///
/// The standard deviation is the population one; with `std` off the division is left out
/// (Dr. GRPO). A group whose rewards are all equal teaches nothing and gets exact zeros.
/// `None` marks a completion without a score: it stays `None` and counts in neither mean nor
/// deviation; in a group with fewer than two scores nothing can be compared, so all are `None`.
pub fn group_advantages(rewards: &[Vec<Option<f64>>], std: bool, epsilon: f64) -> Vec<Vec<Option<f64>>> {
    rewards.iter().map(|group| one_group(group, std, epsilon)).collect()
}

fn one_group(group: &[Option<f64>], std: bool, epsilon: f64) -> Vec<Option<f64>> {
    let scores: Vec<f64> = group.iter().flatten().copied().collect();
    if scores.len() < 2 {
        return vec![None; group.len()];
    }
    // Tested before dividing: the mean of equal numbers may round, and epsilon may be 0.
    if scores.iter().all(|score| *score == scores[0]) {
        return group.iter().map(|score| score.map(|_| 0.0)).collect();
    }
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let variance = scores.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / count;
    let scale = if std { variance.sqrt() + epsilon } else { 1.0 };
    group.iter().map(|score| score.map(|r| (r - mean) / scale)).collect()
}

/// What each rule gave the completions of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleValues {
    /// The weight of each rule.
    pub weights: Vec<f64>,
    /// The values of each completion, one for each rule before its weight; `None` where a rule had nothing to say. A
    /// completion that is left out of its group is `None` as a whole.
    pub values: Vec<Option<Vec<Option<f64>>>>,
}

/// Advantages of which each rule has its own share (GDPO, arXiv 2601.05242): every rule's values are normalised within
/// their group as by [`group_advantages`], then weighted and summed, and the sums divided by (std + epsilon) over all
/// completions of the step.
///
/// Summed first, two groups of completions with other values but equally spread sums get the same advantages; here a
/// rule with a small range is not drowned by one with a large one. The paper also subtracts the mean over the step,
/// which is 0: each rule's values sum to 0 in every group. Standard deviations are the population's. `None` marks a
/// completion that is left out of its group, or has no other to be compared with.
pub fn decoupled_advantages(groups: &[RuleValues], std: bool, epsilon: f64) -> Vec<Vec<Option<f64>>> {
    let mut sums: Vec<Vec<Option<f64>>> = groups.iter().map(|group| decoupled(group, std, epsilon)).collect();
    let all: Vec<f64> = sums.iter().flatten().flatten().copied().collect();
    let spread = (all.iter().map(|sum| sum * sum).sum::<f64>() / all.len() as f64).sqrt() + epsilon;
    // No sum differs from 0: no group teaches, and epsilon may be 0.
    if all.iter().any(|sum| *sum != 0.0) {
        sums.iter_mut().flatten().flatten().for_each(|sum| *sum /= spread);
    }
    sums
}

fn decoupled(group: &RuleValues, std: bool, epsilon: f64) -> Vec<Option<f64>> {
    if group.values.iter().flatten().count() < 2 {
        return vec![None; group.values.len()];
    }
    let mut sums: Vec<Option<f64>> = group.values.iter().map(|values| values.as_ref().map(|_| 0.0)).collect();
    for (rule, weight) in group.weights.iter().enumerate() {
        let values: Vec<Option<f64>> =
            group.values.iter().map(|values| values.as_ref().and_then(|values| values[rule])).collect();
        for (sum, share) in sums.iter_mut().zip(one_group(&values, std, epsilon)) {
            if let (Some(sum), Some(share)) = (sum, share) {
                *sum += weight * share;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests;
