//! `Twin`: a policy's copy on a device, which computes in its place.

use super::policy::DevicePolicy;
use crate::backward::{Beside, Lesson, Objective};
use crate::buffer::Buffer;
use crate::policy::Policy;
use crate::router::Routed;
use crate::share::{Hand, Share};
use std::ops::Range;
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
    /// From now on log-probabilities, gradients and completions are computed on `device`, by libtorch's kernels. Where an
    /// optimizer moves the masters here, [`Policy::refresh`] copies them over; where it moves those there,
    /// [`Policy::refresh_on_device`] follows, and [`Policy::fetch_masters`] brings them back.
    pub fn compute_on(&mut self, device: Device) {
        self.twin = Some(Twin::new(self, device));
    }

    /// The copy that computes in this policy's place, where there is one.
    pub fn on_device(&self) -> Option<MutexGuard<'_, DevicePolicy>> {
        let mut twin = self.twin.as_ref()?.lock();
        twin.set_vocabulary(self.vocabulary());
        Some(twin)
    }

    /// [`Policy::backward_beside`] by `twin`, the copy on a device. Into a share there; else the gradient is fetched and
    /// handed over.
    pub(crate) fn backward_on_device(
        &self,
        twin: MutexGuard<'_, DevicePolicy>,
        lesson: &Lesson<'_>,
        share: &mut Share,
        objective: &mut Objective<'_>,
        beside: Beside<'_>,
        hand: &mut Hand<'_>,
    ) -> Routed {
        if let Some(total) = share.on_device() {
            return twin.learn(lesson, total, objective, beside);
        }
        let mut gradient = twin.gradient();
        let routed = twin.learn(lesson, &mut gradient, objective, beside);
        // Whoever takes the parts may wait for another thread's, which needs the copy.
        drop(twin);
        let numbers = Buffer::of(gradient);
        for (part, range) in Share::ranges(self.layout()).into_iter().enumerate() {
            hand(part, range.clone(), &numbers[range]);
        }
        routed
    }

    /// Makes what the copy on a device reads anew, where an optimizer moved its masters there. Those here stay behind until
    /// [`Policy::fetch_masters`].
    pub fn refresh_on_device(&mut self) {
        if let Some(mut twin) = self.on_device() {
            twin.refresh();
        }
    }

    /// Takes the masters over that an optimizer moved on a device.
    pub fn fetch_masters(&mut self) {
        if let Some(twin) = &self.twin {
            twin.lock().give(&mut self.parameters);
        }
    }

    /// Hands the masters in `range` to the copy on a device, where there is one.
    pub fn put_on_device(&mut self, range: Range<usize>) {
        if let Some(mut twin) = self.on_device() {
            twin.put(range.start, &self.parameters[range]);
        }
    }
}

#[cfg(test)]
mod tests;
