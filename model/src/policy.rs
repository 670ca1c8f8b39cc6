//! `Policy`: a checkpoint's weights and the forward pass over packed rows.
//!
//! One definition for every family of [`crate::config::Family`]: RMSNorm, grouped-query attention with rotary
//! positions, a gated feed-forward. Products are libtorch's; everything between them is a kernel whose rows do not
//! depend on each other (see [`crate::kernels`]).

use crate::checkpoint::{LoadError, ReadAs, Weights};
use crate::config::ModelConfig;
use crate::kernels::{self, Heads, Rotation, Segment};
use crate::rope;
use std::path::Path;
use tch::{Kind, Tensor};

/// Row counts are padded to a multiple of this, so that libtorch's products take one kernel for all of them.
const ROW_BLOCK: usize = 8;

/// Packed rows: tokens of any number of sequences, each with its position and the segment it attends in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Token ids, `[N]`.
    pub tokens: Vec<i64>,
    /// Absolute positions, `[N]`.
    pub positions: Vec<i32>,
    /// Who attends to whom.
    pub segments: Vec<Segment>,
}

impl Packed {
    /// Adds a sequence that attends to itself alone; returns its segment.
    pub fn push(&mut self, tokens: &[i64]) -> Segment {
        self.push_after(None, tokens)
    }

    /// Adds a sequence that continues `prefix`, whose rows are shared and not repeated.
    pub fn push_after(&mut self, prefix: Option<Segment>, tokens: &[i64]) -> Segment {
        let (prefix_start, prefix_length) = prefix.map_or((0, 0), |p| (p.start, p.length));
        let segment =
            Segment { start: self.tokens.len() as i32, length: tokens.len() as i32, prefix_start, prefix_length };
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(prefix_length..prefix_length + segment.length);
        self.segments.push(segment);
        segment
    }
}

struct Block {
    attention_norm: Vec<f32>,
    qkv: Tensor,
    qkv_bias: Option<Tensor>,
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    output: Tensor,
    ffn_norm: Vec<f32>,
    gate_up: Tensor,
    down: Tensor,
}

/// A network with its weights, in f32 on the CPU.
pub struct Policy {
    config: ModelConfig,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: Vec<f32>,
    head: Tensor,
    cosine: Vec<f32>,
    sine: Vec<f32>,
}

