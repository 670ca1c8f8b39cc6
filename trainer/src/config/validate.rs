//! Rules between keys, checked without opening a file: all findings at once.

mod rubric;

use model::config::{DeviceChoice, Mla};
use rewards::RuleConfig;
use rollout::draft::Drafting;
use rollout::pool::RolloutConfig;
use rollout::sampling::SamplingConfig;

use super::{DataConfig, Exactness, RunConfig};
use crate::data::{EFFORT_PLACE, Source, Template};
use crate::eval::EvalConfig;
use crate::grpo::{CombineRewards, GrpoConfig};
use crate::mtp::MtpConfig;
use crate::objective::{KlEstimator, Normalize, ObjectiveConfig};
use crate::optimizer::{MomentsDtype, OptimizerConfig};
use crate::preflight::Finding;
use crate::router::RouterConfig;
use crate::sft::SftConfig;

/// Largest `rollout.speculate`. A draft much longer than those of the papers, 3 to 10 tokens.
const LONGEST_DRAFT: usize = 32;

/// What a config is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reinforcement learning: needs `[grpo]` and `[[rewards]]`.
    Grpo,
    /// Supervised fine-tuning: needs `[sft]`.
    Sft,
    /// Evaluation alone: needs `[eval]`.
    Eval,
}

impl Stage {
    /// The stage that a config is written for: the training table it has, else evaluation.
    pub fn of(config: &RunConfig) -> Stage {
        match (&config.grpo, &config.sft) {
            (Some(_), _) => Stage::Grpo,
            (None, Some(_)) => Stage::Sft,
            (None, None) => Stage::Eval,
        }
    }
}

impl RunConfig {
    /// What speaks against doing `stage` with these values, in the order of the file; files are not opened.
    pub fn validate(&self, stage: Stage) -> Vec<Finding> {
        let mut findings = Findings::default();
        findings.run(self, stage);
        findings.data("data", &self.data);
        if stage != Stage::Sft || self.eval.is_some() {
            findings.at_least("rollout.max_tokens", self.rollout.max_tokens, 1);
            findings.at_least("rollout.max_batch", self.rollout.max_batch, 1);
            findings.at_least("rollout.replicas", self.rollout.replicas.unwrap_or(1), 1);
            findings.refuse(self.rollout.kv_bytes == 0, "rollout.kv_bytes", || "is 0: nothing can be cached".into());
            findings.speculate(&self.rollout, self.model.device);
            let empty = self.rollout.stop.iter().any(String::is_empty);
            findings.refuse(empty, "rollout.stop", || "holds an empty text, which stands everywhere".into());
            findings.sampling("rollout.sampling", &self.rollout.sampling);
        }
        match stage {
            Stage::Grpo => {
                findings.rewards(self);
                match &self.grpo {
                    Some(grpo) => findings.grpo(self, grpo),
                    None => findings.missing("grpo", "grouper grpo"),
                }
                findings.stray(self.sft.is_some(), "sft", "grouper grpo");
            }
            Stage::Sft => {
                match &self.sft {
                    Some(sft) => findings.sft(self, sft),
                    None => findings.missing("sft", "grouper sft"),
                }
                findings.stray(self.grpo.is_some(), "grpo", "grouper sft");
            }
            Stage::Eval if self.eval.is_none() => findings.missing("eval", "grouper eval"),
            Stage::Eval => {}
        }
        if stage != Stage::Eval {
            findings.optimizer(&self.optimizer, self.updates(stage));
            findings.router(&self.router);
        }
        if let Some(eval) = &self.eval {
            findings.eval(self, eval);
        }
        findings.0
    }

