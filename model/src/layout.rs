//! `Layout`: where each parameter lies in one flat array.
//!
//! Weights, gradients and optimizer moments share it: an optimizer is one loop over flat arrays, a gradient's norm one
//! sum. Projections that read the same input (q, k and v; gate and up) are neighbours, so that one product serves them;
//! so are the experts of a block, whose products are one grouped product.

mod block;

use crate::config::ModelConfig;
use crate::grouped::Stack;
pub(crate) use block::{
    AttentionSlots, BlockSlots, DenseSlots, ExpertSlots, FeedForwardSlots, GroupedSlots, LatentSlots, MtpSlots,
};
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
    /// What it is to those who train, round and store it.
    pub role: Role,
}

/// What a parameter is to those who train, round and store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A weight of a block's linear layers: what FP8 stores in FP8.
    Linear,
    /// Another matrix: embedding, head, router. Its precision is never lowered below that of activations.
    Matrix,
    /// A norm's weight or a linear layer's bias: weight decay does not apply.
    Vector,
    /// A router's correction bias: no gradient reaches it, a rule moves it (arXiv 2408.15664).
    Correction,
}

impl Parameter {
    /// Its numbers in the flat array.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.iter().product::<usize>()
    }

    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub fn decay(&self) -> bool {
        matches!(self.role, Role::Linear | Role::Matrix)
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

/// Matrices of one shape inside the flat array, each met by the rows of its own group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackSlot {
    /// The first number of the first matrix.
    pub(crate) offset: usize,
    pub(crate) stack: Stack,
    /// Whether rows meet the matrices' columns: x · W and not x · Wᵀ.
    pub(crate) turned: bool,
}

impl StackSlot {
    pub(crate) fn range(self) -> Range<usize> {
        self.offset..self.offset + self.stack.span()
    }

    /// The stack as products lay it out.
    pub(crate) fn laid_out(self) -> Stack {
        let Stack { rows, columns, groups, .. } = self.stack;
        if self.turned { Stack { rows: columns, columns: rows, stride: rows * columns, groups } } else { self.stack }
    }
}

/// All parameters of an architecture in one flat array: the embedding, the blocks one after the other with those of
/// multi-token prediction behind them, the last norm and the head.
#[derive(Clone, Debug)]
pub struct Layout {
    parameters: Vec<Parameter>,
    len: usize,
    pub(crate) embedding: Slot,
    pub(crate) blocks: Vec<BlockSlots>,
    pub(crate) mtp: Vec<MtpSlots>,
    pub(crate) norm: Slot,
    pub(crate) head: Slot,
    /// Where each block lies, those of multi-token prediction among them.
    block_ranges: Vec<Range<usize>>,
}

