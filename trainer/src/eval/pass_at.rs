//! What the judged completions of a problem are worth: pass@k and the majority's vote.

/// The completions of one problem, in sample order, without those that could not be scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Whether each is right.
    pub correct: Vec<bool>,
    /// The final answer of each, or `None` where there is none to be found.
    pub answers: Vec<Option<String>>,
}

/// Chance that at least one of `k` completions is right, drawn without replacement from `n` of which `c` are.
///
/// 1 − C(n − c, k) / C(n, k), the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, equation 1), as a product
/// that needs no large binomials. `None` where there are fewer than `k` completions, or `k` is 0.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> Option<f64> {
    if k == 0 || k > n || c > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    let all_wrong: f64 = (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - all_wrong)
}

/// Every k that is reported for `samples` completions: 1, 2, 4, … and `samples` itself.
pub fn reported_k(samples: usize) -> Vec<usize> {
    let mut ks: Vec<usize> = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|k| *k < samples).collect();
    if samples > 0 {
        ks.push(samples);
    }
    ks
}

/// Mean of pass@k over the problems that have `k` scored completions; `None` where no problem has.
pub fn mean_pass_at_k(problems: &[Judged], k: usize) -> Option<f64> {
    mean(problems.iter().filter_map(|one| {
        let correct = one.correct.iter().filter(|correct| **correct).count();
        pass_at_k(one.correct.len(), correct, k)
    }))
}

/// Whether the answer given most often is right (self-consistency, arXiv 2203.11171); among answers given equally
/// often the one that came first. False where no completion has an answer.
pub fn majority_is_right(judged: &Judged) -> bool {
    let mut votes: Vec<(&str, usize, bool)> = Vec::new();
    for (answer, correct) in judged.answers.iter().zip(&judged.correct) {
        let Some(answer) = answer else { continue };
        match votes.iter_mut().find(|(known, ..)| known == answer) {
            Some((_, n, _)) => *n += 1,
            None => votes.push((answer, 1, *correct)),
        }
    }
    let most = votes.iter().map(|(_, n, _)| *n).max();
    votes.iter().find(|(_, n, _)| Some(*n) == most).is_some_and(|(.., correct)| *correct)
}

/// Share of problems whose majority is right, over those with a scored completion; `None` where there is none.
pub fn mean_majority(problems: &[Judged]) -> Option<f64> {
    let scored = problems.iter().filter(|one| !one.correct.is_empty());
    mean(scored.map(|one| if majority_is_right(one) { 1.0 } else { 0.0 }))
}

/// `None` for no numbers.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = numbers.fold((0.0, 0_usize), |(sum, n), number| (sum + number, n + 1));
    if n == 0 { None } else { Some(sum / n as f64) }
}

#[cfg(test)]
mod tests;
