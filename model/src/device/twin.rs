//! `Twin`: a policy's copy on a device, which computes in its place.

use super::policy::DevicePolicy;
use crate::backward::{Objective, Targets};
use crate::buffer::Buffer;
use crate::packed::Packed;
use crate::policy::Policy;
use crate::share::{Hand, Share};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::Device;

/// A copy on a device. One thread at a time computes with it.
pub(crate) struct Twin(Mutex<DevicePolicy>);

impl Twin {
    pub(crate) fn new(policy: &Policy, device: Device) -> Twin {
        Twin(Mutex::new(DevicePolicy::new(policy, device)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, DevicePolicy> {
        // A panic leaves no weight half written: only a refresh writes, and the run ends with it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy {
    /// From now on log-probabilities, gradients and completions are computed on `device`, by libtorch's kernels. The
    /// masters stay here: an optimizer moves them, and [`Policy::refresh`] copies them over.
    pub fn compute_on(&mut self, device: Device) {
        self.twin = Some(Twin::new(self, device));
    }

    /// The copy that computes in this policy's place, where there is one.
    pub fn on_device(&self) -> Option<MutexGuard<'_, DevicePolicy>> {
        let mut twin = self.twin.as_ref()?.lock();
        twin.set_vocabulary(self.vocabulary());
        Some(twin)
    }

    /// [`Policy::backward_in_parts`] by the copy on a device; false where there is none.
    pub(crate) fn backward_on_device(
        &self,
        packed: &Packed,
        targets: &Targets,
        temperature: f32,
        checkpointing: bool,
        objective: &mut Objective<'_>,
        hand: &mut Hand<'_>,
    ) -> bool {
        let Some(twin) = self.on_device() else { return false };
        let mut gradient = twin.gradient();
        twin.backward(packed, targets, temperature, checkpointing, &mut gradient, objective);
        // Whoever takes the parts may wait for another thread's, which needs the copy.
        drop(twin);
        let numbers = Buffer::of(gradient);
        for (part, range) in Share::ranges(self.layout()).into_iter().enumerate() {
            hand(part, range.clone(), &numbers[range]);
        }
        true
    }
}
