//! Supervised fine-tuning: next-token training on texts, completions and conversations.
//!
//! The loss of an update is the mean negative log-likelihood of all tokens learned in it, −Σ log p / n with n counted
//! over the whole update: how it is cut into microbatches does not change the weight of a token. Documents are packed
//! one after the other and attend to themselves alone.

mod batches;
mod config;
mod gradient;
mod sequence;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use model::policy::Policy;
use model::tokenizer::Tokenizer;

pub use batches::{Batches, cut, pack};
pub use config::{LossOn, SftConfig};
pub use gradient::{Learned, learn};
pub use sequence::{Encoder, Sequence, Sequences, end_of_sequence};

use crate::config::{Ending, RunConfig, RunOptions};
use crate::data::Documents;
use crate::hub;
use crate::optimizer::Optimizer;
use crate::prompting::Prompter;
use crate::stage::{Stage, workers};
use crate::stopping::StopIds;

/// Trains the policy on the documents of `run.data`.
///
/// One step: take the next documents of a seeded order until `batch_tokens` is reached, raise the likelihood of what is
/// learned in them.
pub fn train(run: &RunConfig, options: &RunOptions) -> Result<Ending> {
    let sft = run.sft.as_ref().context("the config has no `[sft]` table")?;
    let folder = hub::resolve(&run.model.checkpoint)?;
    let tokenizer = Arc::new(Tokenizer::from_folder(&folder)?);
    let mut policy = Policy::load(&folder, &run.model, run.seed)?;
    policy.set_vocabulary(tokenizer.vocab_size());
    let mut optimizer = Optimizer::new(policy.layout(), &run.optimizer);
    let sequences = sequences(run, sft, &folder, &tokenizer, &policy)?;
    let mut batches = Batches::new(sequences.lengths(), run.seed, sft.batch_tokens);
    let workers = workers(&run.run);

    let title = title(run, &policy, &sequences);
    let mut stage = Stage::open(run, options, &title, sft.steps, &mut policy, &mut optimizer)?;
    for step in stage.progress.step + 1..=sft.steps {
        let batch: Vec<&Sequence> = batches.batch(step).into_iter().map(|place| &sequences.all[place]).collect();
        let span = stage.log.span("update");
        let learned = learn(&policy, &batch, sft, workers);
        stage.log.set("loss", learned.loss);
        stage.log.set("tokens", learned.n_tokens as f64);
        stage.log.set("learned_tokens", learned.n_learned as f64);
        stage.log.set("epoch", batches.epoch() as f64);
        match optimizer.step(policy.parameters_mut(), &learned.gradient, step, sft.steps, workers) {
            Ok(report) => {
                policy.refresh();
                stage.log.set("grad", report.grad_norm);
                stage.log.set("lr", report.lr);
                stage.progress.skipped_in_a_row = 0;
            }
            Err(not_finite) => skip(&mut stage, step, &not_finite.to_string(), run.run.max_skipped_updates)?,
        }
        drop(span);
        stage.progress.step = step;
        stage.log.finish(step)?;
        if stage.save_if_due(&policy, &optimizer)? {
            return Ok(Ending::Stopped);
        }
    }
    stage.save_final(&policy)?;
    Ok(Ending::Finished)
}

/// Counts an update that was skipped; too many in a row end the run.
fn skip(stage: &mut Stage, step: u64, why: &str, limit: u64) -> Result<()> {
    stage.progress.skipped += 1;
    stage.progress.skipped_in_a_row += 1;
    stage.log.set("skipped", stage.progress.skipped as f64);
    stage.log.warn(&format!("update {step} skipped: {why}"));
    let in_a_row = stage.progress.skipped_in_a_row;
    ensure!(in_a_row < limit, "{in_a_row} updates in a row were skipped, the last for this: {why}");
    Ok(())
}

/// Reads and encodes the run's documents.
fn sequences(
    run: &RunConfig,
    sft: &SftConfig,
    folder: &Path,
    tokenizer: &Arc<Tokenizer>,
    policy: &Policy,
) -> Result<Sequences> {
    let documents = Documents::open(&run.data.source, run.seed).context("open `data.source`")?;
    let prompter = Prompter::new(tokenizer, &run.data)?;
    let stops = StopIds::find(folder, policy.config(), tokenizer)?.rules(&[]).ids;
    let end = end_of_sequence(tokenizer, &policy.config().eos_token_ids)?;
    let encoder = Encoder { prompter: &prompter, end, stops: &stops, loss_on: sft.loss_on };
    Sequences::encode(&documents, &encoder, sft)
}

/// `sft_tiny · 2-layer policy, 0.4M params, cpu · 200000 documents (3 too long, 1 empty)`.
fn title(run: &RunConfig, policy: &Policy, sequences: &Sequences) -> String {
    let layers = policy.config().n_layers;
    let millions = policy.n_parameters() as f64 / 1e6;
    let left_out = match (sequences.n_too_long, sequences.n_empty) {
        (0, 0) => String::new(),
        (too_long, empty) => format!(" ({too_long} too long, {empty} empty)"),
    };
    let n_documents = sequences.all.len();
    format!("{} · {layers}-layer policy, {millions:.1}M params, cpu · {n_documents} documents{left_out}", run.name)
}

#[cfg(test)]
mod tests;
