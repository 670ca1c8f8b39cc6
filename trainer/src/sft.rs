//! Supervised fine-tuning: next-token training on texts, completions and conversations.
//!
//! The loss of an update is the mean negative log-likelihood of all tokens learned in it, −Σ log p / n with n counted
//! over the whole update: how it is cut into microbatches does not change the weight of a token. Documents are packed
//! one after the other and attend to themselves alone.

mod batches;
mod config;
mod gradient;
mod sequence;

use anyhow::{Context, Result};
use rollout::pool::RolloutPool;

pub use batches::{Batches, cut, pack};
pub use config::{LossOn, SftConfig};
pub use gradient::{Learned, learn};
pub use sequence::{Encoder, Sequence, Sequences, end_of_sequence};

use crate::config::{Ending, RunConfig, RunOptions};
use crate::eval::EvalSets;
use crate::gradient::Gradient;
use crate::preflight::memory::Phase;
use crate::preflight::{self, Stage};
use crate::run::{self, Plan, Run};

/// Trains the policy on the documents of `config.data`.
///
/// One step: take the next documents of a seeded order until `batch_tokens` is reached, raise the likelihood of what is
/// learned in them.
pub fn train(config: &RunConfig, options: &RunOptions) -> Result<Ending> {
    let checked = preflight::check(config, Stage::Sft, &options.root);
    run::refuse(&checked)?;
    let sft = config.sft.as_ref().context("the config has no `[sft]` table")?;
    let sequences = checked.sequences.as_ref().context("open `data.source`")?;
    let mut batches = Batches::new(sequences.lengths(), config.seed, sft.batch_tokens);
    let plan = Plan {
        verb: "sft",
        steps: sft.steps,
        eval_every: sft.eval_every,
        work: sequences.to_string(),
        reference: false,
    };
    let mut run = Run::open(config, options, &checked, &plan)?;
    let stop = checked.stop.rules(&config.rollout.stop);
    let mut pool = RolloutPool::new(&config.rollout, run.workers, run.policy.config(), run.tokenizer.clone(), stop);
    let heldout = EvalSets::of(config, checked.heldout, checked.judge)?;
    let mut gradient = Gradient::beside(&run.policy, run.workers, run.memory.passes().side_by_side);

    while let Some(step) = run.next_step(heldout.as_ref().map(|sets| (sets, &mut pool)))? {
        let batch: Vec<&Sequence> = batches.batch(step).into_iter().map(|place| &sequences.all[place]).collect();
        let span = run.log.span("update");
        let Run { policy, interrupt, checkpointing, .. } = &run;
        let (mtp, routers) = (sft.mtp.as_ref().map_or(0.0, |mtp| mtp.weight(step)), &config.router);
        let learn = || learn(policy, &batch, (sft, routers), mtp, *checkpointing, interrupt.flag(), &mut gradient);
        let Some(learned) = run.memory.guard(Phase::Update, learn)? else { continue };
        drop(span);
        run.log.set("loss", learned.loss);
        learned.mtp.log(mtp, &mut run.log);
        run.log.set("tokens", learned.n_tokens as f64);
        run.log.set("learned_tokens", learned.n_learned as f64);
        run.log.set("epoch", batches.epoch() as f64);
        run.update(learned.loss, &mut gradient, &learned.routed, step, sft.steps)?;
        run.finish_step(step)?;
    }
    run.close()
}

#[cfg(test)]
mod tests;
