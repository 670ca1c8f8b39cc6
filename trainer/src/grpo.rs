//! Group-relative policy optimisation (DeepSeekMath, arXiv 2402.03300; DeepSeek-R1, arXiv 2501.12948).

mod config;
mod parity;
mod step;

pub use config::{CombineRewards, GrpoConfig, LengthChange};

use anyhow::{Context, Result};
use rollout::pool::RolloutPool;

use crate::batch::Update;
use crate::config::{Ending, RunConfig, RunOptions};
use crate::eval::EvalSets;
use crate::gradient::Gradient;
use crate::preflight::{self, Stage};
use crate::run::{self, Plan, Run};
use step::Step;

/// Trains the policy with GRPO.
///
/// One step: sample a group of completions for each prompt, score them, compare every completion with its own group,
/// and nudge the policy towards the better ones. The rollout's log-probabilities are the old ones: they are those of
/// the training forward, bit for bit.
pub fn train(config: &RunConfig, options: &RunOptions) -> Result<Ending> {
    let checked = preflight::check(config, Stage::Grpo, &options.root);
    run::refuse(&checked)?;
    let grpo = config.grpo.as_ref().context("the config has no `[grpo]` table")?;
    let mut run = Run::open(config, options, &checked, &plan(grpo))?;
    let prompts = checked.prompts.context("open `data.source`")?;
    let rubric = checked.rubric.context("open `rewards`")?;
    let stop = checked.stop.rules(&config.rollout.stop);
    let mut pool = RolloutPool::new(&config.rollout, run.workers, run.policy.config(), run.tokenizer.clone(), stop);
    run.settle_replicas(&mut pool, grpo.prompts_per_step, grpo.group_size)?;
    let heldout = EvalSets::of(config, checked.heldout, checked.judge)?;
    let mut gradient = Gradient::beside(&run.policy, run.workers, run.memory.passes().side_by_side);

    'steps: while let Some(number) = run.next_step(heldout.as_ref().map(|sets| (sets, &mut pool)))? {
        let problems = prompts.batch(number - 1, grpo.prompts_per_step);
        let step = Step { number, config, grpo, problems, before: Step::count(&run) };
        let Some(scored) = step.sample(&mut run, &mut pool, &rubric)? else { continue };
        let advantages = step.advantages(&mut run, &scored)?;
        let updates = Update::split(&scored.groups, &advantages, grpo);
        for epoch in 0..grpo.epochs_per_step {
            for (i, update) in updates.iter().enumerate() {
                if !step.update(&mut run, &mut gradient, update, epoch * updates.len() + i)? {
                    continue 'steps;
                }
            }
        }
        step.refresh_reference(&mut run);
        run.finish_step(number)?;
    }
    run.close()
}

fn plan(grpo: &GrpoConfig) -> Plan {
    Plan {
        verb: "grpo",
        steps: grpo.steps,
        eval_every: grpo.eval_every,
        work: format!("{} prompts × {} completions", grpo.prompts_per_step, grpo.group_size),
        reference: grpo.objective.has_reference(),
    }
}

#[cfg(test)]
mod tests;
