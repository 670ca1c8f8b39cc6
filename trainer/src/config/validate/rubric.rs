//! What speaks against a run's `[[rewards]]`.

use rewards::{Rubric, RubricError, RuleConfig, SoftOverlong};

use super::Findings;
use crate::config::RunConfig;

/// Numbers of a step that a rule's must not be taken for.
const METRICS: [&str; 26] = [
    "clip",
    "cut",
    "entropy",
    "epoch",
    "eval",
    "grad",
    "groups_all_right",
    "groups_all_wrong",
    "groups_skipped",
    "kl",
    "learned_tokens",
    "len",
    "len_max",
    "loss",
    "lr",
    "mismatch_max",
    "mtp",
    "parity_tokens",
    "perf",
    "ratio_max",
    "reward",
    "router",
    "skipped_updates",
    "step",
    "tokens",
    "unscored",
];

impl Findings {
    pub(super) fn rewards(&mut self, config: &RunConfig) {
        for (index, rule) in config.rewards.iter().enumerate() {
            if let Err(error) = rule.check() {
                self.refuse(true, &format!("rewards.{index}"), || error.to_string());
            }
        }
        for (index, rule) in config.rewards.iter().enumerate() {
            let name = rule.name();
            self.refuse(METRICS.contains(&name.as_str()), &format!("rewards.{index}"), || {
                format!("a rule cannot be called `{name}`: it is the name of another metric of a step")
            });
        }
        match Rubric::new(&config.rewards) {
            Err(error @ RubricError::Empty) => {
                self.hint(true, "rewards", error.to_string(), "add a `[[rewards]]` table, such as `accuracy`");
            }
            // Said above, of the rule itself.
            Err(RubricError::Setting { .. }) | Ok(_) => {}
            Err(error) => self.refuse(true, "rewards", || error.to_string()),
        }
        let schedule = config.grpo.iter().flat_map(|grpo| &grpo.max_tokens_schedule).map(|change| change.max_tokens);
        let longest = schedule.fold(config.rollout.max_tokens, usize::max);
        for (index, rule) in config.rewards.iter().enumerate() {
            let RuleConfig::SoftOverlong(SoftOverlong { max_tokens, buffer, .. }) = *rule else { continue };
            let free = max_tokens.saturating_sub(buffer) as usize;
            self.warn(free >= longest, &format!("rewards.{index}.soft_overlong"), || {
                format!("punishes nothing: it begins above {free} tokens, and no completion has more than {longest}")
            });
        }
    }
}
