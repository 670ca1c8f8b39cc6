//! `Policy`: a checkpoint's weights, loaded, moved by an optimizer, and saved again.
//!
//! Masters are f32, all in one flat array that [`Layout`] describes. Products read a copy that is made once an update
//! ([`Policy::refresh`]) and shared by everyone who multiplies with the weights (`operands.rs`). What the network computes
//! is in `block.rs`; its gradients are in `backward.rs`, decoding is in `decode.rs`.

mod save;

use crate::attention::step::Angles;
use crate::buffer::Buffer;
use crate::checkpoint::{LoadError, Target, Weights};
use crate::config::{Dtype, Mla, ModelConfig, PolicyConfig};
use crate::device::Twin;
use crate::layout::{Layout, Role, Slot};
use crate::operands::Operands;
use crate::philox::{Purpose, Stream};
use crate::rope::RopeTable;
use crate::team;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network with its weights.
///
/// Shared between threads by reference: everything that takes `&Policy` only reads.
pub struct Policy {
    pub(crate) config: ModelConfig,
    pub(crate) layout: Layout,
    pub(crate) parameters: Buffer,
    pub(crate) operands: Operands,
    /// Of each of the config's ropes, shared with copies.
    ropes: Arc<[RopeTable]>,
    pub(crate) mla: Mla,
    vocabulary: usize,
    source: PathBuf,
    /// A copy that computes in this one's place.
    pub(crate) twin: Option<Twin>,
}

impl Policy {
    /// Reads the weights in `folder`, or draws fresh ones by `seed` where the config asks for that.
    pub fn load(folder: &Path, config: &PolicyConfig, seed: u64) -> Result<Policy, LoadError> {
        let architecture = ModelConfig::from_folder(folder)?;
        let layout = Layout::new(&architecture);
        let mut parameters = Buffer::zeros(layout.len());
        if config.random_init {
            draw(&layout, &architecture, &mut parameters, seed);
        } else {
            read(folder, &architecture, &layout, &mut parameters)?;
        }
        let ropes = architecture.ropes.iter();
        let ropes = ropes.map(|rope| RopeTable::new(rope, architecture.rope_dim(), architecture.max_positions));
        let mut policy = Policy {
            ropes: ropes.collect(),
            mla: config.mla,
            vocabulary: architecture.vocab_size,
            operands: Operands::new(&layout, config.dtype, config.mla),
            config: architecture,
            layout,
            parameters,
            source: folder.to_owned(),
            twin: None,
        };
        policy.refresh();
        Ok(policy)
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where each parameter lies in [`Policy::parameters`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the products compute in: `F32` or `Bf16`.
    pub fn dtype(&self) -> Dtype {
        self.operands.dtype()
    }

    /// How many numbers are trained.
    pub fn n_parameters(&self) -> usize {
        self.layout.parameters().iter().filter(|p| p.role != Role::Correction).map(|p| p.range().len()).sum()
    }

    /// All master weights, as [`Layout`] orders them.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All master weights, to be moved. [`Policy::refresh`] must follow.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// Makes the copy that products read anew: on a device, where one computes.
    pub fn refresh(&mut self) {
        if let Some(mut twin) = self.on_device() {
            return twin.take(self);
        }
        self.operands.refresh(&self.layout, &self.parameters);
    }

    /// Ids from `n` on, which no token of the tokenizer has, get probability 0 everywhere.
    pub fn set_vocabulary(&mut self, n: usize) {
        self.vocabulary = n.min(self.config.vocab_size);
    }

    /// How many ids have a probability.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// A policy of its own with the same weights.
    pub fn deep_copy(&self) -> Policy {
        let mut operands = Operands::new(&self.layout, self.dtype(), self.mla);
        if self.twin.is_none() {
            operands.refresh(&self.layout, &self.parameters);
        }
        Policy {
            config: self.config.clone(),
            layout: self.layout.clone(),
            parameters: self.parameters.clone(),
            operands,
            ropes: self.ropes.clone(),
            mla: self.mla,
            vocabulary: self.vocabulary,
            source: self.source.clone(),
            twin: self.on_device().map(|twin| Twin::new(self, twin.device())),
        }
    }

    /// The angles by which block `layer` rotates: from position 0 on, or in a module of multi-token prediction from that
    /// of its first row.
    pub(crate) fn angles(&self, layer: usize) -> Angles<'_> {
        let Angles { cosine, sine } = self.rope(self.config.blocks[layer].rope);
        let first = (layer + 1).saturating_sub(self.config.n_layers) * self.config.rope_dim() / 2;
        Angles { cosine: &cosine[first..], sine: &sine[first..] }
    }

    /// The angles of one of the config's ropes.
    pub(crate) fn rope(&self, rope: usize) -> Angles<'_> {
        let table = &self.ropes[rope];
        Angles { cosine: &table.cosine, sine: &table.sine }
    }

    /// What embeddings are multiplied with: rounded as the weights are, which is what checkpoints were trained with.
    pub(crate) fn embedding_scale(&self) -> f32 {
        match self.dtype() {
            Dtype::Bf16 => half::bf16::from_f32(self.config.embedding_scale).to_f32(),
            _ => self.config.embedding_scale,
        }
    }

    /// A vector of weights.
    pub(crate) fn vector(&self, slot: Slot) -> &[f32] {
        &self.parameters[slot.range()]
    }
}

/// Fresh weights: matrices normal, norms such that they change nothing, biases zero.
fn draw(layout: &Layout, config: &ModelConfig, parameters: &mut [f32], seed: u64) {
    let norm = 1.0 - config.norm.offset;
    for (index, parameter) in layout.parameters().iter().enumerate() {
        let stream = Stream::new(seed, Purpose::Weights, 0, index as u64, 0);
        let numbers = &mut parameters[parameter.range()];
        if parameter.decay() {
            for (i, number) in numbers.iter_mut().enumerate() {
                *number = config.initial_std * stream.normal(i as u32);
            }
        } else if !parameter.name.ends_with("bias") {
            numbers.fill(norm);
        }
    }
}

fn read(folder: &Path, config: &ModelConfig, layout: &Layout, parameters: &mut [f32]) -> Result<(), LoadError> {
    let weights = Weights::open(folder)?;
    let targets = layout.parts_mut(parameters);
    let targets = targets.map(|(p, numbers)| Target { name: &p.name, shape: &p.shape, numbers });
    weights.read(targets.collect(), team::cores())?;
    // A checkpoint that says `tie_word_embeddings` and stores another head would be read as a different network.
    if config.tied_head && weights.contains("lm_head.weight") {
        let shape = [config.vocab_size, config.hidden_dim];
        if !weights.equals("lm_head.weight", &shape, &parameters[layout.embedding.range()])? {
            let reason = "`lm_head.weight` differs from the embedding, and config.json says `tie_word_embeddings`";
            return Err(LoadError::Parse { file: folder.to_owned(), reason: reason.into() });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
