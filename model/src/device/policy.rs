//! `DevicePolicy`: a policy's weights on a device.

use super::fp8::{CodedMatrix, coded};
use super::operands::Operands;
use crate::config::{Dtype, Mla, ModelConfig};
use crate::fp8::Scales;
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
    /// What products read of what is not in FP8.
    pub(super) operands: Operands,
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
    /// A copy of `policy` on `device`, that computes in the same precision. Where that is FP8, what is not in FP8 is in
    /// bf16, as DeepSeek-V3 has it.
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
        let in_fp8 = policy.dtype() == Dtype::Fp8;
        let coded = if in_fp8 { coded(policy.layout(), policy.mla) } else { Vec::new() };
        let operands = match wide {
            Kind::BFloat16 => Operands::half(policy.layout(), &coded, &parameters),
            _ => Operands::Masters,
        };
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
            in_fp8,
        };
        policy.code(coded);
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
        self.operands.refresh(&self.parameters);
        self.code(if self.in_fp8 { coded(&self.layout, self.mla) } else { Vec::new() });
    }

    /// Makes the weights that products read in FP8 anew, one after the other, so that no two copies of all of them exist.
    fn code(&mut self, coded: Vec<(Slot, Vec<usize>, Scales)>) {
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

    /// Writes the masters to `numbers`, flat.
    pub fn give(&self, numbers: &mut [f32]) {
        assert_eq!(numbers.len(), self.layout.len(), "as many as the layout has");
        self.parameters.copy_data(numbers, numbers.len());
    }

    /// Takes over the masters from `start` on. [`DevicePolicy::refresh`] must follow.
    pub(super) fn put(&mut self, start: usize, numbers: &[f32]) {
        self.parameters.narrow(0, start as i64, numbers.len() as i64).copy_(&Tensor::from_slice(numbers));
    }

    /// Zeros for every number of the layout, f32: room for a gradient.
    pub fn gradient(&self) -> Tensor {
        self.parameters.zeros_like()
    }

    /// Bytes that its weights take, with the tables of rotary positions.
    pub fn bytes(&self) -> u64 {
        let tensors = self.ropes.iter().flatten().chain([&self.parameters]).map(bytes);
        tensors.chain(self.coded.values().map(|matrix| matrix.bytes())).sum::<u64>() + self.operands.bytes()
    }

    /// A matrix, or a vector as one row, as products read it.
    pub(super) fn operand(&self, slot: Slot) -> Tensor {
        self.operands.view(&self.parameters, slot)
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

/// Bytes of a tensor's numbers.
pub(super) fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// The numbers of a slot, as a matrix on the flat tensor's memory.
pub(super) fn view(flat: &Tensor, slot: Slot) -> Tensor {
    let (rows, columns) = (slot.rows as i64, slot.columns as i64);
    flat.narrow(0, slot.offset as i64, rows * columns).view([rows, columns])
}