impl Policy {
    /// Reads the weights that `config` describes from a checkpoint folder.
    pub fn load(folder: &Path, config: ModelConfig) -> Result<Policy, LoadError> {
        let weights = Weights::open(folder)?;
        let read = |name: &str, shape: &[usize]| {
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            weights.tensor(name, &shape, ReadAs::F32)
        };
        let (d, f, k) = (config.hidden_dim, config.ffn_dim, config.head_dim);
        let (q, kv) = (config.n_heads * k, config.n_kv_heads * k);

        let blocks = (0..config.n_layers)
            .map(|layer| {
                let read = |name: &str, shape: &[usize]| read(&format!("model.layers.{layer}.{name}"), shape);
                let join = |parts: Vec<Tensor>| Tensor::cat(&parts, 0);
                let qkv_bias = if config.qkv_bias {
                    Some(join(vec![
                        read("self_attn.q_proj.bias", &[q])?,
                        read("self_attn.k_proj.bias", &[kv])?,
                        read("self_attn.v_proj.bias", &[kv])?,
                    ]))
                } else {
                    None
                };
                let head_norm =
                    |name: &str| if config.qk_norm { read(name, &[k]).map(|w| Some(floats(&w))) } else { Ok(None) };
                Ok(Block {
                    attention_norm: floats(&read("input_layernorm.weight", &[d])?),
                    qkv: join(vec![
                        read("self_attn.q_proj.weight", &[q, d])?,
                        read("self_attn.k_proj.weight", &[kv, d])?,
                        read("self_attn.v_proj.weight", &[kv, d])?,
                    ]),
                    qkv_bias,
                    query_norm: head_norm("self_attn.q_norm.weight")?,
                    key_norm: head_norm("self_attn.k_norm.weight")?,
                    output: read("self_attn.o_proj.weight", &[d, q])?,
                    ffn_norm: floats(&read("post_attention_layernorm.weight", &[d])?),
                    gate_up: join(vec![read("mlp.gate_proj.weight", &[f, d])?, read("mlp.up_proj.weight", &[f, d])?]),
                    down: read("mlp.down_proj.weight", &[d, f])?,
                })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;

        let embedding = read("model.embed_tokens.weight", &[config.vocab_size, d])?;
        let head =
            if config.tied_head { embedding.shallow_clone() } else { read("lm_head.weight", &[config.vocab_size, d])? };
        let norm = floats(&read("model.norm.weight", &[d])?);
        let (cosine, sine) = rope_tables(&config);
        Ok(Policy { config, embedding, blocks, norm, head, cosine, sine })
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Logits of every packed row, `[N, V]` f32. Row i predicts the token after row i.
    pub fn logits(&self, packed: &Packed) -> Tensor {
        let hidden = self.hidden(packed);
        self.project(&hidden, &self.head, None)
    }

    /// The last block's output after the final norm, `[N, D]`.
    fn hidden(&self, packed: &Packed) -> Vec<f32> {
        let eps = self.config.norm_eps as f32;
        let heads =
            Heads { n_heads: self.config.n_heads, n_kv_heads: self.config.n_kv_heads, head_dim: self.config.head_dim };
        let scale = 1.0 / (heads.head_dim as f32).sqrt();
        let mut x = floats(&self.embedding.index_select(0, &Tensor::from_slice(&packed.tokens)));
        for block in &self.blocks {
            let normed = kernels::rms_norm(&x, &block.attention_norm, eps).0;
            let qkv = self.project(&normed, &block.qkv, block.qkv_bias.as_ref());
            let split = [heads.n_heads, heads.n_kv_heads, heads.n_kv_heads].map(|n| (n * heads.head_dim) as i64);
            let parts = qkv.split_with_sizes(split, 1);
            let turned = |part: &Tensor, norm: &Option<Vec<f32>>| {
                let part = floats(part);
                let part = norm.as_ref().map(|w| kernels::rms_norm(&part, w, eps).0).unwrap_or(part);
                kernels::rope(&part, &packed.positions, &self.cosine, &self.sine, heads.head_dim, Rotation::Forward)
            };
            let (q, key) = (turned(&parts[0], &block.query_norm), turned(&parts[1], &block.key_norm));
            let attended = kernels::attention(&q, &key, &floats(&parts[2]), &packed.segments, heads, scale).0;
            add(&mut x, &self.project(&attended, &block.output, None));

            let normed = kernels::rms_norm(&x, &block.ffn_norm, eps).0;
            let gate_up = floats(&self.project(&normed, &block.gate_up, None));
            let gated = kernels::swiglu(&gate_up, self.config.ffn_dim);
            add(&mut x, &self.project(&gated, &block.down, None));
        }
        kernels::rms_norm(&x, &self.norm, eps).0
    }

    /// x · weightᵀ + bias for rows x, `[N, out]`.
    fn project(&self, x: &[f32], weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let width = weight.size()[1];
        let n = x.len() as i64 / width;
        let padding = (n as usize).next_multiple_of(ROW_BLOCK) - n as usize;
        let mut rows = x.to_vec();
        rows.resize(x.len() + padding * width as usize, 0.0);
        let rows = Tensor::from_slice(&rows).view([-1, width]);
        rows.linear(weight, bias).narrow(0, 0, n)
    }
}

fn add(x: &mut [f32], y: &Tensor) {
    for (x, y) in x.iter_mut().zip(floats(y)) {
        *x += y;
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat f32 tensor on the CPU is a vector")
}

/// Cosines and sines of every position, `[positions, K / 2]`, as transformers computes them: the angle in f32.
fn rope_tables(config: &ModelConfig) -> (Vec<f32>, Vec<f32>) {
    let (frequencies, factor) = rope::inverse_frequencies(&config.rope, config.head_dim);
    let angles: Vec<f32> =
        (0..config.max_positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f)).collect();
    (angles.iter().map(|a| a.cos() * factor).collect(), angles.iter().map(|a| a.sin() * factor).collect())
}

#[cfg(test)]
mod tests;
