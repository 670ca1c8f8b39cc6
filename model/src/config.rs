//! `ModelConfig`: what a checkpoint's `config.json` means.

use crate::attention::Heads;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `[model]` table of a run: which checkpoint, where and in what precision.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Folder in the Hugging Face layout, or a hub id such as `Qwen/Qwen2.5-0.5B`.
    pub checkpoint: PathBuf,
    /// Number format of activations and of the weights they are multiplied with. Master weights are always f32.
    #[serde(default)]
    pub dtype: Dtype,
    /// Where the policy computes, and by whose kernels.
    #[serde(default)]
    pub device: DeviceChoice,
    /// Draw fresh weights from `config.json` instead of reading them (needs only config.json and the tokenizer).
    #[serde(default)]
    pub random_init: bool,
}

/// Number format of a forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// f32, on the CPU.
    #[default]
    Auto,
    /// 32-bit float.
    F32,
    /// bfloat16, with f32 master weights.
    Bf16,
}

/// The device a policy lives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// As `cpu`.
    #[default]
    Auto,
    /// The CPU, by kernels of our own: sampler and trainer agree on every bit.
    Cpu,
    /// The first CUDA device, by libtorch's kernels; see docs/gpu.md. Sampler and trainer agree closely, which is measured.
    Cuda,
    /// The CPU, by the code of `cuda`: slow, to try that code where there is no GPU.
    Libtorch,
}

/// Families of dense transformers this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: no bias, RMSNorm on every query and key head.
    Qwen3,
    /// Llama 3.x.
    Llama,
}

/// A checkpoint's architecture, resolved: nothing in it is optional that the forward pass needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which family's rules apply.
    pub family: Family,
    /// V: rows of the embedding. May exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// D: model width.
    pub hidden_dim: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// H: query heads.
    pub n_heads: usize,
    /// Key and value heads (GQA); divides `n_heads`.
    pub n_kv_heads: usize,
    /// K: width of a head.
    pub head_dim: usize,
    /// F: width of the gated feed-forward.
    pub ffn_dim: usize,
    /// Epsilon inside RMSNorm.
    pub norm_eps: f64,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Positions the checkpoint was made for.
    pub max_positions: usize,
    /// The head is the embedding.
    pub tied_head: bool,
    /// Biases on the q, k and v projections.
    pub qkv_bias: bool,
    /// RMSNorm on every query and key head.
    pub qk_norm: bool,
    /// Beginning-of-sequence id, if config.json names one.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence ids of config.json and generation_config.json, each once, in file order.
    pub eos_token_ids: Vec<u32>,
}

/// Rotary position embedding: its base and how it is stretched.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// θ, the base of the geometric series of frequencies.
    pub theta: f64,
    /// How frequencies are changed for longer contexts.
    pub scaling: RopeScaling,
}

/// Ways to stretch a rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As it is.
    Default,
    /// All frequencies divided by `factor`.
    Linear {
        /// Stretch of the context.
        factor: f64,
    },
    /// Llama 3.1's frequency-dependent stretch.
    Llama3 {
        /// Stretch of the lowest frequencies.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are stretched in full.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are left alone.
        high_freq_factor: f64,
        /// Context the base was trained on, in tokens.
        original_max_positions: usize,
    },
    /// YaRN (arXiv 2309.00071).
    Yarn {
        /// Stretch of the context.
        factor: f64,
        /// Rotations at the original length above which a frequency is left alone.
        beta_fast: f64,
        /// Rotations at the original length below which a frequency is interpolated in full.
        beta_slow: f64,
        /// Context the base was trained on, in tokens.
        original_max_positions: usize,
        /// Factor on cos and sin (`0.1 ln factor + 1` unless the config names one).
        attention_factor: f64,
        /// Whether the correction range is rounded to whole dimensions (`truncate`, true by default).
        truncate: bool,
    },
}

pub mod experts;

impl ModelConfig {
    /// The heads of its attention.
    pub fn heads(&self) -> Heads {
        Heads::new(self.n_heads, self.n_kv_heads, self.head_dim)
    }
}

mod parse;
pub use parse::ConfigError;
#[cfg(test)]
pub(crate) use parse::parse_rope;

#[cfg(test)]
mod tests;