impl Layout {
    /// The layout of `config`.
    pub fn new(config: &ModelConfig) -> Layout {
        let (v, d) = (config.vocab_size, config.hidden_dim);
        let mut list = List::default();
        let embedding = list.matrix(Role::Matrix, &["model.embed_tokens"], &[v], d);
        let (mut blocks, mut mtp, mut block_ranges) = (Vec::new(), Vec::new(), Vec::new());
        for layer in 0..config.blocks.len() {
            list.align();
            let start = list.len;
            if layer < config.n_layers {
                blocks.push(BlockSlots::new(&mut list, config, layer));
            } else {
                mtp.push(MtpSlots::new(&mut list, config, layer));
            }
            list.align();
            block_ranges.push(start..list.len);
        }
        let norm = list.vector(&["model.norm"], "weight", &[d]);
        let head = if config.tied_head { embedding } else { list.matrix(Role::Matrix, &["lm_head"], &[v], d) };
        list.align();
        Layout { parameters: list.parameters, len: list.len, embedding, blocks, mtp, norm, head, block_ranges }
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

    /// Where each block lies, one behind the other, those of multi-token prediction among them.
    pub(crate) fn block_ranges(&self) -> &[Range<usize>] {
        &self.block_ranges
    }

    /// How many numbers each block has, those of multi-token prediction among them.
    pub fn block_sizes(&self) -> impl Iterator<Item = usize> {
        self.block_ranges.iter().map(Range::len)
    }

    /// The slots of block `layer`, counted on through those of multi-token prediction.
    pub(crate) fn block(&self, layer: usize) -> &BlockSlots {
        match layer.checked_sub(self.blocks.len()) {
            None => &self.blocks[layer],
            Some(depth) => &self.mtp[depth].block,
        }
    }

    /// Every matrix that rows are multiplied with as a whole, and its bias.
    pub(crate) fn products(&self) -> Vec<(Slot, Option<Slot>)> {
        let blocks = (0..self.block_ranges.len()).flat_map(|layer| self.block(layer).products());
        let ends = self.mtp.iter().map(|mtp| mtp.projection).chain([self.head]);
        blocks.chain(ends.map(|slot| (slot, None))).collect()
    }

    /// What projects attention back to the stream, in every block.
    pub(crate) fn outputs(&self) -> Vec<Slot> {
        (0..self.block_ranges.len()).map(|layer| self.block(layer).output).collect()
    }

    /// Rows of the blocks' linear layers that stand one above the other in a part of the flat array; `None` where the part
    /// is not made of whole ones.
    pub(crate) fn linear_rows(&self, part: Range<usize>, columns: usize) -> Option<Vec<usize>> {
        let first = self.parameters.partition_point(|parameter| parameter.offset < part.start);
        let mut rows = Vec::new();
        let mut at = part.start;
        for parameter in self.parameters[first..].iter().take_while(|parameter| parameter.offset < part.end) {
            let range = parameter.range();
            if parameter.role != Role::Linear || range.start != at || range.end > part.end {
                return None;
            }
            rows.push(range.len() / columns);
            at = range.end;
        }
        (at == part.end).then_some(rows)
    }

    /// How many numbers a policy that computes in FP8 keeps in FP8 for its products.
    pub fn n_coded(&self) -> usize {
        let alone = self.products().into_iter().map(|(slot, _)| (slot.range(), slot.columns, 1));
        let stacks = self.stacks().into_iter().filter(|slot| !slot.turned).map(|slot| {
            let first = slot.stack.matrix(0);
            (slot.offset + first.start..slot.offset + first.end, slot.stack.columns, slot.stack.groups)
        });
        let coded = alone.chain(stacks).filter(|(part, columns, _)| self.linear_rows(part.clone(), *columns).is_some());
        coded.map(|(part, _, groups)| part.len() * groups).sum()
    }

    /// The weights of every router.
    pub(crate) fn routers(&self) -> Vec<Slot> {
        let blocks = (0..self.block_ranges.len()).map(|layer| self.block(layer));
        let router = |block: &BlockSlots| match &block.feed_forward {
            FeedForwardSlots::Experts(experts) => Some(experts.router),
            FeedForwardSlots::Dense(_) => None,
        };
        blocks.filter_map(router).collect()
    }

    /// The slots of latent attention, block by block.
    pub(crate) fn latents(&self) -> impl Iterator<Item = &LatentSlots> {
        (0..self.block_ranges.len()).filter_map(|layer| match &self.block(layer).attention {
            AttentionSlots::Latent(latent) => Some(latent),
            AttentionSlots::Grouped(_) => None,
        })
    }

    /// Where the weights of every router lie in the flat array.
    pub fn router_ranges(&self) -> Vec<Range<usize>> {
        self.routers().into_iter().map(Slot::range).collect()
    }

    /// Where routers' correction biases lie in the flat array, with the numbers of their blocks.
    pub fn corrections(&self) -> Vec<(usize, Range<usize>)> {
        let blocks = (0..self.block_ranges.len()).map(|layer| (layer, self.block(layer)));
        let correction = |(layer, block): (usize, &BlockSlots)| match &block.feed_forward {
            FeedForwardSlots::Experts(experts) => Some((layer, experts.correction?.range())),
            FeedForwardSlots::Dense(_) => None,
        };
        blocks.filter_map(correction).collect()
    }

    /// Where modules of multi-token prediction lie in the flat array.
    pub fn mtp_ranges(&self) -> Vec<Range<usize>> {
        self.block_ranges[self.blocks.len()..].to_vec()
    }

    /// The embedding and the head once more for each module of multi-token prediction, which shares them: published
    /// checkpoints have them there, and some tools look for them nowhere else.
    pub fn mtp_copies(&self) -> Vec<Parameter> {
        let copy = |layer: usize, name: &str, slot: Slot| Parameter {
            name: format!("model.layers.{layer}.{name}.weight"),
            shape: vec![slot.rows, slot.columns],
            offset: slot.offset,
            role: Role::Matrix,
        };
        let of = |layer| [copy(layer, "embed_tokens", self.embedding), copy(layer, "shared_head.head", self.head)];
        (self.blocks.len()..self.block_ranges.len()).flat_map(of).collect()
    }

    /// Every stack of matrices whose groups of rows are multiplied each with its own.
    pub(crate) fn stacks(&self) -> Vec<StackSlot> {
        (0..self.block_ranges.len()).flat_map(|layer| self.block(layer).stacks()).collect()
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

    fn add(&mut self, name: String, shape: Vec<usize>, role: Role) {
        let parameter = Parameter { name, shape, offset: self.len, role };
        self.len = parameter.range().end;
        self.parameters.push(parameter);
    }

    /// Matrices of one width, one above the other.
    fn matrix<S: AsRef<str>>(&mut self, role: Role, names: &[S], rows: &[usize], columns: usize) -> Slot {
        self.align();
        let offset = self.len;
        for (name, &rows) in names.iter().zip(rows) {
            self.add(format!("{}.weight", name.as_ref()), vec![rows, columns], role);
        }
        Slot { offset, rows: rows.iter().sum(), columns }
    }

    /// Vectors, one after the other.
    fn vector<S: AsRef<str>>(&mut self, names: &[S], kind: &str, widths: &[usize]) -> Slot {
        self.align();
        let offset = self.len;
        let role = if kind == CORRECTION { Role::Correction } else { Role::Vector };
        for (name, &width) in names.iter().zip(widths) {
            self.add(format!("{}.{kind}", name.as_ref()), vec![width], role);
        }
        Slot { offset, rows: 1, columns: widths.iter().sum() }
    }
}

/// What a router's correction bias is called.
const CORRECTION: &str = "e_score_correction_bias";

#[cfg(test)]
mod tests;
