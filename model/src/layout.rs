//! `Layout`: where each parameter lies in one flat array.
//!
//! Weights, gradients and optimizer moments share it: an optimizer is one loop over flat arrays, a gradient's norm one
//! sum. Projections that read the same input (q, k and v; gate and up) are neighbours, so that one product serves them.

use crate::config::ModelConfig;
use std::ops::Range;

/// Groups of parameters start at a multiple of this many numbers: 64 bytes.
const ALIGNMENT: usize = 16;

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the Hugging Face layout.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Its first number in the flat array.
    pub offset: usize,
    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub decay: bool,
}

impl Parameter {
    /// Its numbers in the flat array.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.iter().product::<usize>()
    }
}

/// A matrix, or a vector as one row, inside the flat array; may span several parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Slot {
    pub(crate) fn range(self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.columns
    }
}

/// The slots of one block.
#[derive(Clone, Debug)]
pub(crate) struct BlockSlots {
    pub(crate) attention_norm: Slot,
    pub(crate) qkv: Slot,
    pub(crate) qkv_bias: Option<Slot>,
    pub(crate) query_norm: Option<Slot>,
    pub(crate) key_norm: Option<Slot>,
    pub(crate) output: Slot,
    pub(crate) ffn_norm: Slot,
    pub(crate) gate_up: Slot,
    pub(crate) down: Slot,
}

/// All parameters of an architecture in one flat array.
#[derive(Clone, Debug)]
pub struct Layout {
    parameters: Vec<Parameter>,
    len: usize,
    pub(crate) embedding: Slot,
    pub(crate) blocks: Vec<BlockSlots>,
    pub(crate) norm: Slot,
    pub(crate) head: Slot,
}

impl Layout {
    /// The layout of `config`.
    pub fn new(config: &ModelConfig) -> Layout {
        let (d, f, k) = (config.hidden_dim, config.ffn_dim, config.head_dim);
        let (q, kv) = (config.n_heads * k, config.n_kv_heads * k);
        let mut list = List::default();
        let embedding = list.matrix(&["model.embed_tokens"], &[config.vocab_size], d);
        let blocks = (0..config.n_layers)
            .map(|layer| {
                let names = |names: &[&str]| -> Vec<String> {
                    names.iter().map(|name| format!("model.layers.{layer}.{name}")).collect()
                };
                let projections = names(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]);
                let mut head_norm = |name: &str| config.qk_norm.then(|| list.vector(&names(&[name]), "weight", &[k]));
                let (query_norm, key_norm) = (head_norm("self_attn.q_norm"), head_norm("self_attn.k_norm"));
                BlockSlots {
                    attention_norm: list.vector(&names(&["input_layernorm"]), "weight", &[d]),
                    qkv: list.matrix(&projections, &[q, kv, kv], d),
                    qkv_bias: config.qkv_bias.then(|| list.vector(&projections, "bias", &[q, kv, kv])),
                    query_norm,
                    key_norm,
                    output: list.matrix(&names(&["self_attn.o_proj"]), &[d], q),
                    ffn_norm: list.vector(&names(&["post_attention_layernorm"]), "weight", &[d]),
                    gate_up: list.matrix(&names(&["mlp.gate_proj", "mlp.up_proj"]), &[f, f], d),
                    down: list.matrix(&names(&["mlp.down_proj"]), &[d], f),
                }
            })
            .collect();
        let norm = list.vector(&["model.norm"], "weight", &[d]);
        let head = if config.tied_head { embedding } else { list.matrix(&["lm_head"], &[config.vocab_size], d) };
        list.align();
        Layout { parameters: list.parameters, len: list.len, embedding, blocks, norm, head }
    }

    /// Every parameter, in the order of the flat array.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Every parameter with its part of `numbers`, an array of this layout.
    pub fn parts_mut<'a>(&self, numbers: &'a mut [f32]) -> impl Iterator<Item = (&Parameter, &'a mut [f32])> {
        assert_eq!(numbers.len(), self.len, "the array has this layout");
        let (mut rest, mut at) = (numbers, 0);
        self.parameters.iter().map(move |parameter| {
            let range = parameter.range();
            let (part, behind) = std::mem::take(&mut rest)[range.start - at..].split_at_mut(range.len());
            (rest, at) = (behind, range.end);
            (parameter, part)
        })
    }

    /// Where the blocks lie: one after the other, each laid out alike.
    pub(crate) fn block_range(&self) -> Range<usize> {
        let start = (self.embedding.offset + self.embedding.rows * self.embedding.columns).next_multiple_of(ALIGNMENT);
        start..self.norm.offset
    }

    /// Numbers in the flat array, a few of them unused between groups.
    #[expect(clippy::len_without_is_empty, reason = "no architecture is without parameters")]
    pub fn len(&self) -> usize {
        self.len
    }
}

#[derive(Default)]
struct List {
    parameters: Vec<Parameter>,
    len: usize,
}

impl List {
    fn align(&mut self) {
        self.len = self.len.next_multiple_of(ALIGNMENT);
    }

    fn add(&mut self, name: String, shape: Vec<usize>, decay: bool) {
        let parameter = Parameter { name, shape, offset: self.len, decay };
        self.len = parameter.range().end;
        self.parameters.push(parameter);
    }

    /// Matrices of one width, one above the other.
    fn matrix<S: AsRef<str>>(&mut self, names: &[S], rows: &[usize], columns: usize) -> Slot {
        self.align();
        let offset = self.len;
        for (name, &rows) in names.iter().zip(rows) {
            self.add(format!("{}.weight", name.as_ref()), vec![rows, columns], true);
        }
        Slot { offset, rows: rows.iter().sum(), columns }
    }

    /// Vectors, one after the other.
    fn vector<S: AsRef<str>>(&mut self, names: &[S], kind: &str, widths: &[usize]) -> Slot {
        self.align();
        let offset = self.len;
        for (name, &width) in names.iter().zip(widths) {
            self.add(format!("{}.{kind}", name.as_ref()), vec![width], false);
        }
        Slot { offset, rows: 1, columns: widths.iter().sum() }
    }
}
