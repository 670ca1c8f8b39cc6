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
    /// What training computes of latent attention (DeepSeek); sampling computes the absorbed form.
    #[serde(default)]
    pub mla: Mla,
    /// Draw fresh weights from `config.json` instead of reading them (needs only config.json and the tokenizer).
    #[serde(default)]
    pub random_init: bool,
}

impl PolicyConfig {
    /// The policy in `checkpoint`, as it is where a config says no more.
    pub fn new(checkpoint: impl Into<PathBuf>) -> PolicyConfig {
        PolicyConfig {
            checkpoint: checkpoint.into(),
            dtype: Dtype::default(),
            device: DeviceChoice::default(),
            mla: Mla::default(),
            random_init: false,
        }
    }
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
    /// E4M3 with scales for 128 numbers in the linear layers of the blocks, f32 elsewhere and for master weights, as
    /// DeepSeek-V3 trains (arXiv 2412.19437, section 3.3). On a device bf16 elsewhere.
    Fp8,
}

/// Forms of multi-head latent attention (arXiv 2405.04434).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mla {
    /// Queries meet latents, as in sampling: sampler and trainer agree on every bit.
    #[default]
    Absorbed,
    /// Every head has keys and values of its own: fewer operations a row, and a mismatch that is measured.
    Expanded,
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

impl DeviceChoice {
    /// Whether libtorch's kernels compute, and not the CPU's own.
    pub fn is_libtorchs(self) -> bool {
        matches!(self, DeviceChoice::Cuda | DeviceChoice::Libtorch)
    }
}

/// Families of transformers this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: no bias, RMSNorm on every query and key head.
    Qwen3,
    /// Qwen3-MoE: Qwen3 with experts.
    Qwen3Moe,
    /// Llama 3.x.
    Llama,
    /// Mixtral: Llama with experts.
    Mixtral,
    /// The text part of Gemma 3.
    Gemma3,
    /// DeepSeek-V2 and V2-Lite: latent attention, experts by softmax.
    DeepseekV2,
    /// DeepSeek-V3 and R1: latent attention, experts by sigmoid, multi-token prediction.
    DeepseekV3,
}

/// A checkpoint's architecture, resolved: nothing in it is optional that the forward pass needs.
///
/// A family is a choice of pieces: how rows attend, what a block feeds forward, where its norms stand, how positions are
/// rotated. What computes them knows the pieces and not the family.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// What its tensors are called.
    pub family: Family,
    /// V: rows of the embedding. May exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// D: model width.
    pub hidden_dim: usize,
    /// Number of blocks, without those of multi-token prediction.
    pub n_layers: usize,
    /// How rows attend to those before them.
    pub attention: AttentionConfig,
    /// F: width of a feed-forward without experts.
    pub ffn_dim: usize,
    /// The feed-forward with experts, where some block has one.
    pub experts: Option<ExpertsConfig>,
    /// What gates the feed-forward.
    pub activation: Activation,
    /// What is each block's own: `n_layers` and then `n_mtp` of them.
    pub blocks: Vec<BlockConfig>,
    /// How rows are normed.
    pub norm: NormConfig,
    /// What embeddings are multiplied with before the first block.
    pub embedding_scale: f32,
    /// Rotary position embeddings that blocks choose from.
    pub ropes: Vec<RopeConfig>,
    /// Positions the checkpoint was made for.
    pub max_positions: usize,
    /// The head is the embedding.
    pub tied_head: bool,
    /// Standard deviation of fresh matrices (`initializer_range`): GPT-2's 0.02 where the config names none, as in every
    /// family here.
    pub initial_std: f32,
    /// Blocks of multi-token prediction behind the last layer (DeepSeek-V3, arXiv 2412.19437, section 2.2).
    pub n_mtp: usize,
    /// Beginning-of-sequence id, if config.json names one.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence ids of config.json and generation_config.json, each once, in file order.
    pub eos_token_ids: Vec<u32>,
}

