//! `Placed`: AdamW where its policy's weights are.

use model::policy::Policy;

use super::{DeviceOptimizer, NotFinite, Optimizer, StepReport};
use crate::gradient::Gradient;

/// An optimizer beside the weights that it moves.
#[derive(Debug)]
pub enum Placed {
    /// Masters, moments and gradient are on the host.
    Host(Optimizer),
    /// They are on the device that computes.
    Device(DeviceOptimizer),
}

impl Placed {
    /// `optimizer`, moved to the device that `policy` computes on, where it does.
    pub fn beside(policy: &Policy, optimizer: Optimizer) -> Placed {
        match policy.on_device() {
            Some(twin) => Placed::Device(DeviceOptimizer::of(optimizer, twin.parameters())),
            None => Placed::Host(optimizer),
        }
    }

    /// How many times the weights have moved.
    pub fn moves(&self) -> u64 {
        match self {
            Placed::Host(host) => host.state().1,
            Placed::Device(device) => device.moves(),
        }
    }

    /// Moves the weights of `policy` against `gradient`; see [`Optimizer::step`]. [`Placed::refresh`] must follow.
    pub fn step(
        &mut self,
        policy: &mut Policy,
        gradient: &mut Gradient,
        update: u64,
        updates: u64,
        workers: usize,
    ) -> Result<StepReport, NotFinite> {
        match self {
            Placed::Host(host) => host.step(policy.parameters_mut(), gradient.total(), update, updates, workers),
            Placed::Device(device) => {
                let twin = policy.on_device().expect("an optimizer on a device has its policy there");
                let gradient = gradient.on_device().expect("and its gradient");
                device.step(twin.parameters(), gradient, update, updates)
            }
        }
    }

    /// Makes what products of `policy` read anew.
    pub fn refresh(&self, policy: &mut Policy) {
        match self {
            Placed::Host(_) => policy.refresh(),
            Placed::Device(_) => policy.refresh_on_device(),
        }
    }

    /// Brings what is on a device back, to be saved: the masters of `policy`, and the moments, which `save` gets.
    pub fn saved<R>(&self, policy: &mut Policy, save: impl FnOnce(&Policy, &Optimizer) -> R) -> R {
        match self {
            Placed::Host(host) => save(policy, host),
            Placed::Device(device) => {
                policy.fetch_masters();
                save(policy, &device.fetch())
            }
        }
    }
}

#[cfg(test)]
mod tests;
