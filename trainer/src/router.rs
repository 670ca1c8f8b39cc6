//! How the routers of a mixture of experts are evened out while a policy is trained, and what is told of them.
//!
//! The losses join the stage's own; the correction biases are moved by a rule once an update, against the load of all its
//! rows (Wang et al. 2024, arXiv 2408.15664). Counts are whole numbers, so that neither microbatches nor workers matter.

use std::ops::Range;

use model::config::ModelConfig;
use model::layout::Layout;
use model::packed::Packed;
use model::policy::Policy;
use model::router::{Balance, Load, Loads, Routed, add_loads};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gradient::Gradient;
use crate::preflight::Finding;
use crate::step_log::StepLog;
use crate::workers;

/// How the routers of a mixture of experts are evened out. All of it is off by default: in reinforcement learning losses on
/// the load pull against the reward. A key that is set is refused for a policy without experts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouterConfig {
    /// γ: what an expert's correction bias moves by in an update, up where it got fewer tokens than the mean and down
    /// where it got more (arXiv 2408.15664). DeepSeek-V3: 0.001. Needs a family with correction biases.
    pub bias_update_rate: f64,
    /// α of the sequence-wise balance loss (DeepSeek-V3, arXiv 2412.19437, equation 17). There: 1e-4.
    pub sequence_balance: f64,
    /// Factor of the balance loss over all tokens of an update (Switch, arXiv 2101.03961, equation 4), as Mixtral has it.
    /// Switch: 0.01. Costs another forward pass, because the loss needs the load of the whole update.
    pub aux_loss: f64,
    /// Factor of the squared log-normaliser of a router's logits (ST-MoE, arXiv 2202.08906, equation 5). There: 1e-3.
    pub z_loss: f64,
    /// Leave the weights of routers as they are: their gradient counts as zero, also in its norm, and nothing decays.
    pub frozen: bool,
}

impl RouterConfig {
    /// Every number with the path of its key.
    pub fn numbers(&self) -> [(&'static str, f64); 4] {
        [
            ("router.bias_update_rate", self.bias_update_rate),
            ("router.sequence_balance", self.sequence_balance),
            ("router.aux_loss", self.aux_loss),
            ("router.z_loss", self.z_loss),
        ]
    }

    /// What speaks against these settings for a policy.
    pub(crate) fn check(&self, model: &ModelConfig) -> Vec<Finding> {
        let set = self.numbers().into_iter().filter(|(_, number)| *number != 0.0).map(|(key, _)| key);
        let keys: Vec<&str> = set.chain(self.frozen.then_some("router.frozen")).collect();
        let experts = model.experts.as_ref();
        let refusal = |key: &&str| match experts {
            None => Some("is set, and the policy has no experts"),
            Some(experts) if *key == "router.bias_update_rate" && !experts.correction_bias => {
                Some("is set, and the policy's routers have no correction bias")
            }
            Some(_) => None,
        };
        keys.iter().filter_map(|key| Some(Finding::error(*key, refusal(key)?))).collect()
    }

    /// The losses of an update whose microbatches have these rows, with the sequences that count.
    pub fn balance(&self, policy: &Policy, rows: &[(&Packed, &[Range<usize>])], workers: usize) -> Balance {
        let sequences = || rows.iter().flat_map(|(_, sequences)| *sequences);
        let mut loads = Loads::new();
        if self.aux_loss != 0.0 {
            let found = workers::map(rows, workers, |(packed, sequences)| policy.loads(packed, sequences));
            found.iter().for_each(|more| add_loads(&mut loads, more));
        }
        Balance {
            sequence: self.sequence_balance,
            batch: self.aux_loss,
            z: self.z_loss,
            n_sequences: sequences().count() as u64,
            n_rows: sequences().map(|rows| rows.len() as u64).sum(),
            loads,
        }
    }

    /// Where weights lie that stay as they are.
    pub fn spared(&self, layout: &Layout) -> Vec<Range<usize>> {
        if self.frozen { layout.router_ranges() } else { Vec::new() }
    }

    /// Takes what is frozen out of a gradient.
    pub fn hold(&self, layout: &Layout, gradient: &mut Gradient) {
        self.spared(layout).into_iter().for_each(|range| gradient.clear(range));
    }

    /// Moves correction biases against the load of an update, and gives back by how much in the mean; `None` where they
    /// stay. [`Policy::refresh`] must follow, or [`Policy::refresh_on_device`]: a copy on a device has the biases at once.
    pub fn move_biases(&self, policy: &mut Policy, loads: &Loads) -> Option<f64> {
        if self.bias_update_rate == 0.0 {
            return None;
        }
        let (mut moved, mut n) = (0.0, 0);
        for (layer, range) in policy.layout().corrections() {
            let Some(load) = loads.get(&layer) else { continue };
            let biases = &mut policy.parameters_mut()[range.clone()];
            let before = biases.to_vec();
            load.move_bias(biases, self.bias_update_rate as f32);
            moved += before.iter().zip(&*biases).map(|(from, to)| f64::from((to - from).abs())).sum::<f64>();
            n += before.len();
            policy.put_on_device(range);
        }
        (n > 0).then(|| moved / n as f64)
    }
}

/// Logs what routers did in an update, and how far their biases are by now; nothing for a policy without experts.
///
/// # Panics
/// Where a token went to fewer experts than it must, which no router does.
pub fn log(policy: &Policy, routed: &Routed, log: &mut StepLog) {
    if routed.loads.is_empty() {
        return;
    }
    let dropped = routed.n_sent - routed.loads.values().map(Load::total).sum::<u64>();
    assert_eq!(dropped, 0, "every token goes to all experts that are chosen for it");
    let violations: Vec<f64> = routed.loads.values().map(Load::max_violation).collect();
    log.mean("router/max_violation", violations.iter().sum::<f64>() / violations.len() as f64, 1.0);
    for (layer, violation) in routed.loads.keys().zip(&violations) {
        log.mean(&format!("router/max_violation/{layer}"), *violation, 1.0);
    }
    let counts = || routed.loads.values().flat_map(Load::counts);
    log.mean("router/idle", counts().filter(|count| **count == 0).count() as f64 / counts().count() as f64, 1.0);
    log.add("router/dropped", dropped as f64);
    for (key, loss) in [("sequence_balance", routed.sequence), ("aux_loss", routed.batch), ("z_loss", routed.z)] {
        if loss != 0.0 {
            log.mean(&format!("router/{key}"), loss, 1.0);
        }
    }
    let biases = policy.layout().corrections();
    let biases = biases.into_iter().flat_map(|(_, range)| &policy.parameters()[range]);
    if let Some(largest) = biases.map(|bias| bias.abs()).reduce(f32::max) {
        log.set("router/bias_max", f64::from(largest));
    }
}

#[cfg(test)]
mod tests;