    /// Updates of the weights in the whole run.
    fn updates(&self, stage: Stage) -> u64 {
        match (stage, &self.grpo, &self.sft) {
            (Stage::Grpo, Some(grpo), _) => {
                grpo.steps.saturating_mul((grpo.updates_per_step as u64).saturating_mul(grpo.epochs_per_step as u64))
            }
            (Stage::Sft, _, Some(sft)) => sft.steps,
            _ => u64::MAX,
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn refuse(&mut self, wrong: bool, key: &str, message: impl FnOnce() -> String) {
        if wrong {
            self.0.push(Finding::error(key, message()));
        }
    }

    fn warn(&mut self, odd: bool, key: &str, message: impl FnOnce() -> String) {
        if odd {
            self.0.push(Finding::warning(key, message()));
        }
    }

    fn hint(&mut self, wrong: bool, key: &str, message: String, hint: &str) {
        if wrong {
            self.0.push(Finding::error(key, message).hint(hint));
        }
    }

    fn at_least(&mut self, key: &str, value: usize, least: usize) {
        self.refuse(value < least, key, || format!("is {value}, and must be at least {least}"));
    }

    fn finite(&mut self, key: &str, value: f64, above: bool) {
        let sound = value.is_finite() && if above { value > 0.0 } else { value >= 0.0 };
        let bound = if above { "above 0" } else { "at least 0" };
        self.refuse(!sound, key, || format!("is {value}, and must be finite and {bound}"));
    }

    /// A change that never comes.
    fn behind(&mut self, key: &str, step: u64, last_key: &str, last: u64) {
        self.warn(step > last, key, || format!("is {step}, behind the last step {last} (`{last_key}`)"));
    }

    fn missing(&mut self, key: &str, command: &str) {
        let message = format!("`{command}` needs the table `[{key}]`");
        self.hint(true, key, message, "`grouper config --defaults` prints every table");
    }

    fn stray(&mut self, there: bool, key: &str, command: &str) {
        let message = format!("`{command}` does not read the table `[{key}]`");
        self.hint(there, key, message, "one config describes one stage: move it to a file of its own");
    }

    fn run(&mut self, config: &RunConfig, stage: Stage) {
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let name = &config.name;
        let named = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        self.refuse(stage != Stage::Eval && !named, "name", || {
            format!("`{name}` cannot name a folder: use letters, digits, `_`, `-` and `.`, and start without a dot")
        });
        let checkpoint = config.model.checkpoint.as_os_str();
        self.refuse(checkpoint.is_empty(), "model.checkpoint", || "is empty".into());
        let device = config.model.device;
        let promised = !device.is_libtorchs();
        let required = config.run.exactness == Exactness::Require;
        let message = "is `require`, and libtorch's kernels on `model.device` promise no bits".to_owned();
        self.hint(!promised && required, "run.exactness", message, "`auto` measures there");
        let message = "is `require`, and `model.mla` is `expanded`, which the sampler does not compute".to_owned();
        let expanded = promised && config.model.mla == Mla::Expanded;
        self.hint(expanded && required, "run.exactness", message, "`auto` measures there");
        let idle = || "is 0: nothing would compute".into();
        self.refuse(config.run.workers == Some(0), "run.workers", idle);
        self.refuse(config.run.parallel_microbatches == Some(0), "run.parallel_microbatches", idle);
        self.refuse(config.run.keep_last == 0, "run.keep_last", || "is 0: nothing could be resumed".into());
        self.refuse(config.run.max_skipped_updates == 0, "run.max_skipped_updates", || {
            "is 0, and must be at least 1: the run stops at that many skipped updates in a row".into()
        });
    }

    fn data(&mut self, key: &str, data: &DataConfig) {
        if let Some(effort) = &data.effort {
            self.refuse(effort.levels.is_empty(), &format!("{key}.effort.levels"), || "names no effort".into());
            let unsaid = !effort.line.is_empty() && !effort.line.contains(EFFORT_PLACE);
            let silent = effort.line.is_empty() && data.template != Template::Chat;
            self.hint(
                unsaid || silent,
                &format!("{key}.effort.line"),
                format!("does not say the effort: there is no `{EFFORT_PLACE}` in it"),
                "only a chat template can say it by itself",
            );
        }
        self.at_least(&format!("{key}.max_prompt_tokens"), data.max_prompt_tokens, 1);
        if let Source::Files(files) = &data.source {
            self.refuse(files.paths.is_empty(), &format!("{key}.source.files.paths"), || "names no file".into());
        }
    }

    fn speculate(&mut self, rollout: &RolloutConfig, device: DeviceChoice) {
        let speculate = rollout.speculate;
        self.refuse(speculate > LONGEST_DRAFT, "rollout.speculate", || {
            format!("is {speculate}, and must be at most {LONGEST_DRAFT}: each is a row of every decoding step")
        });
        self.warn(speculate == 0 && rollout.draft != Drafting::default(), "rollout.draft", || {
            "has no effect: `rollout.speculate` is 0".into()
        });
        self.warn(speculate > 0 && device.is_libtorchs(), "rollout.speculate", || {
            "drafts nothing on `model.device`".into()
        });
    }

    fn sampling(&mut self, key: &str, sampling: &SamplingConfig) {
        let SamplingConfig { temperature, top_p, min_p, top_k: _ } = *sampling;
        self.finite(&format!("{key}.temperature"), temperature, false);
        let sound = top_p > 0.0 && top_p <= 1.0;
        self.refuse(!sound, &format!("{key}.top_p"), || format!("is {top_p}, and must be above 0 and at most 1"));
        let sound = (0.0..1.0).contains(&min_p);
        self.refuse(!sound, &format!("{key}.min_p"), || format!("is {min_p}, and must be at least 0 and below 1"));
    }

    fn grpo(&mut self, config: &RunConfig, grpo: &GrpoConfig) {
        self.refuse(grpo.steps == 0, "grpo.steps", || "is 0: nothing would be learned".into());
        self.at_least("grpo.prompts_per_step", grpo.prompts_per_step, 1);
        let message = format!("is {}: a completion is only compared with others of its group", grpo.group_size);
        self.hint(grpo.group_size < 2, "grpo.group_size", message, "take at least 2; the papers take 8 to 64");
        self.at_least("grpo.updates_per_step", grpo.updates_per_step, 1);
        let uneven = grpo.updates_per_step > 0 && !grpo.prompts_per_step.is_multiple_of(grpo.updates_per_step);
        let message = format!(
            "is {}, which does not divide the {} groups of a step (`grpo.prompts_per_step`)",
            grpo.updates_per_step, grpo.prompts_per_step
        );
        self.hint(uneven, "grpo.updates_per_step", message, "each update learns from the same number of whole groups");
        self.at_least("grpo.epochs_per_step", grpo.epochs_per_step, 1);
        let apart = grpo.combine_rewards == CombineRewards::NormalizeThenSum;
        self.refuse(apart && grpo.objective.kl_in_reward(), "grpo.combine_rewards", || {
            "is `normalize_then_sum`, and `grpo.objective.kl` is `k1`, which is a term of the summed reward".into()
        });
        self.finite("grpo.std_epsilon", grpo.std_epsilon, false);
        self.at_least("grpo.microbatch_tokens", grpo.microbatch_tokens, 1);
        self.max_tokens_schedule(grpo);
        self.finite("grpo.mtp_weight", grpo.mtp_weight, false);
        self.objective(&grpo.objective);
        self.warn(grpo.reference_every > 0 && !grpo.objective.has_reference(), "grpo.reference_every", || {
            "has no effect: with `grpo.objective.kl_coef` at 0 there is no reference".into()
        });
        let greedy = config.rollout.sampling.temperature == 0.0;
        self.hint(
            greedy,
            "rollout.sampling.temperature",
            "is 0: greedy completions of a prompt are all the same, and their log-probabilities undefined".into(),
            "R1-Zero trains at 1",
        );
        self.unused_eval_every(config, "grpo", grpo.eval_every);
    }

    fn max_tokens_schedule(&mut self, grpo: &GrpoConfig) {
        let key = "grpo.max_tokens_schedule";
        let changes = &grpo.max_tokens_schedule;
        let ascending = changes.windows(2).all(|pair| pair[0].step < pair[1].step);
        self.refuse(!ascending, key, || "its steps must ascend".into());
        for (index, change) in changes.iter().enumerate() {
            self.at_least(&format!("{key}.{index}.max_tokens"), change.max_tokens, 1);
            self.behind(&format!("{key}.{index}.step"), change.step, "grpo.steps", grpo.steps);
        }
    }

    fn objective(&mut self, objective: &ObjectiveConfig) {
        self.finite("grpo.objective.clip_low", objective.clip_low, true);
        self.finite("grpo.objective.clip_high", objective.clip_high, true);
        if let Some(bound) = objective.dual_clip {
            self.refuse(!(bound.is_finite() && bound > 1.0), "grpo.objective.dual_clip", || {
                format!("is {bound}, and must be above 1: it bounds ratios that are already above the clip")
            });
        }
        if let Normalize::Constant(tokens) = objective.normalize {
            self.finite("grpo.objective.normalize.constant", tokens, true);
        }
        self.finite("grpo.objective.kl_coef", objective.kl_coef, false);
        let idle = !objective.has_reference() && objective.kl != KlEstimator::default();
        self.warn(idle, "grpo.objective.kl", || "has no effect: `grpo.objective.kl_coef` is 0".into());
    }

    fn sft(&mut self, config: &RunConfig, sft: &SftConfig) {
        self.refuse(sft.steps == 0, "sft.steps", || "is 0: nothing would be learned".into());
        self.at_least("sft.batch_tokens", sft.batch_tokens, 1);
        // A document of one token has no token to predict.
        self.at_least("sft.max_tokens", sft.max_tokens, 2);
        self.at_least("sft.microbatch_tokens", sft.microbatch_tokens, 1);
        sft.mtp.iter().for_each(|mtp| self.mtp(mtp, sft.steps));
        self.unused_eval_every(config, "sft", sft.eval_every);
    }

    fn mtp(&mut self, mtp: &MtpConfig, steps: u64) {
        self.finite("sft.mtp.weight", mtp.weight, false);
        let key = "sft.mtp.weight_schedule";
        let ascending = mtp.weight_schedule.windows(2).all(|pair| pair[0].step < pair[1].step);
        self.refuse(!ascending, key, || "its steps must ascend".into());
        for (index, change) in mtp.weight_schedule.iter().enumerate() {
            self.finite(&format!("{key}.{index}.weight"), change.weight, false);
            self.behind(&format!("{key}.{index}.step"), change.step, "sft.steps", steps);
        }
    }

    fn unused_eval_every(&mut self, config: &RunConfig, table: &str, eval_every: u64) {
        self.warn(eval_every > 0 && config.eval.is_none(), &format!("{table}.eval_every"), || {
            "has no effect: there is no table `[eval]`".into()
        });
    }

    fn optimizer(&mut self, optimizer: &OptimizerConfig, updates: u64) {
        self.finite("optimizer.lr", optimizer.lr, true);
        for (key, beta) in [("optimizer.beta1", optimizer.beta1), ("optimizer.beta2", optimizer.beta2)] {
            let sound = (0.0..1.0).contains(&beta);
            self.refuse(!sound, key, || format!("is {beta}, and must be at least 0 and below 1"));
        }
        // Half of what tells a bf16 number from the one below it: such a decay is rounded away.
        let stands = optimizer.moments == MomentsDtype::Bf16 && 1.0 - optimizer.beta2 < 1.0 / 256.0;
        self.warn(stands, "optimizer.beta2", || {
            format!("is {}: second moments in bf16 do not decay above 0.996", optimizer.beta2)
        });
        self.finite("optimizer.epsilon", optimizer.epsilon, true);
        self.finite("optimizer.weight_decay", optimizer.weight_decay, false);
        self.finite("optimizer.max_grad_norm", optimizer.max_grad_norm, false);
        let schedule = &optimizer.schedule;
        let sound = (0.0..=1.0).contains(&schedule.floor);
        self.refuse(!sound, "optimizer.schedule.floor", || {
            format!("is {}, and must be between 0 and 1: it is a share of `optimizer.lr`", schedule.floor)
        });
        // A run without updates is refused by its own key.
        self.warn(updates > 0 && schedule.warmup_steps >= updates, "optimizer.schedule.warmup_steps", || {
            format!("is {}: the run's {updates} updates end before the warm-up does", schedule.warmup_steps)
        });
    }

    fn router(&mut self, router: &RouterConfig) {
        for (key, value) in router.numbers() {
            self.finite(key, value, false);
        }
    }

    fn eval(&mut self, config: &RunConfig, eval: &EvalConfig) {
        self.refuse(eval.sets.is_empty(), "eval.sets", || "names no set".into());
        for (index, set) in eval.sets.iter().enumerate() {
            let key = format!("eval.sets.{index}");
            let twin = eval.sets[..index].iter().any(|other| other.name == set.name);
            self.refuse(twin, &format!("{key}.name"), || format!("`{}` names two sets", set.name));
            let plain = !set.name.is_empty() && !set.name.contains(['/', '@']);
            self.refuse(!plain, &format!("{key}.name"), || {
                format!("`{}` cannot stand in the name of a metric: it must have letters, and no `/` or `@`", set.name)
            });
            self.refuse(set.n_problems == Some(0), &format!("{key}.n_problems"), || "is 0".into());
            self.data(&format!("{key}.data"), &set.data);
        }
        self.at_least("eval.samples", eval.samples, 1);
        self.refuse(eval.max_tokens == Some(0), "eval.max_tokens", || "is 0".into());
        self.sampling("eval.sampling", &eval.sampling);
        self.warn(eval.sampling.temperature == 0.0 && eval.samples > 1, "eval.samples", || {
            format!("is {}: greedy completions of a problem are all the same", eval.samples)
        });
        match &eval.rule {
            Some(rule) => {
                let judges = rule.judges();
                self.refuse(!judges, "eval.rule", || {
                    "must be a rule that says what is right, such as `accuracy`".into()
                });
                if let (true, Err(error)) = (judges, rule.check()) {
                    self.refuse(true, "eval.rule", || error.to_string());
                }
            }
            None => self.hint(
                !config.rewards.iter().any(RuleConfig::judges),
                "eval.rule",
                "is absent, and no rule of `[[rewards]]` says which completion is right".into(),
                "write `rule = { accuracy = { weight = 1.0, kind = \"exact\", extract = \"answer_tag\" } }`",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
