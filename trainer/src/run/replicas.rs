//! How many replicas a run samples with: what its config says, what it measured when it first started, or what it measures
//! now.

use std::time::Instant;

use anyhow::{Context, Result};
use rollout::pool::{PoolError, RolloutPool};

use super::Run;

impl Run {
    /// Lets `pool` sample with the run's number of replicas. Where neither config nor record has one it is measured, for
    /// `n` completions of each of `n_prompts` prompts, and recorded with the next checkpoint. A device has one replica
    /// whatever the number.
    ///
    /// # Errors
    /// When a replica dies.
    pub fn settle_replicas(&mut self, pool: &mut RolloutPool, n_prompts: usize, n: usize) -> Result<()> {
        if let Some(replicas) = self.config.rollout.replicas.or(self.progress.replicas) {
            pool.set_replicas(replicas);
            return Ok(());
        }
        if self.policy.on_device().is_some() {
            return Ok(());
        }
        let since = Instant::now();
        let trials = match pool.try_replicas(&self.policy, n_prompts, n, self.interrupt.flag()) {
            // The loop that follows sees it too, and ends the run.
            Err(PoolError::Cancelled) => return Ok(()),
            tried => tried.context("measure how many replicas sample fastest")?,
        };
        self.log.begin_step();
        self.progress.replicas = Some(pool.replicas());
        if !trials.is_empty() {
            let tried = trials
                .iter()
                .map(|one| format!("{} × {} threads {:.0} tokens/s", one.replicas, one.threads, one.tokens_per_second));
            self.log.detail(&format!(
                "{} replicas chosen in {:.2} s: {}",
                pool.replicas(),
                since.elapsed().as_secs_f64(),
                tried.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }
}