impl ModelConfig {
    /// What attention of block `layer` is made of, as its cache holds it.
    pub fn heads(&self, layer: usize) -> Heads {
        let window = self.blocks[layer].window;
        match &self.attention {
            AttentionConfig::Grouped(a) => Heads {
                n_heads: a.n_heads,
                n_kv_heads: a.n_kv_heads,
                head_dim: a.head_dim,
                value_dim: a.head_dim,
                latent: false,
                scale: a.scale,
                window,
            },
            AttentionConfig::Latent(a) => Heads {
                n_heads: a.n_heads,
                n_kv_heads: 1,
                head_dim: a.rank + a.rope_dim,
                value_dim: a.rank,
                latent: true,
                scale: a.scale,
                window,
            },
        }
    }

    /// What attention of block `layer` is made of in the expanded form of latents; that of [`ModelConfig::heads`] where
    /// there are none.
    pub fn expanded_heads(&self, layer: usize) -> Heads {
        match &self.attention {
            AttentionConfig::Grouped(_) => self.heads(layer),
            AttentionConfig::Latent(a) => Heads {
                n_kv_heads: a.n_heads,
                head_dim: a.nope_dim + a.rope_dim,
                value_dim: a.value_dim,
                latent: false,
                ..self.heads(layer)
            },
        }
    }

    /// Width of what rotates in a head.
    pub fn rope_dim(&self) -> usize {
        match &self.attention {
            AttentionConfig::Grouped(a) => a.head_dim,
            AttentionConfig::Latent(a) => a.rope_dim,
        }
    }
}

/// How rows attend to those before them.
#[derive(Clone, Debug, PartialEq)]
pub enum AttentionConfig {
    /// Query heads that share key and value heads.
    Grouped(GroupedAttention),
    /// Keys and values of all heads out of one latent.
    Latent(LatentAttention),
}

/// Grouped-query attention (arXiv 2305.13245).
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedAttention {
    /// H: query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// K: width of a head.
    pub head_dim: usize,
    /// Biases on the q, k and v projections.
    pub bias: bool,
    /// RMSNorm on every query and key head.
    pub head_norms: bool,
    /// What scores are multiplied with.
    pub scale: f32,
}

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).
#[derive(Clone, Debug, PartialEq)]
pub struct LatentAttention {
    /// H: heads.
    pub n_heads: usize,
    /// Width of the queries' latent; without one they are projected from the stream.
    pub query_rank: Option<usize>,
    /// Width of the latent that keys and values come from.
    pub rank: usize,
    /// Width of what a head's query and key hold beside their position.
    pub nope_dim: usize,
    /// Width of the rotated part of a query, and of the one rotated key that all heads share.
    pub rope_dim: usize,
    /// Width of a head's values.
    pub value_dim: usize,
    /// Pairs that are rotated together are neighbours; otherwise they lie half of the width apart.
    pub interleaved: bool,
    /// What scores are multiplied with.
    pub scale: f32,
}

/// What is a block's own.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockConfig {
    /// Whether it feeds forward through experts.
    pub sparse: bool,
    /// Positions that a row attends to, itself among them; without a window all before it.
    pub window: Option<usize>,
    /// Which of [`ModelConfig::ropes`] rotates its queries and keys.
    pub rope: usize,
}

/// How rows are normed: RMSNorm (Zhang and Sennrich 2019).
#[derive(Clone, Debug, PartialEq)]
pub struct NormConfig {
    /// Epsilon under the root.
    pub eps: f64,
    /// What is added to the weights: 1 in Gemma, 0 elsewhere.
    pub offset: f32,
    /// Whether what attention and feed-forward give is normed as well, before it is added to the stream.
    pub after: bool,
}

/// What gates a feed-forward: y = act(gate) · up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// GELU by its tanh approximation (arXiv 1606.08415).
    GeluTanh,
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

mod deepseek;
mod dense;
pub mod experts;
mod gemma;
mod native;
mod object;
mod parse;
mod rope;
mod size;
mod sparse;

use experts::ExpertsConfig;
pub use object::ConfigError;
#[cfg(test)]
pub(crate) use rope::parse_rope;

#[cfg(test)]
mod tests;
