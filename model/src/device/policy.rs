//! `DevicePolicy`: a policy's weights on a device.

use super::fp8::{CodedMatrix, coded};
use crate::config::{Dtype, Mla, ModelConfig};
use crate::layout::{Layout, Slot};
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A network with its weights on a device.
pub struct DevicePolicy {
    pub(super) config: ModelConfig,
    pub(super) layout: Layout,
    pub(super) device: Device,
    /// Masters, f32.
    parameters: Tensor,
    /// What products read: a bf16 copy of the masters, or the masters.
    operands: Tensor,
    /// Weights in FP8, by their offsets in the flat tensors.
    pub(super) coded: BTreeMap<usize, Arc<CodedMatrix>>,
    /// Of each of the config's ropes, cosines and sines `[positions, width / 2]`.
    pub(super) ropes: Vec<[Tensor; 2]>,
    /// What training computes of latent attention.
    pub(super) mla: Mla,
    /// What embeddings are multiplied with.
    pub(super) embedding_scale: f64,
    vocabulary: usize,
    in_fp8: bool,
}

impl DevicePolicy {
    /// A copy of `policy` on `device`, that computes in the same precision. Where that is FP8, what is not in FP8 is in bf16,
    /// as DeepSeek-V3 has it.
    pub fn new(policy: &Policy, device: Device) -> DevicePolicy {
        let wide = match policy.dtype() {
            Dtype::Bf16 | Dtype::Fp8 => Kind::BFloat16,
            Dtype::F32 | Dtype::Auto => Kind::Float,
        };
        DevicePolicy::with_operands(policy, device, wide)
    }

    /// [`DevicePolicy::new`] with the precision of what is not in FP8: `Float` or `BFloat16`.
    pub fn with_operands(policy: &Policy, device: Device, wide: Kind) -> DevicePolicy {
        let config = policy.config().clone();
        let width = (config.rope_dim() / 2) as i64;
        let table = |numbers: &[f32]| Tensor::from_slice(numbers).view([-1, width]).to_device(device);
        let ropes = (0..config.ropes.len()).map(|rope| policy.rope(rope));
        // Copied even where the device is the CPU: the masters here move by themselves.
        let parameters = Tensor::from_slice(policy.parameters()).to_device(device);
        // The very masters, where products read them.
        let operands = parameters.to_kind(wide);
        let mut policy = DevicePolicy {
            ropes: ropes.map(|angles| [table(angles.cosine), table(angles.sine)]).collect(),
            mla: policy.mla,
            embedding_scale: f64::from(policy.embedding_scale()),
            vocabulary: policy.vocabulary(),
            layout: policy.layout().clone(),
            config,
            device,
            parameters,
            operands,
            coded: BTreeMap::new(),
            in_fp8: policy.dtype() == Dtype::Fp8,
        };
        policy.code();
        policy
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where each parameter lies in [`DevicePolicy::parameters`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What products and the cache hold: f32 or bf16.
    pub fn kind(&self) -> Kind {
        self.operands.kind()
    }

    /// How many ids have a probability.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    pub(super) fn set_vocabulary(&mut self, n: usize) {
        self.vocabulary = n;
    }

    /// All master weights, flat, f32. Whoever writes to them calls [`DevicePolicy::refresh`].
    pub fn parameters(&self) -> &Tensor {
        &self.parameters
    }

    /// Makes the copy that products read anew.
    pub fn refresh(&mut self) {
        if self.kind() == Kind::BFloat16 {
            self.operands.copy_(&self.parameters);
        }
        self.code();
    }

    /// Makes the weights that products read in FP8 anew, one after the other, so that no two copies of all of them exist.
    fn code(&mut self) {
        let coded = if self.in_fp8 { coded(&self.layout, self.mla) } else { Vec::new() };
        for (slot, parts, input) in coded {
            self.coded.remove(&slot.offset);
            let matrix = tch::no_grad(|| CodedMatrix::new(&self.parameters, slot, &parts, input));
            self.coded.insert(slot.offset, Arc::new(matrix));
        }
    }

    /// Takes over the masters of `policy`, which has the same layout.
    pub fn take(&mut self, policy: &Policy) {
        self.parameters.copy_(&policy.parameters.rows(1).view([-1]));
        self.refresh();
    }

    /// Hands the masters to `policy`, which has the same layout.
    pub fn give(&self, policy: &mut Policy) {
        let numbers = policy.parameters_mut();
        self.parameters.copy_data(numbers, numbers.len());
        policy.refresh();
    }

    /// Zeros for every number of the layout, f32: room for a gradient.
    pub fn gradient(&self) -> Tensor {
        self.parameters.zeros_like()
    }

    /// A matrix, or a vector as one row, as products read it.
    pub(super) fn operand(&self, slot: Slot) -> Tensor {
        view(&self.operands, slot)
    }

    /// A vector of the masters.
    pub(super) fn vector(&self, slot: Slot) -> Tensor {
        view(&self.parameters, slot).view([-1])
    }

    /// Numbers of the host, on the device.
    pub(super) fn upload<T: tch::kind::Element>(&self, numbers: &[T]) -> Tensor {
        Tensor::from_slice(numbers).to_device(self.device)
    }
}

/// The numbers of a slot, as a matrix on the flat tensor's memory.
pub(super) fn view(flat: &Tensor, slot: Slot) -> Tensor {
    let (rows, columns) = (slot.rows as i64, slot.columns as i64);
    flat.narrow(0, slot.offset as i64, rows * columns).view([rows, columns])
}
