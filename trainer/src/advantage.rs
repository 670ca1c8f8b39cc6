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

#[cfg(test)]
mod tests;
